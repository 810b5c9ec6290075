# SPDX-License-Identifier: Apache-2.0
"""Verdicts on copies that were read back."""

import dataclasses

import pytest

from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import verification
from tests.unit import builders

WANTED = builders.multihash()
OTHER = builders.multihash(b"other bytes of the image")
SIZE = len(builders.DATA)
COMPARISON = verification.Comparison(
    copy=builders.copy(image_id=builders.COPY_ID), expected=WANTED
)

OK = verification.Condition.OK
DAMAGED = verification.Condition.DAMAGED
MISSING = verification.Condition.MISSING
UNREACHABLE = verification.Condition.UNREACHABLE


def whole(multihash=WANTED, size=SIZE):
    return verification.Reading(size=size, multihash=multihash)


def broken(size, failure="the connection broke"):
    return verification.Reading(size=size, multihash=None, failure=failure)


OURS = identity.Identity(whose=identity.Whose.OURS, reason="its task knows it", is_known=True)
NOTHING = verification.Reading(size=0, multihash=None, failure="204", has_data=False)

READINGS = [
    pytest.param(whole(OTHER), whole(), OK, id="the file is not Glance's"),
    pytest.param(broken(3), whole(), OK, id="the way to the file broke"),
    pytest.param(whole(OTHER), whole(OTHER), DAMAGED, id="other bytes"),
    pytest.param(broken(3), whole(OTHER), DAMAGED, id="other bytes behind a broken way"),
    pytest.param(NOTHING, whole(OTHER), DAMAGED, id="other bytes behind a file that is gone"),
    pytest.param(NOTHING, NOTHING, MISSING, id="no data"),
    pytest.param(whole(OTHER), NOTHING, MISSING, id="a file that Glance does not have"),
    pytest.param(whole(OTHER, 7), broken(7), DAMAGED, id="a file that was cut"),
    pytest.param(whole(OTHER, 0), broken(0), DAMAGED, id="a file that was emptied"),
    pytest.param(whole(OTHER, 7), broken(6), UNREACHABLE, id="a cut that is another one"),
    pytest.param(broken(7), broken(7), DAMAGED, id="data that ends twice at one byte"),
    pytest.param(broken(1), broken(1), DAMAGED, id="data that ends twice at the first byte"),
    pytest.param(broken(7), broken(8), UNREACHABLE, id="a network that breaks here and there"),
    pytest.param(broken(0), broken(0), UNREACHABLE, id="no answer"),
    pytest.param(NOTHING, broken(0), UNREACHABLE, id="no answer the second time"),
    pytest.param(whole(OTHER), broken(0), UNREACHABLE, id="no second opinion"),
]


@pytest.mark.parametrize(("stored", "served", "verdict"), READINGS)
def test_a_copy_is_bad_only_if_its_users_get_bad_bytes(stored, served, verdict):
    found = verification.judge(COMPARISON, stored, served)
    assert found.verdict is verdict
    assert (found.damage is not None) is (verdict in {DAMAGED, MISSING})


@pytest.mark.parametrize(
    ("stored", "served", "detail"),
    [
        (whole(OTHER), whole(), f"only the second reading was good; first: {OTHER}"),
        (NOTHING, whole(), "only the second reading was good; first: no data"),
        (whole(OTHER), whole(OTHER), f"expected {WANTED}, got {OTHER}"),
        (NOTHING, NOTHING, f"expected {WANTED}, got no data"),
        (broken(7), broken(7), f"expected {WANTED}, got only the first 7 bytes"),
        (broken(7), broken(8, "no answer"), "no answer"),
    ],
)
def test_a_judgement_names_what_was_expected_and_what_was_found(stored, served, detail):
    found = verification.judge(COMPARISON, stored, served)
    assert found.detail == detail
    if found.damage is not None:
        assert found.damage.copy_id == builders.COPY_ID
        assert detail == f"expected {WANTED}, got {found.damage.found}"


def test_a_reading_has_data_by_default():
    assert broken(0).has_data
    assert str(verification.Reading(size=0, multihash=None)) == ""


@pytest.mark.parametrize("copy_status", ["active", "deactivated"])
@pytest.mark.parametrize("source_status", ["active", "deactivated"])
def test_a_copy_with_data_is_worth_reading(source_status, copy_status):
    source = builders.source(status=images.ImageStatus(source_status))
    copy = builders.copy(status=images.ImageStatus(copy_status))
    found = verification.Comparison(copy=copy, expected=WANTED)
    assert verification.comparison_of(source, copy, OURS) == found


@pytest.mark.parametrize(
    ("source", "copy", "why"),
    [
        (builders.source(), None, "there is no copy"),
        (None, None, "there is no copy"),
        (None, builders.copy(), "the source is gone"),
        (
            builders.source(status=images.ImageStatus.DELETED), builders.copy(),
            "source is deleted",
        ),
        (builders.source(), builders.queued(), "copy is queued"),
        (
            builders.source(multihash=None), builders.copy(multihash=None),
            "neither source nor copy has a hash to compare with",
        ),
    ],
)
def test_a_copy_that_cannot_be_compared_is_not_read(source, copy, why):
    assert verification.comparison_of(source, copy, copy and OURS) == why


@pytest.mark.parametrize("whose", ["doubtful", "inherited", "foreign"])
def test_what_is_not_ours_is_not_read(whose):
    found = identity.Identity(whose=identity.Whose(whose), reason="of somebody else")
    assert verification.comparison_of(builders.source(), builders.copy(), found) == (
        "the image there is not the agent's copy: of somebody else"
    )


def test_the_expected_hash_is_the_source_s_or_else_the_copy_s():
    copy = builders.copy(multihash=OTHER)
    assert verification.expected(builders.source(), copy) == WANTED
    assert verification.expected(builders.source(multihash=None), copy) == OTHER
    nothing = dataclasses.replace(copy, multihash=None)
    assert verification.expected(builders.source(multihash=None), nothing) is None
