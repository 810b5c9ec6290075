# SPDX-License-Identifier: Apache-2.0
"""Scans that people ask for."""

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import jobs
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine.asked import Asked
from glance_sync_agent.engine.jobs import asked_scans
from glance_sync_agent.engine.jobs import ledger
from glance_sync_agent.engine.reconcile import scan_state
from tests.fakes import world as worlds

TWO, THREE = worlds.CASCADED
ALICE = Asked(by="alice", request_id="req-1")


@pytest.fixture
def world():
    return worlds.World(owner="host-1:1")


def ask(world, asked=ALICE, **details):
    order = jobs.Order(kind=jobs.JobKind.SCAN, **details)
    return world.engine.jobs.orders.ask(order, asked)


def run(world, job):
    assert world.scan_runner.run() == 0.0
    return world.jobs.get(job.job_id)


def found(world, job):
    return [one.finding for one in world.jobs.findings(job.job_id, 100)]


def publish(world, count):
    """Make images that no message announces."""
    return sorted(world.source.publish(b"12345").image_id for _ in range(count))


def fail(*_call, **_details):
    raise errors.ServiceUnavailable("no answer")


def copy(world, count):
    for image_id in publish(world, count):
        world.changed(images.ImageId(image_id))
    world.settle()


def test_a_dry_scan_shows_its_plan_and_writes_nothing(world):
    known = publish(world, 2)
    done = run(world, ask(world, is_dry=True))
    assert (done.state, done.agent_id) == (jobs.JobState.DONE, "host-1:1")
    assert done.report.counts == {
        "images": 2, "findings": 4, "requested": 0, "gone_sources": 0, "held_back": 0,
        "missing": 0,
    }
    plan = found(world, done)
    assert {(one.image_id, one.region) for one in plan} == {
        (image_id, region) for image_id in known for region in (TWO, THREE)
    }
    assert {(one.what, one.why) for one in plan} == {("copy", "there is no copy")}
    assert list(world.store.list()) == []


def test_a_scan_requests_what_it_finds(world):
    publish(world, 2)
    done = run(world, ask(world, regions=(TWO,)))
    assert (done.report.counts["requested"], len(found(world, done))) == (2, 2)
    assert {task.key.region for task in world.store.list()} == {TWO}


def test_a_scan_deletes_only_as_much_as_allowed(world):
    world.max_deletes = 1
    copy(world, 3)
    gone = world.source.ids()
    kept = world.source.publish()
    world.changed(kept.image_id)
    world.settle()
    for image_id in gone:
        world.source.delete_as_user(image_id)

    plan = run(world, ask(world, regions=(TWO,), is_dry=True))
    assert plan.report.counts["held_back"] == 3
    assert "--allow-deletes 3" in plan.report.notes[0]
    held = run(world, ask(world, regions=(TWO,)))
    world.settle()
    assert (held.report.counts["held_back"], held.report.counts["requested"]) == (3, 0)
    assert world.two.ids() == {*gone, kept.image_id}
    allowed = run(world, ask(world, regions=(TWO,), allow_deletes=3))
    assert (allowed.report.counts["held_back"], allowed.report.counts["gone_sources"]) == (0, 3)
    world.settle()
    assert world.two.ids() == {kept.image_id}


def test_a_scan_says_which_region_it_could_not_compare(world):
    publish(world, 1)
    world.two.before = fail
    done = run(world, ask(world))
    assert done.state is jobs.JobState.DONE
    assert done.report.notes == (f"Not compared, because they failed: {TWO}",)


def test_the_sentences_of_a_report_say_what_to_do():
    report = scan_state.ScanReport(missing=2, restored={TWO}, held_back=5)
    held_back, missing, restored = asked_scans.sentences(report, 1, ())
    assert held_back.endswith("the limit of 1: none of their copies is deleted. If their number "
                              "is right, run 'glance-sync reconcile --allow-deletes 5'")
    assert "after [reconcile] gone_grace" in missing
    assert "--allow-deletes N" in restored
    assert asked_scans.is_partial(report)
    held_back, *_ = asked_scans.sentences(report, 1, (TWO,))
    assert f"reconcile --region {TWO} --allow-deletes 5" in held_back
    held_back, *_ = asked_scans.sentences(report, 1, (TWO, THREE))
    assert "ask for the same scan with allow_deletes = 5" in held_back
    whole = scan_state.ScanReport(missing=2)
    assert not asked_scans.is_partial(whole)


def test_a_scan_without_the_cascading_region_fails_with_the_reason(world):
    world.source.before = fail
    failed = run(world, ask(world))
    assert failed.state is jobs.JobState.FAILED
    assert failed.report.notes[0].startswith("It could not be finished: ")


