# SPDX-License-Identifier: Apache-2.0
"""Images and regions as an operator names them."""

import types
from typing import Any

import pytest

from glance_sync_agent import errors
from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import named
from glance_sync_agent.domain import images

A, B, C = (images.ImageId(f"{digit * 8}-0000-4000-8000-000000000000") for digit in "abc")
AWAY = errors.ServiceUnavailable("no answer")


class Place:
    """Knows names of images; away, it gives no answer."""

    def __init__(self, name=None, *ids, has=(), is_away=False):
        self._name = name
        self._ids = ids
        self._has = {*ids, *has}
        self._is_away = is_away

    def named(self, image_name):
        if self._is_away:
            raise AWAY
        return list(self._ids) if image_name == self._name else []

    def find(self, image_ids):
        return self._has & set(image_ids)


GONE = Place(is_away=True)


def find(table, glance, name="golden"):
    said: list[str] = []
    return named.find(name, table, lambda: glance, said.append), said


@pytest.mark.parametrize(
    ("table", "glance", "found"),
    [
        pytest.param(Place("golden", A), Place("golden", A), [A], id="in both"),
        pytest.param(Place("golden", A), Place(), [A], id="gone from Glance"),
        pytest.param(Place(), Place("golden", A), [A], id="not looked at yet"),
        pytest.param(Place("golden", A), Place("golden", B), [A, B], id="gone and made anew"),
        pytest.param(Place("golden", A), Place("golden", B, has=[A]), [B], id="renamed since"),
        pytest.param(Place("golden", B, A), Place("golden", C), [A, B, C], id="by id"),
    ],
)
def test_a_name_is_that_of_glance_or_of_an_image_that_glance_does_not_know(table, glance, found):
    assert find(table, glance) == (found, [])


@pytest.mark.parametrize(
    ("table", "glance"), [(Place("golden", A), GONE), (GONE, Place("golden", A))]
)
def test_an_unreachable_service_is_no_obstacle_if_the_other_knows_the_name(table, glance):
    assert find(table, glance) == (
        [A], ["the search for the name golden is incomplete: no answer"]
    )


def test_an_unknown_name_is_a_usage_error():
    with pytest.raises(console.UsageError, match=r"no image with the name bad\\x1b in the casc"):
        find(Place("golden", A), Place("golden", A), "bad\x1b")


def test_a_name_that_only_an_older_image_had_is_a_usage_error():
    with pytest.raises(console.UsageError, match="no image with the name golden"):
        find(Place("golden", A), Place(has=[A]))


@pytest.mark.parametrize(("table", "glance"), [(Place(), GONE), (GONE, Place()), (GONE, GONE)])
def test_a_name_that_may_exist_is_no_usage_error(table, glance):
    with pytest.raises(errors.SyncError, match="no answer") as caught:
        find(table, glance)
    assert not isinstance(caught.value, console.UsageError)


def test_the_only_image_is_taken():
    assert named.only("golden", [A]) == A


def test_of_several_images_the_first_ten_are_listed():
    ids = [images.ImageId(f"id-{number}") for number in range(12)]
    with pytest.raises(console.UsageError) as caught:
        named.only("golden", ids)
    assert str(caught.value) == (
        "12 images have the name golden: id-0, id-1, id-2, id-3, id-4, id-5, id-6, id-7, id-8, "
        "id-9 and 2 more; give one id"
    )


def require(name, *, tasks=(), catalogue=()):
    store = types.SimpleNamespace(regions=lambda: list(tasks))
    found = types.SimpleNamespace(regions=lambda: frozenset(catalogue))
    cloud: Any = types.SimpleNamespace(store=store, catalogue=found)
    parsed_args: Any = types.SimpleNamespace(region=name, region_argument=None)
    assert named.known_region(parsed_args, cloud) == name


@pytest.mark.parametrize("name", [None, "RegionOne", "RegionTwo"])
def test_a_region_is_known_to_the_database_or_to_the_catalogue(name):
    require(name, tasks=["RegionOne"], catalogue=["RegionTwo"])


def test_a_region_that_neither_knows_is_a_usage_error_that_lists_those_that_there_are():
    with pytest.raises(console.UsageError) as caught:
        require("Typo\x1b", tasks=["RegionNine", "RegionOne"], catalogue=["RegionOne"])
    assert str(caught.value) == (
        r"there is no region Typo\x1b; the regions are RegionNine, RegionOne"
    )


def test_in_an_empty_catalogue_there_is_none():
    with pytest.raises(console.UsageError, match=r"the regions are none$"):
        require("RegionTwo")
