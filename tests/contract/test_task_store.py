# SPDX-License-Identifier: Apache-2.0
"""What every task store promises (``engine.ports.TaskStore``)."""

from collections.abc import Callable, Iterator
from concurrent import futures
import dataclasses
import datetime
import functools
import threading
from typing import Any
import uuid

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import history
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from tests.contract import databases
from tests.fakes import task_store as fake

NOW = datetime.datetime(2026, 3, 29, 1, 59, 59, 987654, tzinfo=datetime.UTC)
REQUEST = ports.Request(now=NOW, not_before=NOW, request_id="request-1")
IMAGE = images.ImageId("10000000-0000-4000-8000-000000000001")
OTHER = images.ImageId("20000000-0000-4000-8000-000000000002")
COPY = images.ImageId("30000000-0000-4000-8000-000000000003")
SHA512 = images.Multihash(algo="sha512", value="ab" * 64)
OTHER_HASH = images.Multihash(algo="sha512", value="cd" * 64)
KNOWN = identity.KnownCopy(copy_id=COPY, created_at=NOW)


def copy_seen(**fields: Any) -> tasks.CopySeen:
    return tasks.CopySeen(copy_id=COPY, created_at=NOW, image_name=None, **fields)

REGION = images.RegionId("RegionTwo")
ELSEWHERE = images.RegionId("RegionThree")
KEY = tasks.TaskKey(image_id=IMAGE, region=REGION)

PENDING = tasks.TaskStatus.PENDING
PROCESSING = tasks.TaskStatus.PROCESSING
SUCCESS = tasks.TaskStatus.SUCCESS
FAILURE = tasks.TaskStatus.FAILURE
DAMAGE = verification.Damage(copy_id=COPY, found="sha512:ab")


@pytest.fixture(params=["memory", *databases.KINDS, *databases.CLUSTERS])
def store(request, tmp_path) -> Iterator[ports.TaskStore]:
    if request.param == "memory":
        yield fake.MemoryTaskStore()
        return
    sql = databases.opened(request.param, tmp_path, request.getfixturevalue)
    yield sql
    sql.close()


def later(seconds: float) -> datetime.datetime:
    return NOW + datetime.timedelta(seconds=seconds)


def ask(store: ports.TaskStore, *regions: str, **changes: Any) -> int:
    """Request tasks for IMAGE, by default in REGION and due at once."""
    request, others = split(REQUEST, changes)
    arguments = {
        "image_id": IMAGE,
        "regions": [images.RegionId(region) for region in regions] or [REGION],
        "request": request,
    }
    return store.request(**{**arguments, **others})


