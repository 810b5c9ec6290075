# SPDX-License-Identifier: Apache-2.0
"""The threads of the agent, on a cloud in memory."""

import dataclasses
import threading
import types
from typing import Any
from unittest import mock

import pytest

from glance_sync_agent import errors
from glance_sync_agent.cmd.daemon import agent_service as daemons
from glance_sync_agent.cmd.daemon import loops
from glance_sync_agent.domain import jobs
from glance_sync_agent.engine.asked import Asked
from glance_sync_agent.engine.assembly import engine as engines
from glance_sync_agent.engine.reconcile import scan_schedule
from glance_sync_agent.engine.reconcile import scan_settings
from glance_sync_agent.wiring.agent import Agent
from glance_sync_agent.wiring.cloud import SystemClock
from tests.fakes import world as worlds

TWO, THREE = worlds.CASCADED
SECONDS = 10.0


def settings(*, sync_enabled) -> Any:
    return types.SimpleNamespace(
        sync_enabled=sync_enabled,
        snapshot_sleep_interval=0.05,
        api=types.SimpleNamespace(is_enabled=True),
    )


class Api:
    """Notes that it was started and stopped."""

    def __init__(self):
        self.is_serving, self.is_stopped = threading.Event(), threading.Event()

    def serve(self):
        self.is_serving.set()

    def stop(self):
        self.is_stopped.set()


class Listener:
    """Notes that it was started and stopped."""

    def __init__(self, agent):
        self._agent = agent
        self.is_stopped = threading.Event()

    def start(self):
        self._agent.started.append(self)
        if self._agent.bus_is_down:
            self.is_stopped.wait()
            raise errors.ServiceUnavailable("could not listen on the message bus")

    def stop(self):
        self.is_stopped.set()


class Stage:
    """A daemon, and all that it works with."""

    def __init__(self):
        self.world: Any = worlds.World()
        self.conf: Any = types.SimpleNamespace(graceful_shutdown_timeout=30)
        self.configuration: Any = types.SimpleNamespace(
            conf=self.conf, settings=settings(sync_enabled=True), reload=lambda: None
        )
        self.started = []
        self.bus_is_down = False
        self.build_failures = []
        self.released = self.clocks_set = 0
        self.is_closed = False
        make: Any = daemons.Daemon
        self.api = Api()
        self.daemon = make(
            self.configuration, build=self.build, make_api=lambda *_: self.api
        )

    def build(self, configuration, runtime, stop):
        assert configuration is self.configuration
        if self.build_failures:
            raise self.build_failures.pop(0)
        self.wake = runtime.wake
        process = {name: getattr(runtime, name) for name in ("submit", "ending", "wake")}
        self.world.engine = engines.assemble(
            # The daemon waits in real time.
            dataclasses.replace(self.world.engine.outside, clock=SystemClock()),
            self.world.settings,
            dataclasses.replace(self.world.engine.runtime, stop=stop, **process),
        )
        return Agent(
            engine=self.world.engine,
            make_listener=self.make_listener,
            set_clock=self.set_clock,
            release_leases=self.release,
            close=self.close,
        )

    def make_listener(self) -> Any:
        return Listener(self)

    def set_clock(self):
        self.clocks_set += 1
        raise errors.ServiceUnavailable("no database")

    def release(self):
        self.released += 1
        return self.released

    def close(self):
        self.is_closed = True

    def listening(self):
        """Return the listeners that were started and not stopped."""
        return [one for one in self.started if not one.is_stopped.is_set()]

    def enable(self, *, enabled):
        self.configuration.settings = settings(sync_enabled=enabled)
        self.daemon.reset()


@pytest.fixture
def stage():
    made = Stage()
    yield made
    made.conf.graceful_shutdown_timeout = 1
    made.daemon.stop(graceful=True)
    assert made.daemon._stopped.is_set()


