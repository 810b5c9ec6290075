# SPDX-License-Identifier: Apache-2.0
"""Jobs, and how they end."""

import dataclasses
import datetime

import pytest

from glance_sync_agent.domain import jobs

NOW = datetime.datetime(2026, 3, 29, 1, 59, 59, tzinfo=datetime.UTC)
JOB = jobs.Job(
    job_id="1d6f5c6e-58e3-4f7e-8e0f-6f5cf0f2b2a1",
    order=jobs.Order(kind=jobs.JobKind.SCAN),
    asked_at=NOW,
    asked_by="alice",
    state=jobs.JobState.RUNNING,
    runs=2,
)


def test_an_order_covers_everything_and_writes_by_default():
    order = jobs.Order(kind=jobs.JobKind.VERIFICATION)
    assert (order.regions, order.is_dry, order.replace_all) == ((), False, False)
    assert (order.image_id, order.allow_deletes) == (None, None)
    new = jobs.Job(job_id="x", order=order, asked_at=NOW, asked_by="alice")
    assert (new.state, new.runs, new.report) == (jobs.JobState.WAITING, 0, jobs.JobReport())
    assert (new.report.counts, new.report.notes) == ({}, ())


@pytest.mark.parametrize(("runs", "is_poison"), [(0, False), (3, False), (4, True)])
def test_a_job_that_ends_agent_after_agent_is_poison(runs, is_poison):
    assert dataclasses.replace(JOB, runs=runs).is_poison() is is_poison


def test_a_job_that_is_given_back_waits_as_if_it_had_not_begun():
    assert JOB.given_back() == dataclasses.replace(JOB, state=jobs.JobState.WAITING, runs=1)


def test_a_job_is_cancelled_with_what_it_had_found():
    report = jobs.JobReport(counts={"images": 3}, notes=("one",))
    running = dataclasses.replace(JOB, report=report)
    assert running.cancelled("alice", NOW) == dataclasses.replace(
        JOB,
        state=jobs.JobState.CANCELLED,
        ended_at=NOW,
        report=jobs.JobReport(counts={"images": 3}, notes=("one", "Cancelled by alice")),
    )


@pytest.mark.parametrize("state", jobs.JobState)
def test_a_job_is_over_unless_it_waits_or_runs(state):
    open_states = {jobs.JobState.WAITING, jobs.JobState.RUNNING}
    assert dataclasses.replace(JOB, state=state).is_over() is (state not in open_states)


def test_a_job_ends_with_its_report():
    report = jobs.JobReport(counts={"images": 3})
    assert JOB.ended(jobs.JobState.DONE, NOW, report) == dataclasses.replace(
        JOB, state=jobs.JobState.DONE, ended_at=NOW, report=report
    )
