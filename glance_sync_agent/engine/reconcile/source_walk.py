# SPDX-License-Identifier: Apache-2.0
"""Walks the listings of sources and compares each source with its copies."""

from collections.abc import Sequence
import dataclasses
import itertools

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.engine import batches
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.reconcile import source_history
from glance_sync_agent.engine.reconcile.brake import DeletionBrake
from glance_sync_agent.engine.reconcile.page_comparison import PageComparison
from glance_sync_agent.engine.reconcile.scan_state import ScanState

#: Images that are compared at once; Glance takes that many ids in one ``id=in:`` filter.
PAGE_SIZE = 100
#: Images in one request for a listing.
_LISTED = 500


class SourceWalk:
    """Walks the cascading region, then the snapshots of the regions that have sources."""

    def __init__(
        self,
        outside: ports.Ports,
        pages: PageComparison,
        brake: DeletionBrake,
        stop: ports.StopFlag,
        snapshot_origins: Sequence[images.RegionId],
    ) -> None:
        self._regions = outside.regions
        self._cascading = outside.catalogue.cascading
        self._clock = outside.clock
        self._pages = pages
        self._brake = brake
        self._stop = stop
        self._snapshot_origins = snapshot_origins

    def run(self, state: ScanState) -> bool:
        """Compare all listed sources; return whether the cascading region lists any.

        :raises SyncError: the cascading region, the database or Keystone does not answer.
        """
        self._walk(self._cascading, state)
        has_sources = state.report.sources > 0
        for origin in self._snapshot_origins:
            if origin not in state.silent:
                self._walk_snapshots(origin, state)
        return has_sources

    def _walk_snapshots(self, origin: images.RegionId, state: ScanState) -> None:
        if state.scope.repeats(origin):
            scope = dataclasses.replace(state.scope, only=None)
            state = dataclasses.replace(state, scope=scope)
        try:
            self._walk(origin, state)
        except (errors.Cancelled, errors.LeaseLost):
            raise
        except errors.SyncError as exc:
            state.skip_sources(origin, exc)

    def _walk(self, origin: images.RegionId, state: ScanState) -> None:
        service, snapshots_only = self._regions.image_service(origin), origin != self._cascading
        pages = service.pages(
            _LISTED, snapshots_only=snapshots_only, changed_since=state.scope.since
        )
        newest: Sequence[images.Image] = ()
        self._pages.shares(origin, state)  # of the time before the first request
        for page in batches.of(itertools.chain.from_iterable(pages), PAGE_SIZE):
            state.report.add_page(page)
            newest = source_history.newest_of(page, newest, self._clock.now())
            self._pages.compare(origin, page, state)
            if self._stop.is_set():
                return
        self._pages.note_members(origin, state)
        if state.scope.deletions:
            self._brake.note_listing(origin, newest, state)
