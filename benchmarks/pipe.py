#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure the byte pipe of the engine alone: one read, one hash, several regions.

Source and targets are in memory, so all seconds are those of the pipe and of its hash. It needs
no cloud. Trust ratios more than seconds.
"""

import argparse
from collections.abc import Iterator, Sequence
import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import resource
import sys
import threading
import time
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from glance_sync_agent.domain import images
from glance_sync_agent.engine.transfer import downloads
from glance_sync_agent.engine.transfer import progress
from tests.unit import builders

_MIB = 1024 * 1024


class MadeUp:
    """An image of one block, many times, in every region."""

    def __init__(self, mib: int) -> None:
        self.reads = 0
        self._mib = mib
        self._block = os.urandom(_MIB)
        digest = hashlib.sha512()
        for _ in range(mib):
            digest.update(self._block)
        multihash = images.Multihash(algo="sha512", value=digest.hexdigest())
        self.image = builders.source(size=mib * _MIB, multihash=multihash)

    def source_store(self, _region: images.RegionId) -> "MadeUp":
        """Return itself, as ``engine.ports.Regions`` does."""
        return self

    @contextlib.contextmanager
    def read(self, _image: images.Image, *, offset: int = 0) -> Iterator[Iterator[bytes]]:
        """Open the data, as ``engine.ports.ImageStore`` does."""
        self.reads += 1
        yield (self._block for _ in range(offset // _MIB, self._mib))


def drain(
    shared: downloads.Downloads, image: images.Image, together: threading.Barrier
) -> None:
    """Take all bytes, as a store driver does."""
    with shared.open(image) as reader:
        together.wait()
        taken = sum(map(len, progress.watched(reader.blocks(), lambda _done: None)))
    if (taken, reader.prefix.multihash) != (image.size, image.multihash):
        raise RuntimeError(f"{taken} of {image.size} bytes, hash {reader.prefix.multihash}")


def measure(mib: int, sinks: int) -> dict[str, Any]:
    """Bring the image to so many sinks at once."""
    source = MadeUp(mib)
    shared: Any = downloads.Downloads(source)  # type: ignore[arg-type]
    together = threading.Barrier(sinks)
    before, started = _cpu(), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(sinks) as pool:
        for one in [pool.submit(drain, shared, source.image, together) for _ in range(sinks)]:
            one.result()
    seconds, used = time.monotonic() - started, _cpu() - before
    return {
        "sinks": sinks,
        "mib_per_second": round(mib / seconds, 1),
        "cpu_seconds_per_gib": round(used * 1024 / mib, 2),
        "reads": source.reads,
    }


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main(arguments: Sequence[str]) -> int:
    """Print one row for each number of sinks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="size of the image (default: 1024)")
    parser.add_argument("--sinks", nargs="+", type=int, default=[1, 3], help="(default: 1 3)")
    options = parser.parse_args(arguments)
    rows = [measure(options.mib, sinks) for sinks in options.sinks]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"rows": rows, "peak_mib": peak}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