def eventually(condition):
    done = threading.Event()
    for _ in range(int(SECONDS / 0.01)):
        if condition():
            return
        done.wait(0.01)
    raise AssertionError("it did not come about")


def block(stage, region=TWO):
    """Let transfers into a region stall; return the event of the first one, and the gate."""
    standing, gate = threading.Event(), threading.Event()

    def before(name, _image_id):
        if name == "write":
            standing.set()
            assert gate.wait(SECONDS)

    stage.world.regions.glances[region].before = before
    return standing, gate


def test_the_api_is_served_from_the_start_to_the_end(stage):
    stage.daemon.start()
    assert stage.api.is_serving.wait(SECONDS)
    eventually(lambda: stage.listening())
    stage.daemon.stop(graceful=True)
    assert stage.api.is_stopped.is_set()


def test_an_agent_without_an_api_serves_none(stage):
    stage.configuration.settings.api.is_enabled = False
    stage.daemon.start()
    eventually(lambda: stage.listening())
    assert not stage.api.is_serving.is_set()


def test_an_agent_reports_to_the_others(stage):
    stage.daemon.start()
    eventually(lambda: stage.world.agents.all())
    stage.daemon.stop(graceful=True)
    (agent,) = stage.world.agents.all()
    assert agent.stopped_at is not None


def test_what_is_there_at_start_is_copied_and_then_what_comes(stage):
    first = stage.world.source.publish(b"first")
    stage.daemon.start()
    eventually(lambda: first.image_id in stage.world.two.ids() & stage.world.three.ids())
    second = stage.world.source.publish(b"second")
    stage.world.changed(second.image_id)
    eventually(lambda: second.image_id in stage.world.two.ids() & stage.world.three.ids())
    assert len(stage.listening()) == 1


def test_when_all_tasks_have_ended_their_successors_are_taken_at_once(stage, monkeypatch):
    monkeypatch.setattr(loops, "_BATCH_SECONDS", 600.0)
    more_than_run_at_once = {stage.world.source.publish(b"1").image_id for _ in range(9)}
    stage.daemon.start()
    eventually(lambda: more_than_run_at_once <= stage.world.two.ids() & stage.world.three.ids())


def test_copies_are_read_back_if_the_operator_wants_that(stage):
    stage.world.verify_interval = 0.05
    image = stage.world.source.publish(b"first")
    stage.daemon.start()
    eventually(
        lambda: [task.status for task in stage.world.store.list()] == ["success", "success"]
    )
    stage.world.two.damage(image.image_id, b"other")
    eventually(lambda: image.image_id not in stage.world.two.ids())
    assert stage.world.three.data(image.image_id) == b"first"


def test_the_first_scan_waits_for_the_queue_but_not_for_ever(stage, monkeypatch):
    monkeypatch.setattr(loops, "_BUS_PATIENCE_SECONDS", 0.1)
    stage.bus_is_down = True
    image = stage.world.source.publish(b"1")
    stage.daemon.start()
    eventually(lambda: image.image_id in stage.world.two.ids())


def test_stopping_lets_a_transfer_end(stage):
    standing, gate = block(stage)
    image = stage.world.source.publish(b"1")
    stage.daemon.start()
    assert standing.wait(SECONDS)
    stopping = threading.Thread(target=stage.daemon.stop)
    stopping.start()
    eventually(lambda: not stage.listening())
    assert not stage.is_closed
    gate.set()
    stopping.join(SECONDS)
    assert stage.is_closed
    assert stage.released == 0
    assert stage.world.task(image).status == "success"
    assert stage.daemon._stopped.is_set()