def split(value: Any, changes: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return a value with the changes of its fields, and the other changes."""
    fields = {field.name for field in dataclasses.fields(value)} & changes.keys()
    changed = dataclasses.replace(value, **{name: changes[name] for name in fields})
    return changed, {name: changes[name] for name in changes.keys() - fields}


def claim(store: ports.TaskStore, **changes: Any) -> tasks.Lease:
    """Claim the one task that is due in REGION."""
    (lease,) = claims(store, **changes)
    return lease


def claims(store: ports.TaskStore, **changes: Any) -> list[tasks.Lease]:
    claim_filter, others = split(ports.ANY_TASK, changes)
    arguments = {
        "region": REGION,
        "limit": 10,
        "owner": "agent-1",
        "now": NOW,
        "until": later(60),
        "claim_filter": claim_filter,
    }
    return list(store.claim(**{**arguments, **others}))


def task(store: ports.TaskStore, key: tasks.TaskKey = KEY) -> tasks.Task:
    found = store.get(key)
    assert found is not None
    return found


def succeeded(store: ports.TaskStore) -> None:
    store.finish(claim(store), tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), NOW)


def failed(store: ports.TaskStore) -> None:
    store.finish(claim(store), tasks.Failed(code=Code.REFUSED, reason="refused"), NOW)


OUTCOMES = [
    pytest.param(tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), id="success"),
    pytest.param(tasks.Forgotten(), id="forgotten"),
    pytest.param(
        tasks.RetryAt(when=later(30), code=Code.ATTEMPT_FAILED, reason="no answer"), id="retry"
    ),
    pytest.param(tasks.Failed(code=Code.REFUSED, reason="refused"), id="failure"),
]


# Requests


def test_a_copy_that_was_read_back_is_known_after_every_outcome(store):
    ask(store)
    lease = claim(store)
    store.note_copy(lease, KNOWN, "golden")
    store.note_proven(lease, COPY, SHA512)
    store.finish(lease, tasks.RetryAt(when=NOW, code=Code.ATTEMPT_FAILED, reason="not yet"), NOW)
    assert store.get(lease.task.key).proven_id == COPY
    lease = claim(store)
    assert lease.task.proven_for(SHA512) == COPY
    assert lease.task.proven_for(OTHER_HASH) is None
    assert lease.task.proven_for(None) is None
    store.finish(lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), NOW)
    assert store.get(lease.task.key).proven_id == COPY
    with pytest.raises(errors.LeaseLost):
        store.note_proven(lease, COPY, SHA512)


def test_a_row_knows_where_the_bytes_of_its_copy_were_read(store):
    ask(store)
    lease = claim(store)
    store.note_copy(lease, KNOWN, "golden")
    store.note_copied(lease, ELSEWHERE)
    store.finish(lease, tasks.RetryAt(when=NOW, code=Code.ATTEMPT_FAILED, reason="not yet"), NOW)
    assert task(store).copied_from == ELSEWHERE
    lease = claim(store)
    store.note_copy(lease, None, "golden")
    assert task(store).copied_from is None
    store.finish(lease, tasks.Forgotten(), NOW)
    with pytest.raises(errors.LeaseLost):
        store.note_copied(lease, ELSEWHERE)


def test_a_copy_without_data_is_still_known(store):
    ask(store)
    copied(store)
    ask(store)
    lease = claim(store)
    store.note_copied(lease, ELSEWHERE)
    assert lease.task.has_data
    store.note_without_data(lease)
    assert task(store) == dataclasses.replace(
        lease.task, copied_from=ELSEWHERE, has_data=False
    )


def test_a_request_makes_a_pending_task_in_each_region(store):
    assert ask(store, REGION, ELSEWHERE, not_before=later(5), request_id="abc") == 2

    assert task(store) == tasks.Task(
        key=KEY,
        status=PENDING,
        generation=1,
        request_id="abc",
        may_delete=False,
        attempts=0,
        not_before=later(5),
        code=Code.REQUESTED,
        reason="",
        image_name=None,
        copy_id=None,
        source_region=None,
        copied_from=None,
        waiting_since=None,
        bytes_done=0,
        bytes_total=None,
        created_at=NOW,
        updated_at=NOW,
        asked_at=NOW,
    )
    assert task(store, tasks.TaskKey(image_id=IMAGE, region=ELSEWHERE)).generation == 1


def test_a_region_named_twice_is_one_task(store):
    assert ask(store, REGION, REGION) == 1
    assert task(store).generation == 1


def test_a_request_reaches_the_regions_that_have_a_task_already(store):
    ask(store, REGION)
    assert ask(store, ELSEWHERE) == 2
    assert ask(store, regions=iter(())) == 2

    assert [(t.key.region, t.generation) for t in store.list()] == [(ELSEWHERE, 2), (REGION, 3)]


def test_a_request_does_not_change_tasks_of_other_images(store):
    ask(store)
    before = task(store)
    ask(store, image_id=OTHER, now=later(1))
    assert task(store) == before


def test_a_request_for_no_region_makes_no_task(store):
    assert ask(store, regions=[]) == 0
    assert list(store.list()) == []


@pytest.mark.parametrize(
    ("finished", "status"), [(succeeded, SUCCESS), (failed, FAILURE)], ids=["success", "failure"]
)
def test_a_finished_task_becomes_pending_at_the_requested_time(store, finished, status):
    ask(store)
    finished(store)
    assert task(store).status is status

    ask(store, now=later(5), not_before=later(9), request_id="request-2")

    again = task(store)
    assert (again.status, again.generation, again.attempts) == (PENDING, 2, 0)
    assert (again.not_before, again.reason, again.request_id) == (later(9), "", "request-2")
    assert (again.created_at, again.updated_at) == (NOW, later(5))


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [(5, 9, 5), (9, 5, 5), (9, -5, -5)],
    ids=["later", "sooner", "past"],
)
def test_a_pending_task_keeps_the_earlier_time(store, first, second, kept):
    ask(store, not_before=later(first))
    ask(store, not_before=later(second))
    assert task(store).not_before == later(kept)


def test_a_request_ends_the_back_off_of_a_task_and_resets_its_attempts(store):
    ask(store)
    lease = claim(store)
    store.renew(lease, now=NOW, until=later(60), bytes_done=7, bytes_total=8)
    store.finish(
        lease, tasks.RetryAt(when=later(600), code=Code.ATTEMPT_FAILED, reason="no answer"), NOW
    )
    assert (task(store).attempts, task(store).bytes_done) == (1, 7)

    ask(store, not_before=later(2))

    again = task(store)
    assert (again.status, again.attempts, again.not_before) == (PENDING, 0, later(2))
    assert (again.reason, again.bytes_done) == ("", 0)


def test_a_task_that_is_processing_keeps_running(store):
    ask(store)
    lease = claim(store)
    store.renew(lease, now=NOW, until=later(60), bytes_done=7, bytes_total=8)

    assert ask(store, now=later(1), not_before=later(2), request_id="request-2") == 1

    running = task(store)
    assert (running.status, running.generation) == (PROCESSING, 2)
    assert (running.request_id, running.updated_at) == ("request-2", later(1))
    assert (running.bytes_done, running.bytes_total) == (7, 8)
    assert claims(store, now=later(3)) == []
    store.renew(lease, now=later(3), until=later(90), bytes_done=8, bytes_total=8)


def test_the_reason_of_a_running_task_stays_until_its_outcome(store):
    ask(store)
    store.finish(
        claim(store), tasks.RetryAt(when=NOW, code=Code.ATTEMPT_FAILED, reason="no answer"), NOW
    )
    claim(store)
    ask(store)
    assert task(store).reason == "no answer"


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_outcome_is_superseded_by_a_newer_request(store, outcome):
    ask(store)
    store.finish(
        claim(store), tasks.RetryAt(when=NOW, code=Code.ATTEMPT_FAILED, reason="no answer"), NOW
    )
    lease = claim(store)
    store.renew(lease, now=NOW, until=later(60), bytes_done=7, bytes_total=8)
    ask(store, not_before=later(2))

    assert store.finish(lease, outcome, later(3)) is False

    again = task(store)
    assert (again.status, again.generation, again.attempts) == (PENDING, 2, 0)
    assert (again.not_before, again.updated_at) == (later(2), later(3))
    assert (again.reason, again.bytes_done) == ("", 0)
    assert claim(store, now=later(2)).task.generation == 2


def test_the_last_of_two_requests_during_an_attempt_sets_the_time(store):
    ask(store)
    lease = claim(store)
    ask(store, not_before=later(9))
    ask(store, not_before=later(4))
    ask(store, not_before=later(7))
    store.finish(lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), NOW)
    assert (task(store).not_before, task(store).generation) == (later(7), 4)


def test_may_delete_is_remembered_until_success(store):
    ask(store, may_delete=True)
    ask(store, may_delete=False)
    assert task(store).may_delete
    store.finish(
        claim(store), tasks.RetryAt(when=NOW, code=Code.ATTEMPT_FAILED, reason="no answer"), NOW
    )
    assert claim(store).task.may_delete
    store.release_owned("agent-1", NOW)
    failed(store)
    ask(store)
    assert task(store).may_delete
    succeeded(store)
    assert not task(store).may_delete
    ask(store)
    assert not task(store).may_delete


def test_the_permission_for_unwanted_copies_is_one_of_its_own(store):
    ask(store, may_delete_unwanted=True)
    ask(store)
    assert (task(store).may_delete, task(store).may_delete_unwanted) == (False, True)
    kept = tasks.Succeeded(code=Code.IN_SYNC, reason="in sync", keeps_deletion=True)
    store.finish(claim(store), kept, NOW)
    assert task(store).may_delete_unwanted
    ask(store, may_delete=True)
    assert (task(store).may_delete, task(store).may_delete_unwanted) == (True, True)
    store.finish(claim(store), tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), NOW)
    assert (task(store).may_delete, task(store).may_delete_unwanted) == (False, False)
    ask(store)
    ask(store, may_delete_unwanted=True)
    assert task(store).may_delete_unwanted


def test_may_delete_reaches_a_task_that_is_processing_and_outlives_its_outcome(store):
    ask(store)
    lease = claim(store)
    ask(store, may_delete=True)
    store.finish(lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), NOW)
    assert task(store).may_delete


def test_a_lease_shows_the_request_of_its_task(store):
    ask(store, request_id="request-1")
    lease = claim(store)
    ask(store, request_id="request-2")
    assert (lease.task.request_id, task(store).request_id) == ("request-1", "request-2")


# What is due


def test_nothing_is_due_without_tasks(store):
    assert list(store.due_regions(NOW)) == []
    assert store.next_due() is None


def test_a_region_is_due_from_the_time_of_its_earliest_task(store):
    ask(store, REGION, not_before=later(5))
    ask(store, REGION, image_id=OTHER, not_before=later(3))
    ask(store, ELSEWHERE, image_id=COPY, not_before=later(4))

    assert list(store.due_regions(later(2.999999))) == []
    assert list(store.due_regions(later(3))) == [REGION]
    assert set(store.due_regions(later(4))) == {REGION, ELSEWHERE}
    assert store.next_due() == later(3)


def test_an_overdue_task_is_still_the_next(store):
    ask(store, not_before=later(-1000))
    assert store.next_due() == later(-1000)


def test_a_running_task_is_due_when_its_lease_ends(store):
    ask(store)
    claim(store, until=later(60))
    assert list(store.due_regions(later(59))) == []
    assert list(store.due_regions(later(60))) == [REGION]
    assert store.next_due() == later(60)


def test_the_sooner_of_a_waiting_and_a_leased_task_is_the_next(store):
    ask(store)
    claim(store, until=later(60))
    ask(store, REGION, image_id=OTHER, not_before=later(70))
    assert store.next_due() == later(60)
    ask(store, REGION, image_id=OTHER, not_before=later(50))
    assert store.next_due() == later(50)


@pytest.mark.parametrize("finished", [succeeded, failed])
def test_a_finished_task_is_never_due(store, finished):
    ask(store)
    finished(store)
    assert list(store.due_regions(later(10**6))) == []
    assert store.next_due() is None
    assert claims(store, now=later(10**6)) == []


# Claims


def test_a_claimed_task_is_processing(store):
    ask(store)
    lease = claim(store, now=later(1))
    assert lease.task == task(store)
    assert (lease.task.status, lease.task.updated_at) == (PROCESSING, later(1))
    assert lease.task.not_before == NOW


def test_a_task_is_claimed_from_its_time_on(store):
    ask(store, not_before=later(1))
    assert claims(store, now=later(0.999999)) == []
    assert claim(store, now=later(1)).task.key == KEY


def test_a_claim_takes_tasks_of_its_region_only(store):
    ask(store, ELSEWHERE)
    assert claims(store) == []


def test_a_claim_takes_no_more_than_its_limit_and_the_longest_waiting_first(store):
    ids = [images.ImageId(str(uuid.uuid4())) for _ in range(5)]
    for seconds, image_id in zip((-1, -4, -2, -5, -3), ids, strict=True):
        ask(store, image_id=image_id, not_before=later(seconds))

    first = claims(store, limit=3)
    second = claims(store, limit=3)

    assert [lease.task.key.image_id for lease in first] == [ids[3], ids[1], ids[4]]
    assert [lease.task.key.image_id for lease in second] == [ids[2], ids[0]]
    assert len({lease.token for lease in first + second}) == 5


def test_an_abandoned_task_waits_since_its_lease_ended(store):
    ask(store)
    claim(store, until=later(60))
    ask(store, image_id=OTHER, not_before=later(59))
    ask(store, image_id=COPY, not_before=later(61))
    order = [lease.task.key.image_id for lease in claims(store, now=later(61), until=later(99))]
    assert order == [OTHER, IMAGE, COPY]


def test_waiting_and_abandoned_tasks_share_the_limit(store):
    ask(store)
    claim(store, until=later(60))
    ask(store, image_id=OTHER, not_before=later(59))
    first, second = (claim(store, limit=1, now=later(61), until=later(99)) for _ in range(2))
    assert [first.task.key.image_id, second.task.key.image_id] == [OTHER, IMAGE]


def test_a_claim_leaves_out_tasks_with_too_much_data(store):
    sizes = {"10": None, "20": 99, "30": 100, "40": 101}
    found = {size: images.ImageId(f"{start}{IMAGE[2:]}") for start, size in sizes.items()}
    for image_id in found.values():
        ask(store, image_id=image_id)
    for lease in claims(store):
        size = sizes[lease.task.key.image_id[:2]]
        store.renew(lease, now=NOW, until=later(60), bytes_done=0, bytes_total=size)
        store.finish(
            lease, tasks.RetryAt(when=NOW, code=Code.ATTEMPT_FAILED, reason="", counts=False), NOW
        )

    few = claims(store, below=100, now=later(1))
    assert [lease.task.key.image_id for lease in few] == [found[None], found[99]]
    rest = claims(store, now=later(1))
    assert [lease.task.key.image_id for lease in rest] == [found[100], found[101]]


@pytest.mark.parametrize("copied_from", [ELSEWHERE, None])
def test_a_task_whose_copy_has_its_data_is_claimed_whatever_its_size(store, copied_from):
    ask(store)
    copy = copy_seen(size=100, copied_from=copied_from)
    store.finish(
        claim(store), tasks.Succeeded(code=Code.IN_SYNC, reason="in sync", copy=copy), NOW
    )
    ask(store)
    ask(store)

    assert claims(store, below=100)


def test_a_failed_task_keeps_the_size_of_its_data(store):
    ask(store)
    lease = claim(store)
    store.renew(lease, now=NOW, until=later(60), bytes_done=0, bytes_total=100)
    store.finish(lease, tasks.Failed(code=Code.REFUSED, reason="refused"), NOW)
    ask(store)

    assert claims(store, below=100) == []


def test_a_claim_leaves_out_the_images_of_its_filter(store):
    for image_id in (IMAGE, OTHER):
        ask(store, image_id=image_id)
    (other,) = claims(store, without=[IMAGE])
    assert other.task.key.image_id == OTHER
    assert claims(store, without=[OTHER, IMAGE], now=later(120)) == []
    found = claims(store, without=[COPY], now=later(120))
    assert [lease.task.key.image_id for lease in found] == [IMAGE, OTHER]


def test_a_limit_of_zero_claims_nothing(store):
    ask(store)
    assert claims(store, limit=0) == []


def test_a_leased_task_is_claimed_again_only_when_the_lease_has_ended(store):
    ask(store)
    first = claim(store, until=later(60))
    assert claims(store, now=later(59.999999)) == []
    second = claim(store, now=later(60), until=later(120), owner="agent-2")
    assert second.token != first.token
    assert second.task.attempts == 0


def test_progress_starts_again_with_each_claim(store):
    ask(store)
    store.renew(claim(store), now=NOW, until=NOW, bytes_done=7, bytes_total=8)
    lease = claim(store)
    assert (lease.task.bytes_done, lease.task.bytes_total) == (0, 8)
    assert lease.task == task(store)


# Under a lease


def renew(store: ports.TaskStore, lease: tasks.Lease) -> None:
    store.renew(lease, now=NOW, until=later(99), bytes_done=1, bytes_total=2)


WRITES = [
    pytest.param(renew, id="renew"),
    pytest.param(lambda store, lease: store.note_copy(lease, KNOWN, "name"), id="note_copy"),
    pytest.param(lambda store, lease: store.note_without_data(lease), id="note_without_data"),
    pytest.param(lambda store, lease: store.release(lease, NOW), id="release"),
    *(
        pytest.param(
            lambda store, lease, o=outcome.values[0]: store.finish(lease, o, NOW),
            id=f"finish-{outcome.id}",
        )
        for outcome in OUTCOMES
    ),
]


def taken_over(store: ports.TaskStore, lease: tasks.Lease) -> None:
    claim(store, now=later(60), until=later(120))


def taken_over_by_itself(store: ports.TaskStore, lease: tasks.Lease) -> None:
    claim(store, now=later(60), until=later(120), owner="agent-1")


def finished_before(store: ports.TaskStore, lease: tasks.Lease) -> None:
    store.finish(lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), NOW)


def finished_late(store: ports.TaskStore, lease: tasks.Lease) -> None:
    ask(store)
    store.finish(lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), NOW)


def failed_before(store: ports.TaskStore, lease: tasks.Lease) -> None:
    store.finish(lease, tasks.Failed(code=Code.REFUSED, reason="refused"), NOW)


def put_off(store: ports.TaskStore, lease: tasks.Lease) -> None:
    store.finish(lease, tasks.RetryAt(when=NOW, code=Code.ATTEMPT_FAILED, reason="no answer"), NOW)


def released(store: ports.TaskStore, lease: tasks.Lease) -> None:
    store.release(lease, NOW)


def released_with_its_owner(store: ports.TaskStore, lease: tasks.Lease) -> None:
    store.release_owned("agent-1", NOW)


def forgotten(store: ports.TaskStore, lease: tasks.Lease) -> None:
    store.finish(lease, tasks.Forgotten(), NOW)


LOSSES = [
    taken_over,
    taken_over_by_itself,
    finished_before,
    finished_late,
    failed_before,
    put_off,
    released,
    released_with_its_owner,
    forgotten,
]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_lease_changes_nothing(store, loss, write):
    ask(store)
    lease = claim(store, until=later(60))
    loss(store, lease)
    before = store.get(KEY)

    with pytest.raises(errors.LeaseLost, match=f"{IMAGE} in region {REGION}"):
        write(store, lease)

    assert store.get(KEY) == before


def test_an_expired_lease_is_good_until_another_agent_claims_the_task(store):
    ask(store)
    lease = claim(store, until=later(60))
    store.renew(lease, now=later(99), until=later(120), bytes_done=1, bytes_total=None)
    assert claims(store, now=later(119)) == []
    in_sync = tasks.Succeeded(code=Code.IN_SYNC, reason="in sync")
    assert store.finish(lease, in_sync, later(200)) is True


def test_a_renewed_lease_reports_progress_and_lasts_longer(store):
    ask(store)
    lease = claim(store, until=later(60))
    store.renew(lease, now=later(50), until=later(110), bytes_done=2**40, bytes_total=2**41)

    assert claims(store, now=later(109)) == []
    assert store.next_due() == later(110)
    renewed = task(store)
    assert (renewed.bytes_done, renewed.bytes_total) == (2**40, 2**41)
    assert (renewed.status, renewed.updated_at) == (PROCESSING, later(50))

    store.renew(lease, now=later(50), until=later(110), bytes_done=0, bytes_total=None)
    assert (task(store).bytes_done, task(store).bytes_total) == (0, None)


def test_the_copy_is_remembered_across_requests_and_outcomes(store):
    ask(store)
    lease = claim(store)
    store.note_copy(lease, KNOWN, "Debian 12")
    assert (task(store).copy_id, task(store).image_name) == (COPY, "Debian 12")
    store.finish(lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), NOW)
    ask(store)
    lease = claim(store)
    assert (lease.task.copy_id, lease.task.image_name) == (COPY, "Debian 12")
    store.note_copy(lease, None, None)
    assert (task(store).copy_id, task(store).image_name) == (None, None)
    assert task(store).status is PROCESSING


def test_the_origin_of_the_data_is_known_until_there_is_another_copy(store):
    ask(store)
    copy = copy_seen(size=1, copied_from=ELSEWHERE)
    store.finish(
        claim(store), tasks.Succeeded(code=Code.IN_SYNC, reason="in sync", copy=copy), NOW
    )
    assert task(store).copied_from == ELSEWHERE

    ask(store)
    looked_at = dataclasses.replace(copy, copied_from=None)
    store.finish(
        claim(store), tasks.Succeeded(code=Code.IN_SYNC, reason="in sync", copy=looked_at), NOW
    )
    assert task(store).copied_from == ELSEWHERE

    ask(store)
    store.note_copy(claim(store), None, None)
    assert task(store).copied_from is None


def test_the_origin_of_the_data_is_known_although_the_outcome_is_superseded(store):
    ask(store)
    lease = claim(store)
    ask(store)
    copy = copy_seen(size=1, copied_from=ELSEWHERE)
    assert not store.finish(
        lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync", copy=copy), NOW
    )
    assert task(store).copied_from == ELSEWHERE


def test_a_success_is_remembered_with_its_reason(store):
    ask(store)
    store.finish(
        claim(store), tasks.RetryAt(when=NOW, code=Code.ATTEMPT_FAILED, reason="no answer"), NOW
    )
    in_sync = tasks.Succeeded(code=Code.IN_SYNC, reason="in sync")
    assert store.finish(claim(store), in_sync, later(5)) is True
    done = task(store)
    assert (done.status, done.reason, done.attempts) == (SUCCESS, "in sync", 0)
    assert (done.generation, done.updated_at, done.created_at) == (1, later(5), NOW)


def test_a_forgotten_task_is_gone(store):
    ask(store, REGION, ELSEWHERE)
    assert store.finish(claim(store), tasks.Forgotten(), NOW) is True
    assert [t.key.region for t in store.list()] == [ELSEWHERE]
    ask(store, REGION)
    assert task(store).generation == 1


@pytest.mark.parametrize(("counts", "attempts"), [(True, 2), (False, 1)])
def test_a_retry_waits_for_its_time_and_counts_if_it_should(store, counts, attempts):
    ask(store)
    store.finish(
        claim(store), tasks.RetryAt(when=NOW, code=Code.ATTEMPT_FAILED, reason="no answer"), NOW
    )
    outcome = tasks.RetryAt(
        when=later(30), code=Code.ATTEMPT_FAILED, reason="still no answer", counts=counts
    )

    assert store.finish(claim(store), outcome, later(5)) is True

    waiting = task(store)
    assert (waiting.status, waiting.attempts) == (PENDING, attempts)
    assert (waiting.reason, waiting.not_before) == ("still no answer", later(30))
    assert waiting.updated_at == later(5)
    assert claims(store, now=later(29)) == []
    assert claim(store, now=later(30)).task.attempts == attempts


def test_a_failure_counts_and_keeps_its_reason(store):
    ask(store)
    refused = tasks.Failed(code=Code.REFUSED, reason="refused")
    assert store.finish(claim(store), refused, later(5)) is True
    broken = task(store)
    assert (broken.status, broken.reason, broken.attempts) == (FAILURE, "refused", 1)
    assert broken.updated_at == later(5)


def test_a_released_task_is_as_if_it_had_never_been_claimed(store):
    ask(store, may_delete=True)
    store.finish(
        claim(store), tasks.RetryAt(when=NOW, code=Code.ATTEMPT_FAILED, reason="no answer"), NOW
    )
    before = task(store)
    lease = claim(store, now=later(1))
    store.renew(lease, now=later(2), until=later(60), bytes_done=7, bytes_total=None)

    store.release(lease, later(3))

    after = task(store)
    assert (after.not_before, after.updated_at) == (later(3), later(3))
    unchanged = ("key", "status", "generation", "attempts", "reason", "may_delete", "bytes_done")
    assert [getattr(after, name) for name in unchanged] == [
        getattr(before, name) for name in unchanged
    ]
    assert claim(store, now=later(3)).task.attempts == 1


def test_a_release_keeps_a_newer_request(store):
    ask(store)
    lease = claim(store)
    ask(store)
    store.release(lease, later(1))
    assert (task(store).generation, task(store).status) == (2, PENDING)


def test_the_leases_of_a_dead_owner_are_released_and_no_others(store):
    for image_id in (IMAGE, OTHER, COPY):
        ask(store, image_id=image_id)
    dead = claims(store, limit=2, owner="dead", now=later(1), until=later(3600))
    alive = claim(store, owner="alive", now=later(1))
    store.finish(dead[0], tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), later(1))

    assert store.release_owned("dead", later(2)) == 1
    assert store.release_owned("dead", later(2)) == 0

    assert task(store, dead[0].task.key).status is SUCCESS
    back = task(store, dead[1].task.key)
    assert (back.status, back.attempts, back.not_before) == (PENDING, 0, later(2))
    assert back.updated_at == later(2)
    renew(store, alive)


# Reading


def test_an_unknown_task_is_none(store):
    ask(store)
    assert store.get(tasks.TaskKey(image_id=IMAGE, region=ELSEWHERE)) is None
    assert store.get(tasks.TaskKey(image_id=OTHER, region=REGION)) is None


def test_tasks_are_listed_by_image_and_region_and_filtered(store):
    ask(store, REGION, ELSEWHERE, image_id=OTHER)
    ask(store, REGION, ELSEWHERE)
    store.finish(claims(store, limit=1)[0], tasks.Failed(code=Code.REFUSED, reason="refused"), NOW)

    def listed(**wanted: Any) -> list[tuple[str, str]]:
        return [(t.key.image_id, t.key.region) for t in store.list(**wanted)]

    everything = [(IMAGE, ELSEWHERE), (IMAGE, REGION), (OTHER, ELSEWHERE), (OTHER, REGION)]
    assert listed() == everything
    assert listed(image_id=OTHER) == everything[2:]
    assert listed(region=REGION) == [everything[1], everything[3]]
    assert listed(status=FAILURE) == [(IMAGE, REGION)]
    assert listed(status=PENDING, region=REGION) == [(OTHER, REGION)]
    assert listed(status=SUCCESS) == []
    assert list(store.image_ids()) == [IMAGE, OTHER]


@pytest.mark.parametrize("count", [499, 500, 501, 1000])
def test_a_walk_meets_every_task_once_however_many_there_are(store, count):
    regions = [images.RegionId(f"r{number:04}") for number in range(count - 1)]
    ask(store, *regions, image_id=OTHER)
    ask(store)
    assert [t.key.region for t in store.list()] == [REGION, *regions]
    assert [t.key.region for t in store.list(image_id=OTHER)] == regions


def test_a_walk_of_the_images_meets_every_image_once(store):
    ids = sorted(images.ImageId(str(uuid.uuid4())) for _ in range(501))
    for image_id in ids:
        ask(store, REGION, ELSEWHERE, image_id=image_id)
    assert list(store.image_ids()) == ids


def test_a_walk_survives_changes_on_its_way(store):
    regions = [images.RegionId(f"r{number:04}") for number in range(1100)]
    ask(store, *regions)
    walk = store.list()
    met = [next(walk).key.region]
    for region in (regions[0], regions[499], regions[1099]):
        store.finish(claim(store, region=region), tasks.Forgotten(), NOW)
    ask(store, "a-new-one")
    met += [t.key.region for t in walk]

    assert sorted(set(met)) == met
    assert set(regions[1:499] + regions[500:1099]) <= set(met)
    assert regions[1099] not in met


def test_times_come_back_as_utc_whatever_zone_they_had(store):
    def tokyo(seconds: float) -> datetime.datetime:
        return later(seconds).astimezone(datetime.timezone(datetime.timedelta(hours=9)))

    ask(store, now=tokyo(0), not_before=tokyo(0))
    lease = claim(store, now=tokyo(1), until=tokyo(60))
    found = task(store)
    for time in (found.created_at, found.not_before, lease.task.not_before):
        assert time == NOW
        assert time.microsecond == 987654
        assert time.utcoffset() == datetime.timedelta()
    assert store.next_due() == later(60)

    ask(store, now=tokyo(2), not_before=tokyo(5))
    assert (task(store).not_before, task(store).updated_at) == (later(5), later(2))
    store.finish(lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), tokyo(3))
    ask(store, not_before=tokyo(4))
    assert task(store).not_before == later(4)
    store.finish(
        claim(store, now=later(4)),
        tasks.RetryAt(when=tokyo(9), code=Code.ATTEMPT_FAILED, reason="no answer"),
        tokyo(8),
    )
    assert (task(store).not_before, task(store).updated_at) == (later(9), later(8))


@pytest.mark.parametrize(
    "region",
    ["Zürich", "東京", "\N{PILE OF POO}" * 255, "a b/c?d%e'f\"g\\h;--", "%s {} :name"],
    ids=["latin", "japanese", "longest", "punctuation", "placeholders"],
)
def test_any_text_can_be_the_name_of_a_region_or_an_image(store, region):
    ask(store, region, request_id=region)
    lease = claim(store, region=images.RegionId(region), owner=region)
    store.note_copy(lease, KNOWN, region)
    assert list(store.due_regions(later(60))) == [region]
    store.finish(lease, tasks.Failed(code=Code.REFUSED, reason=region), NOW)
    (found,) = store.list(region=images.RegionId(region))
    assert (found.key.region, found.image_name, found.reason) == (region, region, region)


def test_regions_that_differ_in_case_or_accent_are_different(store):
    regions = ["REGION", "Region", "region", "région"]
    assert ask(store, *regions) == 4
    assert [t.key.region for t in store.list()] == regions
    assert [len(claims(store, region=images.RegionId(region))) for region in regions] == [1] * 4


# At the same time


def together(work: Callable[[int], Any], threads: int = 8) -> list[Any]:
    """Run ``work`` in threads that start at once; return what it returned."""
    barrier = threading.Barrier(threads)

    def run(number: int) -> Any:
        barrier.wait()
        return work(number)

    with futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))


def test_a_task_has_one_winner_however_many_claim_at_once(store):
    ids = {images.ImageId(str(uuid.uuid4())) for _ in range(40)}
    for image_id in ids:
        ask(store, image_id=image_id)

    def take(number: int) -> list[tasks.Lease]:
        won = []
        while leases := claims(store, limit=3, owner=f"agent-{number}"):
            won += leases
        return won

    won = [lease for leases in together(take) for lease in leases]

    assert len(won) == len(ids)
    assert {lease.task.key.image_id for lease in won} == ids
    for lease in won:
        store.finish(lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), NOW)


def test_an_abandoned_task_has_one_winner(store):
    ask(store)
    claim(store, until=NOW)
    won = [lease for leases in together(lambda _: claims(store)) for lease in leases]
    assert len(won) == 1


def test_requests_of_one_image_at_once_are_one_task_with_all_generations(store):
    together(lambda number: ask(store, REGION, ELSEWHERE, request_id=str(number)))
    assert [t.generation for t in store.list()] == [8, 8]
    assert len({t.request_id for t in store.list()}) == 1


def test_no_request_is_lost_between_claims_and_outcomes(store):
    """The last outcome that counts is of the last generation, even if rows are forgotten."""
    requests = 60
    asked = threading.Event()

    def requester() -> None:
        for number in range(requests):
            ask(store, request_id=str(number))
        asked.set()

    def worker(forget: bool) -> None:
        while True:
            last_look = asked.is_set()
            leases = claims(store)
            for lease in leases:
                outcome = (
                    tasks.Forgotten()
                    if forget
                    else tasks.Succeeded(code=Code.IN_SYNC, reason=lease.task.request_id)
                )
                store.finish(lease, outcome, NOW)
            if last_look and not leases and store.next_due() is None:
                return

    work: list[Callable[[], None]] = [
        requester,
        functools.partial(worker, forget=True),
        functools.partial(worker, forget=False),
    ]
    together(lambda number: work[number](), threads=3)

    left = store.get(KEY)
    assert left is None or (left.status is SUCCESS and left.reason == str(requests - 1))


def test_a_request_for_one_region_leaves_the_tasks_of_others_alone(store):
    ask(store, regions=[REGION, images.RegionId("RegionThree")])
    succeeded(store)

    assert ask(store, elsewhere=False, now=later(1), not_before=later(1)) == 1

    other = task(
        store, tasks.TaskKey(image_id=KEY.image_id, region=images.RegionId("RegionThree"))
    )
    assert (task(store).generation, other.generation) == (2, 1)


def test_an_outcome_that_is_superseded_leaves_no_progress(store):
    ask(store)
    lease = claim(store)
    ask(store)
    copy = tasks.CopySeen(copy_id=COPY, created_at=NOW, image_name="Debian 12", size=2**40)
    assert not store.finish(
        lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync", copy=copy), NOW
    )
    assert (task(store).bytes_done, task(store).bytes_total) == (0, 2**40)


def ask_in(store: ports.TaskStore, *image_ids: images.ImageId, **changes: Any) -> int:
    """Request tasks for images in REGION, due at once."""
    second = dataclasses.replace(REQUEST, request_id="request-2")
    request, others = split(second, changes)
    return store.request_in(REGION, image_ids, request, **others)


def test_a_request_of_several_images_equals_requests_of_each(store):
    ask(store, REGION, ELSEWHERE)
    succeeded(store)

    assert ask_in(store, OTHER, IMAGE, OTHER, now=later(1), not_before=later(2)) == 2

    known, new = store.find([IMAGE, OTHER])[1:]
    assert (known.key, known.generation, known.status) == (KEY, 2, PENDING)
    assert (new.key.image_id, new.generation, new.created_at) == (OTHER, 1, later(1))
    assert {(one.request_id, one.not_before) for one in (known, new)} == {("request-2", later(2))}
    elsewhere = task(store, tasks.TaskKey(image_id=IMAGE, region=ELSEWHERE))
    assert (elsewhere.generation, elsewhere.request_id) == (1, "request-1")


def test_a_request_of_several_images_is_noted_in_each_task(store):
    source_region = images.RegionId("RegionFour")
    assert ask_in(store, IMAGE, OTHER, may_delete=True, source_region=source_region) == 2
    assert [(one.may_delete, one.source_region) for one in store.list()] == [
        (True, source_region), (True, source_region)
    ]


def test_a_person_requests_several_images_as_if_each_were_named(store):
    ask(store, source_region=ELSEWHERE)
    store.finish(claim(store), tasks.Failed(code=Code.GAVE_UP, reason="no"), NOW)
    ask(store, image_id=OTHER)
    store.cancel(OTHER, [REGION], by="alice", now=NOW)

    assert ask_in(store, IMAGE, OTHER, by_person=True) == 2

    gave_up, cancelled = store.get(KEY), task(store, tasks.TaskKey(image_id=OTHER, region=REGION))
    assert (gave_up.status, gave_up.attempts, gave_up.failing_since) == (PENDING, 0, None)
    assert gave_up.source_region == ELSEWHERE
    assert (cancelled.status, cancelled.cancelled_by) == (PENDING, None)


def test_a_request_for_no_image_makes_no_task(store):
    assert ask_in(store) == 0
    assert list(store.list()) == []


def test_requests_of_several_images_at_once_are_one_task_each_with_all_generations(store):
    def request(number: int) -> int:
        if number % 2:
            return ask(store, request_id=str(number))
        return ask_in(store, IMAGE, OTHER, request_id=str(number))

    together(request)
    assert [t.generation for t in store.list()] == [8, 4]


def test_success_leaves_the_size_of_the_copy_as_progress(store):
    ask(store)
    copy = tasks.CopySeen(copy_id=COPY, created_at=NOW, image_name="Debian 12", size=2**40)
    store.finish(
        claim(store), tasks.Succeeded(code=Code.IN_SYNC, reason="in sync", copy=copy), NOW
    )
    assert (task(store).bytes_done, task(store).bytes_total) == (2**40, 2**40)
    assert (task(store).copy_id, task(store).image_name) == (COPY, "Debian 12")

    ask(store)
    store.finish(claim(store), tasks.Succeeded(code=Code.OUT_OF_STRATEGY, reason="absent"), NOW)
    assert (task(store).bytes_done, task(store).bytes_total) == (0, None)
    assert (task(store).copy_id, task(store).image_name) == (COPY, "Debian 12")


def test_the_copy_is_known_although_the_outcome_is_superseded(store):
    ask(store)
    lease = claim(store)
    ask(store)
    copy = tasks.CopySeen(copy_id=COPY, created_at=NOW, image_name="Debian 12", size=None)
    assert not store.finish(
        lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync", copy=copy), NOW
    )
    assert (task(store).status, task(store).copy_id) == (PENDING, COPY)


# Tasks that wait for a snapshot, and sources in other regions

WAITING = tasks.Waiting(since=later(-20), until=later(280), reason="snapshot is queued")


def test_a_task_that_waits_for_a_snapshot_is_due_at_the_end_of_the_wait(store):
    ask(store)
    assert store.finish(claim(store), WAITING, NOW)
    found = task(store)
    assert (found.status, found.not_before, found.attempts) == (PENDING, later(280), 0)
    assert (found.waiting_since, found.reason) == (later(-20), "snapshot is queued")
    assert not claims(store, now=later(279))
    assert claims(store, now=later(280))


def test_only_tasks_that_wait_for_a_snapshot_are_walked(store):
    ask(store, REGION, ELSEWHERE)
    store.finish(claim(store), WAITING, NOW)
    assert [one.key for one in store.waiting()] == [KEY]
    claim(store, now=later(280))
    assert not list(store.waiting())


@pytest.mark.parametrize("outcome", [one for one in OUTCOMES if one.id != "forgotten"])
def test_any_other_outcome_ends_the_wait(store, outcome):
    ask(store)
    store.finish(claim(store), WAITING, NOW)
    store.finish(claim(store, now=later(280), until=later(400)), outcome, later(281))
    assert task(store).waiting_since is None
    assert not list(store.waiting())


def test_a_request_ends_the_wait_and_keeps_its_start(store):
    ask(store)
    store.finish(claim(store), WAITING, NOW)
    ask(store, not_before=later(5))
    assert task(store).not_before == later(5)
    assert task(store).waiting_since == later(-20)


def test_the_region_of_the_source_stays_as_first_noted(store):
    ask(store, source_region=ELSEWHERE)
    ask(store, source_region=None)
    assert task(store).source_region == ELSEWHERE


def test_the_tasks_of_some_images_are_found_in_all_regions(store):
    other = images.ImageId("20000000-0000-4000-8000-000000000002")
    ask(store, REGION, ELSEWHERE)
    ask(store, image_id=other)
    ask(store, image_id=images.ImageId("30000000-0000-4000-8000-000000000003"))
    found = store.find([other, IMAGE])
    assert [one.key for one in found] == [
        tasks.TaskKey(image_id=IMAGE, region=ELSEWHERE),
        KEY,
        tasks.TaskKey(image_id=other, region=REGION),
    ]
    assert not store.find([])


def test_outlines_say_of_the_same_tasks_where_they_belong(store):
    ask(store, REGION, ELSEWHERE)
    gone = tasks.Succeeded(code=Code.REGION_GONE, reason="its region is gone")
    store.finish(claim(store), gone, NOW)
    ask(store, image_id=OTHER, source_region=ANOTHER_SOURCE)
    store.note_missing(IMAGE, [ELSEWHERE], NOW)
    assert store.outlines([OTHER, IMAGE]) == [
        (IMAGE, ELSEWHERE, None, False, NOW),
        (IMAGE, REGION, None, True, None),
        (OTHER, REGION, ANOTHER_SOURCE, False, None),
    ]
    assert not store.outlines([])


# Copies that are read back


def copied(store: ports.TaskStore, copy_id: images.ImageId = COPY) -> None:
    seen = tasks.CopySeen(copy_id=copy_id, created_at=NOW, image_name="cirros", size=10)
    store.finish(
        claim(store), tasks.Succeeded(code=Code.IN_SYNC, reason="in sync", copy=seen), NOW
    )


def distrust(store: ports.TaskStore, **changes: Any) -> bool:
    arguments = {"key": KEY, "damage": DAMAGE, "now": later(5), "request_id": "verify"}
    return store.distrust(**{**arguments, **changes})


def test_a_damaged_copy_has_its_task_requested(store):
    ask(store, REGION, ELSEWHERE)
    copied(store)
    other = task(store, tasks.TaskKey(image_id=IMAGE, region=ELSEWHERE))
    assert distrust(store)
    found = task(store)
    assert (found.status, found.generation, found.damage) == (PENDING, 2, DAMAGE)
    assert (found.request_id, found.reason, found.copy_id) == ("verify", "", COPY)
    assert (found.not_before, found.updated_at, found.attempts) == (later(5), later(5), 0)
    assert not found.may_delete
    assert task(store, other.key) == other


def test_a_former_copy_is_not_distrusted(store):
    assert not distrust(store)
    ask(store)
    assert not distrust(store)
    copied(store, OTHER)
    assert not distrust(store)
    assert task(store).status is SUCCESS
    assert task(store).damage is None


def test_a_task_without_a_copy_distrusts_none_even_with_the_id_of_its_source(store):
    ask(store)
    assert not distrust(store, damage=dataclasses.replace(DAMAGE, copy_id=IMAGE))
    assert task(store).damage is None


# Deactivated copies


def test_a_deactivation_by_the_agent_is_known_until_the_copy_is_active_again(store):
    ask(store)
    lease = claim(store)
    store.note_copy(lease, KNOWN, "golden")
    store.note_deactivated(lease, COPY)
    store.finish(lease, tasks.RetryAt(when=NOW, code=Code.ATTEMPT_FAILED, reason="not yet"), NOW)
    assert task(store).deactivated_id == COPY
    for is_deactivated, expected in ((True, COPY), (False, None)):
        ask(store)
        lease = claim(store)
        assert lease.task.deactivated_id == COPY
        seen = copy_seen(size=10, is_deactivated=is_deactivated)
        store.finish(lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync", copy=seen), NOW)
        assert task(store).deactivated_id == expected
    with pytest.raises(errors.LeaseLost):
        store.note_deactivated(lease, COPY)


def test_an_outcome_without_a_copy_keeps_the_note_of_a_deactivation(store):
    ask(store)
    lease = claim(store)
    store.note_deactivated(lease, COPY)
    store.finish(lease, tasks.Succeeded(code=Code.OUT_OF_STRATEGY, reason="not wanted here"), NOW)
    assert task(store).deactivated_id == COPY


def test_a_superseded_outcome_still_reports_an_active_copy(store):
    ask(store)
    lease = claim(store)
    store.note_deactivated(lease, COPY)
    ask(store)
    seen = tasks.Succeeded(code=Code.IN_SYNC, reason="in sync", copy=copy_seen(size=10))
    assert not store.finish(lease, seen, NOW)
    assert task(store).deactivated_id is None


def test_an_operator_permits_the_activation_of_a_copy(store):
    ask(store, REGION, ELSEWHERE)
    copied(store)
    other = task(store, tasks.TaskKey(image_id=IMAGE, region=ELSEWHERE))
    assert store.permit_activation(KEY, now=later(5), request_id="operator")
    found = task(store)
    assert (found.status, found.generation, found.deactivated_id) == (PENDING, 2, COPY)
    assert (found.request_id, found.reason, found.copy_id) == ("operator", "", COPY)
    assert (found.not_before, found.updated_at, found.may_delete) == (later(5), later(5), False)
    assert task(store, other.key) == other
    # Twice is once.
    assert store.permit_activation(KEY, now=later(5), request_id="operator")
    assert task(store).deactivated_id == COPY


def test_a_processing_task_becomes_pending_again_after_a_permission(store):
    ask(store)
    copied(store)
    ask(store)
    lease = claim(store)
    assert store.permit_activation(KEY, now=later(5), request_id="operator")
    assert task(store).status is PROCESSING
    assert not store.finish(
        lease, tasks.Succeeded(code=Code.OUT_OF_STRATEGY, reason="held"), later(6)
    )
    assert (task(store).status, task(store).deactivated_id) == (PENDING, COPY)


def test_a_task_without_a_copy_permits_no_activation(store):
    assert not store.permit_activation(KEY, now=NOW, request_id="operator")
    assert store.get(KEY) is None
    ask(store)
    before = task(store)
    assert not store.permit_activation(KEY, now=later(5), request_id="operator")
    assert task(store) == before


def hold() -> tasks.Succeeded:
    """Return the outcome of an attempt that sees a copy that somebody else deactivated."""
    copy = copy_seen(size=10, is_deactivated=True)
    return tasks.Succeeded(code=Code.HELD, reason="", copy=copy, held_id=COPY)


def test_a_hold_is_known_until_the_copy_is_active_again(store):
    ask(store)
    store.finish(claim(store), hold(), NOW)
    assert task(store).held_id == COPY
    for is_deactivated, expected in ((True, COPY), (False, None)):
        ask(store)
        lease = claim(store)
        assert lease.task.held_id == COPY
        seen = copy_seen(size=10, is_deactivated=is_deactivated)
        store.finish(lease, tasks.Succeeded(code=Code.IN_SYNC, reason="", copy=seen), NOW)
        assert task(store).held_id == expected


def test_a_hold_is_known_after_outcomes_without_a_copy(store):
    ask(store)
    held = tasks.Succeeded(code=Code.OUT_OF_STRATEGY, reason="", held_id=COPY)
    store.finish(claim(store), held, NOW)
    assert task(store).held_id == COPY
    ask(store)
    succeeded(store)
    assert task(store).held_id == COPY
    ask(store)
    store.note_copy(claim(store), None, None)
    assert task(store).held_id == COPY
    assert store.permit_activation(KEY, now=later(5), request_id="operator")
    assert task(store).held_id is None


def test_a_copy_that_is_noted_as_active_is_neither_deactivated_nor_held(store):
    ask(store)
    store.finish(claim(store), hold(), NOW)
    ask(store)
    lease = claim(store)
    store.note_deactivated(lease, COPY)
    store.note_active(lease, OTHER)
    assert (task(store).deactivated_id, task(store).held_id) == (None, COPY)
    store.note_deactivated(lease, COPY)
    store.note_active(lease, COPY)
    assert (task(store).deactivated_id, task(store).held_id) == (None, None)
    store.release(lease, NOW)
    with pytest.raises(errors.LeaseLost):
        store.note_active(lease, COPY)


def test_a_release_during_an_attempt_outlasts_its_outcome(store):
    ask(store)
    copied(store)
    ask(store)
    lease = claim(store)
    assert store.permit_activation(KEY, now=later(5), request_id="operator")
    assert not store.finish(lease, hold(), later(6))
    assert (task(store).deactivated_id, task(store).held_id) == (COPY, None)


def test_a_copy_that_an_operator_adopts_or_disowns_is_not_held(store):
    for settle in (
        lambda: store.adopt(KEY, KNOWN, **ADOPTED),
        lambda: store.disown(KEY, COPY),
    ):
        ask(store)
        store.finish(claim(store, now=later(60)), hold(), NOW)
        assert task(store).held_id == COPY
        assert settle()
        assert task(store).held_id is None


# What a task knows about its copy


@pytest.mark.parametrize(
    "known",
    [
        KNOWN,
        identity.KnownCopy(copy_id=COPY, created_at=None),
        identity.KnownCopy(copy_id=COPY, created_at=NOW, on_probation=True),
        None,
    ],
)
def test_the_next_claim_shows_what_was_noted_about_the_copy(store, known):
    ask(store)
    lease = claim(store)
    store.note_copy(lease, KNOWN, "golden")
    store.note_copy(lease, known, "golden")
    assert task(store).known_copy == known
    store.release(lease, NOW)
    assert claim(store).task.known_copy == known


def test_a_copy_in_sync_is_known_and_not_on_probation(store):
    ask(store)
    lease = claim(store)
    store.note_copy(
        lease, identity.KnownCopy(copy_id=COPY, created_at=None, on_probation=True), "golden"
    )
    store.finish(
        lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync", copy=copy_seen(size=1)), NOW
    )
    assert task(store).known_copy == KNOWN


ADOPTED = {"now": NOW, "request_id": "request-2", "source_region": None}


def test_a_copy_that_an_operator_adopts_is_known_and_its_task_requested(store):
    assert store.adopt(KEY, KNOWN, **ADOPTED)
    assert (task(store).known_copy, task(store).status) == (KNOWN, PENDING)
    assert not task(store).may_delete
    succeeded(store)
    other = identity.KnownCopy(copy_id=OTHER, created_at=later(1))
    assert store.adopt(KEY, other, **ADOPTED)
    assert (task(store).known_copy, task(store).status) == (other, PENDING)
    assert claim(store).task.known_copy == other


def test_an_adopted_copy_is_neither_damaged_nor_on_probation(store):
    ask(store)
    copied(store)
    ask(store)
    lease = claim(store)
    store.note_copy(lease, dataclasses.replace(KNOWN, on_probation=True), "golden")
    store.release(lease, NOW)
    distrust(store)
    assert task(store).damage == DAMAGE
    store.adopt(KEY, KNOWN, **ADOPTED)
    assert (task(store).damage, task(store).copied_from) == (None, None)
    assert task(store).known_copy == KNOWN


def test_a_copy_is_adopted_with_the_region_of_its_source(store):
    store.adopt(KEY, KNOWN, **{**ADOPTED, "source_region": ELSEWHERE})
    assert task(store).source_region == ELSEWHERE


def test_an_adopted_copy_gives_its_task_the_source_that_it_names(store):
    ask(store, may_delete=True)
    store.note_missing(IMAGE, [REGION], NOW)
    assert store.adopt(KEY, KNOWN, **{**ADOPTED, "source_region": ELSEWHERE}, unless_known=True)
    found = task(store)
    assert (found.source_region, found.known_copy) == (ELSEWHERE, KNOWN)
    # Nobody said that this source is gone.
    assert (found.missing_since, found.may_delete) == (None, False)
    assert store.adopt(KEY, KNOWN, **ADOPTED)
    assert task(store).source_region is None


def test_a_copy_that_is_adopted_again_keeps_what_is_known_about_its_source(store):
    ask(store, may_delete=True, source_region=ELSEWHERE)
    store.note_missing(IMAGE, [REGION], NOW)
    store.adopt(KEY, KNOWN, **{**ADOPTED, "source_region": ELSEWHERE})
    assert (task(store).missing_since, task(store).may_delete) == (NOW, True)


def test_a_copy_that_an_operator_disowns_is_forgotten(store):
    ask(store)
    copied(store)
    assert store.disown(KEY, OTHER)
    assert task(store).copy_id == COPY
    assert store.disown(KEY, COPY)
    assert task(store).known_copy is None
    assert task(store).copied_from is None
    assert store.disown(KEY, COPY)


def test_nothing_is_disowned_without_a_task(store):
    assert store.disown(KEY, COPY)
    assert store.get(KEY) is None


def test_the_copy_of_a_processing_task_is_neither_adopted_nor_disowned(store):
    ask(store)
    copied(store)
    ask(store)
    claim(store)
    before = task(store)
    other = identity.KnownCopy(copy_id=OTHER, created_at=NOW)
    assert not store.adopt(KEY, other, **ADOPTED)
    assert not store.disown(KEY, COPY)
    assert task(store) == before


# Images of two regions with one id

ANOTHER_SOURCE = images.RegionId("RegionFour")


def test_an_event_does_not_change_tasks_of_another_source_with_the_same_id(store):
    ask(store, source_region=ANOTHER_SOURCE)
    copied(store)
    before = task(store)
    count = ask(store, source_region=ELSEWHERE, of_source_only=True, may_delete=True)
    assert (count, task(store)) == (0, before)
    count = ask(store, may_delete=True, of_source_only=True)
    assert (count, task(store)) == (0, before)
    assert ask(store, source_region=ANOTHER_SOURCE, of_source_only=True) == 1
    assert task(store).generation == before.generation + 1


def test_an_image_of_the_cascading_region_takes_over_a_task_without_a_copy(store):
    ask(store, source_region=ANOTHER_SOURCE, may_delete=True)
    store.note_missing(IMAGE, [REGION], NOW)
    assert ask(store, of_source_only=True) == 1
    found = task(store)
    assert (found.source_region, found.known_copy, found.copied_from) == (None, None, None)
    assert (found.status, found.missing_since, found.may_delete) == (PENDING, None, False)


def test_an_image_of_the_cascading_region_does_not_take_over_a_task_with_a_copy(store):
    ask(store, source_region=ANOTHER_SOURCE)
    copied(store)
    before = task(store)
    assert ask(store, of_source_only=True) == 0
    assert ask_in(store, IMAGE) == 0
    assert task(store) == before


def test_an_image_of_the_cascading_region_does_not_take_over_a_processing_task(store):
    ask(store, source_region=ANOTHER_SOURCE)
    lease = claim(store)
    assert ask(store, of_source_only=True) == 0
    assert ask_in(store, IMAGE) == 0
    assert task(store) == lease.task


def test_a_task_is_taken_over_only_in_the_requested_regions(store):
    ask(store, REGION, ELSEWHERE, source_region=ANOTHER_SOURCE)
    assert ask(store, REGION, of_source_only=True) == 1
    other = task(store, tasks.TaskKey(image_id=IMAGE, region=ELSEWHERE))
    assert other.source_region == ANOTHER_SOURCE


def test_a_scan_does_not_change_tasks_of_another_source_with_the_same_id(store):
    ask(store, source_region=ANOTHER_SOURCE)
    before = task(store)
    assert ask_in(store, IMAGE, source_region=ELSEWHERE) == 0
    assert task(store) == before
    assert ask_in(store, IMAGE) == 1
    assert task(store).source_region is None


def test_an_operator_requests_a_task_whatever_its_source(store):
    ask(store, source_region=ANOTHER_SOURCE)
    assert ask(store, elsewhere=False) == 1
    assert task(store).source_region == ANOTHER_SOURCE


def test_the_proof_of_a_copy_is_forgotten_with_the_copy(store):
    ask(store)
    lease = claim(store)
    store.note_proven(lease, COPY, SHA512)
    store.note_copy(lease, KNOWN, "golden")
    assert task(store).proven_for(SHA512) == COPY
    store.note_copy(lease, None, "golden")
    assert (task(store).proven_id, task(store).proven_hash) == (None, None)
    store.note_proven(lease, COPY, SHA512)
    store.note_copy(lease, identity.KnownCopy(copy_id=OTHER, created_at=NOW), "golden")
    assert (task(store).proven_id, task(store).proven_hash) == (None, None)
    store.note_proven(lease, COPY, SHA512)
    store.release(lease, NOW)
    store.adopt(KEY, KNOWN, **ADOPTED)
    assert (task(store).proven_id, task(store).proven_hash) == (None, None)
    store.note_proven(claim(store), COPY, SHA512)
    assert task(store).proven_for(SHA512) == COPY


def test_a_deletion_that_was_not_executed_is_not_forgotten(store):
    ask(store, may_delete=True)
    gone = tasks.Succeeded(code=Code.OUT_OF_STRATEGY, reason="no such region", keeps_deletion=True)
    store.finish(claim(store), gone, NOW)
    assert task(store).may_delete
    ask(store)
    succeeded(store)
    assert not task(store).may_delete


def test_a_copy_is_adopted_only_if_none_is_known_when_the_caller_wants_that(store):
    other = identity.KnownCopy(copy_id=OTHER, created_at=NOW)
    assert store.adopt(KEY, KNOWN, **ADOPTED, unless_known=True)
    assert store.adopt(KEY, other, **ADOPTED, unless_known=True)
    assert task(store).known_copy == KNOWN


def test_a_source_is_missing_until_it_is_found_again(store):
    ask(store)
    ask(store, ELSEWHERE)
    assert task(store).missing_since is None
    store.note_missing(IMAGE, [REGION, "RegionNine"], NOW)
    assert task(store).missing_since == NOW
    (other,) = [one for one in store.find([IMAGE]) if one.key.region == ELSEWHERE]
    assert other.missing_since is None
    store.note_missing(IMAGE, [REGION], None)
    assert task(store).missing_since is None


def test_a_missing_source_without_tasks_is_not_noted(store):
    store.note_missing(IMAGE, [REGION], NOW)
    assert store.find([IMAGE]) == []


@pytest.mark.parametrize(
    ("code", "copy"), [(Code.HELD, copy_seen(size=10)), (Code.REGION_GONE, None)]
)
def test_a_damaged_copy_that_is_not_in_sync_stays_damaged(store, code, copy):
    ask(store)
    copied(store)
    distrust(store)
    outcome = tasks.Succeeded(code=code, reason="not replaced", copy=copy)
    store.finish(claim(store, now=later(5)), outcome, later(6))
    assert (task(store).status, task(store).damage) == (SUCCESS, DAMAGE)


def test_the_claim_shows_damage_until_the_copy_is_in_sync(store):
    ask(store)
    copied(store)
    distrust(store)
    lease = claim(store, now=later(5))
    assert lease.task.damage == DAMAGE
    store.finish(
        lease, tasks.RetryAt(when=later(6), code=Code.ATTEMPT_FAILED, reason="no answer"), later(5)
    )
    assert task(store).damage == DAMAGE
    lease = claim(store, now=later(6))
    store.finish(lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), later(6))
    assert task(store).damage is None


def test_damage_is_forgotten_with_the_copy(store):
    ask(store)
    copied(store)
    distrust(store)
    store.note_copy(claim(store, now=later(5)), None, "cirros")
    assert task(store).damage is None


def test_damage_that_is_found_during_an_attempt_outlives_it(store):
    ask(store)
    copied(store)
    ask(store)
    lease = claim(store)
    assert distrust(store)
    assert not store.finish(lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), later(6))
    assert (task(store).status, task(store).damage) == (PENDING, DAMAGE)


def test_a_damage_that_is_too_long_for_the_table_is_cut(store):
    ask(store)
    copied(store)
    long = dataclasses.replace(DAMAGE, found="x" * 300)
    assert distrust(store, damage=long)
    found = task(store).damage
    assert found is not None
    assert long.found.startswith(found.found)
    assert len(found.found) >= 255


def test_a_task_is_unverified_some_time_after_its_creation_and_each_verification(store):
    def unverified(seconds: float) -> list[images.RegionId]:
        return [one.key.region for one in store.unverified(later(seconds))]

    ask(store, REGION, ELSEWHERE)
    assert unverified(0) == []
    assert unverified(0.001) == [ELSEWHERE, REGION]
    before = task(store)
    store.note_verified(KEY, later(10))
    assert task(store) == before
    assert unverified(10) == [ELSEWHERE]
    copied(store)
    assert unverified(10) == [ELSEWHERE]
    assert unverified(10.001) == [ELSEWHERE, REGION]


def test_the_verification_of_a_task_that_is_gone_is_not_noted(store):
    store.note_verified(KEY, NOW)
    assert list(store.list()) == []


# Failures that may pass


def fail(store: ports.TaskStore, seconds: float, outcome: tasks.Outcome) -> tasks.Task:
    store.finish(claim(store, now=later(seconds)), outcome, later(seconds))
    return task(store)


def test_the_time_of_the_first_failure_is_remembered_until_success(store):
    ask(store)
    retry = tasks.RetryAt(when=later(1), code=Code.ATTEMPT_FAILED, reason="no answer")
    waits = dataclasses.replace(retry, counts=False)
    assert fail(store, 1, waits).failing_since is None
    assert fail(store, 2, retry).failing_since == later(2)
    assert fail(store, 3, retry).failing_since == later(2)
    assert fail(store, 4, waits).failing_since == later(2)
    assert claim(store, now=later(5), until=later(5)).task.failing_since == later(2)
    succeeded = tasks.Succeeded(code=Code.IN_SYNC, reason="in sync")
    assert fail(store, 6, succeeded).failing_since is None


def test_a_task_that_gives_up_shows_since_when_it_fails_unlike_one_that_fails_for_good(store):
    ask(store)
    given_up = tasks.Failed(code=Code.GAVE_UP, reason="full")
    assert fail(store, 1, given_up).failing_since == later(1)
    ask(store)
    assert task(store).failing_since is None
    fail(store, 2, tasks.RetryAt(when=later(2), code=Code.ATTEMPT_FAILED, reason="full"))
    assert fail(store, 3, given_up).failing_since == later(2)
    ask(store)
    fail(store, 4, tasks.RetryAt(when=later(4), code=Code.ATTEMPT_FAILED, reason="full"))
    assert fail(store, 5, tasks.Failed(code=Code.REFUSED, reason="refused")).failing_since is None


def test_a_scan_gives_a_task_that_gave_up_one_more_attempt(store):
    ask(store)
    fail(store, 1, tasks.RetryAt(when=later(1), code=Code.ATTEMPT_FAILED, reason="full"))
    fail(store, 2, tasks.Failed(code=Code.GAVE_UP, reason="full"))
    ask_in(store, IMAGE)
    assert (task(store).status, task(store).attempts) == (PENDING, 2)
    assert task(store).failing_since == later(1)
    ask(store)
    assert (task(store).attempts, task(store).failing_since) == (0, None)


def test_a_scan_gives_all_other_tasks_all_attempts(store):
    ask(store)
    fail(store, 1, tasks.RetryAt(when=later(1), code=Code.ATTEMPT_FAILED, reason="full"))
    ask_in(store, IMAGE)
    assert (task(store).attempts, task(store).failing_since) == (0, None)
    fail(store, 2, tasks.Failed(code=Code.REFUSED, reason="refused"))
    ask_in(store, IMAGE)
    assert (task(store).attempts, task(store).failing_since) == (0, None)


# Copies that vanish


def test_the_count_of_vanished_copies_is_kept_until_a_user_requests_the_region(store):
    twice = backoff.Vanishings(times=2, last_at=later(1))
    ask(store)
    assert task(store).vanished is None
    lease = claim(store)
    store.note_vanished(lease, twice)
    store.finish(lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), NOW)
    ask(store)
    ask_in(store, IMAGE)
    assert task(store).vanished == twice
    ask(store, elsewhere=False)
    assert task(store).vanished is None
    with pytest.raises(errors.LeaseLost):
        store.note_vanished(lease, twice)


# Projects


def ids(count: int, first: int = 1) -> list[images.ImageId]:
    return [images.ImageId(f"{n:08x}-0000-4000-8000-000000000000")
            for n in range(first, first + count)]


def owned(store: ports.TaskStore, project: str, *image_ids: images.ImageId, at: float = 0) -> None:
    for image_id in image_ids:
        ask(store, image_id=image_id, project=project, not_before=later(at))


def test_a_task_has_the_project_of_the_last_request(store):
    ask(store)
    assert task(store).project == ""
    ask_in(store, IMAGE, projects={IMAGE: "one", OTHER: "two"})
    assert task(store).project == "one"
    assert claim(store).task.project == "one"
    ask(store)
    assert task(store).project == "one"
    ask(store, project="other")
    assert task(store).project == "other"
    ask_in(store, IMAGE, OTHER, projects={OTHER: "p" * 70})
    assert task(store).project == "other"
    assert task(store, tasks.TaskKey(image_id=OTHER, region=REGION)).project == "p" * 64


def test_projects_are_found_some_at_a_time(store):
    for number, project in enumerate(["a", "B", "é", ""]):
        owned(store, project, *ids(2, first=1 + 2 * number))
    owned(store, "late", *ids(1, first=90), at=5)
    assert store.due_projects(ELSEWHERE, NOW, after=None, most=9) == ([], None)
    assert store.due_projects(REGION, NOW, after=None, most=9) == (["", "B", "a", "é"], None)
    assert store.due_projects(REGION, NOW, after=None, most=2) == (["", "B"], "B")
    assert store.due_projects(REGION, NOW, after="B", most=2) == (["a"], "late")
    assert store.due_projects(REGION, NOW, after="late", most=2) == (["é"], None)
    assert store.due_projects(REGION, later(5), after="a", most=1) == (["late"], "late")
    assert store.due_projects(REGION, NOW, after=None, most=4) == (["", "B", "a"], "late")
    claims(store)
    assert store.due_projects(REGION, NOW, after=None, most=9) == ([], None)


def test_a_claim_takes_projects_in_turn_and_then_the_longest_waiting(store):
    owned(store, "many", *ids(5))
    owned(store, "few", *ids(2, first=50), at=1)
    now = {"now": later(2), "until": later(60)}
    taken = claims(store, limit=1, projects=["few", "many"], **now)
    assert [lease.task.project for lease in taken] == ["few"]
    taken = claims(store, limit=4, projects=["none", "few", "many"], **now)
    assert [lease.task.project for lease in taken] == ["few", "many", "many", "many"]
    assert [lease.task.key.image_id for lease in taken[1:]] == ids(3)


@pytest.mark.parametrize(
    ("limit", "taken"),
    [(1, "a"), (2, "ab"), (3, "abc"), (4, "aabc"), (5, "aabbc"), (7, "aaabbcc")],
)
def test_projects_share_the_limit_of_a_claim(store, limit, taken):
    for number, project in enumerate("abc"):
        owned(store, project, *ids(4, first=1 + 10 * number))
    leases = claims(store, limit=limit, projects=["a", "b", "c"])
    assert "".join(lease.task.project for lease in leases) == taken


def test_a_claim_by_projects_obeys_the_rest_of_the_filter(store):
    owned(store, "one", *ids(3))
    owned(store, "two", *ids(1, first=50), at=9)
    taken = claims(store, projects=["two", "one"], without=ids(1))
    assert [lease.task.key.image_id for lease in taken] == ids(2, first=2)


def test_an_abandoned_task_is_claimed_before_the_projects(store):
    owned(store, "lost", *ids(1))
    claims(store, until=later(1))
    owned(store, "one", *ids(1, first=2))
    owned(store, "two", *ids(1, first=3))
    now = {"now": later(5), "until": later(60)}
    taken = claims(store, limit=2, projects=["two", "one"], **now)
    assert [lease.task.project for lease in taken] == ["lost", "two"]


# Tasks whose copy has its data


def test_a_task_knows_whether_its_copy_has_its_data(store):
    ask(store)
    assert not task(store).has_data
    without = copy_seen(size=None)
    store.finish(claim(store), tasks.Succeeded(code=Code.IN_SYNC, reason="", copy=without), NOW)
    assert not task(store).has_data
    ask(store)
    copied(store)
    assert task(store).has_data
    ask(store)
    ask_in(store, IMAGE)
    lease = claim(store)
    assert lease.task.has_data
    store.finish(lease, tasks.Failed(code=Code.REFUSED, reason="refused"), NOW)
    assert task(store).has_data
    ask(store)
    store.note_copy(claim(store), KNOWN, None)
    assert not task(store).has_data


def test_a_damaged_copy_keeps_its_data_until_it_is_deleted(store):
    ask(store)
    copied(store)
    distrust(store)
    assert task(store).has_data
    store.note_copy(claim(store, now=later(5)), None, "cirros")
    assert not task(store).has_data


def test_the_data_of_a_copy_is_known_although_the_outcome_is_superseded(store):
    ask(store)
    lease = claim(store)
    ask(store)
    copy = copy_seen(size=1)
    assert not store.finish(lease, tasks.Succeeded(code=Code.IN_SYNC, reason="", copy=copy), NOW)
    assert task(store).has_data


def test_an_adopted_copy_counts_as_having_its_data_until_it_is_disowned(store):
    store.adopt(KEY, KNOWN, **ADOPTED)
    assert task(store).has_data
    store.disown(KEY, COPY)
    assert not task(store).has_data


def test_a_task_that_knows_a_copy_is_not_taken_over_and_has_its_data(store):
    ask(store, source_region=ANOTHER_SOURCE)
    copied(store)
    ask(store, of_source_only=True)
    assert task(store).has_data


def copied_before(store: ports.TaskStore, project: str, *image_ids: images.ImageId) -> None:
    """Make tasks whose copies have their data, and request them again."""
    owned(store, project, *image_ids)
    for lease in claims(store, limit=99):
        copy = copy_seen(size=1)
        store.finish(lease, tasks.Succeeded(code=Code.IN_SYNC, reason="", copy=copy), NOW)
    owned(store, project, *image_ids, at=1)


def claimed(store: ports.TaskStore, **changes: Any) -> list[images.ImageId]:
    times = {"now": later(2), "until": later(60)}
    return [lease.task.key.image_id for lease in claims(store, **{**times, **changes})]


def test_a_claim_can_be_for_copies_with_data_or_for_all_others(store):
    copied_before(store, "", *ids(2))
    owned(store, "", *ids(3, first=50))
    assert claimed(store, with_data=True) == ids(2)
    assert claimed(store, with_data=True) == []
    assert claimed(store, with_data=False, limit=2) == ids(2, first=50)


def test_a_claim_takes_the_longest_waiting_with_and_without_data(store):
    copied_before(store, "", *ids(2))
    owned(store, "", *ids(2, first=50))
    owned(store, "", *ids(2, first=60), at=2)
    assert claimed(store, limit=3) == [*ids(2, first=50), *ids(1)]
    assert claimed(store) == [*ids(1, first=2), *ids(2, first=60)]


def test_abandoned_tasks_are_claimed_by_kind_too(store):
    copied_before(store, "", *ids(1))
    owned(store, "", *ids(1, first=50))
    claimed(store, until=later(3))
    now = {"now": later(4)}
    assert claimed(store, with_data=True, **now) == ids(1)
    assert claimed(store, with_data=False, **now) == ids(1, first=50)


def test_projects_share_claims_of_copies_with_data(store):
    copied_before(store, "many", *ids(5))
    copied_before(store, "few", *ids(2, first=50))
    owned(store, "few", *ids(1, first=49))
    wanted = {"with_data": True, "projects": ["few", "many"], "limit": 4}
    assert claimed(store, **wanted) == [*ids(2, first=50), *ids(2)]


def test_regions_are_due_for_copies_with_data_or_for_all_others(store):
    copied_before(store, "", *ids(1))
    ask(store, ELSEWHERE, not_before=later(5))

    def due(seconds: float) -> tuple[list[str], list[str]]:
        with_data, others = (
            list(store.due_regions(later(seconds), with_data=kind)) for kind in (True, False)
        )
        return with_data, others

    assert due(0) == ([], [])
    assert due(1) == ([REGION], [])
    assert due(5) == ([REGION], [ELSEWHERE])
    owned(store, "", *ids(1, first=50), at=7)
    assert store.next_due() == later(1)
    claimed(store, until=later(20))
    assert due(19) == ([], [REGION, ELSEWHERE][::-1])
    assert due(20) == ([REGION], [ELSEWHERE, REGION])


def test_projects_are_due_for_copies_with_data_or_for_all_others(store):
    copied_before(store, "b", *ids(1))
    owned(store, "a", *ids(1, first=50), at=2)
    owned(store, "b", *ids(1, first=51), at=3)
    owned(store, "c", *ids(1, first=52), at=2)

    def found(seconds: float, **wanted: Any) -> tuple[Any, str | None]:
        return store.due_projects(REGION, later(seconds), after=None, most=9, **wanted)

    assert found(1, with_data=True) == (["b"], None)
    assert found(2, with_data=False) == (["a", "c"], None)
    assert found(2) == (["a", "b", "c"], None)
    assert found(1) == (["b"], None)
    assert store.due_projects(REGION, later(2), after="a", most=1) == (["b"], "b")


CANCELLED = "cancelled by alice; 'glance-sync retry' continues it"


def cancel(store, *regions, by="alice"):
    return store.cancel(IMAGE, regions or None, by=by, now=later(9))


def test_a_waiting_task_is_cancelled_until_a_person_requests_it(store):
    ask(store)
    assert cancel(store) == [REGION]
    task = store.get(KEY)
    assert (task.status, task.code, task.reason) == (PENDING, Code.CANCELLED, CANCELLED)
    assert (task.cancelled_by, task.updated_at) == ("alice", later(9))
    # One more attempt takes access away, if that is due.
    assert store.due_regions(later(9)) == [REGION]
    store.finish(
        claim(store, now=later(9)), tasks.Failed(code=Code.CANCELLED, reason=CANCELLED), later(9)
    )
    assert store.get(KEY).cancelled_by == "alice"
    ask(store, by_person=True)
    task = store.get(KEY)
    assert (task.status, task.cancelled_by) == (PENDING, None)


def test_requests_of_agents_leave_a_task_cancelled(store):
    ask(store)
    cancel(store)
    ask(store)
    assert store.get(KEY).cancelled_by == "alice"
    store.request_in(REGION, [IMAGE], REQUEST)
    assert store.get(KEY).cancelled_by == "alice"
    assert store.get(KEY).status is PENDING


def test_who_works_on_a_cancelled_task_loses_the_lease(store):
    ask(store)
    lease = claim(store)
    assert cancel(store) == [REGION]
    with pytest.raises(errors.LeaseLost):
        store.renew(lease, now=NOW, until=later(60), bytes_done=5, bytes_total=9)
    with pytest.raises(errors.LeaseLost):
        store.finish(lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), NOW)
    assert store.get(KEY).bytes_done == 0


def test_a_task_that_is_done_is_not_cancelled(store):
    ask(store)
    store.finish(claim(store), tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), NOW)
    assert cancel(store) == []
    assert store.get(KEY).status is SUCCESS


def test_only_the_named_regions_are_cancelled_and_in_order(store):
    ask(store, REGION, ELSEWHERE, "RegionFour")
    store.request(OTHER, [REGION], REQUEST)
    assert cancel(store, REGION, ELSEWHERE, "RegionFive") == [ELSEWHERE, REGION]
    assert cancel(store, "RegionFive") == []
    assert store.get(dataclasses.replace(KEY, region=images.RegionId("RegionFour"))).code is (
        Code.REQUESTED
    )
    assert store.get(tasks.TaskKey(image_id=OTHER, region=REGION)).code is Code.REQUESTED


def test_a_task_that_waits_or_gave_up_is_cancelled_for_good(store):
    ask(store)
    waiting = tasks.Waiting(since=NOW, until=later(60), reason="no data")
    store.finish(claim(store), waiting, NOW)
    cancel(store)
    assert store.get(KEY).waiting_since is None
    ask(store, by_person=True)
    store.finish(claim(store, now=later(70)), tasks.Failed(code=Code.GAVE_UP, reason="no"), NOW)
    cancel(store, by="bob")
    task = store.get(KEY)
    assert (task.failing_since, task.cancelled_by) == (None, "bob")


def test_the_leases_of_a_region_are_called_off_and_no_others(store):
    ask(store, REGION, ELSEWHERE)
    failed = tasks.RetryAt(when=NOW, code=Code.ATTEMPT_FAILED, reason="refused")
    store.finish(claim(store), failed, NOW)
    lease, other = claim(store), claim(store, region=ELSEWHERE)
    assert store.call_off([REGION], later(9)) == 1
    assert store.call_off([REGION], later(9)) == 0
    with pytest.raises(errors.LeaseLost):
        store.renew(lease, now=NOW, until=later(60), bytes_done=0, bytes_total=None)
    store.renew(other, now=NOW, until=later(60), bytes_done=0, bytes_total=None)
    task = store.get(KEY)
    assert (task.status, task.not_before, task.bytes_done) == (PENDING, later(9), 0)
    assert task.attempts == 1  # a pause forgives no failure


def test_what_an_attempt_did_is_kept_with_its_outcome_or_not_at_all(store):
    event = history.Event(at=NOW, kind=history.Kind.COPIED, by="agent-1", image_id=IMAGE)
    ask(store)
    lease = claim(store)
    store.finish(
        lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), NOW, events=[event]
    )
    with pytest.raises(errors.LeaseLost):
        store.finish(lease, tasks.Forgotten(), NOW, events=[event, event])
    kept = store.history() if callable(store.history) else store.history
    assert [one.event for one in kept.newest(9)] == [event]


def test_a_task_says_since_when_it_is_asked_for_and_when_it_was_done(store):
    ask(store)
    ask(store, now=later(1), not_before=later(1))
    assert (store.get(KEY).asked_at, store.get(KEY).done_at) == (NOW, None)
    done = tasks.Succeeded(code=Code.IN_SYNC, reason="in sync")
    store.finish(claim(store, now=later(1)), done, later(2))
    assert (store.get(KEY).asked_at, store.get(KEY).done_at) == (NOW, later(2))
    ask(store, now=later(3), not_before=later(3))
    assert (store.get(KEY).asked_at, store.get(KEY).done_at) == (later(3), later(2))


def test_a_scan_does_not_make_a_failed_task_younger_and_another_request_does(store):
    ask(store)
    store.finish(claim(store), tasks.Failed(code=Code.REFUSED, reason="no"), NOW)
    store.request_in(
        REGION, [IMAGE], dataclasses.replace(REQUEST, now=later(1), not_before=later(1))
    )
    assert store.get(KEY).asked_at == NOW
    store.finish(claim(store, now=later(1)), tasks.Failed(code=Code.REFUSED, reason="no"), NOW)
    ask(store, now=later(2))
    assert store.get(KEY).asked_at == later(2)


def test_nothing_is_counted_where_there_is_no_task(store):
    assert store.count(NOW) == {}


def test_tasks_are_counted_by_region_status_and_code(store):
    ask(store, REGION, ELSEWHERE)
    lease = claim(store)
    store.request(OTHER, [REGION], dataclasses.replace(REQUEST, now=later(5)))
    store.renew(lease, now=NOW, until=later(60), bytes_done=30, bytes_total=100)
    failed = claim(store, region=ELSEWHERE)
    store.finish(failed, tasks.Failed(code=Code.REFUSED, reason="no"), NOW)
    found = store.count(later(5))
    assert list(found) == [ELSEWHERE, REGION]
    assert dict(found[ELSEWHERE].tasks) == {("failure", "refused"): 1}
    assert (found[ELSEWHERE].oldest_asked_at, found[ELSEWHERE].late) == (None, 0)
    assert dict(found[REGION].tasks) == {
        ("processing", "requested"): 1, ("pending", "requested"): 1
    }
    counts = found[REGION]
    assert (counts.waiting_bytes, counts.oldest_asked_at, counts.late) == (70, NOW, 1)
    assert counts.with_status("pending") == 1
    assert store.count(later(6))[REGION].late == 2


def test_what_has_its_data_has_no_bytes_to_wait_for(store):
    ask(store)
    seen = tasks.Succeeded(
        code=Code.IN_SYNC, reason="in sync", copy=copy_seen(size=100, copied_from=ELSEWHERE)
    )
    store.finish(claim(store), seen, NOW)
    ask(store)
    counts = store.count(NOW)[REGION]
    assert (counts.waiting_bytes, counts.with_status("pending")) == (0, 1)


def match(store, **fields):
    return [
        (task.key.image_id, task.key.region)
        for task in store.matching(ports.TaskFilter(**fields))
    ]


@pytest.fixture
def several(store):
    """Two images; IMAGE failed in REGION and waits in ELSEWHERE, OTHER is in sync in REGION."""
    ask(store, REGION, ELSEWHERE)
    lease = claim(store)
    store.note_copy(lease, None, "golden")
    store.finish(lease, tasks.Failed(code=Code.REFUSED, reason="no"), later(5))
    store.request(OTHER, [REGION], REQUEST)
    done = tasks.Succeeded(code=Code.IN_SYNC, reason="in sync")
    store.finish(claim(store), done, later(9))
    return store


def test_tasks_are_found_by_all_that_is_asked_of_them(several):
    assert match(several) == [(IMAGE, ELSEWHERE), (IMAGE, REGION), (OTHER, REGION)]
    assert match(several, region=REGION) == [(IMAGE, REGION), (OTHER, REGION)]
    assert match(several, status=FAILURE) == [(IMAGE, REGION)]
    assert match(several, code=Code.IN_SYNC) == [(OTHER, REGION)]
    assert match(several, image_name="golden") == [(IMAGE, REGION)]
    assert match(several, since=later(5)) == [(IMAGE, REGION), (OTHER, REGION)]
    assert match(several, since=later(5.1)) == [(OTHER, REGION)]
    assert match(several, region=ELSEWHERE, status=FAILURE) == []


def test_images_are_listed_in_pages_either_way(several):
    everything = ports.ALL_TASKS
    assert several.page(everything, ports.Page(limit=9)) == [IMAGE, OTHER]
    assert several.page(everything, ports.Page(limit=1)) == [IMAGE]
    assert several.page(everything, ports.Page(limit=9, after=IMAGE)) == [OTHER]
    assert several.page(everything, ports.Page(limit=9, descending=True)) == [OTHER, IMAGE]
    back = ports.Page(limit=9, after=OTHER, descending=True)
    assert several.page(everything, back) == [IMAGE]
    failed = ports.TaskFilter(status=FAILURE)
    assert several.page(failed, ports.Page(limit=9)) == [IMAGE]


def test_a_copy_that_is_in_step_is_not_cancelled_any_more(store):
    ask(store)
    cancel(store)
    missing = tasks.Succeeded(code=Code.SOURCE_MISSING, reason="not found")
    store.finish(claim(store, now=later(9)), missing, later(9))
    assert store.get(KEY).cancelled_by == "alice"
    ask(store)
    done = tasks.Succeeded(code=Code.IN_SYNC, reason="in sync")
    store.finish(claim(store, now=later(9)), done, later(9))
    assert store.get(KEY).cancelled_by is None


def test_the_leases_of_all_regions_are_called_off(store):
    ask(store, REGION, ELSEWHERE)
    claim(store)
    claim(store, region=ELSEWHERE)
    assert store.call_off([], later(9)) == 0
    assert store.call_off(None, later(9)) == 2
    assert store.call_off(None, later(9)) == 0


def test_who_adopts_or_releases_a_copy_wants_it(store):
    ask(store)
    cancel(store)
    store.adopt(KEY, KNOWN, now=later(9), request_id="r", source_region=None)
    assert store.get(KEY).cancelled_by is None
    cancel(store)
    assert store.permit_activation(KEY, now=later(9), request_id="r")
    assert store.get(KEY).cancelled_by is None


def test_only_what_a_dead_agent_left_is_called_off(store):
    ask(store)
    store.request(OTHER, [REGION], REQUEST)
    store.claim(REGION, 1, owner="dead", now=NOW, until=later(5))
    store.claim(REGION, 1, owner="alive", now=NOW, until=later(60))
    assert store.call_off([REGION], later(5), only_abandoned=True) == 1
    assert store.call_off([REGION], later(5), only_abandoned=True) == 0
    assert store.call_off([REGION], later(5)) == 1

