# SPDX-License-Identifier: Apache-2.0
"""The decision table of the strategies, and what holds for every image."""

import dataclasses
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_sync_agent.domain import owner_facts
from glance_sync_agent.domain import rules
from glance_sync_agent.domain import strategy
from tests.unit import builders
from tests.unit import strategy_table

REGIONS = strategy_table.REGIONS
NONE, ALL, USER = strategy.Strategy
KNOWN = strategy_table.facts()


@pytest.mark.parametrize("row", strategy_table.ROWS, ids=lambda row: row.name)
def test_the_decision_table(row):
    verdicts = strategy.decide(row.policy(), row.image(), REGIONS, row.facts())
    assert not isinstance(verdicts, owner_facts.Fact)
    assert set(verdicts) == set(REGIONS)
    assert {name for name, verdict in verdicts.items() if verdict.wanted} == set(row.regions)
    others = {name: verdict.step for name, verdict in verdicts.items() if name != row.home}
    assert set(others.values()) == {row.step}
    assert others.keys() == set(REGIONS) - {row.home}
    assert all(isinstance(verdict.wanted, bool) for verdict in verdicts.values())


def test_the_table_is_long_enough_and_has_no_row_twice():
    inputs = [(row.policy(), repr(row.image()), row.facts()) for row in strategy_table.ROWS]
    assert len(strategy_table.ROWS) >= 40
    assert all(one not in inputs[:number] for number, one in enumerate(inputs))


def verdicts(policy, image, facts=KNOWN):
    found = strategy.decide(policy, image, REGIONS, facts)
    assert not isinstance(found, owner_facts.Fact)
    return found


WHY: list[Any] = [
    (
        strategy.PlacementPolicy(strategy=NONE), {}, {},
        "sync_strategy is None", "sync_strategy is None",
    ),
    (
        strategy.PlacementPolicy(strategy=ALL), {"sync_regions": "None"}, {},
        "sync_regions of the image is none", "sync_regions of the image is none",
    ),
    (
        strategy.PlacementPolicy(strategy=ALL), {}, {},
        "sync_strategy is ALL", "sync_strategy is ALL",
    ),
    (
        strategy.PlacementPolicy(strategy=ALL, snapshot_regions=frozenset({strategy_table.TWO})),
        {"image_type": "snapshot"}, {},
        "snapshot_region_names names it", "snapshot_region_names does not name it",
    ),
    (
        strategy.PlacementPolicy(
            strategy=USER,
            snapshot_regions=frozenset({strategy_table.TWO, strategy_table.THREE}),
        ),
        {"image_type": "snapshot"}, {},
        "snapshot_region_names names it",
        "snapshot_region_names names it, but project alpha may not use it",
    ),
    (
        strategy.PlacementPolicy(strategy=USER), {"sync_regions": "RegionTwo"}, {},
        "sync_regions of the image names it", "sync_regions of the image does not name it",
    ),
    (
        strategy.PlacementPolicy(strategy=USER), {"sync_regions": "RegionTwo,RegionFour"}, {},
        "sync_regions of the image names it",
        "sync_regions of the image does not name it",
    ),
    (
        strategy.PlacementPolicy(
            strategy=USER,
            rules=[rules.Rule(title="rule 1", match=rules.Match(), regions=["RegionTwo"])],
        ),
        {}, {}, "rule 1 names it", "rule 1 does not name it",
    ),
    (
        strategy.PlacementPolicy(strategy=USER), {}, {},
        "Keystone associates its image endpoint for project alpha",
        "Keystone does not associate its image endpoint for project alpha",
    ),
]


@pytest.mark.parametrize(("policy", "properties", "metadata", "two", "three"), WHY)
def test_a_placement_says_why(policy, properties, metadata, two, three):
    regions = frozenset({strategy_table.TWO})
    association = owner_facts.Association(is_filtered=True, regions=regions)
    facts = dataclasses.replace(KNOWN, association=association)
    found = verdicts(policy, builders.source(properties=properties, **metadata), facts)
    assert found["RegionTwo"].why == two
    assert found["RegionThree"].why == three