def test_stopping_calls_off_what_takes_too_long_and_gives_its_lease_back(stage, monkeypatch):
    monkeypatch.setattr(daemons, "_CANCEL_SECONDS", 0.1)
    stage.conf.graceful_shutdown_timeout = 0.1
    standing, gate = block(stage)
    image = stage.world.source.publish(b"12345678")
    stage.daemon.start()
    assert standing.wait(SECONDS)
    stage.daemon.stop(graceful=True)
    assert stage.released == 1
    gate.set()
    eventually(lambda: stage.world.engine.attempts.worker.running() == 0)
    assert stage.world.task(image).status == "pending"
    assert stage.world.two.image(image.image_id).status == "queued"


def pause(stage, image):
    """Pause RegionTwo; return when its running task is called off."""
    stage.world.engine.shared.steering.pause(TWO, Asked(by="alice"), reason="-", finishes=False)
    eventually(lambda: stage.world.task(image).status == "pending")


def test_a_pause_holds_for_running_tasks_of_a_disabled_agent(stage, monkeypatch):
    monkeypatch.setattr(loops, "_POLL_SECONDS", 0.05)
    standing, gate = block(stage)
    image = stage.world.source.publish(b"1")
    stage.daemon.start()
    assert standing.wait(SECONDS)
    stage.enable(enabled=False)
    pause(stage, image)
    gate.set()


def test_a_pause_holds_for_running_tasks_of_an_agent_that_stops(stage, monkeypatch):
    monkeypatch.setattr(daemons, "_PAUSE_SECONDS", 0.05)
    standing, gate = block(stage)
    image = stage.world.source.publish(b"1")
    stage.daemon.start()
    assert standing.wait(SECONDS)
    stopping = threading.Thread(target=stage.daemon.stop)
    stopping.start()
    eventually(lambda: not stage.listening())
    pause(stage, image)
    gate.set()
    stopping.join(SECONDS)
    assert stage.is_closed


def test_stopping_gives_back_what_people_asked_for(stage):
    """Another agent would wait minutes for the lease of a job that still runs."""
    standing, gate = threading.Event(), threading.Event()

    def before(_name, _image_id):
        if threading.current_thread().name == "scans":
            standing.set()
            assert gate.wait(SECONDS)

    stage.world.source.publish(b"1")
    stage.world.two.before = before
    stage.daemon.start()
    eventually(stage.listening)
    order = jobs.Order(kind=jobs.JobKind.SCAN, is_dry=True)
    job = stage.world.engine.jobs.orders.ask(order, Asked(by="alice"))
    assert standing.wait(SECONDS)
    stopping = threading.Thread(target=stage.daemon.stop)
    stopping.start()
    eventually(lambda: not stage.listening())
    assert not stage.is_closed
    gate.set()
    stopping.join(SECONDS)
    assert stage.is_closed
    assert stage.world.jobs.get(job.job_id).state is jobs.JobState.WAITING


def test_stopping_does_not_wait_long_for_a_scan_that_hangs(stage, monkeypatch):
    monkeypatch.setattr(daemons, "_CANCEL_SECONDS", 0.1)
    gate = threading.Event()
    hung = threading.Thread(target=gate.wait)
    hung.start()
    stage.daemon._jobs = [hung]
    stage.daemon.stop(graceful=True)
    assert stage.daemon._stopped.is_set()
    assert hung.is_alive()
    gate.set()


def test_nothing_is_begun_after_stopping(stage):
    stage.daemon.start()
    eventually(stage.listening)
    stage.daemon.stop(graceful=True)
    image = stage.world.source.publish(b"1")
    stage.world.changed(image.image_id)
    stage.enable(enabled=True)
    assert not stage.listening()
    assert stage.world.engine.attempts.worker.running() == 0
    assert image.image_id not in stage.world.two.ids()


def test_stopping_does_not_wait_for_a_keystone_that_is_away(stage, caplog):
    stage.build_failures = [errors.ServiceUnavailable("Keystone does not answer")] * 100
    stage.daemon.start()
    eventually(lambda: len(stage.build_failures) < 100)
    stage.daemon.stop(graceful=True)
    assert stage.daemon._stopped.is_set()
    eventually(lambda: "Stopped before the agent could start" in caplog.text)


