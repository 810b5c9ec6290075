# SPDX-License-Identifier: Apache-2.0
"""What the agent remembers of sources, to tell a deletion from an accident.

The methods raise ServiceUnavailable if the database does not answer.
"""

from collections.abc import Callable, Iterable, Sequence, Set
import dataclasses
import datetime
import heapq
import json
from typing import Any

from glance_sync_agent.domain import identity
from glance_sync_agent.domain import image_records
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports

_MOST = 20  # sources that are remembered


class MissingSources:
    """Remembers since when sources are missing without a message."""

    def __init__(
        self,
        note_missing: Callable[
            [images.ImageId, Iterable[images.RegionId], datetime.datetime | None], None
        ],
        clock: ports.Clock,
        grace_seconds: Callable[[], float],
    ) -> None:
        self._note = note_missing
        self._clock = clock
        self._grace = grace_seconds

    def is_deleted(self, rows: Sequence[tasks.Task]) -> bool:
        """Note that a source is missing; tell whether its grace period is over.

        :param rows: the tasks of the source.
        """
        now = self._clock.now()
        known = [row.missing_since for row in rows if row.missing_since is not None]
        since = min(known, default=now)
        for row in rows:
            if row.missing_since is None:
                self._note(row.key.image_id, [row.key.region], since)
        return now - since >= datetime.timedelta(seconds=self._grace())

    def found(self, rows: Sequence[tasks.Task]) -> None:
        """Note that the sources of tasks are there."""
        for row in rows:
            if row.missing_since is not None:
                self._note(row.key.image_id, [row.key.region], None)


class NewestSources:
    """Remembers the newest sources of each region, to notice that a Glance lost them.

    They are missing if the Glance was restored from a backup, or if a replica of its database
    that lagged behind took over. An event announces most real deletions. All writes are
    idempotent.
    """

    def __init__(self, facts: ports.FactStore) -> None:
        self._facts = facts

    def are_lost(self, service: ports.ImageService, newest: Sequence[images.Image]) -> bool:
        """Compare the newest sources of a region with those of before; tell whether any is lost.

        A source is lost if it was the newest, it is missing, and no message announced its
        deletion. Of several that are equally old, one that is there is enough. They stay lost
        until they are there again, a message announces their deletion, or :meth:`accept`.

        :param newest: of the whole listing; see :func:`newest_of`.
        :raises SyncError: the region does not answer.
        """
        before = self._known(service.region)
        there = _there(service, {*before.newest, *before.missing, *_ages(newest)})
        last = max(before.newest.values(), default="")
        latest = {one for one, age in before.newest.items() if age == last}
        missing = {one for one in before.missing if one not in there}
        if latest.isdisjoint(there):
            missing |= latest
        if missing:
            ages = {one: age for one, age in before.newest.items() if one not in missing}
        else:
            ages = {one: age for one, age in _ages(newest).items() if one in there}
        self._change(service.region, newest=ages, missing=frozenset(missing))
        return bool(missing)

    def listed_at(self, region: images.RegionId) -> datetime.datetime | None:
        """Return when the last scan listed the sources of a region; None: unknown."""
        return self._known(region).listed_at

    def note_scan(self, region: images.RegionId, listed_at: datetime.datetime) -> None:
        """Remember when a scan that held nothing back listed the sources."""
        self._change(region, listed_at=listed_at)

    def lost(self, region: images.RegionId, image_ids: Set[images.ImageId]) -> None:
        """Remember sources that are lost, as :meth:`are_lost` does.

        Of many it remembers some. When a scan finds those again, it searches for the others.
        """
        missing = self._known(region).missing.union(sorted(image_ids)[:_MOST])
        self._change(region, missing=missing)

    def accept(
        self,
        region: images.RegionId,
        newest: Sequence[images.Image],
        listed_at: datetime.datetime,
    ) -> None:
        """Remember the newest sources of a region, whatever is missing."""
        ages = _ages(newest)
        self._change(region, newest=ages, missing=frozenset(), listed_at=listed_at)

    def deleted(self, region: images.RegionId, image_id: images.ImageId) -> None:
        """Forget a source whose deletion a message announced."""
        known = self._known(region)
        newest = {one: age for one, age in known.newest.items() if one != image_id}
        self._change(region, newest=newest, missing=known.missing - {image_id})

    def _known(self, region: images.RegionId) -> "_Known":
        try:
            kept = json.loads(self._facts.get(ports.NEWEST_SOURCES + region) or "{}")
            return _Known(
                newest=dict(kept["newest"]),
                missing=frozenset(kept["missing"]),
                listed_at=image_records.time_of(kept.get("listed_at")),
            )
        except (KeyError, TypeError, ValueError):  # nothing yet, or edited by hand
            return _Known()

    def _change(self, region: images.RegionId, **changes: Any) -> None:
        before = self._known(region)
        known = dataclasses.replace(before, **changes)
        if known == before:
            return
        kept = {
            "newest": known.newest,
            "missing": sorted(known.missing),
            "listed_at": known.listed_at and known.listed_at.isoformat(),
        }
        self._facts.put(ports.NEWEST_SOURCES + region, json.dumps(kept))


class ReadOnlyFacts:
    """The facts as a dry run sees them: it changes none."""

    def __init__(self, facts: ports.FactStore) -> None:
        self.get = facts.get

    def put(self, name: str, value: str) -> None:
        """Write nothing."""


def note_nothing(
    _image_id: images.ImageId, _regions: Iterable[images.RegionId], _since: Any
) -> None:
    """Write nothing: the note of a dry run."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    #: By id, the times of creation, in a form that sorts by time.
    newest: dict[images.ImageId, str] = dataclasses.field(default_factory=dict)
    missing: frozenset[images.ImageId] = frozenset()  # no message announced their deletion
    listed_at: datetime.datetime | None = None  # by the last scan that held nothing back


def are_unseen(rows: Sequence[tasks.Task], listed_at: datetime.datetime | None) -> bool:
    """Tell whether a source was copied after the last scan listed all sources.

    :param rows: its tasks.
    :param listed_at: None: no scan listed them.
    """
    has_copy = any(row.copy_id is not None for row in rows)
    return listed_at is not None and has_copy and min(r.created_at for r in rows) > listed_at


def newest_of(
    page: Sequence[images.Image], before: Sequence[images.Image]
) -> Sequence[images.Image]:
    """Return the sources that were created last, at most 20.

    Sources without a time do not count, nor do copies, which the agent itself deletes.
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
