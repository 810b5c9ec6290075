# SPDX-License-Identifier: Apache-2.0
"""The queue of the durable tasks: requests and leases."""

from collections.abc import Collection, Iterable, Mapping, Sequence
import dataclasses
import datetime
from typing import Protocol

from glance_sync_agent.domain import history
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a request writes into its tasks."""

    request_id: str
    now: datetime.datetime
    not_before: datetime.datetime  # when the first attempt is due
    may_delete: bool = False  # if the source is gone; kept until the next outcome of success
    #: If the source is there, and its image does not belong in the region. Kept as long.
    may_delete_unwanted: bool = False
    source_region: images.RegionId | None = None  # noted in new tasks; None: the cascading one
    by_person: bool = False  # ends the cancellation of its tasks


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ClaimFilter:
    """Which due tasks of a region to claim, and in which order."""

    #: Leaves out tasks whose data is still to be copied and has at least this many bytes.
    below: int | None = None
    without: Collection[images.ImageId] = ()  # images whose tasks are left out
    #: Projects that get an equal share, in this order, before the tasks that wait longest.
    projects: Sequence[str] = ()
    #: True: only tasks whose copy has its data. False: only the others. None: both.
    with_data: bool | None = None


ANY_TASK = ClaimFilter()


class TaskQueue(Protocol):
    """Requests tasks and leases them to workers."""

    def request(
        self,
        image_id: images.ImageId,
        regions: Iterable[images.RegionId],
        request: Request,
        *,
        elsewhere: bool = True,
        of_source_only: bool = False,
        project: str | None = None,
    ) -> int:
        """Request the tasks of an image in ``regions``, in one commit.

        A pending or finished task becomes pending, with a higher generation and no failed
        attempts. A task that is processing keeps its lease and becomes pending afterwards.

        :param elsewhere: also request the tasks that the image has in other regions. Otherwise
            a copy that vanished in ``regions`` is made again at once.
        :param of_source_only: leave out tasks whose image has the same id and another source
            region. A request for an image of the cascading region takes such a task over if the
            task is idle and knows no copy, unless the request may delete.
        :param project: the owner of the image; None keeps what is known.
        :returns: how many tasks were requested.
        :raises ServiceUnavailable: the database is unreachable; nothing was written.
        """

    def request_in(
        self,
        region: images.RegionId,
        image_ids: Iterable[images.ImageId],
        request: Request,
        *,
        projects: Mapping[images.ImageId, str] | None = None,
    ) -> int:
        """Request the tasks of some images in one region, in one commit.

        If a person asks, like :meth:`request` of each without ``elsewhere``.

        Otherwise it is for a scan: like :meth:`request` with ``of_source_only``, but a task that
        gave up keeps its failed attempts and so has one more. A copy that vanished keeps its
        back-off. A power failure may undo the request; the death of a process does not.

        :param projects: the owners of images; others keep what is known.
        :returns: how many tasks were requested.
        :raises ServiceUnavailable: the database is unreachable; nothing was written.
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
        """Check the next ``most`` projects with pending tasks of a region.

        :param after: the last project that was checked before; None: begin with the first.
        :param with_data: as in :class:`ClaimFilter`.
        :returns: the projects with a due task, in order, and the last project that was checked;
            None if no other project follows.
        """

    def due_regions(
        self, now: datetime.datetime, *, with_data: bool | None = None
    ) -> Sequence[images.RegionId]:
        """Return the regions with a task that may be claimed.

        :param with_data: as in :class:`ClaimFilter`.
        """

    def next_due(self) -> datetime.datetime | None:
        """Return when the next task is due, past times included; None: no task waits."""

    def claim(
        self,
        region: images.RegionId,
        limit: int,
        *,
        owner: str,
        now: datetime.datetime,
        until: datetime.datetime,
        claim_filter: ClaimFilter = ANY_TASK,
    ) -> Sequence[tasks.Lease]:
        """Lease up to ``limit`` due or abandoned tasks of a region, longest waiting first.

        If the filter names projects, abandoned tasks come first. A task has one winner, however
        many agents claim at once.
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
        """Report progress and extend the lease.

        :raises LeaseLost: another agent holds the lease.
        """

    def finish(
        self,
        lease: tasks.Lease,
        outcome: tasks.Outcome,
        now: datetime.datetime,
        *,
        events: Sequence[history.Event] = (),
    ) -> bool:
        """Write an outcome and release the lease.

        :param events: what the attempt did; they are kept in the same commit.
        :returns: False if a newer request superseded the outcome; the task is pending again.
        :raises LeaseLost: another agent holds the lease; nothing was written.
        """

    def release(self, lease: tasks.Lease, now: datetime.datetime) -> None:
        """Release the lease as if the task had never been claimed.

        :raises LeaseLost: another agent holds the lease.
        """

    def cancel(
        self,
        image_id: images.ImageId,
        regions: Collection[images.RegionId] | None,
        *,
        by: str,
        now: datetime.datetime,
    ) -> Sequence[images.RegionId]:
        """Cancel the tasks of an image that are not done; return their regions, in order.

        A running attempt loses its lease. The tasks fail, with the code ``CANCELLED``, until a
        person requests them again.

        :param regions: None: all.
        :param by: the person who cancels them.
        """

    def call_off(
        self,
        regions: Collection[images.RegionId] | None,
        now: datetime.datetime,
        *,
        only_abandoned: bool = False,
    ) -> int:
        """Release the leases on tasks of some regions; return how many.

        The attempts that run lose their leases, notice it with their next sign of life, and
        stop.

        :param regions: None: all.
        :param only_abandoned: release only leases that have run out.
        """

    def release_owned(self, owner: str, now: datetime.datetime) -> int:
        """Release every lease of an agent that is known to be dead; return how many."""
