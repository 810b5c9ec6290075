# SPDX-License-Identifier: Apache-2.0
"""``openstack image sync scan list``, ``start``, ``show`` and ``cancel``."""

import argparse
from collections.abc import Iterable, Sequence
import time
from typing import Any

from osc_lib import exceptions
from osc_lib.command import command

from glancesyncclient.osc.v1 import named

_FIELDS = (
    "id", "state", "dry_run", "regions", "allow_deletes", "asked_at", "asked_by", "ended_at",
    "counts", "notes",
)
_LISTED = ("id", "state", "dry_run", "asked_at", "asked_by")
_FOUND = ("image_id", "image_name", "region", "what", "why")
_OPEN = frozenset({"waiting", "running"})
_UNFINISHED = frozenset({"failed", "cancelled"})
_POLL_SECONDS = 1.0


class ListScans(command.Lister):
    """List the scans that people asked for, the newest first."""

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Return the columns and the rows."""
        del parsed_args
        found = named.sync(self.app).scans()
        titles = [name.replace("_", " ").title() for name in _LISTED]
        return titles, (tuple(getattr(one, name) for name in _LISTED) for one in found)


class StartScan(command.ShowOne):
    """Compare all images with their copies, and request the differences."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the regions, and how much is to be done."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--dry-run", action="store_true", help="only show the differences"
        )
        parser.add_argument(
            "--region", metavar="<region>", action="append", dest="regions",
            help="limit it to this region; may be repeated",
        )
        parser.add_argument(
            "--allow-deletes", metavar="<number>", type=int,
            help="delete the copies of at most so many sources that are gone; if there are more, "
            "delete none",
        )
        parser.add_argument("--wait", action="store_true", help="wait until it is done")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Ask for it; return what became of it."""
        sync = named.sync(self.app)
        scan = sync.start_scan(
            dry_run=parsed_args.dry_run,
            regions=parsed_args.regions,
            allow_deletes=parsed_args.allow_deletes,
        )
        while parsed_args.wait and scan.state in _OPEN:
            time.sleep(_POLL_SECONDS)
            scan = sync.get_scan(scan.id)
        if scan.state in _UNFINISHED:
            raise exceptions.CommandError(f"Scan {scan.id}: {'; '.join(scan.notes)}")
        return _FIELDS, _values(scan)


class _OfOneScan(command.Command):
    """Is about a scan that exists."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the scan."""
        parser = super().get_parser(prog_name)
        parser.add_argument("scan", metavar="<scan>", help="ID of the scan")
        return parser


class ShowScan(_OfOneScan, command.ShowOne):
    """Show a scan, also while it runs."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Return its fields."""
        return _FIELDS, _values(named.sync(self.app).get_scan(parsed_args.scan))


class CancelScan(_OfOneScan):
    """End a scan that waits or runs."""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """End it."""
        named.sync(self.app).cancel_scan(parsed_args.scan)


class ListFindings(_OfOneScan, command.Lister):
    """List what a scan would request or has requested, and why."""

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Return the columns and the rows."""
        found = named.sync(self.app).scan_findings(parsed_args.scan)
        titles = [name.replace("_", " ").title() for name in _FOUND]
        return titles, (tuple(one[name] for name in _FOUND) for one in found)


def _values(scan: Any) -> Sequence[Any]:
    values = {name: getattr(scan, name) for name in _FIELDS}
    values["regions"] = ", ".join(values["regions"])
    values["notes"] = "\n".join(values["notes"])
    return tuple(values[name] for name in _FIELDS)
