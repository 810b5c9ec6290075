# SPDX-License-Identifier: Apache-2.0
"""The soak notices agents that copy into paused regions, or go on with what was cancelled."""

import dataclasses
import math
import pathlib
from types import SimpleNamespace

import pytest

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from tests import marks
from tests.unit import builders
from tools.soak import events
from tools.soak import obedience
from tools.soak import orders
from tools.soak import weights

QUIET = 1000.0
COPY_ID = "5d4d3e4e-6d9b-4d0c-8f0a-3d5a8a0f5c11"
KEY = ("RegionTwo", str(builders.IMAGE_ID))
PENDING = tasks.TaskStatus.PENDING
EMPTY = obedience.Copy(
    copy_id="copy", source_id="source", is_done=False, visibility="private",
    created_at=QUIET - 60, size=None,
)
DONE = dataclasses.replace(EMPTY, is_done=True, visibility="public", size=100)


def by_id(*copies: obedience.Copy) -> obedience.Copies:
    return {copy.copy_id: copy for copy in copies}


def other(copy: obedience.Copy, **changes: object) -> obedience.Copy:
    return dataclasses.replace(copy, **changes)  # type: ignore[arg-type]


# Pauses.


@pytest.mark.parametrize(
    ("before", "now"),
    [
        pytest.param([EMPTY, other(DONE, copy_id="2")], [EMPTY, other(DONE, copy_id="2")],
                     id="nothing"),
        pytest.param([DONE], [], id="deleted by hand"),
        pytest.param([DONE], [other(DONE, size=50)], id="damaged by hand"),
        pytest.param([other(EMPTY, size=50)], [EMPTY], id="cleared away"),
        pytest.param([], [DONE], id="missed by a listing"),
    ],
)
def test_a_region_may_lose_data_while_it_is_paused(before, now):
    assert not list(obedience.arrivals(by_id(*before), by_id(*now), QUIET))


@pytest.mark.parametrize(
    ("before", "now", "text"),
    [
        pytest.param([], [other(EMPTY, created_at=QUIET + 2)],
                     "copy copy of source was made", id="a record"),
        pytest.param([EMPTY], [DONE], "copy copy of source got its data", id="active"),
        pytest.param([EMPTY], [other(EMPTY, size=0)],
                     "the file of copy copy of source grew from None to 0 bytes", id="a file"),
        pytest.param([other(EMPTY, size=5)], [other(EMPTY, size=6)],
                     "the file of copy copy of source grew from 5 to 6 bytes", id="more bytes"),
        pytest.param([DONE], [other(DONE, size=101)],
                     "the file of copy copy of source grew from 100 to 101 bytes", id="too many"),
    ],
)
def test_data_that_arrives_in_a_paused_region_is_found(before, now, text):
    assert list(obedience.arrivals(by_id(*before), by_id(*now), QUIET)) == [text]


# Cancellations.


def task(**changes: object) -> tasks.Task:
    """Return a task that is cancelled."""
    status = tasks.TaskStatus.FAILURE
    cancelled = {"status": status, "code": Code.CANCELLED, "cancelled_by": "admin"}
    return builders.task(**cancelled | changes)


IN_STEP = {"status": tasks.TaskStatus.SUCCESS, "code": Code.IN_SYNC, "cancelled_by": None}


@pytest.mark.parametrize(
    ("first", "row", "then"),
    [
        pytest.param([EMPTY], task(), [EMPTY], id="nothing happens"),
        pytest.param([], task(status=PENDING), [], id="it takes access away"),
        pytest.param([DONE], task(**IN_STEP), [DONE], id="it was in step"),
        pytest.param([DONE], task(**IN_STEP | {"status": PENDING}), [DONE],
                     id="it was in step, and its source changed"),
        pytest.param([EMPTY], None, [], id="the source is gone"),
    ],
)
def test_a_cancellation_that_holds_is_not_broken(first, row, then):
    cancelled = obedience.Cancelled(quiet=QUIET)
    assert obedience.breaches(cancelled, task(), by_id(*first)) == []
    assert obedience.breaches(cancelled, row, by_id(*then)) == []


@pytest.mark.parametrize(
    ("row", "then", "text"),
    [
        pytest.param(task(), [DONE], "copy copy got its data", id="copied"),
        pytest.param(task(**IN_STEP), [DONE], "copy copy got its data", id="copied, in step"),
        pytest.param(task(), [other(DONE, copy_id="new", created_at=QUIET + 2)],
                     "copy new was made", id="copied again"),
        pytest.param(task(cancelled_by=None, status=PENDING, code=Code.REQUESTED), [EMPTY],
                     "the task is pending (requested) and not cancelled any more", id="forgotten"),
    ],
)
def test_a_cancelled_task_that_goes_on_is_found(row, then, text):
    cancelled = obedience.Cancelled(quiet=QUIET)
    assert obedience.breaches(cancelled, task(), by_id(EMPTY)) == []
    assert obedience.breaches(cancelled, row, by_id(*then)) == [text]


