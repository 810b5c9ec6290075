# SPDX-License-Identifier: Apache-2.0
"""Which regions the database knows, how it renames one, and how it forgets one."""

from collections.abc import Iterator
from concurrent import futures
import dataclasses
import datetime
import threading

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import region_names
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.engine import ports
from tests.contract import databases

NOW = datetime.datetime(2026, 3, 29, 1, 59, 59, 987654, tzinfo=datetime.UTC)
REQUEST = ports.Request(now=NOW, not_before=NOW, request_id="request-1")
LATER = NOW + datetime.timedelta(seconds=60)
ONE, TWO, THREE, NEW = map(images.RegionId, ("One", "Two", "Three", "New"))
IMAGE = images.ImageId("10000000-0000-4000-8000-000000000001")
OTHER = images.ImageId("20000000-0000-4000-8000-000000000002")
SNAPSHOT = images.ImageId("30000000-0000-4000-8000-000000000003")
COPY = images.ImageId("40000000-0000-4000-8000-000000000004")


@pytest.fixture(params=databases.KINDS)
def store(request, tmp_path) -> Iterator[task_store.SqlTaskStore]:
    opened = databases.opened(request.param, tmp_path, request.getfixturevalue)
    yield opened
    opened.close()


def ask(store, image_id, *regions, source_region=None):
    store.request(
        image_id,
        regions,
        dataclasses.replace(REQUEST, source_region=source_region),
        elsewhere=False,
    )


def claim(store, region, until=LATER):
    (lease,) = store.claim(region, 1, owner="agent-1", now=NOW, until=until)
    return lease


def finish(store, region, copied_from=None, copy_id=COPY, created_at=NOW):
    copy = tasks.CopySeen(
        copy_id=copy_id, created_at=created_at, image_name="name", size=9, copied_from=copied_from
    )
    store.finish(
        claim(store, region), tasks.Succeeded(code=Code.IN_SYNC, reason="in sync", copy=copy), NOW
    )


def keys(store):
    return [(task.key.image_id, task.key.region) for task in store.list()]


def usage(tasks=0, sourced=0, *, is_cascading=False):
    return region_names.Usage(tasks=tasks, sourced=sourced, is_cascading=is_cascading)


# Memory


def test_a_new_database_knows_no_region(store):
    assert store.known_regions().cascading() is None
    assert store.known_regions().all() == frozenset()


def test_the_cascading_region_that_was_there_first_is_remembered(store):
    known = store.known_regions()
    assert known.remember(ONE, [ONE, TWO], NOW) == ONE
    assert known.remember(TWO, [TWO, THREE], NOW) == ONE
    assert known.cascading() == ONE
    assert known.all() == {ONE, TWO}


def test_a_region_that_left_the_catalogue_stays_known(store):
    known = store.known_regions()
    known.remember(ONE, [ONE, TWO], NOW)
    known.remember(ONE, [ONE, THREE], LATER)
    assert known.all() == {ONE, TWO, THREE}


def test_regions_of_tasks_and_of_breakers_are_known(store):
    ask(store, IMAGE, TWO)
    ask(store, SNAPSHOT, TWO, source_region=THREE)
    store.breakers().change(NEW, lambda _: breakers.Breaker(failures=1, reason="no answer"))
    assert store.known_regions().all() == {TWO, THREE, NEW}


def test_one_of_many_agents_that_start_at_once_sets_the_cascading_region(store):
    barrier = threading.Barrier(4)

    def start(number):
        barrier.wait()
        return store.known_regions().remember(images.RegionId(f"R{number}"), [ONE], NOW)

    with futures.ThreadPoolExecutor(4) as pool:
        (said,) = set(pool.map(start, range(4)))
    assert store.known_regions().cascading() == said


# A new name


