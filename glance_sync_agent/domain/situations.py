# SPDX-License-Identifier: Apache-2.0
"""What a decision is made from."""

import dataclasses

from glance_sync_agent.domain import verification
from glance_sync_agent.domain.actions import Wait
from glance_sync_agent.domain.identity import Identity
from glance_sync_agent.domain.images import Image
from glance_sync_agent.domain.images import ImageId
from glance_sync_agent.domain.images import Multihash


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Misread:
    """A copy that was read back, and holds other bytes than it should."""

    copy_id: ImageId
    expected: Multihash
    found: Multihash


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """All that is known of a source, and of its copy in one region."""

    #: As its copy should look, with the data of another region joined in; None: it is gone.
    source: Image | None
    copy: Image | None  # the image in the place of the copy; None: there is none
    identity: Identity | None  # whose that image is; None: there is none
    unwanted: str | None = None  # why the image does not belong in the region; None: it does
    cancelled_by: str | None = None  # the person who cancelled the task; None: nobody did
    may_delete: bool = False  # it was proven that the source existed
    deletes_unwanted: bool = False  # a copy goes if its image does not belong in the region
    damage: verification.Damage | None = None  # what a verification found
    #: The copy that was read back and has the source's bytes, whatever its Glance hashes with.
    proven_id: ImageId | None = None
    deactivated_id: ImageId | None = None  # the copy that the agent deactivated, or was about to
    held_id: ImageId | None = None  # the copy that somebody else deactivated, as noted earlier
    #: For how many seconds an upload into the copy has run, as far as this agent saw it.
    busy_seconds: float = 0.0
    most_busy_seconds: float = float("inf")  # after which such an upload has died
    wait: Wait | None = None  # what keeps a copy that vanished from being made again
    # What this attempt found out.
    sent: Multihash | None = None  # of the bytes that it sent
    misread: Misread | None = None
    refusal: str | None = None  # why the region's Glance refused the bytes
