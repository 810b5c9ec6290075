# SPDX-License-Identifier: Apache-2.0
"""Scans and verifications that people ask for; any agent of the database may run them."""

from collections.abc import Mapping
import dataclasses
import datetime
import enum

from glance_sync_agent.domain import images

#: So many agents may end without a word while they run a job; then it counts as the reason.
_RUNS = 3


class JobKind(enum.StrEnum):
    """What a job does, as the database keeps it; 32 characters at most."""

    SCAN = "scan"  # compares images with their copies, and requests the differences
    VERIFICATION = "verification"  # reads copies back, and requests that bad ones are replaced


class JobState(enum.StrEnum):
    """How far a job is, as the database keeps it; 16 characters at most."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"  # somebody has ended it


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What somebody asks for."""

    kind: JobKind
    regions: tuple[images.RegionId, ...] = ()  # of the copies; empty: all
    is_dry: bool = False  # only the job itself is written
    #: Of a scan: the most sources that are gone whose copies it deletes; None: as configured.
    allow_deletes: int | None = None
    image_id: images.ImageId | None = None  # of a verification; None: all
    replace_all: bool = False  # of a verification: however many copies are bad


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class JobReport:
    """What a job has found so far."""

    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)  # by what they count
    notes: tuple[str, ...] = ()  # sentences


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """An order, and what became of it. All times are aware UTC."""

    job_id: str  # a UUID
    order: Order
    asked_at: datetime.datetime
    asked_by: str
    request_id: str | None = None  # of the request that asked for it
    state: JobState = JobState.WAITING
    runs: int = 0  # that were begun and not given back
    agent_id: str | None = None  # that runs it, or ran it last
    started_at: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    report: JobReport = JobReport()

    def is_poison(self) -> bool:
        """Tell whether too many agents ended while they ran it."""
        return self.runs > _RUNS

    def given_back(self) -> "Job":
        """Return it so that another agent begins it again."""
        return dataclasses.replace(self, state=JobState.WAITING, runs=self.runs - 1)

    def is_over(self) -> bool:
        """Tell whether it has ended in one way or another."""
        return self.state not in {JobState.WAITING, JobState.RUNNING}

    def cancelled(self, by: str, at: datetime.datetime) -> "Job":
        """Return it cancelled by somebody, with what it had found."""
        notes = (*self.report.notes, f"Cancelled by {by}")
        report = dataclasses.replace(self.report, notes=notes)
        return self.ended(JobState.CANCELLED, at, report)

    def ended(self, state: JobState, at: datetime.datetime, report: JobReport) -> "Job":
        """Return it done or failed."""
        return dataclasses.replace(self, state=state, ended_at=at, report=report)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a job found about one image in one region."""

    image_id: images.ImageId
    region: images.RegionId
    what: str  # the action of a scan, or the verdict of a verification
    why: str
    image_name: str | None = None
    size: int | None = None  # bytes that a verification read


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NumberedFinding:
    """A finding as it is kept."""

    number: int  # from 1 in each job
    finding: Finding
