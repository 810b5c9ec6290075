# SPDX-License-Identifier: Apache-2.0
"""The reading back of copies, as the agent and the operator's tool need it."""

from collections.abc import Callable

from glance_sync_agent.drivers.keystone import endpoints
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts import remote_sources
from glance_sync_agent.engine.verify import pacing
from glance_sync_agent.engine.verify import read_back
from glance_sync_agent.engine.verify import repairs
from glance_sync_agent.engine.verify import schedule
from glance_sync_agent.wiring import configuration
from glance_sync_agent.wiring import regions


def make_verifying(
    current: configuration.CurrentSettings,
    *,
    services: regions.RegionServices,
    catalogue: endpoints.Keystone,
    clock: ports.Clock,
    stop: ports.StopFlag,
) -> read_back.Verifying:
    """Return what reads copies back; it writes nothing."""
    return read_back.Verifying(
        regions=services,
        joined=remote_sources.Joining(services, catalogue),
        cascading=catalogue.cascading,
        clock=clock,
        pace=pacing.Pace(
            clock=clock,
            stop=stop,
            bytes_per_second=lambda: current.settings.verify_bytes_per_second,
        ),
    )


def make_repairs(
    current: configuration.CurrentSettings,
    store: task_store.TaskStore,
    clock: ports.Clock,
    *,
    wake: ports.Wake = lambda: None,
    has_limit: bool = True,
) -> repairs.Repairs:
    """Return what has bad copies replaced, for one run.

    :param has_limit: whether ``[verify] max_repairs`` counts.
    """
    return repairs.Repairs(
        store=store,
        clock=clock,
        wake=wake,
        most=lambda: current.settings.max_repairs if has_limit else float("inf"),
    )


def make_rounds(
    current: configuration.CurrentSettings,
    verify: read_back.Verifying,
    *,
    store: task_store.TaskStore,
    owner: str,
    clock: ports.Clock,
    wake: Callable[[], None],
) -> schedule.VerificationRounds:
    """Return what has every copy verified from time to time."""
    return schedule.VerificationRounds(
        verify=verify.verify,
        make_repairs=lambda: make_repairs(current, store, clock, wake=wake),
        store=store,
        turns=store.turns(),
        owner=owner,
        clock=clock,
        interval=lambda: current.settings.verify_interval,
    )
