# SPDX-License-Identifier: Apache-2.0
"""Full and incremental scans, on Glances in memory and the real table of tasks in SQLite.

``nothing``: a full pass that finds every copy in step. ``few``: one that finds one copy in a
hundred missing and one stale. ``changes``: a pass over what changed since the last one, by its
watermark. ``shared``: ``nothing`` with images of Glance's default visibility, ten minutes after
the last pass. ``first``: a full pass with an empty table where no region has anything.
``requests`` are those that real Glances would get.

The Glances make up each image when it is asked for and keep none, and each pass has a process
of its own, so the peak of its resident memory, interpreter and libraries included, is an upper
bound of what the engine takes. ``growth`` is the time of a pass with all images over that with
a tenth of them, both per image: 1 is linear.
"""

import argparse
from collections.abc import Callable, Sequence
from concurrent import futures
import cProfile
import dataclasses
import datetime
import json
import multiprocessing
import pathlib
import sys
import tempfile
import time
from typing import Any

import sqlalchemy as sa

from benchmarks import assembled
from benchmarks import made_up
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.sql import tables
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.engine.assembly.settings import Settings
from glance_sync_agent.engine.reconcile import differences
from glance_sync_agent.engine.reconcile import member_scans
from glance_sync_agent.engine.reconcile import scan
from glance_sync_agent.engine.reconcile import scan_settings
from glance_sync_agent.engine.reconcile import scan_state

PASSES = ("nothing", "changes", "shared", "few", "first")
_INTERVALS = scan_settings.ScanIntervals(members=86400.0, full=600.0)
#: As after the last pass; see engine/rounds.py.
_MARGIN = datetime.timedelta(seconds=10)
_ROWS = 10_000  # that are written at once


