# SPDX-License-Identifier: Apache-2.0
"""Whether the agents obey: paused regions are quiet, and what was cancelled stays cancelled."""

from collections.abc import Callable, Collection, Iterator, Mapping
import dataclasses
import datetime
import pathlib
from typing import Any

from glance_sync_agent.domain import tasks
from tests import marks
from tools.soak import orders
from tools.soak import stage as stages


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """A copy of the agents: its record, and its file."""

    copy_id: str
    source_id: str
    is_done: bool  # it has data, as its record says
    visibility: str
    created_at: float  # seconds since the epoch
    size: int | None  # bytes of its file; None: there is none


#: Visibilities of images that users of other projects can see.
_FOR_ALL = frozenset({"community", "public"})
Copies = Mapping[str, Copy]  # by id


def arrivals(before: Copies, now: Copies, quiet: float) -> Iterator[str]:
    """Yield what was changed in a paused region between two sightings.

    :param before: all copies that were seen since ``quiet``, as they were then.
    """
    for copy in now.values():
        was = before.get(copy.copy_id)
        if was is None:
            # A listing may miss a copy while somebody hides it, so only its age counts.
            if copy.created_at > quiet:
                yield f"copy {copy.copy_id} of {copy.source_id} was made"
        elif copy.is_done and not was.is_done:
            yield f"copy {copy.copy_id} of {copy.source_id} got its data"
        elif (copy.size or 0) > (was.size or 0) or (was.size is None and copy.size is not None):
            yield (
                f"the file of copy {copy.copy_id} of {copy.source_id} grew from {was.size} to "
                f"{copy.size} bytes"
            )


@dataclasses.dataclass(kw_only=True)
class Cancelled:
    """A cancelled task since the cancellation has its full effect."""

    quiet: float  # since then, seconds since the epoch
    empty: set[str] = dataclasses.field(default_factory=set)  # copies without data since then


def is_copied(task: tasks.Task | None, *, is_uncopied: bool) -> bool:
    """Return whether an attempt that began after the cancellation copied the data.

    The outcome of an earlier one is not written any more.

    :param is_uncopied: the task named no transfer when it was cancelled.
    """
    return is_uncopied and task is not None and task.copied_from is not None


def breaches(cancelled: Cancelled, task: tasks.Task | None, copies: Copies) -> list[str]:
    """Return how a cancellation was broken.

    :param copies: those of the task. Those without data are noted.
    """
    found = [
        f"copy {copy.copy_id} got its data"
        for copy in copies.values()
        if copy.is_done and copy.copy_id in cancelled.empty
    ]
    found += [
        f"copy {copy.copy_id} was made"
        for copy in copies.values()
        if copy.created_at > cancelled.quiet
    ]
    has_data = any(copy.is_done for copy in copies.values())
    if task is not None and task.cancelled_by is None and cancelled.empty and not has_data:
        # Only a copy that is as its source is ends a cancellation.
        found.append(f"the task is {task.status} ({task.code.value}) and not cancelled any more")
    cancelled.empty |= {copy.copy_id for copy in copies.values() if not copy.is_done}
    return found


def remains(
    copies: Copies, left: frozenset[str], members_of: Callable[[str], Collection[str]]
) -> Iterator[str]:
    """Yield what a cancelled transfer has left behind and should not.

    A private record is left, or a shared one without members, which only its owner sees.

    :param left: names of files of a Glance that was killed.
    :param members_of: returns the members of a copy, by its id.
    """
    for copy in copies.values():
        if copy.is_done:
            continue
        if copy.size is not None and copy.copy_id not in left:
            yield f"copy {copy.copy_id} has no data, but a file"
        if copy.visibility in _FOR_ALL:
            yield f"copy {copy.copy_id} has no data and is {copy.visibility}"
        if copy.visibility == "shared" and (members := members_of(copy.copy_id)):
            yield f"copy {copy.copy_id} has no data and is shared with {sorted(members)}"


