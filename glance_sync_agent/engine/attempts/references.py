# SPDX-License-Identifier: Apache-2.0
"""Requests images whose kernel or ramdisk has a new copy."""

import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from glance_sync_agent.engine import requests

LOG = logging.getLogger(__name__)


class References:
    """Requests the images that name a copy, once the copy has a new id.

    A copy mostly has its source's id. Then an image that names the source names the copy, too. A
    full scan finds the difference as well; this class finds it at once.
    """

    def __init__(
        self,
        *,
        regions: ports.Regions,
        store: ports.TaskStore,
        requests: requests.TaskRequests,
        cascading: images.RegionId,
    ) -> None:
        self._regions = regions
        self._store = store
        self._requests = requests
        self._cascading = cascading

    def follow(self, task: tasks.Task, outcome: tasks.Outcome | None) -> None:
        """Request the images that name the copy which an attempt saw. Raises nothing.

        :param task: as it was before the attempt.
        :param outcome: is already written, because the requested tasks read the id there.
        """
        if not isinstance(outcome, tasks.Succeeded) or outcome.copy is None:
            return
        if not _is_new(task, outcome.copy):
            return
        try:
            self._request(task.key)
        except (errors.TransientError, errors.PermanentError) as exc:
            LOG.warning(
                "The images whose kernel or ramdisk is %s wait for the next full scan: %s",
                task.key, exc,
            )

    def _request(self, key: tasks.TaskKey) -> None:
        cascading = self._regions.image_service(self._cascading)
        found = [one.image_id for one in cascading.referring_to(key.image_id)]
        # An image without a task there gets the right id when it is copied.
        known = [
            task.key.image_id for task in self._store.find(found) if task.key.region == key.region
        ]
        if known:
            count = self._requests.request_in(key.region, known)
            LOG.info("Requested %d images that name %s", count, key)


def _is_new(task: tasks.Task, copy: tasks.CopySeen) -> bool:
    """Tell whether the id is new, or was noted by an attempt without a transfer."""
    if copy.copy_id != (task.copy_id or task.key.image_id):
        return True
    has_own_id = copy.copy_id != task.key.image_id
    return has_own_id and copy.copied_from is not None and task.copied_from is None