def test_a_transfer_that_ends_after_the_cancellation_is_found():
    copied = {"copied_from": images.RegionId("RegionOne")}
    assert obedience.is_copied(task(**IN_STEP | copied), is_uncopied=True)
    assert not obedience.is_copied(task(**IN_STEP | copied), is_uncopied=False)
    assert not obedience.is_copied(task(**IN_STEP), is_uncopied=True)
    assert not obedience.is_copied(None, is_uncopied=True)


@pytest.mark.parametrize(
    ("copy", "members", "text"),
    [
        pytest.param(DONE, ["bob"], None, id="complete"),
        pytest.param(EMPTY, [], None, id="private"),
        pytest.param(other(EMPTY, visibility="shared"), [], None, id="shared with nobody"),
        pytest.param(other(EMPTY, visibility="shared"), ["bob"],
                     "copy copy has no data and is shared with ['bob']", id="shared"),
        pytest.param(other(EMPTY, visibility="public"), [],
                     "copy copy has no data and is public", id="public"),
        pytest.param(other(EMPTY, copy_id="left", size=5), [], None, id="of a killed Glance"),
        pytest.param(other(EMPTY, size=5), [], "copy copy has no data, but a file", id="a file"),
    ],
)
def test_a_cancelled_transfer_leaves_a_record_that_only_its_owner_sees(copy, members, text):
    found = obedience.remains(by_id(copy), frozenset({"left"}), lambda _id: members)
    assert list(found) == ([] if text is None else [text])


# The whole check.


