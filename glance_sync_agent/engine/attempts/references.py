# SPDX-License-Identifier: Apache-2.0
"""Images that name another image, their kernel or ramdisk, when that has a new copy."""

import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from glance_sync_agent.engine import requests

LOG = logging.getLogger(__name__)


class References:
    """Requests the images that name a copy, once that has an id that is new.

    A copy mostly has its source's id, and then whatever names the source names the copy. A look
    at everything finds the difference as well; here it is found at once.
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
        """Request what names the copy that an attempt saw, if need be. Raises nothing.

        :param task: as it was before the attempt.
        :param outcome: is written already, for those who are requested read the id there.
        """
        if not isinstance(outcome, tasks.Succeeded) or outcome.copy is None:
            return
        if not _is_new(task, outcome.copy):
            return
        failure = None
        try:
            self._request(task.key)
        except (errors.TransientError, errors.PermanentError) as exc:
            failure = exc
        if failure is not None:  # out here, because oslo.log repeats the error in hand
            LOG.warning(
                "Images whose kernel or ramdisk is %s are looked at with all others only: %s",
                task.key, failure,
            )

    def _request(self, key: tasks.TaskKey) -> None:
        cascading = self._regions.image_service(self._cascading)
        found = [one.image_id for one in cascading.referring_to(key.image_id)]
        # What has no task there gets the right id when it is copied.
        known = [
            task.key.image_id for task in self._store.find(found) if task.key.region == key.region
        ]
        if known:
            count = self._requests.request_in(key.region, known)
            LOG.info("Requested %d images that name %s", count, key)


def _is_new(task: tasks.Task, copy: tasks.CopySeen) -> bool:
    """Tell whether an id is new, or was noted by an attempt that brought no bytes."""
    if copy.copy_id != (task.copy_id or task.key.image_id):
        return True
    has_own_id = copy.copy_id != task.key.image_id
    return has_own_id and copy.copied_from is not None and task.copied_from is None
