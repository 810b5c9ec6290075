# SPDX-License-Identifier: Apache-2.0
"""What the engine needs from the world.

Each port has a real driver and an in-memory one, held to the same contract tests
(``tests/contract``). A driver raises only :mod:`glance_sync_agent.errors`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
import datetime
from typing import Protocol

from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import region_names
from glance_sync_agent.domain import rules
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification


class Clock(Protocol):
    """Time."""

    def now(self) -> datetime.datetime:
        """Return the time of day, aware, UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""


class Catalogue(Protocol):
    """Keystone's catalogue."""

    def regions(self) -> frozenset[images.RegionId]:
        """Return every region with an image endpoint, the cascading one included.

        :raises ServiceUnavailable: Keystone does not answer.
        """

    @property
    def cascading(self) -> images.RegionId:
        """The region where images are published."""

    def own_project(self) -> str:
        """Return the id of the project that our token is of.

        :raises ServiceUnavailable: Keystone does not answer.
        :raises Refused: Keystone does not let us in, or the token is of no project.
        """

    def region_of(self, url: str) -> images.RegionId | None:
        """Return the region whose Glance ``url`` leads to, by an endpoint of any interface.

        None: it leads to none of the catalogue, or several regions share that endpoint.

        :raises ServiceUnavailable: Keystone does not answer.
        """


class Identity(Protocol):
    """What Keystone knows of projects."""

    def project(self, project_id: str) -> rules.Project | None:
        """Read a project; None if there is none.

        :raises ServiceUnavailable: Keystone does not answer.
        :raises Refused: Keystone says no.
        """

    def roles_on(self, project_id: str) -> frozenset[str]:
        """Return the names of the roles that anybody has on a project.

        Those that are inherited or implied are among them.

        Empty if there is no such project.
        """

    def association(self, project_id: str) -> strategy.Association:
        """Return what the endpoint filter says of a project.

        One that does not exist is filtered, and associated with nothing.
        """


class ImageService(Protocol):
    """The Glance of one region: records, not bytes."""

    region: images.RegionId

    def get(self, image_id: images.ImageId) -> images.Image | None:
        """Read an image with its members; None if there is no such image.

        :raises ServiceUnavailable: no answer, so nothing is known.
        :raises Refused: Glance said no (4xx other than 404).
        """

    def require_all_rights(self) -> None:
        """Make sure that Glance shows us every project's images.

        :raises ServiceUnavailable: no answer.
        :raises Refused: it does not; what it does not show may be there all the same.
        """

    def get_record(self, image_id: images.ImageId) -> images.Image | None:
        """Read an image without its members: one request instead of two."""

    def find(self, image_ids: Sequence[images.ImageId]) -> Mapping[images.ImageId, images.Image]:
        """Read those of ``image_ids`` that exist, without members; at most 100 ids."""

    def members(self, image: images.Image) -> Mapping[str, images.MemberStatus]:
        """Read the members of an image; empty unless its visibility is ``shared``."""

    def copies_of(self, key: images.SourceKey) -> Sequence[images.Image]:
        """Find the images whose mark names a source and themselves, without members."""

    def referring_to(self, image_id: images.ImageId) -> Sequence[images.Image]:
        """Find the images whose kernel or ramdisk is ``image_id``, without members."""

    def pages(
        self,
        page_size: int,
        *,
        snapshots_only: bool = False,
        changed_since: datetime.datetime | None = None,
        marked_from: images.RegionId | None = None,
        marked_in: images.RegionId | None = None,
    ) -> Iterator[Sequence[images.Image]]:
        """Walk all images of the region, hidden ones too, without members, in constant memory.

        With ``snapshots_only``, those whose property ``image_type`` is ``snapshot`` or
        ``backup``.

        :param changed_since: leaves out what was changed before, to the second. Changes of
            members are no changes of the image.
        :param marked_from: leaves out images without a mark that names a source in this region;
            those that inherited such a mark are among them.
        :param marked_in: leaves out images without a mark that names a copy in this region.

        A walk that fails raises; it never ends early in silence.
        """

    def create(self, image_id: images.ImageId, source: images.Image) -> images.Image:
        """Make a queued record with the metadata of ``source`` and our mark.

        Who may see it is not the source's: see :func:`narrowing.first_visibility`.

        :raises ImageIdTaken: the id is in use, or was once.
        """

    def update(self, changes: plans.UpdateMetadata) -> images.Image | None:
        """Apply changes to the record. Idempotent.

        :returns: the image as it is then; None: the answers do not tell all of it.
        """

    def set_active(self, image_id: images.ImageId, *, active: bool) -> None:
        """Reactivate or deactivate. Idempotent."""

    def delete(self, image: images.Image) -> None:
        """Unprotect if needed, then delete record and data. Idempotent.

        Before that it loses the properties by which Glance would delete the key of its source,
        see ``images.KEY_POLICIES``. If that fails, nothing is deleted.

        :param image: as it was read just now.
        """

    def image_url(self, image_id: images.ImageId) -> str:
        """Return where the record of an image is, or would be. Asks nobody."""

    def require_public_size(self, image_id: images.ImageId) -> None:
        """Make sure that a HEAD of an image's URL tells a size without a token.

        It is what another Glance asks before it takes that URL for a location.

        :raises ServiceUnavailable: no answer.
        :raises Refused: the answer tells none; that of a Glance with nothing before it.
        """

    def add_location(self, image_id: images.ImageId, location: images.Location) -> None:
        """Put a location on an image. Idempotent; nothing if the image is not active any more.

        :raises Refused: this Glance takes no location, or not this one.
        """

    def remove_location(self, image_id: images.ImageId, location: images.Location) -> None:
        """Take a location off an image, and no other one. Idempotent.

        Glance removes the data behind it, where its store can do that.

        :raises TransientError: others keep changing the locations of the image.
        """


