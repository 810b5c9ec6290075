# SPDX-License-Identifier: Apache-2.0
"""What was read of a source for one region is good for the others that asked with it."""

import threading

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine.attempts import remote_sources
from glance_sync_agent.engine.attempts import sources
from tests.fakes import clock as clocks
from tests.fakes import glance
from tests.fakes import locks
from tests.fakes import world as worlds
from tests.unit import builders


@pytest.fixture
def clock():
    return clocks.FakeClock()


class WatchedGlance(glance.FakeGlance):
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__("RegionOne", before=lambda name, _id: self.asked.append(name))


@pytest.fixture
def service():
    made = WatchedGlance()
    made.publish(b"1", image_id=builders.IMAGE_ID)
    return made


@pytest.fixture
def views(service, clock):
    regions = worlds.FakeRegions(4)
    regions.glances[worlds.CASCADING] = service
    joined = remote_sources.RemoteSources(regions, worlds.FakeCatalogue())
    return sources.SourceViews(regions, worlds.CASCADING, joined, clock, max_age_seconds=5.0)


def test_one_request_reads_once(views, service):
    task = builders.task()
    assert views.read(task) == views.read(task)
    assert views.read(task).image == service.image(task.key.image_id)
    assert service.asked == ["get"]


def test_another_request_reads_anew(views, service):
    views.read(builders.task())
    views.read(builders.task(request_id="r2"))
    assert service.asked == ["get", "get"]


def test_a_view_ages(views, service, clock):
    views.read(builders.task())
    clock.advance(5.0)
    views.read(builders.task())
    assert service.asked == ["get"]
    clock.advance(0.1)
    views.read(builders.task())
    assert service.asked == ["get", "get"]


def test_that_there_is_no_source_is_remembered_too(views, service):
    service.delete_as_user(builders.IMAGE_ID)
    service.asked.clear()
    assert views.read(builders.task()).image is None
    assert views.read(builders.task()).image is None
    assert service.asked == ["get"]


def test_one_proof_of_rights_serves_all_regions_that_read_a_view(views, service):
    service.delete_as_user(builders.IMAGE_ID)
    service.asked.clear()
    for region in ("RegionTwo", "RegionThree"):
        key = tasks.TaskKey(image_id=builders.IMAGE_ID, region=images.RegionId(region))
        task = builders.task(key=key)
        views.read(task)
        views.require_rights(task)
    assert service.asked == ["get", "require_all_rights"]


def test_a_newer_view_needs_a_new_proof_of_rights(views, service, clock):
    task = builders.task()
    views.read(task)
    views.require_rights(task)
    views.read_anew(task)
    views.require_rights(task)
    clock.advance(5.1)
    views.read(task)
    views.require_rights(task)
    assert service.asked == ["get", "require_all_rights"] * 3


def test_a_proof_of_rights_during_a_read_does_not_prove_what_it_reads(views, service):
    task = builders.task()
    views.read(task)

    def prove_meanwhile(name, _id):
        service.asked.append(name)
        if name == "get":
            views.require_rights(task)

    service.asked.clear()
    service.before = prove_meanwhile
    views.read_anew(task)
    views.require_rights(task)
    assert service.asked == ["get", "require_all_rights", "require_all_rights"]


def test_a_refused_proof_of_rights_is_not_remembered(views, service):
    task = builders.task()
    views.read(task)

    def refuse(_name, _id):
        raise errors.Refused("not an administrator")

    service.before = refuse
    for _ in range(2):
        with pytest.raises(errors.Refused, match="not an administrator"):
            views.require_rights(task)


def test_an_error_is_not_remembered(views, service):
    def fail(_name, _id):
        raise errors.ServiceUnavailable("no answer")

    service.before = fail
    with pytest.raises(errors.ServiceUnavailable):
        views.read(builders.task())
    service.before = lambda _name, _id: None
    assert views.read(builders.task()).image is not None


