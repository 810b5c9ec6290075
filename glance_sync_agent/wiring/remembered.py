# SPDX-License-Identifier: Apache-2.0
"""What sync.conf and Keystone's catalogue say of regions, beside what the database remembers."""

from collections.abc import Sequence
import datetime
import fnmatch

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import region_names
from glance_sync_agent.drivers.glance.marked_records import GlanceMarkedRecords
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.drivers.keystone.catalogue import KeystoneCatalogue
from glance_sync_agent.drivers.sql import known_regions
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.engine.marks import renaming
from glance_sync_agent.wiring import configuration

_BUSES = "[notifications] region_transport_urls"


def check_cascading(
    remembered: images.RegionId | None, cascading: images.RegionId
) -> None:
    """Compare the region that cascading_endpoint_url leads to with that of the tasks.

    :raises ConfigurationError: they differ.
    """
    if remembered in {None, cascading}:
        return
    raise errors.ConfigurationError(
        f"cascading_endpoint_url leads to region {cascading}, but the tasks of this database are "
        f"of the images of region {remembered}. Correct cascading_endpoint_url. Or, if "
        f"{remembered} has a new name, run 'glance-sync-manage region rename {remembered} "
        f"{cascading}'. Or, to begin anew with the images of {cascading}, run "
        f"'glance-sync-manage region forget {remembered}'"
    )


def check_catalogue(
    current: configuration.CurrentSettings,
    store: task_store.SqlTaskStore,
    catalogue: KeystoneCatalogue,
    now: datetime.datetime,
) -> Sequence[str]:
    """Compare the catalogue with sync.conf and with what the database remembers, and remember it.

    :returns: a sentence for each name whose region has left the catalogue.
    :raises ConfigurationError: the cascading region is another one than before, or a name is of
        no region that was ever seen.
    :raises ServiceUnavailable: the database or Keystone does not answer.
    """
    cascading, regions = catalogue.cascading, catalogue.regions()
    known = store.known_regions()
    check_cascading(known.remember(cascading, regions, now), cascading)
    return check_named_regions(current, regions, cascading, known.all())


def check_named_regions(
    current: configuration.CurrentSettings,
    regions: frozenset[images.RegionId],
    cascading: images.RegionId,
    known: frozenset[images.RegionId] = frozenset(),
) -> Sequence[str]:
    """Compare the regions that the operator's files name with those of the catalogue.

    :param known: regions that the database remembers.
    :returns: a sentence for each name whose region has left the catalogue.
    :raises ConfigurationError: a name is of no region that was ever seen.
    """
    policy = current.settings.policy
    named = {
        "snapshot_region_names": policy.snapshot_regions,
        _BUSES: frozenset(current.settings.region_buses),
    }
    problems = [
        f"{option}: the catalogue has no image endpoint in region {name}; it has them in "
        f"{', '.join(sorted(regions))}"
        for option, names in named.items()
        for name in sorted(names - regions - known)
    ]
    if cascading in current.settings.region_buses:
        problems.append(
            f"{_BUSES}: {cascading} is the cascading region, whose bus is transport_url"
        )
    if problems:
        raise errors.ConfigurationError("\n".join(problems))
    gone = known - regions
    patterns = frozenset(name for rule in policy.rules for name in rule.regions)
    named[str(current.settings.rules_file)] = frozenset(
        name
        for name in gone & patterns
        if not any(fnmatch.fnmatchcase(one, name) for one in regions)
    )
    return [
        f"{option}: region {name} has left Keystone's catalogue"
        for option, names in named.items()
        for name in sorted(names & gone)
    ]


def make_renaming(
    names: region_names.Renaming,
    catalogue: KeystoneCatalogue,
    session: credentials.Session,
    known: known_regions.KnownRegions,
) -> renaming.RegionRenaming:
    """Return what brings a region's new name to the copies of all regions.

    :raises SyncError: Keystone does not answer.
    """

    def marks_in(region: images.RegionId) -> GlanceMarkedRecords:
        return GlanceMarkedRecords(
            region=region, session=session, endpoint=catalogue.endpoint(region)
        )

    return renaming.RegionRenaming(names, marks_in, catalogue.regions(), known.copies)
