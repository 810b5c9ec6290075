# SPDX-License-Identifier: Apache-2.0
"""What can be done about one image in one region."""

from collections.abc import Mapping
import dataclasses
import datetime

from glance_sync_agent.domain import codes
from glance_sync_agent.domain import images
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.domain.images import Image


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """Nothing: the copy is as it should be, or the region should have none."""

    code: Code
    text: str  # for people; nothing compares it
    held_id: images.ImageId | None = None  # the copy that somebody else deactivated

    @property
    def is_in_step(self) -> bool:
        """Return whether there is a copy that is as it should be."""
        return self.code in codes.IN_STEP


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """Nothing yet."""

    code: Code
    reason: str
    until: datetime.datetime | None = None  # aware UTC; None: for a moment


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AwaitSource:
    """Wait for the data of a snapshot, which may take long."""

    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """An operator has to decide first; the image stays untouched."""

    reason: str
    code: Code = Code.CONFLICT


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CopyData:
    """Transfer the bytes."""

    source: Image
    into: Image | None  # a record of ours without data; None: make one first
    #: Another image of that region has the source's id, so the copy needs another one.
    under_own_id: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ReadBack:
    """Read and hash the copy, because no hash of its Glance proves the source's bytes."""

    copy: Image
    expected: images.Multihash  # the source's
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class UpdateMetadata:
    """Change the record of the copy. What is not named stays."""

    copy: Image
    attributes: Mapping[str, object]  # of images.ATTRIBUTES, by name
    tags: frozenset[str] | None  # the whole set; None: no change
    properties: Mapping[str, str | None]  # None removes
    members: Mapping[str, images.MemberStatus | None]  # by project id; None removes


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SetActive:
    """Deactivate or reactivate the copy, as its source is."""

    copy: Image
    active: bool
    #: What else takes access away, to be executed even if the deactivation fails.
    and_also: UpdateMetadata | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DeleteCopy:
    """Delete the copy, record and data."""

    copy: Image
    reason: str
    mismatch: tuple[str, str] | None = None  # of wrong bytes: expected and found
    #: Takes access away before, because Glance may refuse the deletion.
    first: UpdateMetadata | SetActive | None = None


#: What an attempt executes.
Executable = CopyData | ReadBack | UpdateMetadata | SetActive | DeleteCopy
#: What ends an attempt.
Conclusion = Settled | Wait | AwaitSource | Conflict
Action = Executable | Conclusion
