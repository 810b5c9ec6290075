# SPDX-License-Identifier: Apache-2.0
"""The reading back of copies, as the agent and the operator's tool need it."""

from collections.abc import Callable

from glance_sync_agent.drivers import keystone
from glance_sync_agent.drivers import task_store
from glance_sync_agent.engine import joining
from glance_sync_agent.engine import pacing
from glance_sync_agent.engine import ports
from glance_sync_agent.engine import repairs
from glance_sync_agent.engine import verification_rounds
from glance_sync_agent.engine import verifying
from glance_sync_agent.wiring import configuration
from glance_sync_agent.wiring import regions


def make_verifying(
    current: configuration.CurrentSettings,
    *,
    services: regions.RegionServices,
    catalogue: keystone.Keystone,
    clock: ports.Clock,
    stop: ports.StopFlag,
) -> verifying.Verifying:
    """Return what reads copies back; it writes nothing."""
    return verifying.Verifying(
        regions=services,
        joined=joining.Joining(services, catalogue),
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
    verify: verifying.Verifying,
    *,
    store: task_store.TaskStore,
    owner: str,
    clock: ports.Clock,
    wake: Callable[[], None],
) -> verification_rounds.VerificationRounds:
    """Return what has every copy verified from time to time."""
    return verification_rounds.VerificationRounds(
        verify=verify.verify,
        make_repairs=lambda: make_repairs(current, store, clock, wake=wake),
        store=store,
        turns=store.turns(),
        owner=owner,
        clock=clock,
        interval=lambda: current.settings.verify_interval,
    )
