# SPDX-License-Identifier: Apache-2.0
"""What proves that a source was deleted, where no message said so."""

from collections.abc import Callable, Sequence, Set
import dataclasses
import datetime
import heapq
import json

from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports

_MOST = 20  # that are remembered


class MissingSources:
    """Remembers since when sources are missing. They count as deleted after a grace period."""

    def __init__(
        self,
        *,
        note: Callable[[tasks.Task, datetime.datetime | None], None],
        clock: ports.Clock,
        grace_seconds: Callable[[], float],
    ) -> None:
        """Keep the parts.

        :param note: writes since when the source of a task is missing; None: it is there.
        """
        self._note = note
        self._clock = clock
        self._grace = grace_seconds

    def now(self) -> datetime.datetime:
        """Return the time by which sources are missing."""
        return self._clock.now()

    def is_deleted(self, rows: Sequence[tasks.Task]) -> bool:
        """Tell whether a source has been missing for long enough, and take note of it.

        :param rows: the tasks of one source, which is missing now.
        :raises ServiceUnavailable: the database does not answer.
        """
        now = self._clock.now()
        known = [row.missing_since for row in rows if row.missing_since is not None]
        since = min(known, default=now)
        for row in rows:
            if row.missing_since is None:
                self._note(row, since)
        return now - since >= datetime.timedelta(seconds=self._grace())

    def found(self, rows: Sequence[tasks.Task]) -> None:
        """Take note of sources that are there.

        :raises ServiceUnavailable: the database does not answer.
        """
        for row in rows:
            if row.missing_since is not None:
                self._note(row, None)


def noting(store: ports.TaskStore) -> Callable[[tasks.Task, datetime.datetime | None], None]:
    """Return what writes into the rows since when a source is missing."""

    def note(row: tasks.Task, since: datetime.datetime | None) -> None:
        store.note_missing(row.key.image_id, [row.key.region], since)

    return note


class NewestSources:
    """Remembers the newest sources of a region, to notice a Glance that lost the last ones.

    They are missing if that Glance was restored from a backup, or gave way to a replica that
    lagged behind. Each may also have been deleted, but then a message says so.
    """

    def __init__(self, facts: ports.FactStore) -> None:
        self._facts = facts

    def are_lost(self, service: ports.ImageService, newest: Sequence[images.Image]) -> bool:
        """Compare the newest sources of a region with those before; tell whether some are lost.

        So they are if the newest of before is missing, or all of that age are, and no message
        said that they were deleted. It stays so until they are found, a message says so, or
        :meth:`accept`.

        :param newest: of all that there are; see :func:`newest_of`.
        :raises SyncError: the region or the database does not answer.
        """
        before = self._known(service.region)
        there = _there(service, {*before.newest, *before.missing, *_ages(newest)})
        last = max(before.newest.values(), default="")
        latest = {one for one, age in before.newest.items() if age == last}
        missing = {one for one in before.missing if one not in there}
        if latest.isdisjoint(there):
            missing |= latest
        if missing:
            kept = {one: age for one, age in before.newest.items() if one not in missing}
            known = dataclasses.replace(before, newest=kept, missing=frozenset(missing))
            self._put(service.region, known)
            return True
        ages = {one: age for one, age in _ages(newest).items() if one in there}
        self._put(service.region, dataclasses.replace(before, newest=ages, missing=frozenset()))
        return False

    def listed_at(self, region: images.RegionId) -> datetime.datetime | None:
        """Return when the sources of a region were listed for the last look; None: unknown.

        :raises ServiceUnavailable: the database does not answer.
        """
        return self._known(region).listed_at

    def note_look(self, region: images.RegionId, listed_at: datetime.datetime) -> None:
        """Store when the sources were listed, after a scan that held nothing back. Idempotent.

        :raises ServiceUnavailable: the database does not answer.
        """
        known = self._known(region)
        self._put(region, dataclasses.replace(known, listed_at=listed_at))

    def lost(self, region: images.RegionId, image_ids: Set[images.ImageId]) -> None:
        """Take note of sources that are missing, as :meth:`are_lost` does. Idempotent.

        Of many, some do: a look that finds those again looks for the others.

        :raises ServiceUnavailable: the database does not answer.
        """
        known = self._known(region)
        missing = known.missing.union(sorted(image_ids)[:_MOST])
        self._put(region, dataclasses.replace(known, missing=missing))

    def accept(
        self,
        region: images.RegionId,
        newest: Sequence[images.Image],
        listed_at: datetime.datetime,
    ) -> None:
        """Take note of the newest sources of a region, whatever is missing. Idempotent.

        :raises ServiceUnavailable: the database does not answer.
        """
        self._put(region, _Known(newest=_ages(newest), listed_at=listed_at))

    def deleted(self, region: images.RegionId, image_id: images.ImageId) -> None:
        """Take note that a message told of a deletion.

        :raises ServiceUnavailable: the database does not answer.
        """
        known = self._known(region)
        newest = {one: age for one, age in known.newest.items() if one != image_id}
        missing = known.missing - {image_id}
        self._put(region, dataclasses.replace(known, newest=newest, missing=missing))

    def _known(self, region: images.RegionId) -> "_Known":
        try:
            kept = json.loads(self._facts.get(ports.NEWEST_SOURCES + region) or "{}")
            return _Known(
                newest=dict(kept["newest"]),
                missing=frozenset(kept["missing"]),
                listed_at=images.time_of(kept.get("listed_at")),
            )
        except (KeyError, TypeError, ValueError):  # nothing yet, or edited by hand
            return _Known()

    def _put(self, region: images.RegionId, known: "_Known") -> None:
        if known != self._known(region):
            kept = {
                "newest": known.newest,
                "missing": sorted(known.missing),
                "listed_at": known.listed_at and known.listed_at.isoformat(),
            }
            self._facts.put(ports.NEWEST_SOURCES + region, json.dumps(kept))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    #: By id, the times that they were created at, in a form that sorts by time.
    newest: dict[images.ImageId, str] = dataclasses.field(default_factory=dict)
    missing: frozenset[images.ImageId] = frozenset()  # nothing says why
    listed_at: datetime.datetime | None = None  # by the last look that missed nothing


def are_unseen(rows: Sequence[tasks.Task], listed_at: datetime.datetime | None) -> bool:
    """Tell whether a source was copied since all sources were listed, so that no look knows it.

    :param rows: its tasks.
    :param listed_at: None: never, and nothing is known.
    """
    has_copy = any(row.copy_id is not None for row in rows)
    return listed_at is not None and has_copy and min(r.created_at for r in rows) > listed_at


def newest_of(
    page: Sequence[images.Image], before: Sequence[images.Image]
) -> Sequence[images.Image]:
    """Return the sources that were created last, at most 20.

    Those without a time do not count, nor do copies: the agent itself deletes them.
    """
    found = [one for one in (*page, *before) if not identity.names_itself(one)]
    dated = [one for one in found if one.created_at is not None]
    return heapq.nlargest(_MOST, dated, key=lambda one: (_age(one), one.image_id))


def _ages(newest: Sequence[images.Image]) -> dict[images.ImageId, str]:
    return {one.image_id: _age(one) for one in newest}


def _age(image: images.Image) -> str:
    return image.created_at.isoformat() if image.created_at is not None else ""


def _there(service: ports.ImageService, ids: Set[images.ImageId]) -> Set[images.ImageId]:
    return set(service.find(sorted(ids))) if ids else set()