def test_a_cascaded_region_gets_its_new_name_in_all_columns(store):
    known = store.known_regions()
    known.remember(ONE, [ONE, TWO, THREE], NOW)
    ask(store, IMAGE, TWO, THREE)
    finish(store, TWO)
    finish(store, THREE, copied_from=TWO)
    ask(store, SNAPSHOT, THREE, source_region=TWO)
    store.breakers().change(TWO, lambda _: breakers.Breaker(failures=1, reason="no answer"))

    assert known.usage(TWO) == usage(1, 1)
    assert store.region_changes().rename(TWO, NEW, NOW) == usage(1, 1)

    assert keys(store) == [(IMAGE, NEW), (IMAGE, THREE), (SNAPSHOT, THREE)]
    found = {task.key: task for task in store.list()}
    assert found[tasks.TaskKey(image_id=IMAGE, region=NEW)].copy_id == COPY
    assert found[tasks.TaskKey(image_id=IMAGE, region=THREE)].copied_from == NEW
    assert found[tasks.TaskKey(image_id=SNAPSHOT, region=THREE)].source_region == NEW
    assert store.breakers().all() == {}
    assert known.all() == {ONE, NEW, THREE}
    assert known.usage(TWO) == usage()


def test_the_cascading_region_has_its_new_name(store):
    known = store.known_regions()
    known.remember(ONE, [ONE, TWO], NOW)
    ask(store, IMAGE, TWO)
    ask(store, SNAPSHOT, ONE, source_region=TWO)

    assert store.region_changes().rename(ONE, NEW, NOW) == usage(1, 1, is_cascading=True)

    assert known.cascading() == NEW
    assert known.remember(NEW, [NEW, TWO], NOW) == NEW
    assert keys(store) == [(IMAGE, TWO), (SNAPSHOT, NEW)]
    assert known.all() == {NEW, TWO}


def test_facts_about_the_sources_of_a_region_go_with_its_name(store):
    def memories():
        return [store.facts().get(f"newest sources of {name}") for name in (ONE, TWO, "New")]

    for name in (ONE, TWO, "New"):
        store.facts().put(f"newest sources of {name}", "an image")
    store.facts().put("newest sources of New", "another image")
    store.region_changes().rename(ONE, images.RegionId("New"), NOW)
    assert memories() == [None, "an image", "an image"]
    store.region_changes().forget(TWO, NOW)
    assert memories() == [None, None, "an image"]
    store.region_changes().rename(TWO, images.RegionId("New"), NOW)
    assert memories() == [None, None, "an image"]


def test_tasks_of_the_new_name_without_a_copy_are_removed(store):
    ask(store, IMAGE, TWO)
    finish(store, TWO)
    ask(store, IMAGE, NEW)
    ask(store, OTHER, NEW)
    store.region_changes().rename(TWO, NEW, NOW)
    assert [(task.key.image_id, task.key.region, task.copy_id) for task in store.list()] == [
        (IMAGE, NEW, COPY),
        (OTHER, NEW, None),
    ]


@pytest.mark.parametrize(
    "other",
    [{"copy_id": OTHER}, {"copy_id": COPY, "created_at": NOW + datetime.timedelta(seconds=1)}],
    ids=["another id", "the id of the source in both"],
)
def test_two_regions_with_different_copies_are_not_merged(store, other):
    ask(store, IMAGE, TWO, NEW)
    finish(store, TWO)
    finish(store, NEW, **other)
    for change in (
        lambda: store.region_changes().require_one_region(TWO, NEW),
        lambda: store.region_changes().rename(TWO, NEW, NOW),
    ):
        with pytest.raises(errors.ConfigurationError, match=r"two regions.*region forget Two"):
            change()
    assert keys(store) == [(IMAGE, NEW), (IMAGE, TWO)]


def test_no_region_is_renamed_while_a_region_with_copies_of_its_images_is_absent(store):
    store.known_regions().remember(ONE, [ONE, TWO, THREE], NOW)
    changes = store.region_changes()
    for image_id, region, source in ((IMAGE, THREE, None), (SNAPSHOT, TWO, THREE)):
        ask(store, image_id, region, source_region=source)
        changes.require_reach(source or ONE, {NEW})  # a task without a copy needs no new name
        finish(store, region)
    for old, reachable in ((ONE, {NEW, THREE}), (TWO, {ONE, NEW}), (THREE, {ONE, TWO})):
        changes.require_reach(old, reachable)
    message = "^Three has copies of images of region One, .*region forget Three"
    with pytest.raises(errors.ConfigurationError, match=message):
        changes.require_reach(ONE, {NEW, TWO})
    with pytest.raises(errors.ConfigurationError, match=r"^Two has copies of images of region Th"):
        changes.require_reach(THREE, {NEW, ONE})


