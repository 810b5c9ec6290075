# SPDX-License-Identifier: Apache-2.0
"""The task: one image in one region, and its progress."""

import dataclasses
import datetime
import enum
from typing import ClassVar, NamedTuple

from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import verification
from glance_sync_agent.domain.codes import Code

#: How much longer a task that gave up or was cancelled rests than one that failed for good.
_LONGER_REST = datetime.timedelta(hours=23)


class TaskStatus(enum.StrEnum):
    """Glance's own vocabulary for its tasks."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TaskKey:
    """The identity of a task; there is at most one task per key."""

    image_id: images.ImageId  # of the source
    region: images.RegionId  # of the copy

    def __str__(self) -> str:
        return f"image {self.image_id} in region {self.region}"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A row of the task table."""

    key: TaskKey
    status: TaskStatus
    #: Raised by every request; an outcome counts only for the generation of its attempt.
    generation: int
    #: Of the last request. All tasks of one request share it, so what was read from the source
    #: for one of them is fresh enough for the others.
    request_id: str
    #: A delete event, a scan or an operator proved that the source existed and may be gone.
    #: Without that, a source that is not found deletes nothing.
    may_delete: bool
    attempts: int  # failed ones of this generation
    not_before: datetime.datetime  # aware UTC
    code: Code  # the reason for its status, for programs
    reason: str  # the same for an operator; the last error if one occurred
    image_name: str | None
    copy_id: images.ImageId | None  # None until the id was chosen, or the record was seen
    source_region: images.RegionId | None  # of the source; None: the cascading one
    copied_from: images.RegionId | None  # region in which the bytes were read; None: no bytes
    waiting_since: datetime.datetime | None  # aware UTC; set while its snapshot has no data
    bytes_done: int
    bytes_total: int | None  # None until the source was read
    created_at: datetime.datetime  # aware UTC
    updated_at: datetime.datetime  # aware UTC
    #: What was wrong with a copy when it was read back; None: nothing known.
    damage: verification.Damage | None = None
    #: The copy whose bytes were read back and are right, because its Glance hashes otherwise.
    proven_id: images.ImageId | None = None
    proven_hash: str | None = None  # of the source then
    #: A scan has counted the copy among those that go because they are out of strategy. It proves
    #: nothing of a source that is gone.
    may_delete_unwanted: bool = False
    #: Of the copy's record, by its Glance; None: only its id was chosen. Aware UTC.
    copy_created_at: datetime.datetime | None = None
    on_probation: bool = False  # see :class:`identity.KnownCopy`
    #: Since when full scans miss the source. Aware UTC; None: the last one found it.
    missing_since: datetime.datetime | None = None
    #: Aware UTC; time of the first transient failure. None: there was none, or the task failed
    #: for good.
    failing_since: datetime.datetime | None = None
    #: How often somebody else deleted the copy lately.
    vanished: backoff.Vanishings | None = None
    project: str = ""  # the owner of the source; empty: not known
    #: The copy that the agent deactivated, or was about to. It reactivates no other.
    deactivated_id: images.ImageId | None = None
    #: The copy that somebody else deactivated. Until its release there is no other one.
    held_id: images.ImageId | None = None
    has_data: bool = False  # the copy, as the last attempt saw it
    #: The person who cancelled it. Until a person requests it again, it only takes access away.
    cancelled_by: str | None = None
    #: Since when the copy has not been as requested. Aware UTC; None: an older agent wrote it.
    asked_at: datetime.datetime | None = None
    done_at: datetime.datetime | None = None  # when there was nothing left to do; aware UTC
    claimed_at: datetime.datetime | None = None  # when the last attempt began; aware UTC

    def proven_for(self, multihash: images.Multihash | None) -> images.ImageId | None:
        """Return the copy that was read back and has the bytes with this hash; None: none has."""
        if self.proven_id is None or self.proven_hash != str(multihash):
            return None
        return self.proven_id

    @property
    def known_copy(self) -> identity.KnownCopy | None:
        """What the row knows about its copy; None: nothing."""
        if self.copy_id is None:
            return None
        return identity.KnownCopy(
            copy_id=self.copy_id,
            created_at=self.copy_created_at,
            on_probation=self.on_probation,
        )


def is_settled(task: Task | None, failed_before: datetime.datetime | None) -> bool:
    """Tell whether a scan leaves a task as it is.

    A new request for a task that waits for its next attempt would make that its first one. A
    task that failed for good rests for an hour. One that gave up, or that a person cancelled,
    rests for a day.

    :param failed_before: a task that failed later rests; None: no task is settled.
    """
    if failed_before is None or task is None or task.status is TaskStatus.SUCCESS:
        return False
    if task.status is not TaskStatus.FAILURE:
        return True
    rests_longer = task.failing_since is not None or task.cancelled_by is not None
    longer = _LONGER_REST if rests_longer else datetime.timedelta()
    return task.updated_at + longer >= failed_before


class Outline(NamedTuple):
    """What a walk over all tasks reads of each; a task takes five times as long to make."""

    image_id: images.ImageId
    region: images.RegionId
    source_region: images.RegionId | None
    is_region_gone: bool  # the task says that its region has left the catalogue
    missing_since: datetime.datetime | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """The right to work on a task for a limited time."""

    task: Task
    token: str  # new with every claim; every write under the lease carries it


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CopySeen:
    """The copy as the attempt saw it last."""

    copy_id: images.ImageId
    created_at: datetime.datetime | None  # of its record, aware UTC
    image_name: str | None
    size: int | None  # bytes
    #: Region in which this attempt read the bytes; None: no transfer, and the row keeps its own.
    copied_from: images.RegionId | None = None
    is_deactivated: bool = False  # no matter by whom


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Succeeded:
    """Nothing more to do."""

    code: Code
    reason: str
    copy: CopySeen | None = None  # None: no copy of ours; the row keeps what it knows
    #: Nobody looked, so an announced deletion stays to be done.
    keeps_deletion: bool = False
    #: The copy that somebody else deactivated; None: the row keeps what it knows.
    held_id: images.ImageId | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Forgotten:
    """Neither source nor copy is left: the row goes."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RetryAt:
    """Try again later."""

    when: datetime.datetime  # aware UTC
    code: Code
    reason: str
    counts: bool = True  # as one of the attempts that ``task_retry_times`` allows


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """The source is a snapshot without data; try again once it has data, or at ``until``."""

    since: datetime.datetime  # aware UTC; when the waiting began
    until: datetime.datetime  # aware UTC
    reason: str
    code: ClassVar[Code] = Code.SNAPSHOT_PENDING


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """An operator has to act first, or the image has to change.

    A task that gave up is tried once a day nevertheless, because its failures were transient.
    """

    code: Code
    reason: str

    @property
    def gave_up(self) -> bool:
        """Return whether only the retries are used up."""
        return self.code is Code.GAVE_UP


Outcome = Succeeded | Forgotten | RetryAt | Waiting | Failed
