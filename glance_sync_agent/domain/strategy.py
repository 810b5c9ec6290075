# SPDX-License-Identifier: Apache-2.0
"""Placement: the regions in which the operator and the owner of an image want it.

:func:`decide` serves the event path, scans and ``glance-sync explain`` alike. If it lacks a fact
about the owner, it names that fact, so Keystone is asked only for what matters.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
import dataclasses
import enum
import fnmatch

from glance_sync_agent.domain import images
from glance_sync_agent.domain import owner_facts
from glance_sync_agent.domain import rules
from glance_sync_agent.domain import snapshots

#: The property with which an owner chooses the regions of an image.
SYNC_REGIONS = "sync_regions"
#: Values of that property: every region that the project may use, and no region.
EVERYWHERE = "*"
NOWHERE = "none"

Rules = Sequence[rules.Rule]


class Strategy(enum.StrEnum):
    """``sync_strategy``."""

    NONE = "none"
    ALL = "all"
    USER = "user"


class DecidedBy(enum.StrEnum):
    """What decided a placement."""

    STRATEGY = "sync_strategy"
    SNAPSHOT = "snapshot_region_names"
    PROPERTY = SYNC_REGIONS
    RULE = "rule"
    ENDPOINT_FILTER = "endpoint filter"
    HOME = "location"
    VOLUME_BACKED = "volume_backed"
    SHELVED = "shelved"


#: Decisions that surprise owners, so ``status`` shows them.
UNEXPECTED = frozenset({DecidedBy.VOLUME_BACKED, DecidedBy.SHELVED})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PlacementPolicy:
    """The operator's choices for all images."""

    strategy: Strategy = Strategy.ALL
    rules: Rules = ()  # the first that matches decides
    snapshot_regions: frozenset[images.RegionId] = frozenset()  # empty: as other images
    volume_backed: bool = False  # whether snapshots without data are copied
    shelved: bool = False  # whether images of shelved servers are copied
    #: Whether a project without endpoint associations may use every region. Keystone's own
    #: option for this is ``[endpoint_filter] return_all_endpoints_if_no_filter``.
    unfiltered_projects_may_use_all: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Whether an image belongs in a region, and why."""

    wanted: bool
    step: DecidedBy
    why: str


Placements = Mapping[images.RegionId, Placement]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Question:
    """Where an image belongs."""

    policy: PlacementPolicy
    image: images.Image
    regions: frozenset[images.RegionId]
    facts: owner_facts.OwnerFacts

    def same(self, step: DecidedBy, why: str, *, wanted: bool = False) -> Placements:
        """Answer the same for all regions."""
        return dict.fromkeys(self.regions, Placement(wanted=wanted, step=step, why=why))

    def named(
        self, names: Set[images.RegionId], step: DecidedBy, *, why: str, why_not: str
    ) -> Placements:
        """Answer yes for the named regions and no for the others."""
        yes = Placement(wanted=True, step=step, why=why)
        no = Placement(wanted=False, step=step, why=why_not)
        return {region: yes if region in names else no for region in self.regions}

    def named_by(self, origin: str, names: Set[images.RegionId], step: DecidedBy) -> Placements:
        """Answer yes for the regions that ``origin`` names and no for the others."""
        return self.named(
            names, step, why=f"{origin} names it", why_not=f"{origin} does not name it"
        )

    def permitted(
        self, origin: str, names: Set[images.RegionId], step: DecidedBy
    ) -> Placements | owner_facts.Fact:
        """Answer yes for the named regions that the owner's project may use."""
        association = self.facts.association
        if association is None:
            return owner_facts.Fact.ASSOCIATION
        may_use_all = self.policy.unfiltered_projects_may_use_all
        is_free = may_use_all and not association.is_filtered
        allowed = self.regions if is_free else association.regions
        refused = Placement(
            wanted=False,
            step=step,
            why=f"{origin} names it, but project {self.image.metadata.owner} may not use it",
        )
        placements = self.named_by(origin, names, step)
        return {**placements, **dict.fromkeys((self.regions & names) - allowed, refused)}


_VOLUME_BACKED = Placement(
    wanted=False,
    step=DecidedBy.VOLUME_BACKED,
    why="it is a snapshot of a server whose disks are volumes, so it has no data, and "
    "[snapshots] volume_backed is false",
)

_SHELVED = Placement(
    wanted=False,
    step=DecidedBy.SHELVED,
    why="it holds a shelved server until Nova deletes it, and [snapshots] shelved is false",
)


