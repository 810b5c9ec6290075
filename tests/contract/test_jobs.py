# SPDX-License-Identifier: Apache-2.0
"""What the jobs that people ask for promise (``engine.ports.JobStore``)."""

from collections.abc import Iterator
import dataclasses
import datetime

import pytest
import sqlalchemy as sa

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import jobs
from glance_sync_agent.drivers.sql import tables
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.engine import ports
from tests.contract import databases
from tests.fakes import jobs as fake

NOW = datetime.datetime(2026, 3, 29, 1, 59, 59, 987654, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)
TWO, THREE = images.RegionId("RegionTwo"), images.RegionId("RegionThree")
IMAGE = images.ImageId("0f3f4f2e-8a58-4a39-a7b2-1de1b6e0c1a1")
SCAN = jobs.Job(
    job_id="11111111-1111-4111-8111-111111111111",
    order=jobs.Order(
        kind=jobs.JobKind.SCAN, regions=(THREE, TWO), is_dry=True, allow_deletes=12
    ),
    asked_at=NOW,
    asked_by="Zoë",
    request_id="req-1",
)
LATER_SCAN = dataclasses.replace(
    SCAN, job_id="22222222-2222-4222-8222-222222222222", asked_at=NOW + MINUTE
)
VERIFICATION = jobs.Job(
    job_id="33333333-3333-4333-8333-333333333333",
    order=jobs.Order(kind=jobs.JobKind.VERIFICATION, image_id=IMAGE, replace_all=True),
    asked_at=NOW + 2 * MINUTE,
    asked_by="bob",
)
FINDINGS = [
    jobs.NumberedFinding(
        number=number,
        finding=jobs.Finding(
            image_id=IMAGE, region=TWO, what="copy", why=f"reason {number}", image_name=name,
            size=size,
        ),
    )
    for number, name, size in ((1, "gölden", 5_000_000_000), (2, None, None), (3, "c", 0))
]
REPORT = jobs.JobReport(counts={"images": 3, "requested": 0}, notes=("RegionTwo — no answer",))


@pytest.fixture(params=["memory", *databases.KINDS, *databases.CLUSTERS])
def kept(request, tmp_path) -> Iterator[ports.JobStore]:
    if request.param == "memory":
        yield fake.MemoryJobs()
        return
    store = databases.opened(request.param, tmp_path, request.getfixturevalue)
    yield store.jobs()
    store.close()


def begun(kept, owner="agent-1", at=NOW, kind=jobs.JobKind.SCAN):
    return kept.claim(kind, owner, now=at, until=at + MINUTE)


def test_a_job_is_kept_as_it_was_asked_for(kept):
    assert kept.get(SCAN.job_id) is None
    assert kept.add(SCAN)
    assert kept.add(VERIFICATION)
    assert kept.get(SCAN.job_id) == SCAN
    assert kept.get(VERIFICATION.job_id) == VERIFICATION


def test_a_job_is_added_once(kept):
    kept.add(SCAN)
    assert not kept.add(dataclasses.replace(SCAN, asked_by="mallory"))
    assert kept.get(SCAN.job_id) == SCAN


def test_jobs_of_a_kind_are_listed_in_pages_the_newest_first(kept):
    same_time = dataclasses.replace(SCAN, job_id="00000000-0000-4000-8000-000000000000")
    for job in (LATER_SCAN, SCAN, VERIFICATION, same_time):
        kept.add(job)
    assert kept.newest(jobs.JobKind.SCAN, 10) == [LATER_SCAN, SCAN, same_time]
    assert kept.newest(jobs.JobKind.SCAN, 1) == [LATER_SCAN]
    assert kept.newest(jobs.JobKind.SCAN, 10, LATER_SCAN) == [SCAN, same_time]
    assert kept.newest(jobs.JobKind.SCAN, 10, SCAN) == [same_time]
    assert kept.newest(jobs.JobKind.VERIFICATION, 10) == [VERIFICATION]


