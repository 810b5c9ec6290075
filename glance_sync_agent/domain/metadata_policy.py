# SPDX-License-Identifier: Apache-2.0
"""The operator's choice of the metadata that copies share with their sources.

:func:`wanted` gives a source the metadata that its copy in a region should have. Later steps
compare and write the result as if it were the source, so they need no policy.
"""

from collections.abc import Mapping
import dataclasses
import enum
import fnmatch
import functools
import re
from typing import Any

from glance_sync_agent import errors
from glance_sync_agent.domain import images

#: Properties that name another image of the same region, from which a server boots.
REFERENCES = ("kernel_id", "ramdisk_id")


class Owner(enum.StrEnum):
    """``[metadata] owner``: the project that owns a copy."""

    SAME = "same"
    MAPPED = "mapped"
    AGENT = "agent"


class Visibility(enum.StrEnum):
    """``[metadata] visibility``: the visibility of a copy."""

    SAME = "same"
    PRIVATE = "private"


#: For each region, the owner of a copy by the owner of its source.
ProjectMap = Mapping[images.RegionId, Mapping[str, str]]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MetadataPolicy:
    """The operator's choices for all copies."""

    exclude_properties: tuple[str, ...] = ()  # globs of custom properties, case-sensitive
    owner: Owner = Owner.SAME
    #: Applies if ``owner`` is ``MAPPED``. Other owners stay the same.
    project_map: ProjectMap = dataclasses.field(default_factory=dict)
    visibility: Visibility = Visibility.SAME
    members: bool = True  # False: the agent does not change the members of copies


_AS_IS = MetadataPolicy()


def referred(source: images.Image) -> frozenset[images.ImageId]:
    """Return the images that an image names as its kernel and its ramdisk."""
    properties = source.metadata.properties
    named = (_referred(properties[name]) for name in REFERENCES if name in properties)
    return frozenset(found for found in named if found is not None)


def _referred(text: str) -> images.ImageId | None:
    try:
        return images.image_id(text)
    except errors.NotificationError:
        return None


def wanted(
    policy: MetadataPolicy,
    source: images.Image,
    region: images.RegionId,
    *,
    copy: images.Image | None,
    own_project: str | None,
    copy_ids: Mapping[images.ImageId, images.ImageId],
) -> images.Image:
    """Return ``source`` with the metadata and the members that its copy should have.

    All other fields stay, so the result can replace ``source``. It lacks the properties that only
    the copy has, which the comparison keeps.

    :param region: of the copy.
    :param copy: as it is now; None: there is none yet.
    :param own_project: the project of the agent's token, if ``policy.owner`` is ``AGENT``.
    :param copy_ids: the ids of copies in the region, by the ids of their sources, for the images
        that :func:`referred` returns. Other images keep their ids.
    """
    # Only the time depends on it.
    if policy == _AS_IS and not copy_ids:  # pragma: no mutate
        return source
    metadata = source.metadata
    is_private = policy.visibility is Visibility.PRIVATE
    changes: dict[str, Any] = {
        "owner": _owner(policy, metadata.owner, region, own_project),
        "properties": _properties(policy, metadata.properties, copy_ids),
        "visibility": "private" if is_private else metadata.visibility,
    }
    members = _members(policy, source, copy)
    # Only the time depends on it.
    is_same = all(  # pragma: no mutate
        getattr(metadata, name) == value for name, value in changes.items()
    )
    if is_same and members == source.members:
        # A full scan would otherwise create an image for each source and region.
        return source  # pragma: no mutate
    return dataclasses.replace(
        source, metadata=dataclasses.replace(metadata, **changes), members=members
    )


def _owner(
    policy: MetadataPolicy, owner: str | None, region: images.RegionId, own_project: str | None
) -> str | None:
    match policy.owner:
        case Owner.AGENT:
            return own_project
        case Owner.MAPPED if owner is not None:
            return policy.project_map.get(region, {}).get(owner, owner)
    return owner


def _properties(
    policy: MetadataPolicy,
    properties: Mapping[str, str],
    copy_ids: Mapping[images.ImageId, images.ImageId],
) -> Mapping[str, str]:
    is_excluded = _pattern(policy.exclude_properties).fullmatch

    def local(name: str, value: str) -> str:
        named = _referred(value) if name in REFERENCES else None
        # The map never contains None, so looking it up would return the value as well.
        return value if named is None else copy_ids.get(named, value)  # pragma: no mutate

    return {
        name: local(name, value) for name, value in properties.items() if not is_excluded(name)
    }


@functools.cache
def _pattern(globs: tuple[str, ...]) -> re.Pattern[str]:
    """Return what matches the names that any glob matches."""
    return re.compile("|".join(map(fnmatch.translate, globs)) or r"(?!)")


def _members(
    policy: MetadataPolicy, source: images.Image, copy: images.Image | None
) -> Mapping[str, images.MemberStatus]:
    if not policy.members:
        # Members that do not differ from the copy's are never changed.
        return copy.members if copy is not None else {}
    if policy.visibility is Visibility.PRIVATE:
        return {}  # only a shared image has members
    return source.members
