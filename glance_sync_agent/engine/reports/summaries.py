# SPDX-License-Identifier: Apache-2.0
"""The state of all in one answer, and what is wrong with it."""

from collections.abc import Iterator
import dataclasses
import datetime
import enum
from typing import Any

from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.reports import agent_reports
from glance_sync_agent.engine.reports import region_reports
from glance_sync_agent.engine.reports import task_counts
from glance_sync_agent.engine.reports import times
from glance_sync_agent.engine.reports.region_states import RegionStates

AGENTS = "agents"  # what a problem may be about

#: Agents that ended longer ago are not worth a line.
_SHOWN = datetime.timedelta(hours=24)


class Severity(enum.IntEnum):
    """How bad something is, in the numbers of Nagios."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


_UNFINISHED = (tasks.TaskStatus.PENDING.value, tasks.TaskStatus.PROCESSING.value)
_STORE_PROBLEMS = {
    Code.STORAGE_FULL: (
        Severity.CRITICAL,
        "the store of region {name} has no room for {number} images",
        "make room there, and the agent continues by itself",
    ),
    Code.UPLOAD_REFUSED: (
        Severity.WARNING,
        "a policy or a quota of region {name} refuses {number} images",
        "raise the quota of the agent's project there, or allow upload_image in policy.yaml",
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something that is wrong, and what to do about it."""

    severity: Severity
    about: str  # agents, or a region
    seen: str
    remedy: str  # a sentence

    @property
    def text(self) -> str:
        """Return both as one line."""
        return f"{self.seen}; {self.remedy}"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The state of all regions and agents."""

    counted_at: datetime.datetime  # aware UTC
    regions: list[dict[str, Any]]  # see region_reports.FIELDS
    failures: list[dict[str, Any]]  # codes of failed tasks, and how many have each
    waiting: list[dict[str, Any]]  # the same of pending tasks
    agents: list[dict[str, Any]]  # see agent_reports.FIELDS
    problems: list[Problem]  # the worst first

    @property
    def severity(self) -> Severity:
        """Return how bad the worst problem is."""
        return max((one.severity for one in self.problems), default=Severity.OK)

    def fields(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return {
            "status": self.severity.name.lower(),
            "problems": [
                {"severity": one.severity.name.lower(), "text": one.text}
                for one in self.problems
            ],
            "counted_at": times.text(self.counted_at),
            "regions": self.regions,
            "failures": self.failures,
            "waiting": self.waiting,
            "agents": self.agents,
        }


def summary(
    counted: task_counts.TaskCounts,
    states: RegionStates,
    agents: ports.AgentStore,
    now: datetime.datetime,
) -> Summary:
    """Return the state of all.

    :raises ServiceUnavailable: the database is unreachable.
    """
    regions = [
        region_reports.fields(region, counted, states, now)
        for region in region_reports.names(counted, states)
    ]
    known = [
        agent_reports.fields(agent, now)
        for agent in agents.all()
        if now - agent.seen_at <= _SHOWN
    ]
    problems = [*_of_agents(known), *_of_stores(counted), *_of_regions(regions)]
    return Summary(
        counted_at=counted.at,
        regions=regions,
        failures=region_reports.reasons(counted, tasks.TaskStatus.FAILURE),
        waiting=region_reports.reasons(counted, tasks.TaskStatus.PENDING),
        agents=known,
        problems=sorted(problems, key=lambda one: -one.severity),
    )


def _of_agents(agents: list[dict[str, Any]]) -> Iterator[Problem]:
    if not any(one["state"] in {"running", "waiting"} for one in agents):
        yield Problem(
            severity=Severity.CRITICAL,
            about=AGENTS,
            seen="no agent is alive, so nothing is copied",
            remedy="start one: 'systemctl start glance-sync-agent'. If it ends at once, "
            "'glance-sync-manage check' shows why",
        )
    for agent in agents:
        if agent["state"] == "gone":
            yield Problem(
                severity=Severity.WARNING,
                about=AGENTS,
                seen=f"agent {agent['agent_id']} ended without a word, and was seen last at "
                f"{agent['seen_at']}",
                remedy=f"its log on {agent['host']} may say why",
            )
        elif agent["state"] == "waiting":
            yield Problem(
                severity=Severity.WARNING,
                about=AGENTS,
                seen=f"agent {agent['agent_id']} waits for {agent['waits_for']}",
                remedy="it continues by itself when that is there",
            )


def _of_stores(counted: task_counts.TaskCounts) -> Iterator[Problem]:
    for name, counts in counted.regions.items():
        for code, (severity, seen, remedy) in _STORE_PROBLEMS.items():
            # A task that is tried again keeps its code meanwhile.
            if number := sum(counts.tasks.get((status, str(code)), 0) for status in _UNFINISHED):
                where = f"'glance-sync status --region {name} --status pending' shows which"
                yield Problem(
                    severity=severity,
                    about=name,
                    seen=seen.format(name=name, number=number),
                    remedy=f"{remedy.format(name=name)}; {where}",
                )


def _of_regions(regions: list[dict[str, Any]]) -> Iterator[Problem]:
    for region in regions:
        name = region["region"]
        if region["state"] == region_reports.UNAVAILABLE:
            yield Problem(
                severity=Severity.CRITICAL,
                about=name,
                seen=f"region {name} is unavailable; {region['why']}",
                remedy=f"'glance-sync-manage check --region {name}' shows what does not answer",
            )
        # A window is planned, and ends by itself.
        if region["state"] == region_reports.PAUSED and region["paused_until"] is None:
            yield Problem(
                severity=Severity.WARNING,
                about=name,
                seen=f"region {name} is paused {region['why']}",
                remedy=f"'glance-sync resume {name}' ends that",
            )
        if region["late"]:
            yield Problem(
                severity=Severity.WARNING,
                about=name,
                seen=f"{region['late']} tasks of region {name} are late, the oldest has waited "
                f"since {region['oldest_asked_at']}",
                remedy=f"'glance-sync status --region {name} --status pending' shows why",
            )
        if (failed := region["failure"] - region["cancelled"]) > 0:
            yield Problem(
                severity=Severity.WARNING,
                about=name,
                seen=f"{failed} tasks of region {name} failed",
                remedy=f"'glance-sync status --region {name} --status failure' shows why",
            )
