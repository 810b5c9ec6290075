# SPDX-License-Identifier: Apache-2.0
"""The checks of what the database says: whether agents run, and what waits for too long."""

from collections.abc import Iterator

from glance_sync_agent.cmd.check import findings
from glance_sync_agent.domain import images
from glance_sync_agent.engine.reports import summaries
from glance_sync_agent.engine.reports import times
from glance_sync_agent.wiring import reading
from glance_sync_agent.wiring.cloud import Cloud

_AGENTS = "agents"
_CLOCK = "clock"
_CLOCK_SECONDS = 5.0


def check(cloud: Cloud, only: images.RegionId | None) -> Iterator[findings.Finding]:
    """Check the agents, the clocks and the tasks.

    :param only: the one region to check; None: all.
    :raises ServiceUnavailable: the database is unreachable.
    """
    found = reading.summary(cloud)
    if only is None:
        yield _clock(cloud)
        yield from _agents(found, is_new=not cloud.store.agents().all())
    for region in found.regions:
        name = region["region"]
        if only not in {None, name}:
            continue
        problems = [one for one in found.problems if one.about == name]
        yield from (_finding(f"tasks {name}", one) for one in problems)
        if not problems:
            yield findings.ok(
                f"tasks {name}",
                f"{region['success']} done, {region['pending'] + region['processing']} to do",
            )


def _clock(cloud: Cloud) -> findings.Finding:
    ahead = cloud.store.clock_ahead()
    if abs(ahead.total_seconds()) < _CLOCK_SECONDS:
        return findings.ok(_CLOCK, "agrees with that of the database")
    return findings.warning(
        _CLOCK,
        f"the clock of the database is {times.off(ahead)} this machine's",
        "run an NTP client on both, for instance chrony",
    )


def _agents(found: summaries.Summary, *, is_new: bool) -> Iterator[findings.Finding]:
    if is_new:
        yield findings.ok(_AGENTS, "none has run with this database yet")
        return
    problems = [one for one in found.problems if one.about == summaries.AGENTS]
    yield from (_finding(_AGENTS, one) for one in problems)
    if not problems:
        alive = sum(one["state"] == "running" for one in found.agents)
        yield findings.ok(_AGENTS, f"{alive} run")


def _finding(link: str, problem: summaries.Problem) -> findings.Finding:
    if problem.severity is summaries.Severity.CRITICAL:
        return findings.failure(link, problem.seen, problem.remedy)
    return findings.warning(link, problem.seen, problem.remedy)
