# SPDX-License-Identifier: Apache-2.0
"""What Keystone says about the projects that own images."""

import dataclasses
import enum

from glance_sync_agent.domain import images


class Fact(enum.Enum):
    """A question to Keystone about the owner of an image."""

    PROJECT = enum.auto()  # its name, domain and tags
    ROLES = enum.auto()
    ASSOCIATION = enum.auto()  # with endpoints, by OS-EP-FILTER


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """A project of Keystone. A deleted one has no name and no domain."""

    name: str | None = None
    domain_id: str | None = None
    domain_name: str | None = None
    tags: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Association:
    """What Keystone's endpoint filter (OS-EP-FILTER) says about a project."""

    is_filtered: bool  # the project is associated with an endpoint of any service
    regions: frozenset[images.RegionId]  # with whose image endpoint it is associated


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OwnerFacts:
    """What is known about an owner; None: Keystone was not asked yet."""

    project: Project | None = None
    roles: frozenset[str] | None = None  # names; each assigned to any user on the project
    association: Association | None = None


#: The facts about the owner of an image without owner, and about a deleted project.
NO_OWNER = OwnerFacts(
    project=Project(),
    roles=frozenset(),
    association=Association(is_filtered=True, regions=frozenset()),
)
