# SPDX-License-Identifier: Apache-2.0
"""What commands read of the state of all."""

from glance_sync_agent.engine.current_pauses import CurrentPauses
from glance_sync_agent.engine.reports import summaries
from glance_sync_agent.engine.reports import task_counts
from glance_sync_agent.engine.reports.region_states import RegionStates
from glance_sync_agent.wiring.cloud import Cloud


def region_states(cloud: Cloud) -> RegionStates:
    """Read the pauses and breakers of all regions.

    :raises ServiceUnavailable: the database is unreachable.
    """
    # Without an engine, which needs Keystone.
    current = CurrentPauses(
        cloud.store.pauses(), lambda: cloud.configuration.for_engine().pause_windows, cloud.clock
    )
    return RegionStates.read(cloud.store.breakers(), current)


def summary(cloud: Cloud) -> summaries.Summary:
    """Read the state of all regions and agents.

    :raises ServiceUnavailable: the database is unreachable.
    """
    store, target = cloud.store, cloud.configuration.settings.engine.upkeep.completion_target
    counted = task_counts.current(store, store.facts(), cloud.clock, target)
    return summaries.summary(counted, region_states(cloud), store.agents(), cloud.clock.now())
