# SPDX-License-Identifier: Apache-2.0
"""The reason for a task's status: codes for programs, beside texts for people."""

import enum


class Code(enum.StrEnum):
    """The codes, as the database keeps them; 32 characters at most.

    A row of an older agent has no code, and one of a newer agent may have another code. Both
    read as ``UNKNOWN`` until their next outcome is written.
    """

    UNKNOWN = ""
    REQUESTED = "requested"  # nothing was tried yet

    # Settled: there is nothing to do.
    IN_SYNC = "in_sync"
    HELD = "held"  # in sync, but somebody else deactivated the copy in its region
    ABSENT = "absent"  # neither source nor copy is there
    OUT_OF_STRATEGY = "out_of_strategy"
    NOT_COPYABLE = "not_copyable"  # the source is a copy, was killed, or its data is lost
    SOURCE_DEACTIVATED = "source_deactivated"  # its data cannot be read
    SOURCE_MISSING = "source_missing"  # nothing proves that it was deleted
    NOT_OURS = "not_ours"  # the source is gone, and the image here was not made by the agent
    REGION_GONE = "region_gone"  # it left Keystone's catalogue

    # Waiting.
    COPY_BUSY = "copy_busy"
    COPY_VANISHED = "copy_vanished"  # somebody deletes it again and again
    NO_SLOT = "no_slot"  # other large images are being transferred
    SNAPSHOT_PENDING = "snapshot_pending"  # the snapshot has no data yet
    KEYSTONE_UNAVAILABLE = "keystone_unavailable"
    REGION_UNAVAILABLE = "region_unavailable"
    REGION_PAUSED = "region_paused"  # by a person; is shown only, and not kept
    ATTEMPT_FAILED = "attempt_failed"  # it is tried again
    STORAGE_FULL = "storage_full"  # the same; the store of the region has no room
    UPLOAD_REFUSED = "upload_refused"  # the same; a policy or a quota of the region's Glance

    # Failed: an operator, or a change of the image, comes first.
    CONFLICT = "conflict"
    FORMAT_REFUSED = "format_refused"
    REFUSED = "refused"
    SNAPSHOT_LOST = "snapshot_lost"  # it went before it had data, or before it was copied
    SNAPSHOT_TIMEOUT = "snapshot_timeout"
    CANCELLED = "cancelled"  # by a person, until a person requests it again
    GAVE_UP = "gave_up"  # all retries are used up; it is tried once a day

    @classmethod
    def _missing_(cls, value: object) -> "Code":
        return cls.UNKNOWN


#: The copy is as it should be.
IN_STEP = frozenset({Code.IN_SYNC, Code.HELD})