def test_the_oldest_job_begins_first_and_each_only_once(kept):
    kept.add(LATER_SCAN)
    kept.add(SCAN)
    first, second = begun(kept), begun(kept, "agent-2")
    assert first == dataclasses.replace(
        SCAN, state=jobs.JobState.RUNNING, runs=1, agent_id="agent-1", started_at=NOW
    )
    assert (second.job_id, second.agent_id) == (LATER_SCAN.job_id, "agent-2")
    kept.add(VERIFICATION)
    assert begun(kept, "agent-3") is None
    third = begun(kept, "agent-3", kind=jobs.JobKind.VERIFICATION)
    assert third.job_id == VERIFICATION.job_id
    assert kept.get(SCAN.job_id) == first


def test_what_a_job_finds_is_kept_while_it_runs(kept):
    kept.add(SCAN)
    running = dataclasses.replace(begun(kept), report=REPORT)
    kept.keep(running, FINDINGS[:1], until=NOW + MINUTE)
    kept.keep(running, FINDINGS[1:], until=NOW + MINUTE)
    assert kept.get(SCAN.job_id) == running
    assert kept.findings(SCAN.job_id, 10) == FINDINGS
    assert kept.findings(SCAN.job_id, 1) == FINDINGS[:1]
    assert kept.findings(SCAN.job_id, 10, after=2) == FINDINGS[2:]
    assert kept.findings(VERIFICATION.job_id, 10) == []


def test_a_job_ends_with_its_report_and_begins_no_more(kept):
    kept.add(SCAN)
    done = begun(kept).ended(jobs.JobState.DONE, NOW + MINUTE, REPORT)
    kept.end(done)
    assert kept.get(SCAN.job_id) == done
    assert begun(kept, at=NOW + 10 * MINUTE) is None


def test_a_job_that_is_given_back_begins_again(kept):
    kept.add(SCAN)
    running = begun(kept)
    kept.keep(running, FINDINGS, until=NOW + MINUTE)
    kept.end(running.given_back())
    again = begun(kept, "agent-2", NOW + MINUTE)
    assert (again.agent_id, again.runs, again.report) == ("agent-2", 1, jobs.JobReport())
    assert kept.findings(SCAN.job_id, 10) == []


def test_a_job_whose_agent_is_gone_begins_again_after_its_lease(kept):
    kept.add(SCAN)
    gone = begun(kept)
    kept.keep(gone, FINDINGS, until=NOW + 2 * MINUTE)
    assert begun(kept, "agent-2", NOW + 2 * MINUTE) is None
    again = begun(kept, "agent-2", NOW + 3 * MINUTE)
    assert (again.job_id, again.runs, again.started_at) == (SCAN.job_id, 2, NOW + 3 * MINUTE)
    with pytest.raises(errors.LeaseLost, match=f"agent-1 does not run job {SCAN.job_id}"):
        kept.keep(gone, FINDINGS, until=NOW + 9 * MINUTE)
    with pytest.raises(errors.LeaseLost):
        kept.end(gone.ended(jobs.JobState.DONE, NOW, REPORT))
    assert kept.get(SCAN.job_id) == again
    assert kept.findings(SCAN.job_id, 10) == []


def test_an_agent_that_was_killed_begins_its_own_job_again_at_once(kept):
    kept.add(SCAN)
    kept.keep(begun(kept), FINDINGS, until=NOW + MINUTE)
    assert begun(kept, "agent-2") is None
    again = begun(kept)
    assert (again.job_id, again.agent_id, again.runs) == (SCAN.job_id, "agent-1", 2)
    assert kept.findings(SCAN.job_id, 10) == []


def test_a_job_that_has_ended_takes_no_more(kept):
    kept.add(SCAN)
    running = begun(kept)
    kept.end(running.ended(jobs.JobState.FAILED, NOW, REPORT))
    with pytest.raises(errors.LeaseLost):
        kept.keep(running, FINDINGS, until=NOW + MINUTE)