def test_a_service_that_is_away_at_start_is_waited_for(stage):
    stage.build_failures = [errors.ServiceUnavailable("Keystone does not answer")]
    stage.daemon.start()
    eventually(stage.listening)


def test_a_thread_that_crashes_ends_the_worker_so_that_it_is_started_again(stage, caplog):
    ended = threading.Event()
    with mock.patch("os._exit", autospec=True, side_effect=lambda _status: ended.set()) as leave:
        stage.build_failures = [ZeroDivisionError("a bug")]
        stage.daemon.start()
        assert ended.wait(SECONDS)
    leave.assert_called_once_with(1)
    assert "Traceback" in caplog.text


def test_a_database_that_is_away_is_asked_again(stage, caplog, monkeypatch):
    monkeypatch.setattr(loops, "_POLL_SECONDS", 0.1)
    stage.daemon.start()
    eventually(stage.listening)
    stage.world.store.is_down = True
    stage.wake()
    eventually(lambda: "Could not claim tasks" in caplog.text)
    stage.world.store.is_down = False
    image = stage.world.source.publish(b"1")
    stage.world.changed(image.image_id)
    eventually(lambda: image.image_id in stage.world.two.ids())


def test_a_scan_is_repeated_until_every_region_has_answered(stage, monkeypatch):
    monkeypatch.setattr(scan_schedule, "_AGAIN_SECONDS", 0.05)
    calls = []

    def away(name, _image_id):
        if name == "find":
            calls.append(name)
            if len(calls) < 3:
                raise errors.ServiceUnavailable("no answer")

    stage.world.two.before = away
    image = stage.world.source.publish(b"1")
    stage.daemon.start()
    eventually(lambda: image.image_id in stage.world.two.ids())
    assert len(calls) == 3


def test_an_unreachable_cascading_region_is_scanned_again(stage, monkeypatch, caplog):
    monkeypatch.setattr(scan_schedule, "_AGAIN_SECONDS", 0.05)
    failures = [errors.ServiceUnavailable("no answer")]

    def away(name, _image_id):
        if name == "pages" and failures:
            raise failures.pop()

    stage.world.source.before = away
    image = stage.world.source.publish(b"1")
    stage.daemon.start()
    eventually(lambda: image.image_id in stage.world.two.ids())
    assert "Could not scan the images: no answer" in caplog.text


def test_a_disabled_agent_takes_no_message_and_starts_no_task(stage):
    stage.configuration.settings = settings(sync_enabled=False)
    image = stage.world.source.publish(b"1")
    stage.world.changed(image.image_id)
    stage.daemon.start()
    eventually(lambda: hasattr(stage, "wake"))
    stage.wake()
    assert not stage.started
    assert stage.world.two.ids() == frozenset()
    stage.enable(enabled=True)
    eventually(lambda: image.image_id in stage.world.two.ids())
    eventually(stage.listening)
    stage.enable(enabled=False)
    eventually(lambda: not stage.listening())


def test_however_often_it_is_switched_the_last_word_counts(stage):
    stage.daemon.start()
    eventually(stage.listening)
    for _ in range(20):
        stage.enable(enabled=False)
        stage.enable(enabled=True)
    eventually(lambda: len(stage.listening()) == 1)
    for _ in range(20):
        stage.enable(enabled=True)
        stage.enable(enabled=False)
    eventually(lambda: not stage.listening())


def test_switching_off_does_not_wait_for_a_bus_that_is_down(stage):
    stage.bus_is_down = True
    stage.daemon.start()
    eventually(stage.listening)
    stage.enable(enabled=False)
    eventually(lambda: not stage.listening())


def test_a_reload_starts_a_full_scan(stage):
    stage.daemon.start()
    eventually(stage.listening)
    image = stage.world.source.publish(b"1")  # and no event of it
    stage.daemon.reset()
    eventually(lambda: image.image_id in stage.world.two.ids())


