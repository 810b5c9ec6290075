# SPDX-License-Identifier: Apache-2.0
"""The durable tasks: notes about the copies, and queries."""

from collections.abc import Iterable, Iterator, Sequence
import datetime
from typing import Protocol

from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import fleet
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification
from glance_sync_agent.engine.ports.task_filters import Page
from glance_sync_agent.engine.ports.task_filters import TaskFilter
from glance_sync_agent.engine.ports.task_queue import TaskQueue


class TaskNotes(Protocol):
    """Writes down what is known of a task's copy and source."""

    def note_copy(
        self, lease: tasks.Lease, copy: identity.KnownCopy | None, image_name: str | None
    ) -> None:
        """Note which image is the copy, or that there is none. It counts as without data.

        :raises LeaseLost: another agent holds the lease.
        """

    def note_without_data(self, lease: tasks.Lease) -> None:
        """Note that the copy has no data, or not all of it, whatever else is known of it.

        :raises LeaseLost: another agent holds the lease.
        """

    def note_copied(self, lease: tasks.Lease, copied_from: images.RegionId) -> None:
        """Note that the copy has its data, and the region in which it was read.

        :raises LeaseLost: another agent holds the lease.
        """

    def note_proven(
        self, lease: tasks.Lease, copy_id: images.ImageId, multihash: images.Multihash
    ) -> None:
        """Note that a copy was read back and has the bytes of its source.

        :param multihash: of these bytes, as the source had it.
        :raises LeaseLost: another agent holds the lease.
        """

    def note_vanished(self, lease: tasks.Lease, vanished: backoff.Vanishings) -> None:
        """Note how often the copy vanished, and when it did last.

        :raises LeaseLost: another agent holds the lease.
        """

    def note_deactivated(self, lease: tasks.Lease, copy_id: images.ImageId) -> None:
        """Note that the agent is about to deactivate a copy.

        The note stays until the copy is noted as active, or an outcome names one that is not
        deactivated.

        :raises LeaseLost: another agent holds the lease.
        """

    def note_active(self, lease: tasks.Lease, copy_id: images.ImageId) -> None:
        """Note that a copy is active, so that a hold of it is over, too.

        :raises LeaseLost: another agent holds the lease.
        """

    def distrust(
        self,
        key: tasks.TaskKey,
        damage: verification.Damage,
        *,
        now: datetime.datetime,
        request_id: str,
    ) -> bool:
        """Note that a copy is damaged and request its task.

        The note stays until the copy is in sync, or until there is another copy.

        :returns: False if the task does not have this copy any more; nothing was written.
        """

    def note_verified(self, key: tasks.TaskKey, now: datetime.datetime) -> None:
        """Note when the copy was read back. Does nothing if there is no such task."""

    def adopt(
        self,
        key: tasks.TaskKey,
        copy: identity.KnownCopy,
        *,
        now: datetime.datetime,
        request_id: str,
        source_region: images.RegionId | None,
        unless_known: bool = False,
    ) -> bool:
        """Note which image is the copy, and of which source; request the task, or create it.

        :param unless_known: do nothing if the task knows a copy.
        :returns: False if the task is processing; nothing was written.
        """

    def permit_activation(
        self, key: tasks.TaskKey, *, now: datetime.datetime, request_id: str
    ) -> bool:
        """Note that the agent deactivated the copy, so it may activate it; request the task.

        :returns: False if there is no task that knows a copy; nothing was written.
        """

    def disown(self, key: tasks.TaskKey, copy_id: images.ImageId) -> bool:
        """Forget the copy of a task, if it is this one.

        :returns: False if the task is processing; nothing was written.
        """

    def note_missing(
        self,
        image_id: images.ImageId,
        regions: Iterable[images.RegionId],
        since: datetime.datetime | None,
    ) -> None:
        """Note since when the source of some tasks is missing; None: it exists."""


class TaskQueries(Protocol):
    """Reads tasks. Walks are in order of image and region, in constant memory."""

    def unverified(self, before: datetime.datetime) -> Iterator[tasks.Task]:
        """Walk the tasks that were created, and last verified if ever, before a time."""

    def get(self, key: tasks.TaskKey) -> tasks.Task | None:
        """Read one task."""

    def find(self, image_ids: Sequence[images.ImageId]) -> Sequence[tasks.Task]:
        """Read the tasks of some images in all regions, in order of image and region."""

    def outlines(self, image_ids: Sequence[images.ImageId]) -> Sequence[tasks.Outline]:
        """Read the outlines of the same tasks."""

    def list(
        self,
        *,
        image_id: images.ImageId | None = None,
        region: images.RegionId | None = None,
        status: tasks.TaskStatus | None = None,
    ) -> Iterator[tasks.Task]:
        """Walk the tasks that match all arguments; None matches everything."""

    def waiting(self) -> Iterator[tasks.Task]:
        """Walk the pending tasks that wait for a snapshot."""

    def count(self, late_before: datetime.datetime) -> fleet.RegionCounts:
        """Count the tasks of each region. Reads all of them.

        :param late_before: an unfinished task that was asked for before is late.
        """

    def matching(self, task_filter: TaskFilter) -> Iterator[tasks.Task]:
        """Walk the tasks that match a filter."""

    def page(self, task_filter: TaskFilter, page: Page) -> Sequence[images.ImageId]:
        """Return images that have a task that matches a filter, each once, in order of their ids.

        :param page: which part of them.
        """

    def image_ids(self) -> Iterator[images.ImageId]:
        """Walk the images that have a task, each once."""


class TaskStore(TaskQueue, TaskNotes, TaskQueries, Protocol):
    """The durable table of tasks. Every method is one transaction."""