def main() -> int:
    """Run and print; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=100_000, help="images (%(default)s)")
    parser.add_argument("--regions", type=int, default=10, help="regions (%(default)s)")
    parser.add_argument(
        "--passes", type=_names, default=PASSES, help=f"of {', '.join(PASSES)}; all"
    )
    parser.add_argument("--profile", type=pathlib.Path, help="directory for cProfile's files")
    parser.add_argument("--json", action="store_true", help="print JSON on one line")
    args = parser.parse_args()
    machine = made_up.machine()
    sizes = [args.images // 10, args.images]
    smaller, full = [_passes(args, count) for count in sizes]
    growth = {
        one: round(full[one]["seconds"] / smaller[one]["seconds"] / 10, 2) for one in args.passes
    }
    summary = {
        "machine": machine,
        "regions": args.regions,
        "images": {str(sizes[0]): smaller, str(sizes[1]): full},
        "growth": growth,
    }
    print(json.dumps(summary, indent=None if args.json else 2))
    return 0


def _names(text: str) -> Sequence[str]:
    return [one for one in PASSES if one in text.split(",")]


def _passes(args: argparse.Namespace, count: int) -> dict[str, Any]:
    """Run each pass in a process of its own, on one table."""
    found = {}
    with tempfile.TemporaryDirectory() as directory:
        for name in args.passes:
            database = pathlib.Path(directory) / ("empty.db" if name == "first" else "tasks.db")
            profile = args.profile and args.profile / f"{name}-{count}.prof"
            if not database.exists():
                _made(database, 0 if name == "first" else count, args.regions)
            with futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                found[name] = process.submit(
                    _pass, name, database, count, args.regions, profile
                ).result()
            print(count, name, found[name], file=sys.stderr)
    return found


def _made(database: pathlib.Path, count: int, regions: int) -> None:
    """Make a table with a task in step for every image and region."""
    url = f"sqlite:///{database}"
    store = task_store.SqlTaskStore(url)
    store.upgrade()
    store.close()
    engine = sa.create_engine(url)
    now = datetime.datetime.now(datetime.UTC)
    names = made_up.regions(regions)
    with engine.begin() as connection:
        for start in range(0, count, _ROWS // regions):
            numbers = range(start, min(start + _ROWS // regions, count))
            rows = [_row(number, region, now) for number in numbers for region in names]
            connection.execute(sa.insert(tables.TASKS), rows)
    engine.dispose()


def _row(number: int, region: images.RegionId, now: datetime.datetime) -> dict[str, Any]:
    return {
        "image_id": made_up.image_id(number),
        "region": region,
        "status": "success",
        "generation": 1,
        "request_id": f"{number:032x}",
        "may_delete": False,
        "attempts": 0,
        "not_before": now,
        "code": "in_sync",
        "reason": "in sync",
        "image_name": made_up.name(number),
        "copy_id": made_up.image_id(number),
        "copied_from": made_up.CASCADING,
        "bytes_done": len(made_up.DATA),
        "bytes_total": len(made_up.DATA),
        "created_at": now,
        "updated_at": now,
    }


def _in_sync(_region: images.RegionId, _number: int) -> made_up.Copy:
    return made_up.Copy.IN_SYNC


def _few(region: images.RegionId, number: int) -> made_up.Copy:
    other = {0: made_up.Copy.MISSING, 1: made_up.Copy.STALE}
    return other.get((number + int(region[-3:])) % 100, made_up.Copy.IN_SYNC)


def _none(_region: images.RegionId, _number: int) -> made_up.Copy:
    return made_up.Copy.MISSING


_COPIES: dict[str, Callable[[images.RegionId, int], made_up.Copy]] = {
    "nothing": _in_sync, "changes": _in_sync, "shared": _in_sync, "few": _few,
    "first": _none,
}


def _pass(
    name: str,
    database: pathlib.Path,
    count: int,
    regions: int,
    profile: pathlib.Path | None,
) -> dict[str, Any]:
    """Scan once; return what was found, and what it cost."""
    visibility = "shared" if name == "shared" else "public"
    cloud = made_up.Cloud(count, regions, _COPIES[name], visibility=visibility)
    store = task_store.SqlTaskStore(f"sqlite:///{database}")
    _note_last_pass(cloud, store)
    scanning = _scan(cloud, store)
    scope = scan_state.FULL
    if name == "changes":
        since = made_up.changed_at(count - 1) - _MARGIN
        scope = scan_state.Scope(since=since, deletions=False)
    before, started = _peak_mib(), time.monotonic()
    if profile is None:
        report = scanning.run(scope)
    else:
        profiler = cProfile.Profile()
        report = profiler.runcall(scanning.run, scope)
        profiler.dump_stats(profile)
    seconds, peak = time.monotonic() - started, _peak_mib()
    store.close()
    return {
        "seconds": round(seconds, 2),
        "seconds_in_glances": round(cloud.seconds(), 2),
        "peak_mib": peak,
        "peak_mib_more": peak - before,
        "sources": report.sources,
        "requested": report.requested,
        "requests": cloud.requests(),
    }


def _scan(cloud: made_up.Cloud, store: task_store.SqlTaskStore) -> scan.Scan:
    engine = assembled.engine(cloud, store, change=_without_grace)
    kind = scan.ScanKind(members=_members(store, made_up.Clock()), max_deletes=lambda: 10)
    return engine.scans.make_scan(kind, differences.requesting(engine.shared.requests))


def _without_grace(settings: Settings) -> Settings:
    return dataclasses.replace(
        settings, scans=dataclasses.replace(settings.scans, gone_grace=0.0)
    )


def _note_last_pass(cloud: made_up.Cloud, store: task_store.SqlTaskStore) -> None:
    """Take note that all members were compared up to an interval ago."""
    clock = made_up.Clock(ago=datetime.timedelta(seconds=_INTERVALS.full))
    members = _members(store, clock)
    for region in sorted(cloud.regions() - {cloud.cascading}):
        members.note(cloud.cascading, region, members.share(cloud.cascading, region))


def _members(
    store: task_store.SqlTaskStore, clock: made_up.Clock
) -> member_scans.SpreadMemberScans:
    return member_scans.SpreadMemberScans(
        facts=store.facts(), clock=clock, intervals=lambda: _INTERVALS, are_ours=lambda: True
    )


def _peak_mib() -> int:
    # Not getrusage(2), which counts what the process was before its exec as well.
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


if __name__ == "__main__":
    sys.exit(main())