class LateEvent(threading.Event):
    """Runs a function once, right after a wait timed out."""

    def __init__(self):
        super().__init__()
        self.then = []

    def wait(self, timeout=None):
        is_set = super().wait(timeout)
        if not is_set and self.then:
            self.then.pop()()
        return is_set


def test_a_reload_at_the_moment_when_a_scan_is_due_is_not_lost(stage):
    stage.world.intervals = scan_settings.ScanIntervals(full=0.0, incremental=0.05)
    look = LateEvent()
    stage.daemon._signals = dataclasses.replace(stage.daemon._signals, scan=look)
    image = stage.world.source.publish(visibility="shared")
    stage.world.clock.advance(3600.0)
    stage.world.source.publish()  # so that incremental scans leave the first one out
    stage.daemon.start()
    eventually(stage.listening)
    eventually(lambda: image.image_id in stage.world.two.ids())
    quiet = threading.Event()
    look.then.append(quiet.set)
    assert quiet.wait(SECONDS)
    stage.world.source.share(image.image_id, "beta")  # which only a full scan finds
    look.then.append(stage.daemon.reset)
    eventually(lambda: "beta" in stage.world.two.image(image.image_id).members)


def test_the_clock_is_set_again_before_each_scan_and_stays_if_that_fails(stage):
    stage.daemon.start()
    eventually(stage.listening)
    image = stage.world.source.publish()
    before = stage.clocks_set
    stage.daemon.reset()
    eventually(lambda: stage.clocks_set > before)
    eventually(lambda: image.image_id in stage.world.two.ids())


def test_a_reload_before_the_start_is_no_error(stage):
    stage.daemon.reset()
    stage.daemon.start()
    eventually(stage.listening)


def test_a_bad_file_is_refused_and_said(stage, caplog):
    def reload():
        raise errors.ConfigurationError("sync.conf: sync_strategy: SOME")

    stage.daemon.start()
    eventually(stage.listening)
    stage.configuration.reload = reload
    stage.daemon.reset()
    assert "Kept the old configuration" in caplog.text
    assert "SOME" in caplog.text
    assert len(stage.listening()) == 1


def announce(stage):
    """Make a snapshot without data, and bring the event of it."""
    image = stage.world.source.make(properties={"image_type": "snapshot"})
    stage.world.changed(image.image_id)
    return image


def is_awaited(stage):
    return {task.reason for task in stage.world.store.waiting()} == {"snapshot is queued"}


def test_a_snapshot_is_copied_when_it_becomes_active_without_an_event(stage):
    image = announce(stage)
    stage.daemon.start()
    eventually(lambda: is_awaited(stage))
    stage.world.source.put_data(image.image_id, b"1")
    eventually(lambda: image.image_id in stage.world.two.ids())


def test_checks_of_snapshots_continue_after_a_failure(stage, caplog):
    image = announce(stage)
    stage.daemon.start()
    eventually(lambda: is_awaited(stage))
    stage.world.store.is_down = True
    eventually(lambda: "Could not check the snapshots" in caplog.text)
    stage.world.store.is_down = False
    stage.world.source.put_data(image.image_id, b"1")
    eventually(lambda: image.image_id in stage.world.two.ids())


def test_a_disabled_agent_checks_no_snapshot(stage, monkeypatch):
    image = announce(stage)
    stage.daemon.start()
    eventually(lambda: is_awaited(stage))
    stage.enable(enabled=False)
    looks = []
    watch = stage.world.engine.attempts.snapshots
    original = watch.check
    monkeypatch.setattr(
        type(watch), "check", lambda _self: looks.append(original())
    )
    stage.world.source.put_data(image.image_id, b"1")
    threading.Event().wait(0.2)
    assert not looks
    stage.enable(enabled=True)
    eventually(lambda: image.image_id in stage.world.two.ids())
