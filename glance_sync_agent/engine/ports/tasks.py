# SPDX-License-Identifier: Apache-2.0
"""The durable tasks: notes on the copies, and queries."""

from collections.abc import Iterable, Iterator, Sequence
import datetime
from typing import Protocol

from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification
from glance_sync_agent.engine.ports.task_queue import TaskQueue


class TaskNotes(Protocol):
    """What a row remembers of its copy."""

    def note_copy(
        self, lease: tasks.Lease, copy: identity.KnownCopy | None, image_name: str | None
    ) -> None:
        """Remember which image is the copy; its bytes are yet to come, from wherever.

        :param copy: None: there is none.

        :raises LeaseLost: the lease is somebody else's.
        """

    def note_copied(self, lease: tasks.Lease, copied_from: images.RegionId) -> None:
        """Remember that the copy has its bytes, and the region in which they were read.

        :raises LeaseLost: the lease is somebody else's.
        """

    def note_proven(self, lease: tasks.Lease, copy_id: images.ImageId) -> None:
        """Remember that a copy was read back and has the source's bytes.

        :raises LeaseLost: the lease is somebody else's.
        """

    def note_vanished(self, lease: tasks.Lease, vanished: backoff.Vanishings) -> None:
        """Remember that somebody deleted the copy, and how often that was so.

        :raises LeaseLost: the lease is somebody else's.
        """

    def note_deactivated(
        self, lease: tasks.Lease, copy_id: images.ImageId | None
    ) -> None:
        """Remember that a copy is deactivated by the agent, before it is.

        It is remembered until an outcome tells of a copy that is not deactivated.

        :raises LeaseLost: the lease is somebody else's.
        """

    def distrust(
        self,
        key: tasks.TaskKey,
        damage: verification.Damage,
        *,
        now: datetime.datetime,
        request_id: str,
    ) -> bool:
        """Note that a copy is damaged and request its task, if that still has this copy.

        It is remembered until the next outcome of success, or until there is another copy.

        :returns: whether it has.
        """

    def note_verified(self, key: tasks.TaskKey, now: datetime.datetime) -> None:
        """Remember when the copy was read back. Nothing if there is no such task."""

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
        """Note which image is the copy, and of which source; request the task, or make it.

        :param unless_known: nothing is done if the task knows a copy.
        :returns: False if the task is being worked on, and nothing was written.
        """

    def permit_activation(
        self, key: tasks.TaskKey, *, now: datetime.datetime, request_id: str
    ) -> bool:
        """Note the copy of a task as one that the agent deactivated, and request the task.

        :returns: False if there is no task that knows a copy, and nothing was written.
        """

    def disown(self, key: tasks.TaskKey, copy_id: images.ImageId) -> bool:
        """Forget the copy of a task, if it is this one.

        :returns: False if the task is being worked on, and nothing was written.
        """

    def note_missing(
        self,
        image_id: images.ImageId,
        regions: Iterable[images.RegionId],
        since: datetime.datetime | None,
    ) -> None:
        """Remember since when the source of some tasks is missing; None: it is there."""


class TaskQueries(Protocol):
    """Reads tasks."""

    def unverified(self, before: datetime.datetime) -> Iterator[tasks.Task]:
        """Walk the tasks that were made, and last verified if ever, before a time.

        Like :meth:`list`.
        """

    def get(self, key: tasks.TaskKey) -> tasks.Task | None:
        """Read one task."""

    def find(self, image_ids: Sequence[images.ImageId]) -> Sequence[tasks.Task]:
        """Read the tasks of some images in all regions, in order of image and region."""

    def list(
        self,
        *,
        image_id: images.ImageId | None = None,
        region: images.RegionId | None = None,
        status: tasks.TaskStatus | None = None,
    ) -> Iterator[tasks.Task]:
        """Walk the tasks in order of image and region, in constant memory."""

    def waiting(self) -> Iterator[tasks.Task]:
        """Walk the pending tasks that wait for a snapshot, like :meth:`list`."""

    def image_ids(self) -> Iterator[images.ImageId]:
        """Walk the images that have a task, each once, in constant memory."""


class TaskStore(TaskQueue, TaskNotes, TaskQueries, Protocol):
    """The durable table of tasks. Every method is one transaction."""