@pytest.mark.parametrize("chosen", strategy.Strategy)
def test_a_region_that_has_the_data_gets_no_copy_of_it(chosen):
    remote = dataclasses.replace(builders.REMOTE, region=strategy_table.TWO)
    policy = strategy.PlacementPolicy(strategy=chosen, snapshot_regions=frozenset(REGIONS))
    assert verdicts(policy, builders.elsewhere(remote=remote))["RegionTwo"] == strategy.Placement(
        wanted=False, step=strategy.DecidedBy.HOME, why="the region already has its data"
    )


def test_the_placement_of_a_volume_backed_snapshot_says_why_it_is_refused():
    policy = strategy.PlacementPolicy(
        strategy=ALL, snapshot_regions=frozenset({strategy_table.TWO, strategy_table.FOUR})
    )
    found = verdicts(policy, builders.source(size=0, properties=strategy_table.VOLUMES))
    assert found["RegionTwo"] == found["RegionFour"] == strategy.Placement(
        wanted=False,
        step=strategy.DecidedBy.VOLUME_BACKED,
        why="it is a snapshot of a server whose disks are volumes, so it has no data, and "
        "[snapshots] volume_backed is false",
    )
    assert found["RegionThree"].step is strategy.DecidedBy.SNAPSHOT


def test_the_placement_of_a_shelved_server_says_why_it_is_refused():
    policy = strategy.PlacementPolicy(
        strategy=ALL, snapshot_regions=frozenset({strategy_table.TWO})
    )
    image = builders.source(name="web-shelved", properties=strategy_table.OF_SERVER)
    found = verdicts(policy, image)
    assert found["RegionTwo"] == strategy.Placement(
        wanted=False,
        step=strategy.DecidedBy.SHELVED,
        why="it holds a shelved server until Nova deletes it, and [snapshots] shelved is false",
    )
    assert found["RegionThree"].step is strategy.DecidedBy.SNAPSHOT


def test_status_shows_what_an_owner_may_not_expect():
    assert {strategy.DecidedBy.VOLUME_BACKED, strategy.DecidedBy.SHELVED} == strategy.UNEXPECTED


def test_a_region_of_snapshots_that_cannot_hold_a_copy_gets_no_placement():
    image = builders.source(properties={"image_type": "snapshot"})
    policy = strategy.PlacementPolicy(
        strategy=USER, snapshot_regions=frozenset({builders.SOURCE_REGION})
    )
    assert set(verdicts(policy, image)) == set(REGIONS)


def test_a_region_that_the_project_may_not_use_is_refused_with_that_reason():
    image = builders.source(properties={"sync_regions": "RegionTwo,RegionFour"})
    found = verdicts(strategy.PlacementPolicy(strategy=USER), image)
    assert found["RegionFour"] == strategy.Placement(
        wanted=False,
        step=strategy.DecidedBy.PROPERTY,
        why="sync_regions of the image names it, but project alpha may not use it",
    )


@pytest.mark.parametrize(
    ("policy", "image", "facts", "missing"),
    [
        (strategy.PlacementPolicy(strategy=USER), {}, {}, owner_facts.Fact.ASSOCIATION),
        (
            strategy.PlacementPolicy(
                strategy=USER, snapshot_regions=frozenset({strategy_table.TWO})
            ),
            {"properties": {"image_type": "snapshot"}}, {}, owner_facts.Fact.ASSOCIATION,
        ),
        (
            strategy.PlacementPolicy(strategy=USER), {"properties": {"sync_regions": "*"}}, {},
            owner_facts.Fact.ASSOCIATION,
        ),
        *[
            (
                strategy.PlacementPolicy(
                    strategy=USER,
                    rules=[rules.Rule(title="", match=rules.Match(**match), regions=["*"])],
                ),
                {}, {}, missing,
            )
            for match, missing in (
                ({"project_name": ["a"]}, owner_facts.Fact.PROJECT),
                ({"project_domain": ["a"]}, owner_facts.Fact.PROJECT),
                ({"project_tags": frozenset("a")}, owner_facts.Fact.PROJECT),
                ({"roles": frozenset("a")}, owner_facts.Fact.ROLES),
            )
        ],
    ],
)
def test_a_decision_names_the_fact_that_is_missing(policy, image, facts, missing):
    known = owner_facts.OwnerFacts(**facts)
    found = strategy.decide(policy, builders.source(**image), REGIONS, known)
    assert found is missing


