# SPDX-License-Identifier: Apache-2.0
"""What is done for a task that a person cancelled."""

import pytest

from glance_sync_agent.domain import actions
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import situations
from glance_sync_agent.domain.codes import Code
from tests.unit import builders
from tests.unit.builders import copy
from tests.unit.builders import queued
from tests.unit.builders import source

CANCELLED = actions.Conflict(
    code=Code.CANCELLED, reason="cancelled by alice; 'glance-sync retry' continues it"
)
Status = images.ImageStatus


def decide(source, copy, *, known=True, **facts):
    found = None
    if copy is not None:
        row = builders.known(copy_id=copy.image_id) if known else None
        found = identity.whose(
            copy, identity.Evidence(key=builders.KEY, source=source, known=row)
        )
    return plans.decide(
        situations.Situation(
            source=source, copy=copy, identity=found, cancelled_by="alice", **facts
        )
    )


@pytest.mark.parametrize(
    ("source", "copy"),
    [
        (source(), None),
        (source(), queued()),
        (source(), copy(name="another")),
        (source(visibility="public"), copy(visibility="private")),
        (source(), copy(status=Status.DEACTIVATED)),
        (source(), copy(status=Status.SAVING)),
    ],
)
def test_nothing_else_is_done(source, copy):
    assert decide(source, copy, deactivated_id=builders.IMAGE_ID) == CANCELLED


def test_it_waits_for_nothing():
    wait = actions.Wait(code=Code.COPY_VANISHED, reason="gone again")
    assert decide(source(), None, wait=wait) == CANCELLED


def test_an_image_that_may_be_our_copy_stays_and_is_not_reported():
    assert decide(source(), copy(multihash=builders.multihash(b"else")), known=False) == CANCELLED


def test_what_is_in_step_is_in_step():
    assert decide(source(), copy()).code is Code.IN_SYNC


def test_what_does_not_belong_there_says_so():
    assert decide(source(), None, unwanted="no rule").code is Code.OUT_OF_STRATEGY


def test_access_is_taken_away_as_ever():
    narrowed = decide(source(visibility="private"), copy(visibility="public", name="another"))
    assert isinstance(narrowed, actions.UpdateMetadata)
    assert narrowed.attributes == {"visibility": "private"}
    rested = decide(source(status=Status.DEACTIVATED), copy())
    assert isinstance(rested, actions.SetActive)
    assert not rested.active


def test_access_to_what_is_not_ours_stays_as_it_is():
    taken = copy(visibility="public", mark=None)
    assert decide(source(visibility="private"), taken, known=False) == CANCELLED


def test_a_copy_goes_with_its_source():
    deleted = decide(None, copy(), may_delete=True)
    assert isinstance(deleted, actions.DeleteCopy)
    assert decide(None, None).code is Code.ABSENT


def test_an_unwanted_copy_stays_even_where_it_would_be_deleted():
    assert decide(source(), copy(), unwanted="no rule", deletes_unwanted=True) == CANCELLED


def test_access_is_taken_away_also_if_the_owner_made_the_source_look_like_a_copy():
    disguised = source(visibility="private", mark=builders.ITSELF_A_COPY)
    narrowed = decide(disguised, copy(visibility="public"))
    assert isinstance(narrowed, actions.UpdateMetadata)
    assert narrowed.attributes == {"visibility": "private"}
