# SPDX-License-Identifier: Apache-2.0
"""The finding about one link between the agent and the copies."""

from collections.abc import Callable
import dataclasses
import enum

from glance_sync_agent import errors

_LINK_WIDTH = 20
_INDENT = " " * 6


class Level(enum.StrEnum):
    """The state of a link."""

    OK = "OK"
    WARN = "WARN"  # the agent works, and something could be better
    SKIP = "SKIP"  # not checked: there is nothing, or something else must work first
    FAIL = "FAIL"  # the agent cannot do its work


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line of the report."""

    verdict: Level
    link: str
    detail: str  # what was seen
    remedy: str = ""  # what to run or to edit; never empty in a failure

    @property
    def is_problem(self) -> bool:
        """Tell whether somebody should do something about it."""
        return self.verdict in {Level.FAIL, Level.WARN}


#: Tries a link; a text is good news.
Probe = Callable[[], str | Finding]
#: What to do about an error.
Remedy = Callable[[errors.SyncError], str]


def check(link: str, probe: Probe, remedy: Remedy) -> Finding:
    """Check one link; an error becomes a finding."""
    try:
        seen = probe()
    except errors.HandshakeFailed as exc:
        # A server answers, so the link's own remedy does not apply yet.
        return failure(link, exc.seen, exc.remedy)
    except errors.SyncError as exc:
        return failure(link, exc, remedy(exc))
    if isinstance(seen, Finding):
        return seen
    return ok(link, seen)


def ok(link: str, seen: str) -> Finding:
    """Return good news."""
    return Finding(verdict=Level.OK, link=link, detail=seen)


def failure(link: str, seen: object, remedy: str) -> Finding:
    """Return a failure."""
    return Finding(verdict=Level.FAIL, link=link, detail=str(seen), remedy=remedy)


def warning(link: str, seen: str, remedy: str) -> Finding:
    """Return a warning."""
    return Finding(verdict=Level.WARN, link=link, detail=seen, remedy=remedy)


def skipped(link: str, why: str) -> Finding:
    """Return that the link was not checked."""
    return Finding(verdict=Level.SKIP, link=link, detail=why)


def text(finding: Finding) -> str:
    """Return a finding as lines for a person."""
    detail = finding.detail.replace("\n", f"\n{_INDENT}")
    lines = f"{finding.verdict.value:<5} {finding.link:<{_LINK_WIDTH}} {detail}"
    return f"{lines}\n{_INDENT}-> {finding.remedy}" if finding.remedy else lines
