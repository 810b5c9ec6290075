# SPDX-License-Identifier: Apache-2.0
"""What can be changed about a copy that is there."""

from collections.abc import Mapping
import dataclasses

from glance_sync_agent.domain import images
from glance_sync_agent.domain.images import Image


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class UpdateMetadata:
    """Bring the record of the copy up to date. What is not named stays."""

    copy: Image
    attributes: Mapping[str, object]  # of images.ATTRIBUTES, by name
    tags: frozenset[str] | None  # the whole set; None: as they are
    properties: Mapping[str, str | None]  # None removes
    members: Mapping[str, images.MemberStatus | None]  # by project id; None removes


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SetActive:
    """Deactivate or reactivate the copy, as its source is."""

    copy: Image
    active: bool
