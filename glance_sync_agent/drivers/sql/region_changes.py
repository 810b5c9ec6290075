# SPDX-License-Identifier: Apache-2.0
"""New names for regions, and the removal of regions."""

from collections.abc import Set
import dataclasses
import datetime
import functools

import sqlalchemy as sa

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import region_names
from glance_sync_agent.drivers.sql import known_regions
from glance_sync_agent.drivers.sql import region_pauses
from glance_sync_agent.drivers.sql import rows
from glance_sync_agent.drivers.sql.database import Database
from glance_sync_agent.drivers.sql.tables import BREAKERS
from glance_sync_agent.drivers.sql.tables import FACTS
from glance_sync_agent.drivers.sql.tables import REGIONS
from glance_sync_agent.drivers.sql.tables import TASKS
from glance_sync_agent.drivers.sql.tables import TURNS
from glance_sync_agent.engine import batches
from glance_sync_agent.engine import ports

_BATCH = 500  # image ids in one statement


class RegionChanges:
    """Changes what the database holds of regions, while no agent runs.

    Every method raises ``ServiceUnavailable`` if the database is unreachable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def require_rest(self, now: datetime.datetime) -> None:
        """Make sure that no agent runs.

        :raises ConfigurationError: one does; the message names it.
        """
        self._database.read("find running agents", functools.partial(_require_rest, now=now))

    def require_one_region(self, old: images.RegionId, new: images.RegionId) -> None:
        """Make sure that two names do not stand for two regions.

        :raises ConfigurationError: both have a copy of an image.
        """
        self._database.read(
            f"compare regions {old} and {new}", functools.partial(_compare, old=old, new=new)
        )

    def require_reach(
        self, old: images.RegionId, reachable: Set[images.RegionId]
    ) -> None:
        """Make sure that every copy of a region's images can get a mark with the new name.

        :param reachable: the regions of the catalogue.
        :raises ConfigurationError: another region has such copies and is not reachable.
        """
        work = functools.partial(known_regions.copied_to, source=old)
        copied_to = self._database.read(f"find the copies of images of region {old}", work)
        if absent := sorted(copied_to - reachable):
            raise errors.ConfigurationError(
                f"{', '.join(absent)} has copies of images of region {old}, and is not in "
                "Keystone's catalogue, so these copies cannot get the new name. Repeat this when "
                "it is in the catalogue. If it is gone for good, run 'glance-sync-manage region "
                f"forget {absent[0]}' first"
            )

    def rename(
        self, old: images.RegionId, new: images.RegionId, now: datetime.datetime
    ) -> region_names.Usage:
        """Give everything that belongs to region ``old`` to region ``new``; return what that was.

        If both have a task for the same image, one that knows no copy is removed.

        :raises ConfigurationError: an agent runs, or both regions have a copy of an image.
        """

        def work(connection: sa.Connection) -> region_names.Usage:
            _require_rest(connection, now)
            usage = known_regions.usage(connection, old)
            _make_room(connection, old, new)
            is_old = TASKS.c.region == old
            changed = connection.execute(sa.update(TASKS).where(is_old).values(region=new))
            for column in (TASKS.c.source_region, TASKS.c.copied_from):
                connection.execute(
                    sa.update(TASKS).where(column == old).values({column.name: new})
                )
            is_cascading = known_regions.IS_CASCADING & (FACTS.c.value == old)
            connection.execute(sa.update(FACTS).where(is_cascading).values(value=new))
            _rename_newest(connection, old, new)
            known_regions.remember(connection, new, now)
            region_pauses.rename(connection, old, new)
            _forget_breakers(connection, old, new)
            _forget_name(connection, old)
            return dataclasses.replace(usage, tasks=changed.rowcount)

        return self._database.write(f"rename region {old}", work, durable=True)

    def forget(self, region: images.RegionId, now: datetime.datetime) -> region_names.Usage:
        """Remove everything that belongs to a region; return what that was.

        :raises ConfigurationError: an agent runs.
        """

        def work(connection: sa.Connection) -> region_names.Usage:
            _require_rest(connection, now)
            usage = known_regions.usage(connection, region)
            is_source = known_regions.is_source(region, is_cascading=usage.is_cascading)
            connection.execute(sa.delete(TASKS).where((TASKS.c.region == region) | is_source))
            is_cascading = known_regions.IS_CASCADING & (FACTS.c.value == region)
            connection.execute(sa.delete(FACTS).where(is_cascading))
            connection.execute(sa.delete(FACTS).where(FACTS.c.name == _newest(region)))
            _forget_breakers(connection, region)
            _forget_name(connection, region)
            return usage

        return self._database.write(f"forget region {region}", work, durable=True)


def _newest(region: images.RegionId) -> str:
    return f"{ports.NEWEST_SOURCES}{region}"


def _rename_newest(
    connection: sa.Connection, old: images.RegionId, new: images.RegionId
) -> None:
    """Keep what is known of the newest sources of a region.

    The Glance that gets a new name may get a database from a backup at the same time.
    """
    is_old, is_new = FACTS.c.name == _newest(old), FACTS.c.name == _newest(new)
    if connection.execute(sa.select(FACTS.c.name).where(is_old)).first() is None:
        return
    # An agent that ran with the new name may know only the restored Glance.
    connection.execute(sa.delete(FACTS).where(is_new))
    connection.execute(sa.update(FACTS).where(is_old).values(name=_newest(new)))


def _forget_breakers(connection: sa.Connection, *regions: images.RegionId) -> None:
    """Remove the breakers of regions, so that they start closed."""
    connection.execute(sa.delete(BREAKERS).where(BREAKERS.c.region.in_(regions)))


def _forget_name(connection: sa.Connection, region: images.RegionId) -> None:
    connection.execute(sa.delete(REGIONS).where(REGIONS.c.name == region))


def _require_rest(connection: sa.Connection, now: datetime.datetime) -> None:
    owners: set[str] = set()
    for owner, expires_at, condition in (
        (TASKS.c.lease_owner, TASKS.c.lease_expires_at, rows.IS_PROCESSING),
        (TURNS.c.owner, TURNS.c.expires_at, sa.true()),
    ):
        is_held = expires_at > sa.literal(now, expires_at.type)
        owners.update(connection.execute(sa.select(owner).where(condition, is_held)).scalars())
    if owners:
        raise errors.ConfigurationError(
            f"agents work with this database: {', '.join(sorted(owners))}; stop all agents "
            "first. The leases of a killed agent end after [transfer] lease_seconds"
        )


def _make_room(connection: sa.Connection, old: images.RegionId, new: images.RegionId) -> None:
    """Remove one of two tasks for the same image."""
    _compare(connection, old, new)
    of_old, of_new = (known_regions.copies(connection, region) for region in (old, new))
    both = of_old.keys() & of_new.keys()
    # An agent may have copied for the first time under the new name.
    lesser = {one for one in both if of_old[one] is None and of_new[one] is not None}
    for region, image_ids in ((old, lesser), (new, both - lesser)):
        for batch in batches.of(sorted(image_ids), _BATCH):
            connection.execute(
                sa.delete(TASKS).where(TASKS.c.region == region, TASKS.c.image_id.in_(batch))
            )


def _compare(connection: sa.Connection, old: images.RegionId, new: images.RegionId) -> None:
    """Make sure that no image has a copy in both regions.

    The copies of an image have the same id in all regions, but different times of creation.
    """
    of_old, of_new = (known_regions.copies(connection, region) for region in (old, new))
    clashes = sorted(
        image_id
        for image_id in of_new.keys() & of_old.keys()
        if None not in (of_old[image_id], of_new[image_id])
        and of_old[image_id] != of_new[image_id]
    )
    if clashes:
        raise errors.ConfigurationError(
            f"these are two regions: {new} has other copies than {old} of {len(clashes)} images, "
            f"for instance of image {clashes[0]}. If {old} is gone, run "
            f"'glance-sync-manage region forget {old}'"
        )
