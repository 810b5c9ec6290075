# SPDX-License-Identifier: Apache-2.0
"""What a scan leaves to the tasks themselves (``domain.tasks``)."""

import dataclasses
import datetime

import pytest

from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from tests.fakes import world as worlds
from tests.unit import builders

HOUR = datetime.timedelta(hours=1)
PENDING, PROCESSING, SUCCESS, FAILURE = tasks.TaskStatus


@pytest.fixture
def task():
    world = worlds.World()
    image = world.source.publish(b"1")
    world.changed(image.image_id)
    return world.task(image)


@pytest.mark.parametrize(
    ("status", "is_settled"),
    [(PENDING, True), (PROCESSING, True), (SUCCESS, False), (FAILURE, True)],
)
def test_a_scan_leaves_tasks_alone_that_are_not_over(task, status, is_settled):
    found = dataclasses.replace(task, status=status)
    assert tasks.is_settled(found, task.updated_at) is is_settled
    assert not tasks.is_settled(found, None)


def test_nothing_is_settled_where_there_is_no_task():
    assert not tasks.is_settled(None, datetime.datetime.now(datetime.UTC))


@pytest.mark.parametrize("given_up", [False, True])
def test_a_task_that_gave_up_rests_for_23_hours_longer_than_one_that_failed_for_good(
    task, given_up
):
    failed = dataclasses.replace(
        task, status=FAILURE, failing_since=task.updated_at if given_up else None
    )
    rests_until = task.updated_at + (23 * HOUR if given_up else 0 * HOUR)
    assert tasks.is_settled(failed, rests_until)
    assert not tasks.is_settled(failed, rests_until + datetime.timedelta(microseconds=1))


def test_a_cancelled_task_rests_for_23_hours_longer(task):
    failed = dataclasses.replace(task, status=FAILURE, cancelled_by="alice")
    rests_until = task.updated_at + 23 * HOUR
    assert tasks.is_settled(failed, rests_until)
    assert not tasks.is_settled(failed, rests_until + datetime.timedelta(microseconds=1))


def test_a_new_task_has_not_failed_and_nothing_of_it_has_vanished(task):
    assert (task.failing_since, task.vanished, task.project) == (None, None, "")
    assert not tasks.Failed(code=Code.REFUSED, reason="refused").gave_up


@pytest.mark.parametrize(
    ("proven_id", "proven_hash", "multihash", "found"),
    [
        ("copy", str(builders.multihash()), builders.multihash(), "copy"),
        ("copy", str(builders.multihash()), builders.multihash(algo="sha256"), None),
        ("copy", str(builders.multihash()), None, None),
        ("copy", None, builders.multihash(), None),  # of an older agent
        ("copy", None, None, None),
        (None, str(builders.multihash()), builders.multihash(), None),
    ],
)
def test_a_proof_counts_for_the_hash_that_it_was_made_for(
    proven_id, proven_hash, multihash, found
):
    task = builders.task(proven_id=proven_id, proven_hash=proven_hash)
    assert task.proven_for(multihash) == found