class Scene:
    """One region with one copy, and a clock that moves by hand."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.now = 1_000_000 * 60.0
        self.file = directory / COPY_ID
        self.status, self.visibility = "queued", "private"
        key = tasks.TaskKey(
            image_id=images.ImageId(builders.IMAGE_ID), region=images.RegionId("RegionTwo")
        )
        self.rows = [task(key=key)]
        self.events = events.Events(directory / "events.log")
        self.orders = orders.Orders(lambda: self.now)
        self._obedience = obedience.Obedience(
            SimpleNamespace(  # type: ignore[arg-type]
                orders=self.orders,
                visitor=lambda: SimpleNamespace(members=lambda *_key: {}),
                events=self.events,
                forged=set(),
                left=set(),
                file=lambda _region, image_id: directory / image_id,
                agents=[SimpleNamespace(tasks=lambda: self.rows)],
            )
        )

    def check(self) -> list[str]:
        """Check the region ten seconds later; return all violations so far."""
        self.now += 10
        mark = {
            marks.SOURCE_ID: str(builders.IMAGE_ID), marks.SOURCE_REGION: "RegionOne",
            marks.COPY_ID: COPY_ID, marks.COPY_REGION: "RegionTwo",
        }
        record = {
            "id": COPY_ID, "status": self.status, "visibility": self.visibility,
            "created_at": "1970-01-02T00:00:00Z", **mark,
        }
        self._obedience.check("RegionTwo", {COPY_ID: record}, self.now)
        return self.events.violations


@pytest.fixture
def scene(tmp_path: pathlib.Path) -> Scene:
    return Scene(tmp_path)


def test_the_pause_of_a_region_is_checked_after_the_allowance(scene):
    scene.orders.hold(("RegionTwo", ""))
    for size in (1, 2, 2):  # after 10, 20 and 30 seconds
        scene.file.write_bytes(bytes(size))
        assert scene.check() == []
    scene.file.write_bytes(bytes(3))
    grown = f"the file of copy {COPY_ID} of {builders.IMAGE_ID} grew from 2 to 3 bytes"
    assert scene.check() == [f"RegionTwo is paused, and {grown}"]


def test_a_region_that_was_resumed_and_paused_again_is_checked_anew(scene):
    scene.orders.hold(("RegionTwo", ""))
    for _ in range(3):
        assert scene.check() == []
    scene.orders.release(("RegionTwo", ""))
    scene.orders.hold(("RegionTwo", ""))
    scene.status = "active"
    for _ in range(3):
        assert scene.check() == []
    assert scene.events.counts["checks of paused regions", "noted"] == 4


def test_a_cancelled_task_whose_copy_gets_its_data_is_found(scene):
    scene.orders.hold(KEY)
    for _ in range(3):
        assert scene.check() == []
    scene.status = "active"
    told = [f"{KEY[1]} in RegionTwo is cancelled, and copy {COPY_ID} got its data"]
    assert scene.check() == told
    assert scene.orders.since(KEY) is None


def test_a_cancelled_task_that_a_later_attempt_copies_is_found_at_once(scene):
    scene.orders.hold(KEY, is_uncopied=True)
    copied = {**IN_STEP, "copied_from": images.RegionId("RegionOne")}
    scene.rows = [dataclasses.replace(scene.rows[0], **copied)]
    told = [f"{KEY[1]} in RegionTwo is cancelled, and a later attempt copied it"]
    assert scene.check() == told


def test_a_task_that_was_asked_for_again_may_be_copied(scene):
    scene.orders.hold(KEY)
    for _ in range(3):
        assert scene.check() == []
    scene.orders.release(KEY)
    scene.status = "active"
    assert scene.check() == []


def test_what_a_cancelled_transfer_leaves_is_found_if_it_stays(scene):
    scene.orders.hold(KEY)
    scene.file.write_bytes(b"part")
    assert scene.check() == []
    assert scene.check() == []  # the first after the allowance
    told = [f"{KEY[1]} in RegionTwo is cancelled, and copy {COPY_ID} has no data, but a file"]
    assert scene.check() == told


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_cancellation_that_ended_by_itself_is_not_checked_any_more(scene, is_gone):
    scene.orders.hold(KEY)
    scene.status = "active"
    scene.rows = [] if is_gone else [dataclasses.replace(scene.rows[0], **IN_STEP)]
    assert scene.check() == scene.check() == []
    assert scene.orders.since(KEY) is None


# Orders.


@pytest.mark.parametrize(
    ("spells", "quiet"),
    [
        pytest.param([], 115, id="no fault"),
        pytest.param([(90, 95)], 115, id="earlier"),
        pytest.param([(90, 110)], 125, id="at the beginning"),
        pytest.param([(110, 120)], 135, id="meanwhile"),
        pytest.param([(130, 140), (110, 120)], 155, id="again"),
        pytest.param([(116, 200)], 115, id="later"),
        pytest.param([(110, math.inf)], math.inf, id="still"),
    ],
)
def test_faults_delay_the_effect_of_an_order(spells, quiet):
    assert orders.quiet_from(100, spells) == quiet


def test_only_some_faults_delay_it_and_some_only_in_their_region():
    known = orders.Orders()
    for kind, region in (("agent killed", "RegionTwo"), ("sshd frozen", "RegionThree")):
        with known.delayed(kind, region):
            assert known.quiet_from(0, "RegionTwo") == orders.ALLOWANCE_SECONDS
    with known.delayed("sshd frozen", "RegionTwo"):
        assert known.quiet_from(0, "RegionTwo") == orders.ALLOWANCE_SECONDS  # it is long ago
    with known.delayed("agent frozen", "RegionThree"):
        since = known_since(known, ("RegionTwo", ""))
        assert known.quiet_from(since, "RegionTwo") == math.inf
    assert known.quiet_from(since, "RegionTwo") < math.inf


def known_since(known: orders.Orders, key: orders.Key) -> float:
    known.hold(key)
    since = known.since(key)
    assert since is not None
    return since


def test_an_order_holds_until_somebody_takes_it_back():
    known = orders.Orders()
    for key in (("RegionTwo", ""), ("RegionTwo", "1"), ("RegionThree", "2")):
        known.hold(key)
    assert set(known.cancelled("RegionTwo")) == {("RegionTwo", "1")}
    assert known.paused_since("RegionTwo") == known.since(("RegionTwo", ""))
    assert known.paused_since("RegionThree") is None
    known.release(("RegionTwo", ""))
    known.release(("RegionTwo", "1"))
    assert known.paused_since("RegionTwo") is None
    assert not known.cancelled("RegionTwo")


def test_an_order_does_not_count_while_an_unanswered_request_may_still_end_it():
    known = orders.Orders()
    known.doubt(("RegionTwo", ""))
    known.hold(("RegionTwo", ""))
    assert known.paused_since("RegionTwo") is None


@pytest.mark.parametrize(
    ("region", "minute", "is_open"),
    [
        pytest.param(weights.WINDOW_REGION, 0, True, id="open"),
        pytest.param(weights.WINDOW_REGION, 1, False, id="closed"),
        pytest.param("RegionTwo", 0, False, id="another region"),
    ],
)
def test_a_window_pauses_its_region(region, minute, is_open):
    begin = (weights.WINDOW_EVERY_MINUTES * 1000 + minute) * 60.0
    assert orders.window_since(region, begin + 59.9) == (begin if is_open else None)