def test_who_waited_for_a_look_that_failed_does_not_look_himself(views, service):
    views._lock = lock = locks.CountedLock()
    all_wait = threading.Event()

    def hang(_name, _id):
        assert all_wait.wait(10)
        raise errors.ServiceUnavailable("no answer")

    def read():
        with pytest.raises(errors.ServiceUnavailable, match="no answer"):
            views.read(builders.task())
        failed.append(True)

    asked = service.asked
    failed: list[bool] = []
    service.before = lambda name, id_: (asked.append(name), hang(name, id_))
    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert lock.was_left(len(threads))
    all_wait.set()
    for thread in threads:
        thread.join()
    assert failed == [True] * 4
    assert asked == ["get"]


def test_a_look_that_fails_late_takes_no_younger_one_along(views, service, clock):
    asked = service.asked

    def be_slow(name, _id):
        asked.append(name)
        if len(asked) == 1:
            clock.advance(5.1)
            assert views.read(builders.task()).image is not None
            raise errors.ServiceUnavailable("no answer")

    service.before = be_slow
    with pytest.raises(errors.ServiceUnavailable):
        views.read(builders.task())
    assert views.read(builders.task()).image is not None
    assert asked == ["get", "get"]


def test_the_views_used_last_are_kept(views, service, monkeypatch):
    monkeypatch.setattr(sources, "_ENTRIES", 2)
    one, two, three = (builders.task(request_id=f"r{number}") for number in range(3))
    for task in (one, two, one, three, one, two):
        views.read(task)
    assert service.asked == ["get"] * 4


def test_a_source_is_in_the_cascading_region_unless_its_task_says_otherwise(views):
    assert views.region(builders.task()) == images.RegionId("RegionOne")
    elsewhere = builders.task(source_region=images.RegionId("RegionTwo"))
    assert views.region(elsewhere) == images.RegionId("RegionTwo")


def test_what_is_too_old_is_not_kept(views, clock):
    views.read(builders.task())
    clock.advance(5.0)
    views.read(builders.task(request_id="another"))
    assert len(views._views) == 2
    clock.advance(0.1)
    views.read(builders.task(request_id="a third"))
    assert [key[2] for key in views._views] == ["another", "a third"]


def test_a_look_anew_asks_and_is_what_others_see_from_then_on(views, service):
    task = builders.task()
    before = views.read(task)
    service.change(task.key.image_id, name="new")
    assert views.read(task) == before
    assert views.read_anew(task).image.metadata.name == "new"
    assert views.read(task).image.metadata.name == "new"
    assert service.asked == ["get", "get"]


def test_a_look_anew_that_fails_leaves_nothing_behind(views, service):
    task = builders.task()
    views.read(task)

    def fail(_name, _image_id):
        raise errors.ServiceUnavailable("down")

    before, service.before = service.before, fail
    with pytest.raises(errors.ServiceUnavailable, match="down"):
        views.read_anew(task)
    service.before = before
    views.read(task)
    assert service.asked == ["get", "get"]


def test_a_look_of_an_attempt_is_fresh_when_it_was_renewed(views, service, clock):
    look = sources.SourceReader(views, builders.task(), clock)
    assert look.read().image == service.image(builders.IMAGE_ID)
    assert (look.is_fresh, look.is_old) == (False, True)
    service.change(builders.IMAGE_ID, name="new")
    look.renew()
    seen = look.read().image
    assert seen is not None
    assert (look.is_fresh, seen.metadata.name) == (True, "new")


def test_a_look_of_an_attempt_is_good_for_one_step_and_not_for_long(views, clock):
    look = sources.SourceReader(views, builders.task(), clock)
    look.renew()
    look.use()
    assert (look.is_fresh, look.is_old) == (False, False)
    look.renew()
    clock.advance(5.0)
    assert look.is_fresh
    clock.advance(0.1)
    assert (look.is_fresh, look.is_old) == (False, True)
