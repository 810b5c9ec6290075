# SPDX-License-Identifier: Apache-2.0
"""What the database knows of regions as such: their names, and which one is the cascading one."""

from collections.abc import Collection, Mapping, Sequence, Set
import datetime
import itertools
from typing import TypeAlias

import sqlalchemy as sa

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import region_names
from glance_sync_agent.drivers.sql import database
from glance_sync_agent.drivers.sql import rows
from glance_sync_agent.drivers.sql import tables
from glance_sync_agent.engine import ports

_TASKS = tables.TASKS
_TURNS = tables.TURNS
_BREAKERS = tables.BREAKERS
_FACTS = tables.FACTS
_REGIONS = tables.REGIONS

_CASCADING = "cascading_region"
_BATCH = 500  # image ids in one statement

#: By source: the id of its copy and when it was created; None: its task knows no copy.
_Copies: TypeAlias = Mapping[str, tuple[str, datetime.datetime] | None]


class KnownRegions:
    """The regions of the tasks, and those that the catalogue had."""

    def __init__(self, shared: database.Database) -> None:
        self._database = shared

    def cascading(self) -> images.RegionId | None:
        """Return the region whose images the tasks are of; None: no agent has run yet.

        :raises ServiceUnavailable: the database does not answer.
        """
        return self._database.read("read the cascading region", _cascading)

    def remember(
        self,
        cascading: images.RegionId,
        regions: Collection[images.RegionId],
        now: datetime.datetime,
    ) -> images.RegionId:
        """Remember the catalogue; return the cascading region, the one that was there first.

        If that is another one than ``cascading``, nothing is written.

        :raises ServiceUnavailable: the database does not answer.
        """

        def work(connection: sa.Connection) -> images.RegionId:
            remembered = _cascading(connection)
            if remembered is None:
                # Should somebody be faster, this fails and all of it is done again.
                connection.execute(sa.insert(_FACTS).values(name=_CASCADING, value=cascading))
            elif remembered != cascading:
                return remembered
            for region in sorted(regions):
                _see(connection, region, now)
            return cascading

        return self._database.write("remember the regions", work)

    def all(self) -> frozenset[images.RegionId]:
        """Return every region that a task, a breaker or an earlier catalogue names.

        :raises ServiceUnavailable: the database does not answer.
        """
        named = (
            sa.select(_REGIONS.c.name),
            sa.select(_TASKS.c.region).distinct(),
            sa.select(_TASKS.c.source_region).distinct(),
            sa.select(_BREAKERS.c.region),
            sa.select(_FACTS.c.value).where(_FACTS.c.name == _CASCADING),
        )

        def work(connection: sa.Connection) -> frozenset[images.RegionId]:
            found = itertools.chain.from_iterable(
                connection.execute(query).scalars() for query in named
            )
            return frozenset(images.RegionId(one) for one in found if one is not None)

        return self._database.read("read the regions", work)

    def usage(self, region: images.RegionId) -> region_names.Usage:
        """Count what the database holds of a region.

        :raises ServiceUnavailable: the database does not answer.
        """

        def work(connection: sa.Connection) -> region_names.Usage:
            is_cascading = _cascading(connection) == region
            return region_names.Usage(
                tasks=_count(connection, _TASKS.c.region == region),
                sourced=_count(connection, _is_source(region, is_cascading=is_cascading)),
                is_cascading=is_cascading,
            )

        return self._database.read(f"count the tasks of region {region}", work)

    def copies(self, regions: Set[images.RegionId]) -> region_names.Copies:
        """Return the copies that the tasks of regions know.

        :raises ServiceUnavailable: the database does not answer.
        """

        def work(connection: sa.Connection) -> region_names.Copies:
            found = (_copies(connection, region).values() for region in regions)
            return frozenset(one for one in itertools.chain(*found) if one is not None)

        return self._database.read("read the copies of regions", work)

    def require_one_region(self, old: images.RegionId, new: images.RegionId) -> None:
        """Make sure that two names are not those of two regions.

        :raises ConfigurationError: both have a copy of an image.
        :raises ServiceUnavailable: the database does not answer.
        """
        self._database.read(
            f"compare regions {old} and {new}",
            lambda connection: _require_one_region(
                _copies(connection, old), _copies(connection, new), old, new
            ),
        )

    def require_rest(self, now: datetime.datetime) -> None:
        """Make sure that no agent works.

        :raises ConfigurationError: one does; it is named.
        :raises ServiceUnavailable: the database does not answer.
        """
        self._database.read(
            "look for agents", lambda connection: _require_rest(connection, now)
        )

    def rename(
        self, old: images.RegionId, new: images.RegionId, now: datetime.datetime
    ) -> region_names.Usage:
        """Give all that is of region ``old`` to region ``new``; return what that was.

        Of two tasks for the same image, one that knows no copy goes.

        :raises ConfigurationError: an agent works, or both regions have a copy of an image.
        :raises ServiceUnavailable: the database does not answer.
        """

        def work(connection: sa.Connection) -> region_names.Usage:
            _require_rest(connection, now)
            is_cascading = _cascading(connection) == old
            sourced = _count(connection, _is_source(old, is_cascading=is_cascading))
            _make_room(connection, old, new)
            changed = connection.execute(
                sa.update(_TASKS).where(_TASKS.c.region == old).values(region=new)
            ).rowcount
            for column in (_TASKS.c.source_region, _TASKS.c.copied_from):
                connection.execute(
                    sa.update(_TASKS).where(column == old).values({column.name: new})
                )
            connection.execute(
                sa.update(_FACTS)
                .where(_FACTS.c.name == _CASCADING, _FACTS.c.value == old)
                .values(value=new)
            )
            # What is remembered of the sources there begins anew, like after a new database.
            connection.execute(sa.delete(_FACTS).where(_FACTS.c.name.in_(_memories(old, new))))
            # A breaker is of what was reached under the old name.
            connection.execute(sa.delete(_BREAKERS).where(_BREAKERS.c.region.in_([old, new])))
            connection.execute(sa.delete(_REGIONS).where(_REGIONS.c.name == old))
            _see(connection, new, now)
            return region_names.Usage(
                tasks=changed, sourced=sourced, is_cascading=is_cascading
            )

        return self._database.write(f"rename region {old}", work, durable=True)

    def forget(self, region: images.RegionId, now: datetime.datetime) -> region_names.Usage:
        """Remove all that is of a region; return what that was.

        :raises ConfigurationError: an agent works.
        :raises ServiceUnavailable: the database does not answer.
        """

        def work(connection: sa.Connection) -> region_names.Usage:
            _require_rest(connection, now)
            is_cascading = _cascading(connection) == region
            is_source = _is_source(region, is_cascading=is_cascading)
            usage = region_names.Usage(
                tasks=_count(connection, _TASKS.c.region == region),
                sourced=_count(connection, is_source),
                is_cascading=is_cascading,
            )
            connection.execute(
                sa.delete(_TASKS).where(sa.or_(_TASKS.c.region == region, is_source))
            )
            connection.execute(sa.delete(_BREAKERS).where(_BREAKERS.c.region == region))
            connection.execute(sa.delete(_REGIONS).where(_REGIONS.c.name == region))
            connection.execute(sa.delete(_FACTS).where(_FACTS.c.name.in_(_memories(region))))
            connection.execute(
                sa.delete(_FACTS).where(_FACTS.c.name == _CASCADING, _FACTS.c.value == region)
            )
            return usage

        return self._database.write(f"forget region {region}", work, durable=True)