class ImageStore(Protocol):
    """A way to and from the bytes of one region's images; one per scheme.

    Drivers are found through the entry point namespace ``glance_sync_agent.stores``.
    """

    def read(
        self, image: images.Image, *, offset: int = 0
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open the data of an image; chunks of at most 1 MiB.

        The chunks may be asked for by one thread after another.

        :param offset: bytes to leave out at the beginning, fewer than there are.
        :raises NoData: Glance has a record of it, and no data.
        :raises TransientError: it cannot be read now.
        :raises Refused: this way will never lead to the data.
        """

    def write(self, image_id: images.ImageId, size: int, chunks: Iterable[bytes]) -> None:
        """Upload data into a queued record of the region, all of it or nothing.

        The length is announced first, so that when ``chunks`` raises, or the agent dies, the
        region discards what it got and the record stays ``queued``. An error raised by
        ``chunks`` comes through as it is.

        :param size: bytes that ``chunks`` yields in total.
        :raises TransferInterrupted: the connection broke, or the record takes no data just now;
            what became of the image, only the next look at it tells.
        :raises FormatRefused: Glance finds that these are no bytes of the image's
            ``disk_format``; the record stays.
        :raises Refused: Glance or the SSH host said no.
        """


class Regions(Protocol):
    """Gives the services of each region, made when first asked for."""

    def image_service(self, region: images.RegionId) -> ImageService:
        """Return the region's Glance.

        :raises UnknownRegion: the catalogue has no image endpoint for it.
        """

    def store(self, region: images.RegionId, size: int) -> ImageStore:
        """Return the way to write ``size`` bytes into the region."""

    def source_store(self, region: images.RegionId) -> ImageStore:
        """Return the way to read data of a region.

        :raises UnknownRegion: the catalogue has no image endpoint for it.
        """

    def served(self, region: images.RegionId) -> ImageStore:
        """Return the way to read what the users of a region get, through its Glance alone.

        :raises UnknownRegion: the catalogue has no image endpoint for it.
        """


class Marks(Protocol):
    """The names of regions on the images of one region."""

    def naming(self, name: images.RegionId) -> Sequence[region_names.Marked]:
        """Return the images with a property of ours that names a region.

        :raises ServiceUnavailable: no answer.
        :raises Refused: the region's Glance said no.
        """

    def get(self, image_id: images.ImageId) -> region_names.Marked | None:
        """Read one image again; None: it is gone."""

    def change(self, image_id: images.ImageId, properties: Mapping[str, str]) -> None:
        """Give properties new values. Idempotent; nothing if the image is gone."""


class TaskStore(Protocol):
    """The durable table of tasks. Every method is one transaction."""

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

    def note_copy(
        self, lease: tasks.Lease, copy: identity.KnownCopy | None, image_name: str | None
    ) -> None:
        """Remember which image is the copy; its bytes are yet to come, from wherever.

        :param copy: None: there is none.

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

    def note_deactivated(self, lease: tasks.Lease, copy_id: images.ImageId) -> None:
        """Remember that a copy is deactivated by the agent, before it is.

        It is remembered until an outcome tells of a copy that is not deactivated.

        :raises LeaseLost: the lease is somebody else's.
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


class Turns(Protocol):
    """For what one of several agents that share a database does at a time."""

    def take(
        self, name: str, *, owner: str, now: datetime.datetime, until: datetime.datetime
    ) -> bool:
        """Take a turn, or keep it for longer; False if it is somebody else's.

        After ``until`` anybody may take it.

        :raises ServiceUnavailable: the database does not answer.
        """

    def give_back(self, name: str, *, owner: str) -> None:
        """Let the next one have it. Idempotent."""


#: Begins the name of the fact about the newest sources of a region; the region follows.
NEWEST_SOURCES = "newest sources of "


class Facts(Protocol):
    """What the agents of one database remember together, besides their tasks."""

    def get(self, name: str) -> str | None:
        """Return what is remembered under a name; None: nothing is.

        :raises ServiceUnavailable: the database does not answer.
        """

    def put(self, name: str, value: str) -> None:
        """Remember something in the place of what was remembered under the name. Idempotent.

        :raises ServiceUnavailable: the database does not answer.
        """


class Breakers(Protocol):
    """One for each region, for all agents that share a database."""

    def all(self) -> Mapping[images.RegionId, breakers.Breaker]:
        """Return the breakers of the regions that failed last; all others are closed.

        :raises ServiceUnavailable: the database does not answer.
        """

    def change(
        self,
        region: images.RegionId,
        decide: Callable[[breakers.Breaker], breakers.Breaker | None],
    ) -> breakers.Breaker | None:
        """Replace a breaker by what ``decide`` makes of it, unless that is None; return that.

        Nobody else changes it in between: ``decide`` may be asked again for that reason.

        :raises ServiceUnavailable: the database does not answer; nothing was written.
        """


class StopFlag(Protocol):
    """Set once, when the agent has to let go of what it is doing."""

    def is_set(self) -> bool:
        """Tell whether to stop."""

    def wait(self, timeout: float) -> bool:
        """Wait until it is set, for so many seconds at most; tell whether it is."""


Wake = Callable[[], None]  # tells the worker that there may be something due
