# SPDX-License-Identifier: Apache-2.0
"""Compares a page of sources with the copies in all regions, and requests what differs."""

from collections.abc import Sequence, Set
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.engine.placement.targets import Targets
from glance_sync_agent.engine.reconcile import differences
from glance_sync_agent.engine.reconcile import member_scans
from glance_sync_agent.engine.reconcile.member_scans import Share
from glance_sync_agent.engine.reconcile.pairs import Pair
from glance_sync_agent.engine.reconcile.pairs import Pairs
from glance_sync_agent.engine.reconcile.region_comparison import RegionComparison
from glance_sync_agent.engine.reconcile.scan_state import ScanState
from glance_sync_agent.engine.reconcile.scan_state import Shares

LOG = logging.getLogger(__name__)


class PageComparison:
    """Hands over all differences but deletions, which the state of the scan collects.

    All methods raise SyncError if the database or Keystone does not answer.
    """

    def __init__(
        self,
        targets: Targets,
        pairs: Pairs,
        comparison: RegionComparison,
        members: member_scans.MemberScans,
        receive: differences.Receiver,
    ) -> None:
        self._targets = targets
        self._pairs = pairs
        self._comparison = comparison
        self._members = members
        self._receive = receive

    def shares(self, origin: images.RegionId, state: ScanState) -> Shares:
        """Return whose members are compared, by the regions where sources may have copies."""
        if origin not in state.shares:
            # An incremental scan compares none: a change of members does not change the image.
            is_full = state.scope.since is None
            state.shares[origin] = {
                region: self._members.share(origin, region) if is_full else member_scans.NONE
                for region in sorted(self._targets.with_copies(origin) - state.scope.without)
            }
        return state.shares[origin]

    def note_members(self, origin: images.RegionId, state: ScanState) -> None:
        """Remember whose members the scan compared."""
        if state.scope.since is None:
            shares = state.shares[origin]
            for region in sorted(shares.keys() - state.report.failed_regions):
                if state.scope.covers(region):
                    self._members.note(origin, region, shares[region])

    def compare(
        self, origin: images.RegionId, page: Sequence[images.Image], state: ScanState
    ) -> None:
        """Compare at most 100 sources with their copies in all regions."""
        shares, pairs = self.shares(origin, state), self._of(page, state)
        for region in sorted(shares.keys() - state.report.failed_regions):
            state.renew_lease()
            covered = _covered(pairs, region, state)
            self._compare(region, covered, state, shares[region])

    def compare_known(
        self,
        regions: Set[images.RegionId],
        sources: Sequence[images.Image],
        state: ScanState,
    ) -> None:
        """Compare at most 100 sources of a region with the copies that their tasks know.

        :param regions: of these tasks.
        """
        origin = sources[0].region
        shares = self.shares(origin, state)
        try:
            pairs = self._of(sources, state)
        except errors.SyncError as exc:
            state.skip_sources(origin, exc)
            pairs = ()
        covered = {region for region in regions if state.scope.covers(region)}
        for region in sorted(covered & shares.keys() - state.report.failed_regions):
            state.renew_lease()
            known = [pair for pair in pairs if pair.has_copy(region)]
            self._compare(region, known, state, shares[region])

    def _of(self, page: Sequence[images.Image], state: ScanState) -> Sequence[Pair]:
        found = self._pairs.of(page, without=state.silent, undecided=state.undecided)
        for region, failure in found.failures.items():
            state.skip_sources(region, failure)
        for owner, undecided in found.undecided.items():
            state.note_undecided(owner, undecided)
        return found.pairs

    def _compare(
        self, region: images.RegionId, pairs: Sequence[Pair], state: ScanState, share: Share
    ) -> None:
        if not pairs:
            return
        try:
            found = list(self._comparison.find(region, pairs, state.scope.failed_before, share))
            state.deletions.add(one for one in found if one.may_delete)
            state.report.requested += self._receive([one for one in found if not one.may_delete])
        except errors.SyncError as exc:
            state.report.failed_regions.add(region)
            LOG.warning(
                "Could not compare region %s: %s. A later scan compares it", region, exc
            )


def _covered(pairs: Sequence[Pair], region: images.RegionId, state: ScanState) -> Sequence[Pair]:
    """Return the pairs that a scan compares in a region that it may not cover."""
    if state.scope.covers(region):
        return pairs
    remotes = [(pair, pair.source.remote) for pair in pairs]
    return [pair for pair, remote in remotes if remote and state.scope.repeats(remote.region)]