def test_only_the_first_findings_are_kept(world, monkeypatch):
    monkeypatch.setattr(ledger, "MOST_OF_A_KIND", 3)
    publish(world, 2)
    done = run(world, ask(world, is_dry=True))
    assert (len(found(world, done)), done.report.counts["findings"]) == (3, 4)
    assert done.report.notes == ("Only the first 3 of 4 findings 'copy' are kept",)


def test_a_scan_is_shown_while_it_runs(world):
    publish(world, 1)
    job = ask(world)
    seen = []

    def look(*_call):
        world.clock.advance(10.0)
        seen.append(world.jobs.get(job.job_id))

    world.two.before = look
    run(world, job)
    assert seen[0].state is jobs.JobState.RUNNING
    assert seen[0].agent_id == "host-1:1"


def test_an_agent_that_stops_gives_its_scan_back(world):
    publish(world, 1)
    job = ask(world)
    world.stop.set()
    world.scan_runner.run()
    waiting = world.jobs.get(job.job_id)
    assert (waiting.state, waiting.runs) == (jobs.JobState.WAITING, 0)


def test_the_same_request_is_one_job_and_another_one_is_not(world):
    first = ask(world)
    assert ask(world) == first
    others = {
        ask(world, is_dry=True).job_id,
        ask(world, Asked(by="bob", request_id="req-1")).job_id,
        ask(world, Asked(by="alice", request_id="req-2")).job_id,
        ask(world, Asked(by="alice")).job_id,
        ask(world, Asked(by="alice")).job_id,
    }
    assert len(others - {first.job_id}) == 5


def test_what_somebody_asks_for_is_an_event(world):
    job = ask(world, regions=(TWO,), is_dry=True)
    ask(world, regions=(TWO,), is_dry=True)
    (event,) = [one.event for one in world.history.newest(10)]
    assert (event.kind, event.by, event.region) == ("scan_asked", "alice", TWO)
    assert event.text == f"scan {job.job_id} (dry run)"


def test_nothing_waits(world):
    assert world.scan_runner.run() > 0


def test_a_job_that_ended_three_agents_is_not_begun_again(world):
    job = ask(world)
    for _ in range(3):
        now = world.clock.now()
        world.jobs.claim(jobs.JobKind.SCAN, "gone", now=now, until=now)
        world.clock.advance(1.0)
    failed = run(world, job)
    assert failed.state is jobs.JobState.FAILED
    assert failed.report.notes == (
        "Several agents ended while they ran this; their logs may say why",
    )


@pytest.mark.parametrize("count", [0, 1])
def test_a_job_that_another_agent_has_begun_is_left_to_it(world, monkeypatch, caplog, count):
    publish(world, count)
    job = ask(world)

    def lose(*_args, **_details):
        raise errors.LeaseLost("agent host-1:1 does not run it any more")

    monkeypatch.setattr(world.jobs, "keep", lose)
    assert world.scan_runner.run() == 0.0
    assert world.jobs.get(job.job_id).state is jobs.JobState.RUNNING
    assert "does not run it any more" in caplog.text


def test_without_a_database_the_agent_waits(world, monkeypatch, caplog):
    def fail(*_args, **_details):
        raise errors.ServiceUnavailable("no answer")

    monkeypatch.setattr(world.jobs, "claim", fail)
    assert world.scan_runner.run() == 30.0
    assert "Could not run a job" in caplog.text


def test_a_bug_fails_the_job_and_is_logged(world, monkeypatch, caplog):
    job = ask(world)
    monkeypatch.setattr(world.scan_runner, "_work", None)
    failed = run(world, job)
    assert failed.state is jobs.JobState.FAILED
    assert failed.report.notes == ("It could not be finished; the log of the agent says why",)
    assert "Traceback" in caplog.text


def test_an_order_that_nobody_understands_is_logged(world, monkeypatch, caplog):
    monkeypatch.setattr(world.jobs, "claim", None)
    assert world.scan_runner.run() == 30.0
    assert "Could not run a job" in caplog.text


def test_a_scan_goes_on_while_the_database_is_away(world, monkeypatch, caplog):
    publish(world, 1)
    job = ask(world)
    keep, calls = world.jobs.keep, []

    def once(*args, **details):
        calls.append(args)
        if len(calls) == 1:
            raise errors.ServiceUnavailable("no answer")
        return keep(*args, **details)

    monkeypatch.setattr(world.jobs, "keep", once)
    world.two.before = lambda *_call: world.clock.advance(10.0)
    done = run(world, job)
    assert (done.state, len(found(world, done))) == (jobs.JobState.DONE, 2)
    assert f"Could not keep what job {job.job_id} found" in caplog.text


def test_a_scan_ends_when_its_lease_cannot_be_kept(world, monkeypatch, caplog):
    publish(world, 1)
    job = ask(world)
    monkeypatch.setattr(world.jobs, "keep", fail)
    world.two.before = world.three.before = lambda *_call: world.clock.advance(301.0)
    world.scan_runner.run()
    assert "is not held any more" in caplog.text
    assert world.jobs.get(job.job_id).state is jobs.JobState.RUNNING


