# SPDX-License-Identifier: Apache-2.0
"""What of a change takes an image from somebody, and what gives it."""

import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_sync_agent.domain import actions
from glance_sync_agent.domain import images
from glance_sync_agent.domain import narrowing
from tests.unit.builders import copy
from tests.unit.builders import source

#: From the one that most people see to the one that fewest do.
VISIBILITIES = ("public", "community", "shared", "private")
ACCEPTED = images.MemberStatus.ACCEPTED
PAIRS = list(itertools.product(VISIBILITIES, VISIBILITIES))


def change(visibility: str = "shared", **fields: Any) -> actions.UpdateMetadata:
    """Return a change of a copy that has a visibility."""
    nothing: dict[str, Any] = {"attributes": {}, "tags": None, "properties": {}, "members": {}}
    return actions.UpdateMetadata(copy=copy(visibility=visibility), **{**nothing, **fields})


@pytest.mark.parametrize(("after", "before"), PAIRS)
def test_every_visibility_is_narrower_than_those_that_more_people_see(after, before):
    expected = VISIBILITIES.index(after) > VISIBILITIES.index(before)
    assert narrowing.is_narrower(after, before) is expected


@pytest.mark.parametrize("unknown", [None, "hidden", 3])
def test_what_glance_does_not_know_narrows_nothing(unknown):
    assert not narrowing.is_narrower(unknown, "public")
    assert not narrowing.is_narrower("private", str(unknown))


@pytest.mark.parametrize(("before", "after"), [one for one in PAIRS if one[0] != one[1]])
def test_of_a_change_of_everything_only_the_narrower_visibility_is_left(before, after):
    whole = change(
        before,
        attributes={"name": "new", "visibility": after},
        tags=frozenset({"new"}),
        properties={"a": "1", "b": None},
        members={"beta": ACCEPTED},
    )
    is_narrower = VISIBILITIES.index(after) > VISIBILITIES.index(before)
    expected = change(before, attributes={"visibility": after}) if is_narrower else None
    assert narrowing.narrowed(whole) == expected
    # Whoever becomes a member gets access, whatever others lose.
    assert narrowing.widens(whole)
    alone = change(before, attributes={"visibility": after})
    assert narrowing.widens(alone) is not is_narrower


def test_members_that_go_are_left_of_a_change_and_those_that_come_are_not():
    whole = change(members={"beta": None, "gamma": ACCEPTED, "delta": None}, tags=frozenset())
    assert narrowing.narrowed(whole) == change(members={"beta": None, "delta": None})
    assert narrowing.widens(whole)
    assert not narrowing.widens(change(members={"beta": None}))


@pytest.mark.parametrize("visibility", ["public", "community"])
def test_members_that_go_because_everybody_may_use_the_image_lose_nothing(visibility):
    whole = change(attributes={"visibility": visibility}, members={"beta": None})
    assert narrowing.narrowed(whole) is None


def test_members_go_with_a_narrower_visibility():
    whole = change(attributes={"visibility": "private"}, members={"beta": None})
    assert narrowing.narrowed(whole) == whole
    assert not narrowing.widens(whole)


@pytest.mark.parametrize("owner", ["beta", None])
@pytest.mark.parametrize("visibility", [{}, {"visibility": "public"}])
def test_another_owner_is_left_of_a_change_and_gets_something_as_well(owner, visibility):
    whole = change(attributes={"owner": owner, "name": "new", **visibility}, tags=frozenset())
    left = narrowing.narrowed(whole)
    assert left == change(attributes={"owner": owner})
    assert narrowing.widens(left)


def test_another_owner_comes_with_a_narrower_visibility():
    whole = change(attributes={"owner": "beta", "visibility": "private"}, members={"gamma": None})
    assert narrowing.narrowed(whole) == whole
    assert narrowing.widens(whole)


def test_what_nobody_sees_less_or_more_of_is_neither():
    whole = change(attributes={"name": "x"}, tags=frozenset({"x"}), properties={"x": None})
    assert narrowing.narrowed(whole) is None
    assert not narrowing.widens(whole)