def test_a_task_of_the_old_name_without_a_copy_is_removed_too(store):
    """An agent copied the image under the new name."""
    ask(store, IMAGE, TWO, NEW)
    finish(store, NEW)
    store.region_changes().require_one_region(TWO, NEW)
    assert store.region_changes().rename(TWO, NEW, NOW) == usage(0, 0)
    assert [(task.key.region, task.copy_id) for task in store.list()] == [(NEW, COPY)]


def test_the_same_copy_that_both_names_know_is_kept_once(store):
    ask(store, IMAGE, TWO, NEW)
    finish(store, TWO)
    finish(store, NEW)
    store.region_changes().require_one_region(TWO, NEW)
    assert store.region_changes().rename(TWO, NEW, NOW) == usage(1, 0)
    assert [(task.key.region, task.copy_id) for task in store.list()] == [(NEW, COPY)]


def test_the_copies_of_regions_are_returned_by_id_and_time(store):
    ask(store, IMAGE, TWO, THREE, NEW)
    finish(store, TWO)
    finish(store, THREE, copy_id=OTHER, created_at=LATER)
    known = store.known_regions()
    assert known.copies({TWO, NEW}) == {(COPY, NOW)}
    assert known.copies({TWO, THREE}) == {(COPY, NOW), (OTHER, LATER)}
    assert known.copies({NEW}) == known.copies(set()) == set()
    lease = claim(store, NEW)
    store.note_copy(lease, identity.KnownCopy(copy_id=COPY, created_at=None), "name")
    assert known.copies({NEW}) == set()


def test_a_thousand_tasks_of_both_names_become_one_each(store):
    ids = [images.ImageId(f"{number:08}-0000-4000-8000-000000000000") for number in range(1001)]
    for region in (TWO, NEW):
        store.request_in(region, ids, REQUEST)
    assert store.region_changes().rename(TWO, NEW, NOW) == usage(1001)
    assert keys(store) == [(one, NEW) for one in ids]


# Removal


def test_the_tasks_of_a_forgotten_region_are_removed(store):
    known = store.known_regions()
    known.remember(ONE, [ONE, TWO, THREE], NOW)
    ask(store, IMAGE, TWO, THREE)
    ask(store, SNAPSHOT, THREE, source_region=TWO)
    store.breakers().change(TWO, lambda _: breakers.Breaker(failures=1, reason="no answer"))

    assert store.region_changes().forget(TWO, NOW) == usage(1, 1)

    assert keys(store) == [(IMAGE, THREE)]
    assert store.breakers().all() == {}
    assert known.all() == {ONE, THREE}
    assert known.cascading() == ONE


def test_the_tasks_of_the_images_of_a_forgotten_cascading_region_are_removed(store):
    known = store.known_regions()
    known.remember(ONE, [ONE, TWO, THREE], NOW)
    ask(store, IMAGE, TWO, THREE)
    ask(store, SNAPSHOT, THREE, source_region=TWO)

    assert known.usage(ONE) == usage(0, 2, is_cascading=True)
    assert store.region_changes().forget(ONE, NOW) == usage(0, 2, is_cascading=True)

    assert keys(store) == [(SNAPSHOT, THREE)]
    assert known.cascading() is None
    assert known.remember(TWO, [TWO], NOW) == TWO


# While agents run


def leased(store):
    ask(store, IMAGE, TWO)
    claim(store, TWO)


def looking(store):
    store.leader_leases().take("look", owner="agent-1", now=NOW, until=LATER)


@pytest.mark.parametrize("works", [leased, looking])
def test_no_region_is_renamed_or_forgotten_while_an_agent_runs(store, works):
    works(store)
    before = list(store.list())
    for change in (
        lambda: store.region_changes().require_rest(NOW),
        lambda: store.region_changes().rename(TWO, NEW, NOW),
        lambda: store.region_changes().forget(TWO, NOW),
    ):
        with pytest.raises(errors.ConfigurationError, match="work with this database: agent-1;"):
            change()
    assert list(store.list()) == before


@pytest.mark.parametrize("worked", [leased, looking])
def test_the_leases_of_a_dead_agent_expire(store, worked):
    worked(store)
    store.region_changes().require_rest(LATER)
    store.region_changes().rename(TWO, NEW, LATER)