def test_a_rule_that_the_image_itself_rules_out_asks_for_nothing():
    match = rules.Match(name=["other"], project_name=["a"], roles=frozenset("a"))
    everything = rules.Rule(title="", match=rules.Match(), regions=["*"])
    policy = strategy.PlacementPolicy(
        strategy=USER, rules=[rules.Rule(title="", match=match, regions=["*"]), everything]
    )
    assert verdicts(policy, builders.source(), owner_facts.OwnerFacts())["RegionTwo"].wanted


def test_roles_are_not_needed_if_the_project_does_not_match():
    match = rules.Match(project_name=["other"], roles=frozenset("a"))
    policy = strategy.PlacementPolicy(
        strategy=USER, rules=[rules.Rule(title="", match=match, regions=["*"])]
    )
    found = strategy.decide(
        policy, builders.source(), REGIONS, dataclasses.replace(KNOWN, roles=None)
    )
    assert not isinstance(found, owner_facts.Fact)


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("RegionTwo, *", set()), ("none", set()), ("", set()),
        ("RegionTwo,Atlantis, Lemuria", {"Atlantis", "Lemuria"}),
    ],
)
def test_names_that_are_no_region_are_found(text, unknown):
    image = builders.source(properties={"sync_regions": text})
    assert strategy.names_unknown(image, REGIONS) == unknown


@pytest.mark.parametrize(
    ("match", "is_about"),
    [
        ({"container_format": ["bare"]}, True),
        ({"container_format": ["ova"]}, False),
        ({"project_domain": ["default"]}, True),  # its id
        ({"project_domain": ["Def*"]}, True),  # its name
        ({"project_domain": ["other"]}, False),
    ],
)
def test_a_rule_is_about_what_its_conditions_say(match, is_about):
    assert rules.matches(rules.Match(**match), builders.source(), KNOWN) is is_about


def test_names_in_rules_that_match_no_region_are_found():
    found = [
        rules.Rule(title="", match=rules.Match(), regions=names)
        for names in (["RegionTwo", "Atlantis"], ["*"], [], ["Edge*", "Region[TF]*"])
    ]
    assert strategy.names_without_region(found, REGIONS) == {"Atlantis", "Edge*"}


def test_a_deleted_project_matches_no_condition_on_projects():
    image = builders.source(owner=None)
    for match in ({"project_name": ["*"]}, {"project_domain": ["*"]}, {"roles": frozenset("a")}):
        policy = strategy.PlacementPolicy(
            strategy=USER,
            rules=[rules.Rule(title="", match=rules.Match(**match), regions=["*"])],
        )
        found = verdicts(policy, image, owner_facts.NO_OWNER)
        assert {one.step for one in found.values()} == {strategy.DecidedBy.ENDPOINT_FILTER}
        assert not any(one.wanted for one in found.values())


# What holds for every image, policy and answer of Keystone.

