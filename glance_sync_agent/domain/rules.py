# SPDX-License-Identifier: Apache-2.0
"""The operator's rules: which images they are about, and which regions they name."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import enum
import fnmatch

from glance_sync_agent.domain import images


class Fact(enum.Enum):
    """What Keystone may have to be asked about the project that owns an image."""

    PROJECT = enum.auto()  # its name, domain and tags
    ROLES = enum.auto()
    ASSOCIATION = enum.auto()  # with endpoints, by OS-EP-FILTER


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """A project as Keystone has it. One that does not exist has no name and no domain."""

    name: str | None = None
    domain_id: str | None = None
    domain_name: str | None = None
    tags: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ProjectFacts:
    """What is known of the owner's project; None: not asked yet."""

    project: Project | None = None
    roles: frozenset[str] | None = None  # names of those that anybody has on the project


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """Conditions, all of which must hold; an empty one always does.

    Of what an image has one of, a sequence gives alternatives; of what it has many of, a set
    must be there as a whole.
    """

    project_id: Sequence[str] = ()
    project_name: Sequence[str] = ()  # globs
    project_domain: Sequence[str] = ()  # ids, or globs of names
    project_tags: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()  # names; each assigned to somebody on the project
    visibility: Sequence[str] = ()
    name: Sequence[str] = ()  # globs
    tags: frozenset[str] = frozenset()
    properties: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)  # globs
    min_size: int | None = None  # bytes; the size itself included
    max_size: int | None = None  # bytes; the size itself included
    disk_format: Sequence[str] = ()
    container_format: Sequence[str] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One of the rules; of a list the first that matches counts."""

    title: str  # how an operator finds it: its place, and its name if it has one
    match: Match
    regions: Sequence[str]  # globs; empty: no region


def matches(match: Match, image: images.Image, facts: ProjectFacts) -> bool | Fact:
    """Tell whether a rule is about an image, or which fact is missing to tell.

    What the image says by itself is looked at first, so that Keystone is asked for nothing
    that does not matter.
    """
    if not all(_of_image(match, image)):
        return False
    if match.project_name or match.project_domain or match.project_tags:
        if facts.project is None:
            return Fact.PROJECT
        if not all(_of_project(match, facts.project)):
            return False
    if match.roles:
        if facts.roles is None:
            return Fact.ROLES
        return match.roles <= facts.roles
    return True


def _of_image(match: Match, image: images.Image) -> Iterator[bool]:
    metadata = image.metadata
    yield _is_one_of(metadata.owner, match.project_id)
    yield _is_one_of(metadata.visibility, match.visibility)
    yield _is_one_of(metadata.disk_format, match.disk_format)
    yield _is_one_of(metadata.container_format, match.container_format)
    yield _is_like(metadata.name, match.name)
    yield match.tags <= metadata.tags
    for key, patterns in match.properties.items():
        yield key in metadata.properties and _is_like(metadata.properties[key], patterns)
    # Without data it has no size, and no bound holds.
    if match.min_size is not None:
        yield image.size is not None and image.size >= match.min_size
    if match.max_size is not None:
        yield image.size is not None and image.size <= match.max_size


def _of_project(match: Match, project: Project) -> Iterator[bool]:
    yield _is_like(project.name, match.project_name)
    yield (
        not match.project_domain
        or project.domain_id in match.project_domain
        or _is_like(project.domain_name, match.project_domain)
    )
    yield match.project_tags <= project.tags


def _is_one_of(value: str | None, alternatives: Sequence[str]) -> bool:
    return not alternatives or value in alternatives


def _is_like(value: str | None, patterns: Sequence[str]) -> bool:
    """Tell whether one of the globs fits; what is not there is like nothing, not even ``*``."""
    if not patterns:
        return True
    return value is not None and any(fnmatch.fnmatchcase(value, one) for one in patterns)
