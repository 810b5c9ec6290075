# SPDX-License-Identifier: Apache-2.0
"""Images that name another image, their kernel or ramdisk, when that has a new copy."""

import logging
from typing import Protocol

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import intake
from glance_sync_agent.engine import ports

LOG = logging.getLogger(__name__)


class Attempt(Protocol):
    """What works on a task."""

    def run(self, lease: tasks.Lease) -> tasks.Outcome:
        """Do what brings the copy in step; see ``engine.replication``."""


class References:
    """An attempt, and a request of the images that name a copy by an id that is new.

    A copy mostly has its source's id, and then whatever names the source names the copy. A look
    at everything finds the difference as well; here it is found at once.
    """

    def __init__(
        self,
        attempt: Attempt,
        *,
        regions: ports.Regions,
        store: ports.TaskStore,
        requests: intake.Intake,
        cascading: images.RegionId,
    ) -> None:
        self._attempt = attempt
        self._regions = regions
        self._store = store
        self._requests = requests
        self._cascading = cascading

    def run(self, lease: tasks.Lease) -> tasks.Outcome:
        """Make the attempt; raises what that raises."""
        outcome = self._attempt.run(lease)
        if isinstance(outcome, tasks.Succeeded) and outcome.copy is not None:
            self._follow(lease, outcome.copy)
        return outcome

    def _follow(self, lease: tasks.Lease, copy: tasks.CopySeen) -> None:
        task = lease.task
        is_known = copy.copy_id == (task.copy_id or task.key.image_id)
        if is_known and not _came_now(task, copy):
            return
        if not is_known:
            # Those who are requested read it there, maybe before the outcome is written.
            self._store.note_copy(lease, copy.copy_id, copy.image_name)
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


def _came_now(task: tasks.Task, copy: tasks.CopySeen) -> bool:
    """Tell whether an id of its own, that an earlier attempt noted, has its bytes since now."""
    has_own_id = copy.copy_id != task.key.image_id
    return has_own_id and copy.copied_from is not None and task.copied_from is None
