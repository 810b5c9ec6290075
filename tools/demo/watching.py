# SPDX-License-Identifier: Apache-2.0
"""Waits for the copies. The agent's API feeds the bars; the regions' Glances decide."""

from collections.abc import Mapping, Sequence
import textwrap
import time
from typing import Any

from tools.demo import api
from tools.demo import errors
from tools.demo import people
from tools.demo import results
from tools.demo import screen
from tools.demo import stage

_POLL_SECONDS = 0.25
#: Between two requests to a Glance until the agent reports success there.
_REQUEST_SECONDS = 2.0
_REASON_CHARACTERS = 250
_SUCCESS, _FAILURE = "success", "failure"  # of tasks

Row = Mapping[str, Any]  # a task, as the API shows it


class Watch:
    """Asks the regions until all copies are there."""

    def __init__(
        self,
        where: stage.Stage,
        users: people.People,
        operator: api.Api,
        *,
        timeout_seconds: float,
    ) -> None:
        self._stage = where
        self._people = users
        self._operator = operator
        self._timeout_seconds = timeout_seconds
        self._looked: dict[tuple[str, str], float] = {}  # monotonic seconds

    def wait(self, published: Sequence[results.Image], bars: screen.Bars) -> list[str]:
        """Wait until every region shows every image active, or the time is up.

        :returns: a sentence for each copy that is missing.
        :raises DemoError: the agent ended.
        """
        deadline = time.monotonic() + self._timeout_seconds
        while True:
            rows = {one.image_id: self._operator.tasks_of(one.image_id) for one in published}
            missing = 0
            for image in published:
                for copy in _missing(image):
                    self._look(image, copy, rows[image.image_id].get(copy.region))
                    missing += copy.seconds is None
            _show(published, rows, bars)
            if not missing or time.monotonic() > deadline or _all_given_up(published, rows):
                return _complaints(published, rows)
            self._stage.check_agent()
            time.sleep(_POLL_SECONDS)

    def _look(self, image: results.Image, copy: results.Copy, row: Row | None) -> None:
        """Ask the region: at once if the agent reports success, otherwise every few seconds."""
        now = time.monotonic()
        key = (image.image_id, copy.region)
        claimed = row is not None and row["status"] == _SUCCESS
        if not claimed and now - self._looked.get(key, 0.0) < _REQUEST_SECONDS:
            return
        self._looked[key] = now
        try:
            record = self._people.look(copy.region, image.image_id)
        except errors.NoAnswer as exc:
            copy.status, copy.note = "no answer", str(exc)
            return
        copy.status, copy.note = record["status"] if record else "absent", ""
        if copy.status == "active":
            copy.seconds = time.monotonic() - image.active_at


def _missing(image: results.Image) -> list[results.Copy]:
    copies = image.copies.values()
    return [copy for copy in copies if not copy.is_source and copy.seconds is None]


def _show(
    published: Sequence[results.Image], rows: dict[str, api.Rows], bars: screen.Bars
) -> None:
    total = sum(image.size for image in published)
    for region in _regions(published):
        done, there = 0, 0
        for image in published:
            row = rows[image.image_id].get(region)
            if image.copies[region].seconds is not None:
                done += image.size
                there += 1
            elif row is not None:
                done += min(row["bytes_done"], image.size)
        bars.show(region, done, total, f"{there} of {len(published)} images")


def _regions(published: Sequence[results.Image]) -> list[str]:
    return [copy.region for copy in published[0].copies.values() if not copy.is_source]


def _all_given_up(published: Sequence[results.Image], rows: dict[str, api.Rows]) -> bool:
    """Return whether every missing copy waits for an operator."""
    waiting = [
        rows[image.image_id].get(copy.region) for image in published for copy in _missing(image)
    ]
    return all(row is not None and row["status"] == _FAILURE for row in waiting)


def _complaints(published: Sequence[results.Image], rows: dict[str, api.Rows]) -> list[str]:
    found = []
    for image in published:
        for copy in _missing(image):
            row = rows[image.image_id].get(copy.region)
            seconds = time.monotonic() - image.active_at
            parts = [
                f"region {copy.region} has no active copy of {image.name} after {seconds:.0f} s",
                copy.note or f"it is {copy.status} there",
                _said(row),
            ]
            found.append("; ".join(parts))
    return found


def _said(row: Row | None) -> str:
    if row is None:
        return "the agent has no task for it"
    reason = textwrap.shorten(row["reason"], _REASON_CHARACTERS, placeholder=" ...")
    return f"the agent's task is {row['status']}: {reason or 'no reason yet'}"
