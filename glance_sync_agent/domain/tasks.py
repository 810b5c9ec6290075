# SPDX-License-Identifier: Apache-2.0
"""The task: one image in one region, and how far it is."""

import dataclasses
import datetime
import enum
from typing import ClassVar

from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import verification
from glance_sync_agent.domain.codes import Code

#: How much longer a task that gave up is at rest than one that failed for good.
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
    #: Raised by every request; an outcome counts only for the generation that it looked at.
    generation: int
    #: Names the request that asked last. All tasks of one request share it, so what was read
    #: from the source for one of them is fresh enough for the others.
    request_id: str
    #: Somebody proved that the source existed and may be gone: a delete event, the look at
    #: start, or an operator. Without it a source that is not found deletes nothing.
    may_delete: bool
    attempts: int  # failed ones of this generation
    not_before: datetime.datetime  # aware UTC
    code: Code  # why it is where it is, for programs
    reason: str  # the same for an operator; the last error if one occurred
    image_name: str | None
    copy_id: images.ImageId | None  # None until the id was chosen, or the record was seen
    source_region: images.RegionId | None  # of the source; None: the cascading one
    copied_from: images.RegionId | None  # where the bytes came from; None until they came
    waiting_since: datetime.datetime | None  # aware UTC; set while its snapshot is waited for
    bytes_done: int
    bytes_total: int | None  # None until the source was read
    created_at: datetime.datetime  # aware UTC
    updated_at: datetime.datetime  # aware UTC
    #: What was wrong with a copy when it was read back; None: nothing that anybody knows of.
    damage: verification.Damage | None = None
    #: The copy that was read back because its Glance hashes otherwise, and has the right bytes.
    proven_id: images.ImageId | None = None
    #: Of the copy's record, by its Glance; None: only its id was chosen. Aware UTC.
    copy_created_at: datetime.datetime | None = None
    on_probation: bool = False  # see :class:`identity.KnownCopy`
    #: Since when a look at everything misses the source. Aware UTC; None: it was there.
    missing_since: datetime.datetime | None = None
    #: Aware UTC; when the first of the failures was that may pass. None: there was none, or the
    #: task failed for good.
    failing_since: datetime.datetime | None = None
    #: How often somebody else deleted the copy lately.
    vanished: backoff.Vanishings | None = None
    project: str = ""  # whose turn it takes, that of the source's owner; empty: not known

    #: The copy that the agent deactivated, or was about to. One without that is left alone.
    deactivated_id: images.ImageId | None = None
    has_data: bool = False  # the copy, when it was looked at last

    @property
    def known_copy(self) -> identity.KnownCopy | None:
        """What the row knows of its copy; None: there is none."""
        if self.copy_id is None:
            return None
        return identity.KnownCopy(
            copy_id=self.copy_id,
            created_at=self.copy_created_at,
            on_probation=self.on_probation,
        )


def is_settled(task: Task | None, failed_before: datetime.datetime | None) -> bool:
    """Tell whether a scan has nothing to add to a task.

    To ask again for one that waits for its next attempt would make that its first one. One that
    gave up after many attempts counts as failed 23 hours later than it did: it rests for a day
    where one that failed for good rests for an hour.

    :param failed_before: what failed since then is at rest; None: nothing is settled.
    """
    if failed_before is None or task is None or task.status is TaskStatus.SUCCESS:
        return False
    if task.status is not TaskStatus.FAILURE:
        return True
    longer = datetime.timedelta() if task.failing_since is None else _LONGER_REST
    return task.updated_at + longer >= failed_before


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """The right to work on a task until somebody else's clock says otherwise."""

    task: Task
    token: str  # new with every claim; every write under the lease carries it


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CopySeen:
    """The copy as the last look found it."""

    copy_id: images.ImageId
    created_at: datetime.datetime | None  # of its record, aware UTC
    image_name: str | None
    size: int | None  # bytes
    #: Where this attempt got the bytes; None: it brought none, and what is known stays.
    copied_from: images.RegionId | None = None
    is_deactivated: bool = False  # by whomever


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Succeeded:
    """Nothing more to do."""

    code: Code
    reason: str
    copy: CopySeen | None = None  # None: there is none of ours, and the row stays as it is
    #: Nobody looked, so that a deletion that was announced is yet to be seen to.
    keeps_deletion: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Forgotten:
    """Neither source nor copy is left: the row may go."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RetryAt:
    """Look again later."""

    when: datetime.datetime  # aware UTC
    code: Code
    reason: str
    counts: bool = True  # as one of the attempts that ``task_retry_times`` allows


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """The source is a snapshot without data; look when it has any, and at ``until`` at last."""

    since: datetime.datetime  # aware UTC; when the waiting began
    until: datetime.datetime  # aware UTC
    reason: str
    code: ClassVar[Code] = Code.SNAPSHOT_PENDING


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """An operator, or a change of the image, has to come first.

    One that gave up is tried once a day all the same, for its failures were of a kind that may
    pass.
    """

    code: Code
    reason: str

    @property
    def gave_up(self) -> bool:
        """Return whether only the retries are used up."""
        return self.code is Code.GAVE_UP


Outcome = Succeeded | Forgotten | RetryAt | Waiting | Failed