def test_deletions_are_allowed_once_and_not_for_long(world):
    late = ask(world, allow_deletes=5)
    world.clock.advance(601.0)
    failed = run(world, late)
    assert failed.state is jobs.JobState.FAILED
    assert "begins within ten minutes" in failed.report.notes[0]

    dry = ask(world, allow_deletes=5, is_dry=True)
    world.clock.advance(601.0)
    publish(world, 1)
    assert run(world, dry).state is jobs.JobState.DONE

    again = ask(world, Asked(by="bob"), allow_deletes=5)
    now = world.clock.now()
    world.jobs.claim(jobs.JobKind.SCAN, "gone", now=now, until=now)
    world.clock.advance(1.0)
    assert run(world, again).state is jobs.JobState.FAILED


def test_a_scan_with_deletions_is_not_given_to_another_agent(world):
    publish(world, 1)
    job = ask(world, allow_deletes=5)
    world.stop.set()
    world.scan_runner.run()
    failed = world.jobs.get(job.job_id)
    assert failed.state is jobs.JobState.FAILED
    assert "The agent stopped" in failed.report.notes[0]


def test_a_scan_that_the_stop_of_the_agent_ends_early_is_not_done(world):
    publish(world, 1)
    job = ask(world)
    world.three.before = lambda *_call: world.stop.set()
    world.scan_runner.run()
    assert world.jobs.get(job.job_id).state is jobs.JobState.WAITING


def test_a_scan_is_cancelled_while_it_runs(world, caplog):
    publish(world, 2)
    job = ask(world)

    def cancel(*_call):
        world.clock.advance(10.0)
        world.engine.jobs.orders.cancel(job, Asked(by="bob"))

    world.two.before = cancel
    world.scan_runner.run()
    cancelled = world.jobs.get(job.job_id)
    assert cancelled.state is jobs.JobState.CANCELLED
    assert cancelled.report.notes == ("Cancelled by bob",)
    newest = world.history.newest(1)[0].event
    assert (newest.kind, newest.by) == ("job_cancelled", "bob")
    assert world.engine.jobs.orders.cancel(cancelled, Asked(by="alice")) == cancelled
    assert world.history.newest(1)[0].event == newest


def test_old_jobs_go_with_the_old_events(world):
    job = run(world, ask(world))
    world.clock.advance(31 * 86400.0)
    world.upkeep.run()
    assert world.jobs.get(job.job_id) is None


def test_what_a_scan_requests_is_worked_on(world):
    (image_id,) = publish(world, 1)
    run(world, ask(world))
    world.settle()
    statuses = {task.status for task in world.store.list(image_id=images.ImageId(image_id))}
    assert statuses == {tasks.TaskStatus.SUCCESS}


@pytest.fixture
def snapshots_of_two():
    """Return a world whose RegionTwo has a snapshot with a copy in RegionThree."""
    world = worlds.World(snapshot_origins=[TWO])
    world.deletes_unwanted = True
    snapshot = world.two.publish(b"1", properties={"image_type": "snapshot"})
    world.source.publish(b"2")
    world.rounds.run()
    world.settle()
    assert snapshot.image_id in world.three.ids()
    return world, snapshot


def of_the_cascading_region():
    """Return a world whose cascading region has an image with its data in RegionTwo."""
    world = worlds.World()
    world.deletes_unwanted = world.source.shows_locations = True
    there = world.two.publish(b"1", owner="alpha")
    image = world.refer(there, owner="alpha")
    world.changed(image.image_id)
    world.settle()
    assert image.image_id in world.three.ids()
    return world, image


@pytest.mark.parametrize("allowed", [None, 5])
def test_a_scan_of_a_region_deletes_no_copy_of_its_snapshots_elsewhere(snapshots_of_two, allowed):
    world, snapshot = snapshots_of_two
    world.two.change(snapshot.image_id, sync_regions="none")
    job = run(world, ask(world, regions=(TWO,), allow_deletes=allowed))
    world.settle()
    assert {one.region for one in found(world, job)} <= {TWO}
    assert snapshot.image_id in world.three.ids()
    run(world, ask(world, regions=(THREE,), allow_deletes=allowed))
    world.settle()
    assert snapshot.image_id not in world.three.ids()


def test_a_scan_of_a_region_deletes_no_copy_of_its_data_elsewhere():
    world, image = of_the_cascading_region()
    world.source.change(image.image_id, sync_regions="none")
    run(world, ask(world, regions=(TWO,)))
    world.settle()
    assert image.image_id in world.three.ids()


def test_a_scan_of_a_region_copies_its_snapshots_nowhere_else(snapshots_of_two):
    world, snapshot = snapshots_of_two
    world.three.delete_as_user(snapshot.image_id)
    job = run(world, ask(world, regions=(TWO,), is_dry=True))
    assert found(world, job) == []