names = st.sampled_from([*REGIONS, "Atlantis", "*", "none", " ", "regiontwo"])
region_sets = st.frozensets(st.sampled_from(REGIONS))
facts_of_keystone = st.builds(
    owner_facts.OwnerFacts,
    project=st.builds(owner_facts.Project, name=st.sampled_from(["alpha", "beta", None])),
    roles=st.frozensets(st.sampled_from(["member", "admin"])),
    association=st.builds(
        owner_facts.Association, is_filtered=st.booleans(), regions=region_sets
    ),
)
some_rules = st.lists(
    st.builds(
        rules.Rule,
        title=st.just("a rule"),
        match=st.builds(
            rules.Match,
            project_name=st.sampled_from([(), ("alpha",), ("*",)]),
            visibility=st.sampled_from([(), ("public",), ("private", "shared")]),
            roles=st.sampled_from([frozenset(), frozenset({"admin"})]),
        ),
        regions=st.lists(st.sampled_from([*REGIONS, "*", "Region[TF]*"]), max_size=2),
    ),
    max_size=3,
)
policies = st.builds(
    strategy.PlacementPolicy,
    strategy=st.sampled_from(strategy.Strategy),
    rules=some_rules,
    snapshot_regions=st.one_of(st.just(frozenset()), region_sets),
    unfiltered_projects_may_use_all=st.booleans(),
)


@st.composite
def sources(draw):
    properties = {}
    if draw(st.booleans()):
        properties["sync_regions"] = ",".join(draw(st.lists(names, max_size=3)))
    if draw(st.booleans()):
        properties["image_type"] = "snapshot"
    return builders.source(
        visibility=draw(st.sampled_from(["public", "private", "shared"])), properties=properties
    )


@given(policies, sources(), facts_of_keystone)
def test_every_region_gets_one_placement_and_no_other_region_does(policy, image, facts):
    assert set(verdicts(policy, image, facts)) == set(REGIONS)


@given(policies, sources(), facts_of_keystone)
def test_facts_that_were_not_needed_never_change_a_placement(policy, image, facts):
    """The facts may come one by one: a decision without one is the decision with it."""
    known = owner_facts.OwnerFacts()
    for _ in owner_facts.Fact:
        decision = strategy.decide(policy, image, REGIONS, known)
        if not isinstance(decision, owner_facts.Fact):
            break
        field = decision.name.lower()
        assert getattr(known, field) is None
        known = dataclasses.replace(known, **{field: getattr(facts, field)})
    assert strategy.decide(policy, image, REGIONS, known) == verdicts(policy, image, facts)


@given(policies, sources(), facts_of_keystone)
def test_an_image_that_opts_out_goes_nowhere(policy, image, facts):
    out = builders.source(properties={**image.metadata.properties, "sync_regions": "None"})
    assert not any(one.wanted for one in verdicts(policy, out, facts).values())


@given(policies, sources(), facts_of_keystone)
def test_the_property_never_reaches_a_region_that_the_project_may_not_use(policy, image, facts):
    for region, verdict in verdicts(policy, image, facts).items():
        if verdict.step is strategy.DecidedBy.PROPERTY and verdict.wanted:
            free = (
                not facts.association.is_filtered and policy.unfiltered_projects_may_use_all
            )
            assert free or region in facts.association.regions


@given(policies, sources(), facts_of_keystone, region_sets)
def test_fewer_associations_never_add_a_region(policy, image, facts, taken):
    """Only of a project that is filtered; one that is not may be let everywhere by Keystone."""
    filtered = dataclasses.replace(facts.association, is_filtered=True)
    less = dataclasses.replace(filtered, regions=filtered.regions - taken)
    before = verdicts(policy, image, dataclasses.replace(facts, association=filtered))
    after = verdicts(policy, image, dataclasses.replace(facts, association=less))
    assert wanted(after) <= wanted(before)


@given(policies, sources(), facts_of_keystone)
def test_a_rule_behind_one_for_all_images_never_decides(policy, image, facts):
    everything = rules.Rule(title="", match=rules.Match(), regions=["RegionTwo"])
    first = dataclasses.replace(policy, rules=[*policy.rules, everything])
    more = dataclasses.replace(
        first, rules=[*first.rules, dataclasses.replace(everything, regions=["*"])]
    )
    assert verdicts(first, image, facts) == verdicts(more, image, facts)


def wanted(found):
    return {region for region, verdict in found.items() if verdict.wanted}