class Obedience:
    """Compares what is there with the orders of operators. For one thread."""

    def __init__(self, stage: stages.Stage) -> None:
        self._stage = stage
        self._orders = stage.orders
        self._people = stage.visitor()
        self._before: dict[str, tuple[float, Copies]] = {}  # by region: since when, and copies
        self._cancelled: dict[tuple[orders.Key, float], Cancelled] = {}
        #: What was left at the last check, by task and since when it is cancelled.
        self._suspects: dict[tuple[orders.Key, float], set[str]] = {}

    def check(self, region: str, found: Mapping[str, Mapping[str, Any]], began: float) -> None:
        """Check one region.

        :param found: its records by id.
        :param began: when the listing of the records began, seconds since the epoch.
        """
        copies = self._copies(region, found)
        self._check_pause(region, copies, began)
        self._check_cancellations(region, copies, began)

    def _copies(self, region: str, found: Mapping[str, Mapping[str, Any]]) -> Copies:
        return {
            image_id: _seen(record, region, self._stage.file(region, image_id))
            for image_id, record in found.items()
            if marks.source_of(record, region) is not None
            and (region, image_id) not in self._stage.forged
        }

    def _check_pause(self, region: str, copies: Copies, began: float) -> None:
        since = self._orders.paused_since(region)  # after everything was read
        known = self._before.pop(region, None)
        if since is None or (quiet := self._orders.quiet_from(since, region)) > began:
            return
        before: Copies = known[1] if known is not None and known[0] == since else {}
        if before:
            for text in arrivals(before, copies, quiet):
                self._say(f"{region} is paused, and {text}")
        self._stage.events.tally("checks of paused regions")
        self._before[region] = since, {**before, **copies}

    def _check_cancellations(self, region: str, copies: Copies, began: float) -> None:
        held = self._orders.cancelled(region)
        if not held:
            return
        rows = {
            (str(one.key.region), str(one.key.image_id)): one
            for one in self._stage.agents[0].tasks()
        }
        for key, since in held.items():
            task, broken = rows.get(key), []
            if is_copied(task, is_uncopied=self._orders.is_uncopied(key)):
                broken = ["a later attempt copied it"]
            quiet = self._orders.quiet_from(since, region)
            if quiet <= began:
                of_key = {one.copy_id: one for one in copies.values() if one.source_id == key[1]}
                noted = self._cancelled.setdefault((key, since), Cancelled(quiet=quiet))
                broken += breaches(noted, task, of_key)
                broken += self._stays((key, since), of_key)
                self._stage.events.tally("checks of cancelled tasks")
            if self._orders.since(key) != since:
                continue  # it was asked for again meanwhile
            for text in broken:
                self._say(f"{key[1]} in {key[0]} is cancelled, and {text}")
            if broken or task is None or task.cancelled_by is None:
                # Its source is gone, or its copy is in step.
                self._orders.release(key)

    def _stays(self, key: tuple[orders.Key, float], copies: Copies) -> Iterator[str]:
        """Yield what was left at the last check, too.

        A Glance that dies may be between two checks with a file; it is noted then.
        """
        names = frozenset(path.name for path in self._stage.left)
        region = key[0][0]
        left = set(remains(copies, names, lambda one: self._people.members(region, one)))
        yield from sorted(left & self._suspects.get(key, set()))
        self._suspects[key] = left

    def _say(self, text: str) -> None:
        self._stage.events.violation(text)


def _seen(record: Mapping[str, Any], region: str, path: pathlib.Path) -> Copy:
    created = datetime.datetime.fromisoformat(record["created_at"])
    return Copy(
        copy_id=record["id"],
        source_id=str(marks.source_id(record, region)),
        is_done=record["status"] in stages.DONE,
        visibility=record["visibility"],
        created_at=created.timestamp(),
        size=_size(path),
    )


def _size(path: pathlib.Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