def test_a_copy_is_deactivated_and_not_reactivated():
    rest = actions.SetActive(copy=copy(), active=False)
    wake = actions.SetActive(copy=copy(), active=True)
    assert narrowing.narrowed(rest) == rest
    assert narrowing.narrowed(wake) is None
    assert (narrowing.widens(rest), narrowing.widens(wake)) == (False, True)


_members = st.dictionaries(st.sampled_from("abc"), st.none() | st.just(ACCEPTED))


@given(
    st.sampled_from(VISIBILITIES),
    st.fixed_dictionaries(
        {}, optional={"visibility": st.sampled_from(VISIBILITIES), "owner": st.just("beta")}
    ),
    _members,
)
def test_what_is_left_gives_to_a_new_owner_at_most_and_is_a_part(before, given, members):
    whole = change(before, attributes=given, members=members)
    left = narrowing.narrowed(whole)
    if not isinstance(left, actions.UpdateMetadata):
        assert left is None
        return
    assert narrowing.widens(left) is ("owner" in given)
    assert narrowing.narrowed(left) == left
    assert left.attributes.items() <= whole.attributes.items()
    assert left.members.items() <= whole.members.items()


@pytest.mark.parametrize(
    ("visibility", "first"),
    [("public", "private"), ("community", "private"), ("shared", "shared"),
     ("private", "private")],
)
def test_a_record_is_made_so_that_nobody_but_its_owner_sees_it(visibility, first):
    assert narrowing.first_visibility(visibility) == first
    made = narrowing.before_data(source(visibility=visibility), copy())
    assert made == source(visibility=first)


def test_a_record_without_data_gets_no_members_and_keeps_those_that_it_may_have():
    shared = source(members={"beta": ACCEPTED, "gamma": ACCEPTED})
    queued = copy(members={"beta": images.MemberStatus.PENDING, "delta": ACCEPTED})
    made = narrowing.before_data(shared, queued)
    assert made.members == {"beta": images.MemberStatus.PENDING}


@pytest.mark.parametrize(
    ("image", "is_seen"),
    [
        (source(visibility="public"), True),
        (source(visibility="community"), True),
        (source(visibility="shared"), False),
        (source(visibility="shared", members={"beta": ACCEPTED}), True),
        (source(visibility="private"), False),
    ],
)
def test_who_sees_a_copy_later_is_known_before(image, is_seen):
    assert narrowing.is_seen_later(image) is is_seen


def changed(attributes):
    return actions.UpdateMetadata(
        copy=copy(), attributes=attributes, tags=None, properties={}, members={}
    )


NEW_OWNER, PRIVATE = changed({"owner": "beta"}), changed({"visibility": "private"})


@pytest.mark.parametrize(
    ("action", "gives", "only_takes"),
    [
        (actions.SetActive(copy=copy(), active=True), True, False),
        (actions.SetActive(copy=copy(), active=False), False, True),
        (actions.DeleteCopy(copy=copy(), reason="copy is killed"), False, False),
        # What comes with an action gives access, too.
        (actions.SetActive(copy=copy(), active=False, and_also=NEW_OWNER), True, True),
        (actions.SetActive(copy=copy(), active=False, and_also=PRIVATE), False, True),
        (actions.DeleteCopy(copy=copy(), reason="", first=NEW_OWNER), True, False),
        (actions.DeleteCopy(copy=copy(), reason="", first=PRIVATE), False, False),
    ],
)
def test_actions_give_or_take_access(action, gives, only_takes):
    assert narrowing.widens_access(action) is gives
    assert narrowing.only_narrows(action) is only_takes


@pytest.mark.parametrize(
    ("attributes", "gives", "only_takes"),
    [
        ({"visibility": "private"}, False, True),
        ({"visibility": "private", "name": "new"}, False, False),
        ({"name": "new"}, False, False),
        ({"visibility": "public"}, True, False),
    ],
)
def test_changes_of_metadata_give_or_take_access(attributes, gives, only_takes):
    change = changed(attributes)
    assert narrowing.widens_access(change) is gives
    assert narrowing.only_narrows(change) is only_takes
