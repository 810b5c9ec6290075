# SPDX-License-Identifier: Apache-2.0
"""The look at everything, as the agent and the operator's tool need it."""

from collections.abc import Callable, Set
import datetime

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.drivers.keystone import endpoints
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts import location_records
from glance_sync_agent.engine.attempts import remote_sources
from glance_sync_agent.engine.placement import targets
from glance_sync_agent.engine.placement import wanted_copies
from glance_sync_agent.engine.reconcile import compare
from glance_sync_agent.engine.reconcile import gone_sources
from glance_sync_agent.engine.reconcile import member_scans
from glance_sync_agent.engine.reconcile import scan
from glance_sync_agent.engine.reconcile import source_history
from glance_sync_agent.wiring import configuration
from glance_sync_agent.wiring import regions


def make_reconciliation(
    current: configuration.CurrentSettings,
    *,
    services: regions.RegionServices,
    catalogue: endpoints.Keystone,
    store: task_store.TaskStore,
    wanted: targets.Targets,
    recorded: location_records.LocationMap,
    stop: ports.StopFlag,
    ask: compare.Ask,
    max_deletes: Callable[[], int],
    left_alone: Callable[[], Set[images.RegionId]] = frozenset,
    clock: ports.Clock,
    members: member_scans.MemberLooks,
    is_dry: bool = False,
    is_accepted: bool = False,
) -> scan.Reconciliation:
    """Return what compares all sources with their copies.

    :param ask: is given what differs; the only part that may write.
    :param left_alone: tells which regions are not asked.
    :param members: shares the requests for members out to the looks.
    :param is_dry: nothing is remembered of what was seen.
    :param is_accepted: an operator says that what is missing was deleted.
    """
    kept = store.facts()
    return scan.Reconciliation(
        regions=services,
        compared=compare.Differences(
            regions=services,
            store=store,
            wanted=wanted,
            wanted_as=wanted_copies.WantedCopies(catalogue, current.metadata_policy, store),
            recorded=recorded,
            deletes_unwanted=current.deletes_unwanted,
            joined=remote_sources.Joining(services, catalogue),
            cascading=catalogue.cascading,
        ),
        gone=gone_sources.GoneSources(
            regions=services, store=store, wanted=wanted, cascading=catalogue.cascading
        ),
        ask=ask,
        cascading=catalogue.cascading,
        # One that left the catalogue would be missing in every look.
        snapshot_origins=sorted(current.settings.region_buses.keys() & catalogue.regions()),
        stop=stop,
        max_deletes=max_deletes,
        left_alone=left_alone,
        missing=source_history.MissingSources(
            note=_note_nothing if is_dry else source_history.noting(store),
            clock=clock,
            grace_seconds=lambda: current.settings.gone_grace,
        ),
        newest=source_history.NewestSources(_Unchanged(kept) if is_dry else kept),
        members=members,
        is_accepted=is_accepted,
    )


class _Unchanged:
    """Facts that a dry run may read."""

    def __init__(self, kept: ports.Facts) -> None:
        self._kept = kept

    def get(self, name: str) -> str | None:
        """Return what is remembered under a name; None: nothing is."""
        return self._kept.get(name)

    def put(self, name: str, value: str) -> None:
        """Remember nothing."""


def _note_nothing(_row: tasks.Task, _since: datetime.datetime | None) -> None:
    """Write nothing."""
