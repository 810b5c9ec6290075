# SPDX-License-Identifier: Apache-2.0
"""The plans of ``tools/soak.sh``: a seed says it all."""

from collections import Counter
import itertools

import pytest

from tools.soak import plans
from tools.soak import weights

SEEDS = (0, 1, 20261125)


def operations(seed: int, user: str, count: int = 1000) -> list[plans.Operation]:
    return list(itertools.islice(plans.operations(seed, user), count))


def faults(seed: int, lane: str, count: int = 500) -> list[plans.Fault]:
    return list(itertools.islice(plans.faults(seed, lane), count))


def requests(seed: int, lane: str, count: int = 500) -> list[plans.Request]:
    return list(itertools.islice(plans.requests(seed, lane), count))


@pytest.mark.parametrize("user", weights.USERS)
def test_a_seed_repeats_what_users_do(user: str):
    assert operations(7, user) == operations(7, user)
    assert operations(7, user) != operations(8, user)


@pytest.mark.parametrize("lane", weights.FAULTS)
def test_a_seed_repeats_what_breaks(lane: str):
    assert faults(7, lane) == faults(7, lane)
    assert faults(7, lane) != faults(8, lane)


@pytest.mark.parametrize("lane", weights.OPERATORS)
def test_a_seed_repeats_what_operators_ask_for(lane: str):
    assert requests(7, lane) == requests(7, lane)
    assert requests(7, lane) != requests(8, lane)
    assert {one.kind for one in requests(7, lane)} == set(weights.OPERATORS[lane])
    assert {one.region for one in requests(7, lane)} == set(weights.REGIONS)
    assert len({one.request_id for one in requests(7, lane)}) == len(requests(7, lane))


def test_users_do_not_do_the_same():
    alice, bob = (operations(7, user) for user in weights.USERS)
    assert not {one.image.image_id for one in alice} & {one.image.image_id for one in bob}
    assert [one.kind for one in alice] != [one.kind for one in bob]


@pytest.mark.parametrize("seed", SEEDS)
def test_all_that_can_happen_happens(seed: int):
    done = operations(seed, "alice", 2000)
    assert {one.kind for one in done} == set(weights.OPERATIONS)
    assert {one.image.size for one in done} == set(weights.SIZES)
    assert {tuple(one.image.fields.items()) for one in done} == set(weights.CHOICES)
    for lane, kinds in weights.FAULTS.items():
        assert {one.kind for one in faults(seed, lane)} == set(kinds)
    refused = {one.value for one in faults(seed, "glances") if "refuses" in one.kind}
    assert refused == set(weights.REFUSALS)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_asked_of_an_image_that_is_not_there(seed: int):
    there: set[str] = set()
    for one in operations(seed, "bob"):
        if one.origin is not None:
            assert one.kind == "publish"
            assert one.origin.image_id in there
        if one.kind in {"create", "publish"}:
            assert one.image.image_id not in there
            there.add(one.image.image_id)
        assert one.image.image_id in there
        if one.kind == "delete":
            there.remove(one.image.image_id)
        assert len(there) <= weights.MOST


@pytest.mark.parametrize("seed", SEEDS)
def test_an_image_is_shared_only_while_it_can_be(seed: int):
    visibility: dict[str, str] = {}
    for one in operations(seed, "alice"):
        visibility.setdefault(one.image.image_id, one.image.visibility)
        if one.kind == "visibility":
            visibility[one.image.image_id] = one.value
        if one.kind in {"share", "answer", "unshare"}:
            assert visibility[one.image.image_id] == "shared"


@pytest.mark.parametrize("seed", SEEDS)
def test_users_make_images_of_copies_in_all_regions(seed: int):
    done = operations(seed, "alice", 2000)
    for kind in weights.IMAGED:
        assert {one.value for one in done if one.kind == kind} == set(weights.REGIONS), kind


def test_an_image_that_is_published_belongs_where_the_one_belongs_whose_properties_it_has():
    found = [one for one in operations(7, "bob") if one.origin is not None]
    assert found
    for one in found:
        assert one.origin is not None
        assert one.image.image_id != one.origin.image_id
        assert plans.regions_of(one.image) == plans.regions_of(one.origin)


def test_what_is_less_likely_is_rarer():
    done = Counter(one.kind for one in operations(7, "alice"))
    assert done["create"] > done["change"] > done["hide"]


@pytest.mark.parametrize(
    ("fields", "regions"),
    [
        ({}, weights.REGIONS),
        ({"sync_regions": "*"}, weights.REGIONS),
        ({"sync_regions": "none"}, ()),
        ({"sync_regions": "RegionThree,RegionFour"}, ("RegionThree", "RegionFour")),
        ({"image_type": "snapshot"}, weights.SNAPSHOT_REGIONS),
    ],
    ids=str,
)
def test_the_regions_of_an_image_are_those_that_the_strategy_names(fields, regions):
    image = plans.Image(image_id="1", name="", size=0, visibility="shared", fields=fields)
    assert plans.regions_of(image) == set(regions)


def test_the_bytes_of_an_image_follow_from_its_id():
    image = plans.Image(image_id="1", name="", size=10, visibility="shared", fields={})
    other = plans.Image(image_id="2", name="", size=10, visibility="shared", fields={})
    assert len(plans.content(image)) == image.size
    assert plans.content(image) == plans.content(image)
    assert plans.content(image) != plans.content(other)
