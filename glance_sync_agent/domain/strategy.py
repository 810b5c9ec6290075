# SPDX-License-Identifier: Apache-2.0
"""Which regions an image belongs in, as far as the operator and the image's owner decide.

:func:`decide` is asked for every image, by the event path, the look at everything and
``glance-sync explain`` alike. What Keystone knows of the owner's project it is given as
:class:`OwnerFacts`; what it lacks it asks for, so that Keystone is asked only for what a decision
turns on.
"""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import enum
import fnmatch

from glance_sync_agent.domain import images
from glance_sync_agent.domain import rules

#: The property by which whoever owns an image chooses its regions.
SYNC_REGIONS = "sync_regions"
#: In that property: every region that the project may use, and no region at all.
EVERYWHERE = "*"
NOWHERE = "none"


Rules = Sequence[rules.Rule]


class Strategy(enum.StrEnum):
    """``sync_strategy``."""

    NONE = "none"
    ALL = "all"
    USER = "user"


class DecidedBy(enum.StrEnum):
    """What decided."""

    STRATEGY = "sync_strategy"
    SNAPSHOT = "snapshot_region_names"
    PROPERTY = SYNC_REGIONS
    RULE = "rule"
    ENDPOINT_FILTER = "endpoint filter"
    HOME = "location"
    VOLUME_BACKED = "volume_backed"
    SHELVED = "shelved"


#: What an image's owner may not expect, so that ``status`` tells of it.
UNEXPECTED = frozenset({DecidedBy.VOLUME_BACKED, DecidedBy.SHELVED})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PlacementPolicy:
    """What the operator decided, for all images."""

    strategy: Strategy = Strategy.ALL
    rules: Rules = ()  # the first that matches counts
    snapshot_regions: frozenset[images.RegionId] = frozenset()  # empty: as any image
    volume_backed: bool = False  # whether snapshots without data go anywhere
    shelved: bool = False  # whether images of shelved servers go anywhere
    #: A project that Keystone's endpoint filter associates with nothing may use every region;
    #: so has it Keystone's own ``[endpoint_filter] return_all_endpoints_if_no_filter``.
    unfiltered_projects_may_use_all: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Association:
    """What Keystone's endpoint filter (OS-EP-FILTER) says of a project."""

    is_filtered: bool  # the project is associated with any endpoint, of whatever service
    regions: frozenset[images.RegionId]  # those whose image endpoint is among them


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OwnerFacts(rules.ProjectFacts):
    """What Keystone says of the project that owns the image; None: not asked yet."""

    association: Association | None = None