def _memories(*regions: images.RegionId) -> Sequence[str]:
    """Return the names of the facts that are kept of regions as sources."""
    return [f"{ports.NEWEST_SOURCES}{region}" for region in regions]


def _cascading(connection: sa.Connection) -> images.RegionId | None:
    query = sa.select(_FACTS.c.value).where(_FACTS.c.name == _CASCADING)
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else images.RegionId(found)


def _see(connection: sa.Connection, region: images.RegionId, now: datetime.datetime) -> None:
    is_named = _REGIONS.c.name == region
    if not connection.execute(sa.update(_REGIONS).where(is_named).values(seen_at=now)).rowcount:
        connection.execute(sa.insert(_REGIONS).values(name=region, seen_at=now))


def _is_source(region: images.RegionId, *, is_cascading: bool) -> sa.ColumnElement[bool]:
    """Select the tasks whose source is in a region."""
    named = _TASKS.c.source_region == region
    return sa.or_(named, _TASKS.c.source_region.is_(None)) if is_cascading else named


def _count(connection: sa.Connection, wanted: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(_TASKS).where(wanted)
    return int(connection.execute(query).scalar_one())


def _require_rest(connection: sa.Connection, now: datetime.datetime) -> None:
    """Make sure that no agent works.

    :raises ConfigurationError: one does; it is named.
    """
    leased = sa.select(_TASKS.c.lease_owner).where(
        rows.IS_PROCESSING,
        _TASKS.c.lease_expires_at > sa.literal(now, _TASKS.c.lease_expires_at.type),
    )
    turns = sa.select(_TURNS.c.owner).where(
        _TURNS.c.expires_at > sa.literal(now, _TURNS.c.expires_at.type)
    )
    owners = {*connection.execute(leased).scalars(), *connection.execute(turns).scalars()}
    if owners:
        raise errors.ConfigurationError(
            f"agents work with this database: {', '.join(sorted(owners))}; stop all agents "
            "first. What one that was killed held ends by itself, after [transfer] lease_seconds"
        )


def _make_room(
    connection: sa.Connection, old: images.RegionId, new: images.RegionId
) -> None:
    """Remove one of two tasks for the same image, so that the other one is of ``new``.

    :raises ConfigurationError: both know copies of their own.
    """
    kept, there = (_copies(connection, region) for region in (old, new))
    _require_one_region(kept, there, old, new)
    doubled = sorted(kept.keys() & there.keys())
    # An agent may have copied for the first time under the new name.
    lesser = {one for one in doubled if kept[one] is None and there[one] is not None}
    for region, image_ids in (
        (old, sorted(lesser)),
        (new, [one for one in doubled if one not in lesser]),
    ):
        for batch in _batches(image_ids):
            connection.execute(
                sa.delete(_TASKS).where(_TASKS.c.region == region, _TASKS.c.image_id.in_(batch))
            )


def _require_one_region(
    kept: _Copies, there: _Copies, old: images.RegionId, new: images.RegionId
) -> None:
    """Make sure that two names are not those of two regions.

    Copies have the ids of their sources in all regions, but are not created at the same time.

    :raises ConfigurationError: both know copies of their own.
    """
    clashes = sorted(
        image_id
        for image_id in there.keys() & kept.keys()
        if None not in (kept[image_id], there[image_id]) and kept[image_id] != there[image_id]
    )
    if clashes:
        raise errors.ConfigurationError(
            f"region {new} has copies of its own of {len(clashes)} images that region {old} has "
            f"copies of, image {clashes[0]} for instance, so they are two regions; if {old} is "
            f"gone, run 'glance-sync-manage region forget {old}'"
        )


def _copies(connection: sa.Connection, region: images.RegionId) -> _Copies:
    """Return the copies that the tasks of a region know, by the ids of their sources."""
    query = sa.select(
        _TASKS.c.image_id, _TASKS.c.copy_id, _TASKS.c.copy_created_at
    ).where(_TASKS.c.region == region)
    # An id without a time was only chosen.
    return {
        row.image_id: None
        if row.copy_created_at is None
        else (row.copy_id, row.copy_created_at)
        for row in connection.execute(query)
    }


def _batches(image_ids: Sequence[str]) -> Sequence[Sequence[str]]:
    return [image_ids[start : start + _BATCH] for start in range(0, len(image_ids), _BATCH)]
