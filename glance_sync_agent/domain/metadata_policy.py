# SPDX-License-Identifier: Apache-2.0
"""What the operator wants copies to share with their sources besides the bytes.

:func:`wanted` turns a source into what its copy in a region should look like. Whatever comes
after compares and writes that as if it were the source, and knows of no policy.
"""

from collections.abc import Mapping
import dataclasses
import enum
import fnmatch

from glance_sync_agent import errors
from glance_sync_agent.domain import images

#: Properties that name another image of the same region: what a server boots by.
REFERENCES = ("kernel_id", "ramdisk_id")


class Owner(enum.StrEnum):
    """``[metadata] owner``: the project that a copy belongs to."""

    SAME = "same"
    MAPPED = "mapped"
    AGENT = "agent"


class Visibility(enum.StrEnum):
    """``[metadata] visibility``: who sees a copy."""

    SAME = "same"
    PRIVATE = "private"


#: By region of the copy: the project that its image belongs to there, by that of the source.
ProjectMap = Mapping[images.RegionId, Mapping[str, str]]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MetadataPolicy:
    """What the operator decided, for all copies."""

    exclude_properties: tuple[str, ...] = ()  # globs of custom properties, in their own case
    owner: Owner = Owner.SAME
    #: Counts where ``owner`` is ``MAPPED``. What is not in it stays the same.
    project_map: ProjectMap = dataclasses.field(default_factory=dict)
    visibility: Visibility = Visibility.SAME
    members: bool = True  # False: copies have those that somebody else gives them


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

    All else, and so the bytes, is as it was: the result can be read in the place of ``source``.
    What exists only on the copy is not in the result; that it stays is up to the comparison.

    :param region: of the copy.
    :param copy: as it is now; None: there is none yet.
    :param own_project: the one that the agent's token is of, if ``policy.owner`` is ``AGENT``.
    :param copy_ids: of those images that :func:`referred` names, the ids of their copies in the
        region, by that of the source. What is not in it keeps its id.
    """
    metadata = dataclasses.replace(
        source.metadata,
        owner=_owner(policy, source.metadata.owner, region, own_project),
        properties=_properties(policy, source.metadata.properties, copy_ids),
    )
    if policy.visibility is Visibility.PRIVATE:
        metadata = dataclasses.replace(metadata, visibility="private")
    return dataclasses.replace(source, metadata=metadata, members=_members(policy, source, copy))


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
    def is_excluded(name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, glob) for glob in policy.exclude_properties)

    def there(name: str, value: str) -> str:
        named = _referred(value) if name in REFERENCES else None
        # No copy has None for an id, so that asking for it would give the value as well.
        return value if named is None else copy_ids.get(named, value)  # pragma: no mutate

    return {
        name: there(name, value) for name, value in properties.items() if not is_excluded(name)
    }


def _members(
    policy: MetadataPolicy, source: images.Image, copy: images.Image | None
) -> Mapping[str, images.MemberStatus]:
    if not policy.members:
        # Nothing is to be done about members that are as they should be.
        return copy.members if copy is not None else {}
    if policy.visibility is Visibility.PRIVATE:
        return {}  # only a shared image has members
    return source.members
