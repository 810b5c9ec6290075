# SPDX-License-Identifier: Apache-2.0
"""What was done to copies, what failed, and what people asked for."""

import dataclasses
import datetime
import enum

from glance_sync_agent.domain import images
from glance_sync_agent.domain.codes import Code


class Kind(enum.StrEnum):
    """The kinds of events, as the database keeps them; 32 characters at most.

    Kinds that a newer agent knows read as ``OTHER``.
    """

    OTHER = "other"

    # Done by an agent.
    COPIED = "copied"
    UPDATED = "updated"
    DEACTIVATED = "deactivated"
    REACTIVATED = "reactivated"
    DELETED = "deleted"
    PROVEN = "proven"  # the copy was read back, and has the bytes of its source
    FAILED = "failed"  # an attempt

    # Asked for by a person.
    REQUESTED = "requested"
    RETRIED = "retried"
    RETRIED_ALL = "retried_all"  # failures of many images
    CANCELLED = "cancelled"
    PAUSED = "paused"
    RESUMED = "resumed"
    RELEASED = "released"  # a held copy
    ADOPTED = "adopted"
    DISOWNED = "disowned"
    ORPHAN_DELETED = "orphan_deleted"
    SCAN_ASKED = "scan_asked"
    VERIFICATION_ASKED = "verification_asked"
    JOB_CANCELLED = "job_cancelled"  # one of these two

    @classmethod
    def _missing_(cls, value: object) -> "Kind":
        return cls.OTHER


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing that happened."""

    at: datetime.datetime  # aware UTC
    kind: Kind
    by: str  # the agent, or the person who asked for it
    image_id: images.ImageId | None = None  # of the source; None: it is about a region
    region: images.RegionId | None = None  # of the copy; None: all regions
    request_id: str | None = None  # of what asked for it
    code: Code = Code.UNKNOWN  # of a failure
    text: str = ""  # for people
    copy_id: images.ImageId | None = None
    size: int | None = None  # bytes
    seconds: float | None = None  # that it took
    # Of a copy that was deleted.
    owner: str | None = None  # its project
    multihash: str | None = None
    proof: str | None = None  # that it was ours


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """An event as it is kept."""

    number: int  # rises with each event
    event: Event


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """Which events to read; None matches everything."""

    image_id: images.ImageId | None = None
    region: images.RegionId | None = None
    kind: Kind | None = None
    request_id: str | None = None
    before: int | None = None  # only events with lower numbers


ALL = Filter()
