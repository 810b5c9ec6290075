# SPDX-License-Identifier: Apache-2.0
"""What the agent remembers of sources, to tell a deletion from an accident.

The methods raise ServiceUnavailable if the database does not answer.
"""

from collections.abc import Callable, Iterable, Sequence, Set
import dataclasses
import datetime
import heapq
from typing import Any

from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.reconcile import known_sources
from glance_sync_agent.engine.reconcile.known_sources import KnownSources

_MOST = 20  # sources that are remembered
#: A clock of a Glance that is further ahead is wrong.
_AHEAD = datetime.timedelta(minutes=10)


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
        # No scan could clear the time of a task whose region was out of the catalogue.
        since = max(row.missing_since or now for row in rows)
        for row in rows:
            if row.missing_since is None:
                self._note(row.key.image_id, [row.key.region], since)
        return now - since >= datetime.timedelta(seconds=self._grace())

    def found(self, rows: Iterable[tasks.Outline]) -> None:
        """Note that the sources of tasks are there."""
        for row in rows:
            if row.missing_since is not None:
                self._note(row.image_id, [row.region], None)


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
        ages = _ages(newest)
        # A deletion that is announced from here on removes the source from this listing, too.
        known = self._change(service.region, lambda one: dataclasses.replace(one, listed=ages))
        asked = {*known.newest, *known.missing, *ages}
        gone = asked - set(service.find(sorted(asked)) if asked else ())
        known = self._change(service.region, lambda one: known_sources.compared(one, gone))
        return bool(known.missing)

    def listed_at(self, region: images.RegionId) -> datetime.datetime | None:
        """Return when the last scan listed the sources of a region; None: unknown."""
        return known_sources.parsed(self._facts.get(ports.NEWEST_SOURCES + region)).listed_at

    def note_scan(self, region: images.RegionId, listed_at: datetime.datetime) -> None:
        """Remember when a scan that held nothing back listed the sources."""
        self._change(region, lambda known: dataclasses.replace(known, listed_at=listed_at))

    def lost(self, region: images.RegionId, image_ids: Set[images.ImageId]) -> None:
        """Remember sources that are lost, as :meth:`are_lost` does.

        Of many it remembers some. When a scan finds those again, it searches for the others.
        """
        some = sorted(image_ids)[:_MOST]
        self._change(
            region,
            lambda known: dataclasses.replace(known, missing=known.missing.union(some)),
        )

    def accept(
        self,
        region: images.RegionId,
        newest: Sequence[images.Image],
        listed_at: datetime.datetime,
    ) -> None:
        """Remember the newest sources of the last listing, whatever is missing."""
        ages = _ages(newest)
        self._change(
            region,
            lambda known: KnownSources(
                newest=known_sources.without(ages, ages.keys() - known.listed.keys()),
                listed=known.listed,
                listed_at=listed_at,
            ),
        )

    def deleted(self, region: images.RegionId, image_id: images.ImageId) -> None:
        """Forget a source whose deletion a message announced."""
        told = frozenset({image_id})
        self._change(
            region,
            lambda known: dataclasses.replace(
                known,
                newest=known_sources.without(known.newest, told),
                missing=known.missing - told,
                listed=known_sources.without(known.listed, told),
            ),
        )

    def _change(
        self, region: images.RegionId, decide: Callable[[KnownSources], KnownSources]
    ) -> KnownSources:
        """Change what is known of a region, and return it."""

        def decided(kept: str | None) -> str | None:
            before = known_sources.parsed(kept)
            known = decide(before)
            return None if known == before else known_sources.text(known)

        return known_sources.parsed(self._facts.change(ports.NEWEST_SOURCES + region, decided))


class ReadOnlyFacts:
    """The facts as a dry run sees them: it changes none."""

    def __init__(self, facts: ports.FactStore) -> None:
        self.get = facts.get

    def put(self, name: str, value: str) -> None:
        """Write nothing."""

    def change(self, name: str, decide: Callable[[str | None], str | None]) -> str | None:
        """Return what the fact would be, and write nothing."""
        before = self.get(name)
        value = decide(before)
        return before if value is None else value


def note_nothing(
    _image_id: images.ImageId, _regions: Iterable[images.RegionId], _since: Any
) -> None:
    """Write nothing: the note of a dry run."""


def are_unseen(
    rows: Sequence[tasks.Task], first: datetime.datetime, listed_at: datetime.datetime | None
) -> bool:
    """Tell whether a source has copies that were made after the last scan listed all sources.

    :param rows: some of its tasks.
    :param first: when the first of its tasks was made.
    :param listed_at: None: no scan listed them.
    """
    has_copy = any(row.copy_id is not None for row in rows)
    return listed_at is not None and has_copy and first > listed_at


def newest_of(
    page: Iterable[images.Image], before: Sequence[images.Image], now: datetime.datetime
) -> Sequence[images.Image]:
    """Return the sources that were created last, at most 20.

    Sources without a time do not count, nor do copies, which the agent itself deletes. A source
    from the future would stay the newest one, and hide the loss of all others.
    """
    unique = {one.image_id: one for one in (*before, *page)}
    found = [one for one in unique.values() if not identity.names_itself(one)]
    last = now + _AHEAD
    dated = [one for one in found if one.created_at is not None and one.created_at <= last]
    return heapq.nlargest(_MOST, dated, key=lambda one: (_age(one), one.image_id))


def _ages(newest: Sequence[images.Image]) -> dict[images.ImageId, str]:
    return {one.image_id: _age(one) for one in newest}


def _age(image: images.Image) -> str:
    return image.created_at.isoformat() if image.created_at is not None else ""