def test_jobs_that_ended_long_ago_are_removed_with_what_they_found(kept):
    kept.add(SCAN)
    running = begun(kept)
    kept.keep(running, FINDINGS, until=NOW + MINUTE)
    kept.add(LATER_SCAN)
    assert kept.remove(NOW + 99 * MINUTE) == 0
    kept.end(running.ended(jobs.JobState.DONE, NOW, REPORT))
    assert kept.remove(NOW) == 0
    assert kept.remove(NOW + MINUTE) == 1
    assert kept.get(SCAN.job_id) is None
    assert kept.findings(SCAN.job_id, 10) == []
    assert kept.get(LATER_SCAN.job_id) == LATER_SCAN


def test_a_write_whose_answer_was_lost_may_be_repeated(kept):
    kept.add(SCAN)
    running = begun(kept)
    kept.keep(running, FINDINGS[:2], until=NOW + MINUTE)
    kept.keep(running, FINDINGS[:2], until=NOW + MINUTE)
    kept.keep(running, FINDINGS[2:], until=NOW + MINUTE)
    assert kept.findings(SCAN.job_id, 10) == FINDINGS


def test_a_job_is_cancelled_before_it_begins_or_while_it_runs(kept):
    assert kept.cancel(SCAN.job_id, by="Zoë", now=NOW) is None
    kept.add(SCAN)
    kept.add(LATER_SCAN)
    running = dataclasses.replace(begun(kept), report=REPORT)
    kept.keep(running, FINDINGS, until=NOW + MINUTE)
    for job in (running, LATER_SCAN):
        assert kept.cancel(job.job_id, by="Zoë", now=NOW) == job.cancelled("Zoë", NOW)
        assert kept.get(job.job_id) == job.cancelled("Zoë", NOW)
    with pytest.raises(errors.LeaseLost):
        kept.keep(running, (), until=NOW + MINUTE)
    assert begun(kept, at=NOW + 9 * MINUTE) is None
    assert kept.findings(SCAN.job_id, 10) == FINDINGS


def test_a_job_that_has_ended_is_not_cancelled(kept):
    kept.add(SCAN)
    done = begun(kept).ended(jobs.JobState.DONE, NOW, REPORT)
    kept.end(done)
    assert kept.cancel(SCAN.job_id, by="Zoë", now=NOW + MINUTE) == done
    assert kept.get(SCAN.job_id) == done


def test_texts_are_kept_as_far_as_they_go(kept):
    kept.add(SCAN)
    finding = jobs.Finding(image_id=IMAGE, region=TWO, what="copy", why="x" * 3000)
    report = jobs.JobReport(notes=("y" * 3000,))
    running = dataclasses.replace(begun(kept), report=report)
    kept.keep(running, [jobs.NumberedFinding(number=1, finding=finding)], until=NOW)
    assert kept.findings(SCAN.job_id, 1)[0].finding.why.startswith("x" * 2000)
    assert kept.get(SCAN.job_id).report.notes[0].startswith("y" * 2000)


def test_an_agent_leaves_a_kind_alone_that_it_does_not_know(tmp_path):
    url = f"sqlite:///{tmp_path / 'tasks.db'}"
    store = databases.made(url)
    store.jobs().add(SCAN)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.update(tables.JOBS).values(kind="of a newer agent"))
    engine.dispose()
    assert begun(store.jobs()) is None
    store.close()


def test_of_two_agents_that_see_a_job_one_begins_it(tmp_path):
    url = f"sqlite:///{tmp_path / 'tasks.db'}"
    first, second = databases.made(url), task_store.SqlTaskStore(url)
    first.jobs().add(SCAN)
    seen: list[jobs.Job | None] = []

    def other_begins(_connection, _cursor, statement, *_rest):
        if statement.startswith("SELECT") and not seen:
            seen.append(None)
            seen[0] = begun(second.jobs(), "agent-2")

    (engine,) = first._database._engines.values()
    sa.event.listen(engine, "after_cursor_execute", other_begins)
    assert begun(first.jobs()) is None
    (other,) = seen
    assert other is not None
    assert other.agent_id == "agent-2"
    first.close()
    second.close()
