# SPDX-License-Identifier: Apache-2.0
"""A scan finds what no event announced, and requests tasks for it.

It copies nothing itself.
"""

from collections.abc import Callable, Mapping
import dataclasses
import logging

from glance_sync_agent.domain import images
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.reconcile import member_scans
from glance_sync_agent.engine.reconcile import scan_state
from glance_sync_agent.engine.reconcile.brake import DeletionBrake
from glance_sync_agent.engine.reconcile.source_walk import SourceWalk
from glance_sync_agent.engine.reconcile.task_walk import TaskWalk

LOG = logging.getLogger(__name__)


def _renew_nothing() -> None:
    """Do nothing: a command has no lease."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ScanKind:
    """What the scans of the agent and of the commands do differently."""

    members: member_scans.MemberScans
    max_deletes: Callable[[], int]  # images whose copies one scan may delete
    #: Returns the regions that a later scan compares, and whether the Glance of each may answer.
    unavailable: Callable[[], Mapping[images.RegionId, bool]] = dict
    is_dry: bool = False  # writes nothing
    is_accepted: bool = False  # an operator confirmed that all missing sources were deleted


class Scan:
    """Compares all sources with their copies."""

    def __init__(
        self,
        source_walk: SourceWalk,
        task_walk: TaskWalk,
        brake: DeletionBrake,
        kind: ScanKind,
        stop: ports.StopFlag,
    ) -> None:
        self._source_walk = source_walk
        self._task_walk = task_walk
        self._brake = brake
        self._kind = kind
        self._stop = stop

    def run(
        self,
        scope: scan_state.Scope = scan_state.FULL,
        renew_lease: Callable[[], None] = _renew_nothing,
    ) -> scan_state.ScanReport:
        """Walk the sources, then the tasks whose source is gone, and request what differs.

        The report names the regions that failed or are unavailable.

        :param renew_lease: called often; what it raises ends the scan.
        :raises TransientError: the cascading region does not answer; nothing was deleted.
        """
        unavailable = self._kind.unavailable()
        # A scan of everything takes back access, also while transfers fail. If the Glance does
        # not answer either, that costs one request, which is too much for the other scans.
        asks_all = scope.since is None and scope.only is None
        silent = {region for region, answers in unavailable.items() if not (answers and asks_all)}
        state = scan_state.ScanState(
            scope=scope,
            renew_lease=renew_lease,
            report=scan_state.ScanReport(failed_regions=set(silent)),
            deletions=scan_state.Deletions(self._kind.max_deletes()),
            silent={*silent, *scope.without},
        )
        # Without a region that it may ask, a scan would only list sources.
        if not scope.only or scope.only - silent:
            self._run(state)
        state.report.failed_regions.update(unavailable)
        return state.report

    def _run(self, state: scan_state.ScanState) -> None:
        has_sources = self._source_walk.run(state)
        if not state.scope.deletions or self._stop.is_set():
            return
        if not has_sources:
            LOG.warning("The cascading region lists no image at all. This scan deletes no copy")
            return
        self._task_walk.run(state)
        self._brake.release(state)
