# SPDX-License-Identifier: Apache-2.0
"""Watches snapshots that were announced before they had data.

Their tasks are due when the wait has to end. This watch ends it earlier. It needs one request to
a region for a hundred snapshots, so waiting costs neither threads nor writes.
"""

from collections.abc import Sequence
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import readiness
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import batches
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts.remote_sources import RemoteSources
from glance_sync_agent.engine.attempts.sources import SourceViews
from glance_sync_agent.engine.requests import TaskRequests

LOG = logging.getLogger(__name__)

_BATCH = 100  # ids in one request


class SnapshotWatch:
    """Requests the snapshots whose wait is over."""

    def __init__(
        self,
        outside: ports.Ports,
        requests: TaskRequests,
        source_views: SourceViews,
        remote_sources: RemoteSources,
    ) -> None:
        self._regions = outside.regions
        self._store = outside.store
        self._requests = requests
        self._sources = source_views
        self._remote_sources = remote_sources

    def check(self) -> int:
        """Request every snapshot that has its data or will never have it; return how many.

        The next call asks a region again that does not answer.

        :raises ServiceUnavailable: the database or Keystone does not answer.
        """
        waiting: dict[images.RegionId, dict[images.ImageId, tasks.Task]] = {}
        for task in self._store.waiting():
            waiting.setdefault(self._sources.region(task), {})[task.key.image_id] = task
        return sum(
            self._check(region, batch)
            for region, by_id in waiting.items()
            for batch in batches.of(by_id.values(), _BATCH)
        )

    def _check(self, region: images.RegionId, batch: Sequence[tasks.Task]) -> int:
        try:
            service = self._regions.image_service(region)
            found = service.find([task.key.image_id for task in batch])
            joined = self._remote_sources.join_all(found.values())
        except errors.SyncError as exc:
            _warn(region, exc)
            return 0
        for failed, failure in joined.failures.items():
            _warn(failed, failure)
        awaited = {
            one
            for one in found
            if one not in joined.sources or readiness.is_awaited(joined.sources[one])
        }
        # A snapshot that is not listed was deleted or killed; its attempt finds out which.
        over = [task for task in batch if task.key.image_id not in awaited]
        for task in over:
            self._requests.request_source(task.key.image_id, task.source_region)
        return len(over)


def _warn(region: images.RegionId, failure: errors.SyncError) -> None:
    LOG.warning(
        "Could not check the snapshots of region %s: %s. The next check is after "
        "snapshot_sleep_interval",
        region, failure,
    )
