# SPDX-License-Identifier: Apache-2.0
"""The operator's rules: which images they match, and which regions they name."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import fnmatch

from glance_sync_agent.domain import images
from glance_sync_agent.domain.owner_facts import Fact
from glance_sync_agent.domain.owner_facts import OwnerFacts
from glance_sync_agent.domain.owner_facts import Project


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """Conditions of a rule. All must hold; an empty one always holds.

    A sequence lists alternatives. A set lists values that must all be there.
    """

    project_id: Sequence[str] = ()
    project_name: Sequence[str] = ()  # globs
    project_domain: Sequence[str] = ()  # ids, or globs of names
    project_tags: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()  # names; each assigned to any user on the project
    visibility: Sequence[str] = ()
    name: Sequence[str] = ()  # globs
    tags: frozenset[str] = frozenset()
    properties: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)  # globs
    min_size: int | None = None  # bytes, inclusive
    max_size: int | None = None  # bytes, inclusive
    disk_format: Sequence[str] = ()
    container_format: Sequence[str] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A rule of the operator's list. The first rule that matches an image decides."""

    title: str  # its number, its name and its line, for an operator
    match: Match
    regions: Sequence[str]  # globs; empty: no region


def matches(match: Match, image: images.Image, facts: OwnerFacts) -> bool | Fact:
    """Tell whether a rule matches an image, or return the fact that is missing to decide.

    Conditions on the image come first, so Keystone is asked only if its answer matters.
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
    # An image without data has no size, so no bound holds.
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
    """Tell whether one of the globs matches. A missing value does not even match ``*``."""
    if not patterns:
        return True
    return value is not None and any(fnmatch.fnmatchcase(value, one) for one in patterns)