#: What there is to say of an image without an owner, and of a project that is gone.
NOBODY = OwnerFacts(
    project=rules.Project(),
    roles=frozenset(),
    association=Association(is_filtered=True, regions=frozenset()),
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Whether an image belongs in a region, and who says so."""

    wanted: bool
    step: DecidedBy
    why: str


Placements = Mapping[images.RegionId, Placement]

_VOLUME_BACKED = Placement(
    wanted=False,
    step=DecidedBy.VOLUME_BACKED,
    why="it is a snapshot of a server whose disks are volumes, so it has no data, and "
    "[snapshots] volume_backed is false",
)

_SHELVED = Placement(
    wanted=False,
    step=DecidedBy.SHELVED,
    why="Nova keeps a shelved server in it, and deletes it when that is unshelved, and "
    "[snapshots] shelved is false",
)


def decide(
    policy: PlacementPolicy,
    image: images.Image,
    regions: Iterable[images.RegionId],
    facts: OwnerFacts,
) -> Placements | rules.Fact:
    """Return a verdict on each of ``regions``, or the fact that is needed to come to one.

    :param image: a source. Whether it has data is not asked here.
    :param regions: those that can hold a copy, so neither the image's own one nor, unless
        ``snapshot_region_names`` names it, the cascading one.
    :param facts: of ``image.metadata.owner``.
    """
    asked = frozenset(regions)
    home = asked & {image.remote.region if image.remote is not None else None}
    found = _chosen_regions(policy, image, asked - home, facts)
    if isinstance(found, rules.Fact):
        return found
    if (refused := _refused(policy, image)) is not None:
        found = {
            region: refused if verdict.wanted else verdict for region, verdict in found.items()
        }
    return {**found, **_same(home, DecidedBy.HOME, "its data is there already")}


def _refused(policy: PlacementPolicy, image: images.Image) -> Placement | None:
    """Return why a snapshot goes nowhere, whatever else names regions for it."""
    if images.is_volume_backed(image) and not policy.volume_backed:
        return _VOLUME_BACKED
    if images.is_shelved(image) and not policy.shelved:
        return _SHELVED
    return None


def _chosen_regions(
    policy: PlacementPolicy,
    image: images.Image,
    asked: frozenset[images.RegionId],
    facts: OwnerFacts,
) -> Placements | rules.Fact:
    chosen = _chosen(image)
    if policy.strategy is Strategy.NONE:
        return _same(asked, DecidedBy.STRATEGY, "sync_strategy is None")
    if chosen is not None and NOWHERE in chosen:
        return _same(asked, DecidedBy.PROPERTY, f"{SYNC_REGIONS} of the image is none")
    if images.is_snapshot(image) and policy.snapshot_regions:
        return _by_snapshot_regions(policy, asked, image, facts)
    if policy.strategy is Strategy.ALL:
        return _same(asked, DecidedBy.STRATEGY, "sync_strategy is ALL", wanted=True)
    if chosen is not None:
        return _by_property(policy, asked, chosen, image, facts)
    return _by_rules(policy, asked, image, facts)


def names_unknown(image: images.Image, regions: Iterable[images.RegionId]) -> frozenset[str]:
    """Return what ``sync_regions`` names that is no region."""
    return (_chosen(image) or frozenset()) - {EVERYWHERE, NOWHERE} - frozenset(regions)


def names_without_region(found: Rules, regions: Iterable[images.RegionId]) -> frozenset[str]:
    """Return the names and globs of rules that fit none of ``regions``."""
    known = frozenset(regions)
    return frozenset(
        pattern
        for rule in found
        for pattern in rule.regions
        if not any(_is_named(region, (pattern,)) for region in known)
    )


def _chosen(image: images.Image) -> frozenset[str] | None:
    """Return what the image's own property names; None if it says nothing."""
    text = image.metadata.properties.get(SYNC_REGIONS, "")
    names = frozenset(name for part in text.split(",") if (name := part.strip()))
    if NOWHERE in {name.lower() for name in names}:
        return frozenset({NOWHERE})
    return names or None


def _by_snapshot_regions(
    policy: PlacementPolicy,
    asked: frozenset[images.RegionId],
    image: images.Image,
    facts: OwnerFacts,
) -> Placements | rules.Fact:
    """Return the verdicts on a snapshot.

    Whoever owns an image can call it a snapshot. Under USER that leads to no region that the
    owner's project may not use.
    """
    verdicts = _named(
        asked, policy.snapshot_regions, DecidedBy.SNAPSHOT, "snapshot_region_names {} it"
    )
    if policy.strategy is not Strategy.USER:
        return verdicts
    allowed = _allowed(policy, asked, facts)
    if isinstance(allowed, rules.Fact):
        return allowed
    refused = Placement(
        wanted=False,
        step=DecidedBy.SNAPSHOT,
        why=f"snapshot_region_names names it, but project {image.metadata.owner} may not use it",
    )
    return {**verdicts, **dict.fromkeys((asked & policy.snapshot_regions) - allowed, refused)}


def _allowed(
    policy: PlacementPolicy, asked: frozenset[images.RegionId], facts: OwnerFacts
) -> frozenset[images.RegionId] | rules.Fact:
    """Return the regions that the owner's project may use."""
    if facts.association is None:
        return rules.Fact.ASSOCIATION
    if not facts.association.is_filtered and policy.unfiltered_projects_may_use_all:
        return asked
    return facts.association.regions


def _by_property(
    policy: PlacementPolicy,
    asked: frozenset[images.RegionId],
    chosen: frozenset[str],
    image: images.Image,
    facts: OwnerFacts,
) -> Placements | rules.Fact:
    allowed = _allowed(policy, asked, facts)
    if isinstance(allowed, rules.Fact):
        return allowed
    named = asked if EVERYWHERE in chosen else asked & chosen
    refused = Placement(
        wanted=False,
        step=DecidedBy.PROPERTY,
        why=f"{SYNC_REGIONS} of the image names it, but project {image.metadata.owner} may not "
        "use it",
    )
    verdicts = _named(asked, named, DecidedBy.PROPERTY, f"{SYNC_REGIONS} of the image {{}} it")
    return {**verdicts, **dict.fromkeys(named - allowed, refused)}


def _by_rules(
    policy: PlacementPolicy,
    asked: frozenset[images.RegionId],
    image: images.Image,
    facts: OwnerFacts,
) -> Placements | rules.Fact:
    for rule in policy.rules:
        match rules.matches(rule.match, image, facts):
            case rules.Fact() as missing:
                return missing
            case True:
                named = frozenset(one for one in asked if _is_named(one, rule.regions))
                return _named(asked, named, DecidedBy.RULE, f"{rule.title} {{}} it")
    if facts.association is None:
        return rules.Fact.ASSOCIATION
    return _named(
        asked,
        facts.association.regions,
        DecidedBy.ENDPOINT_FILTER,
        f"Keystone {{}} its image endpoint for project {image.metadata.owner}",
        verbs=("associates", "does not associate"),
    )


def _is_named(region: images.RegionId, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(region, pattern) for pattern in patterns)


def _same(
    asked: frozenset[images.RegionId], step: DecidedBy, why: str, *, wanted: bool = False
) -> Placements:
    return dict.fromkeys(asked, Placement(wanted=wanted, step=step, why=why))


def _named(
    asked: frozenset[images.RegionId],
    named: frozenset[images.RegionId],
    step: DecidedBy,
    why: str,
    *,
    verbs: tuple[str, str] = ("names", "does not name"),
) -> Placements:
    """Say yes to those that are named and no to the others."""
    yes = Placement(wanted=True, step=step, why=why.format(verbs[0]))
    no = Placement(wanted=False, step=step, why=why.format(verbs[1]))
    return {region: yes if region in named else no for region in asked}
