# SPDX-License-Identifier: Apache-2.0
"""``openstack image sync start``, ``retry`` and ``cancel``."""

import argparse
from collections.abc import Sequence
import sys
import time
from typing import Any, ClassVar

from osc_lib import exceptions
from osc_lib.command import command
import tqdm

from glancesyncclient.osc.v1 import images
from glancesyncclient.osc.v1 import named

_OPEN = frozenset({"pending", "processing"})
_POLL_SECONDS = 1.0


class _Request(command.ShowOne):
    """Asks something of an image in some regions."""

    verb: ClassVar[str]
    can_wait: ClassVar[bool] = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image, the regions and the wait."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", metavar="<image>", help="name or ID of the image")
        parser.add_argument(
            "--region", metavar="<region>", action="append", dest="regions",
            help="limit it to this region; may be repeated",
        )
        if self.can_wait:
            parser.add_argument(
                "--wait", action="store_true", help="wait until the copies are done or failed"
            )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Ask; return the image and its regions."""
        image_id = named.image_id(self.app, parsed_args.image)
        ask = getattr(named.sync(self.app), f"{self.verb}_image")
        regions = ask(image_id, parsed_args.regions)
        if self.can_wait and parsed_args.wait:
            shown = wait(named.sync(self.app), image_id, regions)
            return ("id", "regions"), (image_id, images.RegionLines(shown))
        return ("id", "regions"), (image_id, ", ".join(regions))


def wait(proxy: Any, image_id: str, regions: Sequence[str]) -> Sequence[dict[str, Any]]:
    """Wait until the copies in some regions are done; return their tasks.

    :raises CommandError: one of them failed.
    """
    # Nothing is drawn unless somebody watches.
    with tqdm.tqdm(unit="B", unit_scale=True, disable=None, file=sys.stderr) as bar:
        while True:
            tasks = [
                one for one in proxy.get_image(image_id).regions if one["region"] in regions
            ]
            bar.total = sum(one["bytes_total"] or 0 for one in tasks)
            bar.n = sum(one["bytes_done"] for one in tasks)
            bar.refresh()
            if not any(one["status"] in _OPEN for one in tasks):
                break
            time.sleep(_POLL_SECONDS)
    failed = [images.line(one) for one in tasks if one["status"] == "failure"]
    if failed:
        raise exceptions.CommandError("\n".join(failed))
    return tasks


class StartImage(_Request):
    """Request an image again, whatever its state."""

    verb = "sync"


class RetryImage(_Request):
    """Make the failed and the waiting tasks of an image due now."""

    verb = "retry"


class CancelImage(_Request):
    """Cancel the tasks of an image that are not done."""

    verb = "cancel"
    can_wait = False
