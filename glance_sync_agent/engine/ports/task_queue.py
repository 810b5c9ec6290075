# SPDX-License-Identifier: Apache-2.0
"""The queue of the durable tasks: requests and leases."""

from collections.abc import Collection, Iterable, Mapping, Sequence
import datetime
from typing import Protocol

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks


class TaskQueue(Protocol):
    """Asks for images to be looked at, and hands the tasks out."""

    def request(
        self,
        image_id: images.ImageId,
        regions: Iterable[images.RegionId],
        *,
        now: datetime.datetime,
        not_before: datetime.datetime,
        request_id: str,
        may_delete: bool = False,
        elsewhere: bool = True,
        source_region: images.RegionId | None = None,
        of_source_only: bool = False,
        project: str | None = None,
    ) -> int:
        """Ask for an image to be looked at in ``regions`` and wherever it has a task already.

        With ``elsewhere`` false, in ``regions`` only, and copies that vanished there are made
        anew at once. ``source_region`` is noted in tasks that are new; None stands for the
        cascading one. ``project`` is noted in all; None leaves it as it is.

        A task that is pending or finished becomes pending with a higher generation and no
        failed attempts; one that is processing keeps running and is looked at again afterwards.
        ``may_delete`` is remembered until the next outcome of success.

        With ``of_source_only``, tasks of an image of another region that has the same id are
        left alone. An image of the cascading region takes such a task over in ``regions``,
        unless ``may_delete``, or the task knows a copy or is being worked on.

        :returns: tasks requested.
        :raises ServiceUnavailable: the database does not answer; nothing was written.
        """

    def request_in(
        self,
        region: images.RegionId,
        image_ids: Iterable[images.ImageId],
        *,
        now: datetime.datetime,
        not_before: datetime.datetime,
        request_id: str,
        may_delete: bool = False,
        source_region: images.RegionId | None = None,
        projects: Mapping[images.ImageId, str] | None = None,
    ) -> int:
        """Ask for images to be looked at in one region, all of them or none; see :meth:`request`.

        Those of the source only, see ``of_source_only`` there.

        A task that gave up keeps its failed attempts, so that it has one more and not as many
        as it had. Copies that vanished still wait for their time. ``projects`` may hold more
        images, or fewer.

        What was requested may be forgotten in a power failure, but not when a process dies.

        :returns: tasks requested.
        :raises ServiceUnavailable: the database does not answer; nothing was written.
        """

    def due_projects(
        self,
        region: images.RegionId,
        now: datetime.datetime,
        *,
        after: str | None,
        most: int,
        with_data: bool | None = None,
    ) -> tuple[Sequence[str], str | None]:
        """Look at the next ``most`` projects with pending tasks of a region; return the due ones.

        :param after: the last one that was looked at before; None: begin with the first.
        :param with_data: as in :meth:`claim`.
        :returns: those with a due task, in order, and the last one that was looked at; None if
            there is none behind it.
        """

    def due_regions(
        self, now: datetime.datetime, *, with_data: bool | None = None
    ) -> Sequence[images.RegionId]:
        """Return the regions with a task that may be claimed.

        :param with_data: as in :meth:`claim`.
        """

    def next_due(self) -> datetime.datetime | None:
        """Return when the next task can be claimed, past times included; None: no task waits."""

    def claim(
        self,
        region: images.RegionId,
        limit: int,
        *,
        owner: str,
        now: datetime.datetime,
        until: datetime.datetime,
        below: int | None = None,
        without: Collection[images.ImageId] = (),
        projects: Sequence[str] = (),
        with_data: bool | None = None,
    ) -> Sequence[tasks.Lease]:
        """Lease up to ``limit`` due or abandoned tasks of a region, longest waiting first.

        With ``projects``, first what was abandoned, then as many of each of these, in that
        order, and then those that wait longest.

        :param below: leaves out those whose bytes are still to come, and known to be so many or
            more.
        :param without: images whose tasks are left out.
        :param with_data: only those whose copy has its bytes, or only the others; None: both.

        A task has one winner, however many claim at once.
        """

    def renew(
        self,
        lease: tasks.Lease,
        *,
        now: datetime.datetime,
        until: datetime.datetime,
        bytes_done: int,
        bytes_total: int | None,
    ) -> None:
        """Report progress and keep the lease.

        :raises LeaseLost: it is somebody else's.
        """

    def finish(self, lease: tasks.Lease, outcome: tasks.Outcome, now: datetime.datetime) -> bool:
        """Write an outcome under the lease's token and give the lease back.

        :returns: False if a newer request superseded it: the task is pending again.
        :raises LeaseLost: the lease is somebody else's; nothing was written.
        """

    def release(self, lease: tasks.Lease, now: datetime.datetime) -> None:
        """Give the lease back as if the task had never been claimed."""

    def release_owned(self, owner: str, now: datetime.datetime) -> int:
        """Give back every lease of an owner that is known to be dead; return how many."""
