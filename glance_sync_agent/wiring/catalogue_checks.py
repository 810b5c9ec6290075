# SPDX-License-Identifier: Apache-2.0
"""The regions of sync.conf, of Keystone's catalogue and of the database, compared."""

from collections.abc import Sequence
import datetime
import fnmatch

from glance_sync_agent import errors
from glance_sync_agent.conf.settings import AgentSettings
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.keystone.catalogue import KeystoneCatalogue
from glance_sync_agent.drivers.sql import task_store

_BUSES = "[notifications] region_transport_urls"


def check_cascading(
    remembered: images.RegionId | None, cascading: images.RegionId
) -> None:
    """Check that cascading_endpoint_url is in the region that the tasks belong to.

    :raises ConfigurationError: they differ.
    """
    if remembered in {None, cascading}:
        return
    raise errors.ConfigurationError(
        f"cascading_endpoint_url leads to region {cascading}, but the tasks of this database are "
        f"for images of region {remembered}. Correct cascading_endpoint_url. If {remembered} has "
        f"a new name, run 'glance-sync-manage region rename {remembered} {cascading}'. To begin "
        f"again with the images of {cascading}, run 'glance-sync-manage region forget "
        f"{remembered}'"
    )


def check(
    settings: AgentSettings,
    store: task_store.SqlTaskStore,
    catalogue: KeystoneCatalogue,
    now: datetime.datetime,
) -> Sequence[str]:
    """Compare the catalogue with sync.conf and the database, and store its regions there.

    :returns: a sentence for each named region that has left the catalogue.
    :raises ConfigurationError: the cascading region has changed, or a named region was never in
        the catalogue.
    :raises ServiceUnavailable: the database or Keystone is unreachable.
    """
    cascading, regions = catalogue.cascading, catalogue.regions()
    known = store.known_regions()
    check_cascading(known.remember(cascading, regions, now), cascading)
    return check_named_regions(settings, regions, cascading, known.all())


def check_named_regions(
    settings: AgentSettings,
    regions: frozenset[images.RegionId],
    cascading: images.RegionId,
    known: frozenset[images.RegionId] = frozenset(),
) -> Sequence[str]:
    """Compare the regions that the operator's files name with those of the catalogue.

    :param known: regions that the database remembers.
    :returns: a sentence for each named region that has left the catalogue.
    :raises ConfigurationError: a named region was never in the catalogue.
    """
    policy = settings.engine.placement
    named = {
        "snapshot_region_names": policy.snapshot_regions,
        "[transfer] pause_windows": frozenset(
            one.region for one in settings.engine.pause_windows if one.region is not None
        ),
        _BUSES: frozenset(settings.bus.region_urls),
    }
    problems = [
        f"{option}: the catalogue has no image endpoint in region {name}; it has them in "
        f"{', '.join(sorted(regions))}"
        for option, names in named.items()
        for name in sorted(names - regions - known)
    ]
    if cascading in settings.bus.region_urls:
        problems.append(
            f"{_BUSES}: {cascading} is the cascading region, whose bus is transport_url"
        )
    if problems:
        raise errors.ConfigurationError("\n".join(problems))
    gone = known - regions
    patterns = frozenset(name for rule in policy.rules for name in rule.regions)
    named[str(settings.rules_file)] = frozenset(
        name
        for name in gone & patterns
        if not any(fnmatch.fnmatchcase(one, name) for one in regions)
    )
    return [
        f"{option}: region {name} has left Keystone's catalogue"
        for option, names in named.items()
        for name in sorted(names & gone)
    ]