def decide(
    policy: PlacementPolicy,
    image: images.Image,
    regions: Iterable[images.RegionId],
    facts: owner_facts.OwnerFacts,
) -> Placements | owner_facts.Fact:
    """Return the placement in each of ``regions``, or the fact that is missing to decide.

    :param image: a source, with or without data.
    :param regions: those that can hold a copy: never the image's own region, and the cascading
        one only if ``snapshot_region_names`` names it.
    :param facts: about ``image.metadata.owner``.
    """
    asked = frozenset(regions)
    home = asked & {image.remote.region if image.remote is not None else None}
    question = _Question(policy=policy, image=image, regions=asked - home, facts=facts)
    found = _placements(question)
    if isinstance(found, owner_facts.Fact):
        return found
    if (refused := _refused(policy, image)) is not None:
        found = {region: refused if one.wanted else one for region, one in found.items()}
    at_home = dataclasses.replace(question, regions=home)
    return {**found, **at_home.same(DecidedBy.HOME, "the region already has its data")}


def _refused(policy: PlacementPolicy, image: images.Image) -> Placement | None:
    """Return why a snapshot is not copied anywhere, whatever names regions for it."""
    if snapshots.is_volume_backed(image) and not policy.volume_backed:
        return _VOLUME_BACKED
    if snapshots.is_shelved(image) and not policy.shelved:
        return _SHELVED
    return None


def _placements(question: _Question) -> Placements | owner_facts.Fact:
    policy, chosen = question.policy, _chosen(question.image)
    if policy.strategy is Strategy.NONE:
        return question.same(DecidedBy.STRATEGY, "sync_strategy is None")
    if chosen is not None and NOWHERE in chosen:
        return question.same(DecidedBy.PROPERTY, f"{SYNC_REGIONS} of the image is none")
    if policy.snapshot_regions and snapshots.is_snapshot(question.image):
        return _by_snapshot_regions(question)
    if policy.strategy is Strategy.ALL:
        return question.same(DecidedBy.STRATEGY, "sync_strategy is ALL", wanted=True)
    if chosen is not None:
        names = question.regions if EVERYWHERE in chosen else question.regions & chosen
        return question.permitted(f"{SYNC_REGIONS} of the image", names, DecidedBy.PROPERTY)
    return _by_rules(question)


def names_unknown(image: images.Image, regions: Iterable[images.RegionId]) -> frozenset[str]:
    """Return the names in ``sync_regions`` that are no region."""
    return (_chosen(image) or frozenset()) - {EVERYWHERE, NOWHERE} - frozenset(regions)


def names_without_region(found: Rules, regions: Iterable[images.RegionId]) -> frozenset[str]:
    """Return the names and globs of rules that match none of ``regions``."""
    known = frozenset(regions)
    return frozenset(
        pattern
        for rule in found
        for pattern in rule.regions
        if not any(_is_named(region, (pattern,)) for region in known)
    )


def _chosen(image: images.Image) -> frozenset[str] | None:
    """Return the names in the image's own property; None: it names none."""
    text = image.metadata.properties.get(SYNC_REGIONS, "")
    names = frozenset(name for part in text.split(",") if (name := part.strip()))
    if NOWHERE in {name.lower() for name in names}:
        return frozenset({NOWHERE})
    return names or None


def _by_snapshot_regions(question: _Question) -> Placements | owner_facts.Fact:
    """Return the placements of a snapshot.

    An owner can call any image a snapshot. If the strategy is USER, that opens no region that
    the project may not use.
    """
    names = question.policy.snapshot_regions
    if question.policy.strategy is Strategy.USER:
        return question.permitted("snapshot_region_names", names, DecidedBy.SNAPSHOT)
    return question.named_by("snapshot_region_names", names, DecidedBy.SNAPSHOT)


def _by_rules(question: _Question) -> Placements | owner_facts.Fact:
    for rule in question.policy.rules:
        match rules.matches(rule.match, question.image, question.facts):
            case owner_facts.Fact() as missing:
                return missing
            case True:
                names = {one for one in question.regions if _is_named(one, rule.regions)}
                return question.named_by(rule.title, names, DecidedBy.RULE)
    if question.facts.association is None:
        return owner_facts.Fact.ASSOCIATION
    endpoint = f"its image endpoint for project {question.image.metadata.owner}"
    return question.named(
        question.facts.association.regions,
        DecidedBy.ENDPOINT_FILTER,
        why=f"Keystone associates {endpoint}",
        why_not=f"Keystone does not associate {endpoint}",
    )


def _is_named(region: images.RegionId, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(region, pattern) for pattern in patterns)
