# SPDX-License-Identifier: Apache-2.0
"""The regions that the database knows: their names, and which one is the cascading one."""

from collections.abc import Collection, Mapping, Set
import datetime
import functools
import itertools
from typing import TypeAlias

import sqlalchemy as sa

from glance_sync_agent.domain import images
from glance_sync_agent.domain import region_names
from glance_sync_agent.drivers.sql.database import Database
from glance_sync_agent.drivers.sql.tables import BREAKERS
from glance_sync_agent.drivers.sql.tables import FACTS
from glance_sync_agent.drivers.sql.tables import REGIONS
from glance_sync_agent.drivers.sql.tables import TASKS

_CASCADING = "cascading_region"  # the name of a fact
IS_CASCADING = FACTS.c.name == _CASCADING

#: By source: the id of its copy and when it was created; None: its task knows no copy.
Copies: TypeAlias = Mapping[str, tuple[str, datetime.datetime] | None]


class KnownRegions:
    """The regions of the tasks, and those that the catalogue had.

    Every method raises ``ServiceUnavailable`` if the database is unreachable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def cascading(self) -> images.RegionId | None:
        """Return the region whose images the tasks are about; None: no agent has run yet."""
        return self._database.read("read the cascading region", _cascading)

    def remember(
        self,
        cascading: images.RegionId,
        regions: Collection[images.RegionId],
        now: datetime.datetime,
    ) -> images.RegionId:
        """Remember the catalogue; return the cascading region that was remembered first.

        If that is not ``cascading``, nothing is written.
        """

        def work(connection: sa.Connection) -> images.RegionId:
            remembered = _cascading(connection)
            if remembered is None:
                # If another agent was faster, this fails and the transaction runs again.
                connection.execute(sa.insert(FACTS).values(name=_CASCADING, value=cascading))
            elif remembered != cascading:
                return remembered
            for region in sorted(regions):
                remember(connection, region, now)
            return cascading

        return self._database.write("remember the regions", work)

    def all(self) -> frozenset[images.RegionId]:
        """Return every region that a task, a breaker or an earlier catalogue names."""
        queries = (
            sa.select(REGIONS.c.name),
            sa.select(TASKS.c.region).distinct(),
            sa.select(TASKS.c.source_region).distinct(),
            sa.select(BREAKERS.c.region),
            sa.select(FACTS.c.value).where(IS_CASCADING),
        )

        def work(connection: sa.Connection) -> frozenset[images.RegionId]:
            found = itertools.chain.from_iterable(
                connection.execute(query).scalars() for query in queries
            )
            return frozenset(images.RegionId(one) for one in found if one is not None)

        return self._database.read("read the regions", work)

    def usage(self, region: images.RegionId) -> region_names.Usage:
        """Count the tasks of a region."""
        return self._database.read(
            f"count the tasks of region {region}", functools.partial(usage, region=region)
        )

    def copies(self, regions: Set[images.RegionId]) -> region_names.Copies:
        """Return the copies that the tasks of some regions know."""

        def work(connection: sa.Connection) -> region_names.Copies:
            found = (copies(connection, region).values() for region in regions)
            return frozenset(one for one in itertools.chain(*found) if one is not None)

        return self._database.read("read the copies of regions", work)


def _cascading(connection: sa.Connection) -> images.RegionId | None:
    query = sa.select(FACTS.c.value).where(IS_CASCADING)
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else images.RegionId(found)


def remember(connection: sa.Connection, region: images.RegionId, now: datetime.datetime) -> None:
    """Note that the catalogue has a region."""
    is_named = REGIONS.c.name == region
    if not connection.execute(sa.update(REGIONS).where(is_named).values(seen_at=now)).rowcount:
        connection.execute(sa.insert(REGIONS).values(name=region, seen_at=now))


def is_source(region: images.RegionId, *, is_cascading: bool) -> sa.ColumnElement[bool]:
    """Select the tasks whose source is in a region."""
    named = TASKS.c.source_region == region
    return sa.or_(named, TASKS.c.source_region.is_(None)) if is_cascading else named


def usage(connection: sa.Connection, region: images.RegionId) -> region_names.Usage:
    """Count the tasks of a region."""
    is_cascading = _cascading(connection) == region
    return region_names.Usage(
        tasks=_count(connection, TASKS.c.region == region),
        sourced=_count(connection, is_source(region, is_cascading=is_cascading)),
        is_cascading=is_cascading,
    )


def copied_to(
    connection: sa.Connection, source: images.RegionId
) -> frozenset[images.RegionId]:
    """Return the regions whose tasks know a copy of an image of a region."""
    is_of = is_source(source, is_cascading=_cascading(connection) == source)
    query = sa.select(TASKS.c.region).distinct().where(is_of, TASKS.c.copy_id.is_not(None))
    return frozenset(images.RegionId(one) for one in connection.execute(query).scalars())


def _count(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(TASKS).where(condition)
    return int(connection.execute(query).scalar_one())


def copies(connection: sa.Connection, region: images.RegionId) -> Copies:
    """Return the copies that the tasks of a region know, by the ids of their sources."""
    query = sa.select(
        TASKS.c.image_id, TASKS.c.copy_id, TASKS.c.copy_created_at
    ).where(TASKS.c.region == region)
    # An id without a time was only chosen; there may be no such image.
    return {
        image_id: None if created_at is None else (copy_id, created_at)
        for image_id, copy_id, created_at in connection.execute(query)
    }
