# SPDX-License-Identifier: Apache-2.0
"""What a look at one link of the chain showed, and how an operator reads it."""

from collections.abc import Callable
import dataclasses
import enum

from glance_sync_agent import errors

_LINK_WIDTH = 20
_INDENT = " " * 6


class Level(enum.StrEnum):
    """How a link is."""

    OK = "OK"
    WARN = "WARN"  # it works, and could be better
    SKIP = "SKIP"  # not looked at: there is nothing, or something else has to work first
    FAIL = "FAIL"  # the agent cannot do its work


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line of the report."""

    verdict: Level
    link: str
    detail: str  # what was seen
    remedy: str = ""  # what to run or to edit; never empty in a failure


#: Looks at a link; what it returns is good news.
Probe = Callable[[], str | Finding]
#: What to do about an error.
Remedy = Callable[[errors.SyncError], str]


def look(link: str, probe: Probe, remedy: Remedy) -> Finding:
    """Look at one link; an error is a finding, too."""
    try:
        seen = probe()
    except errors.HandshakeFailed as exc:
        # Somebody answers there, so whatever else the link is about does not matter yet.
        return failure(link, exc.seen, exc.remedy)
    except errors.SyncError as exc:
        return failure(link, exc, remedy(exc))
    if isinstance(seen, Finding):
        return seen
    return Finding(verdict=Level.OK, link=link, detail=seen)


def failure(link: str, seen: object, remedy: str) -> Finding:
    """Return a failure."""
    return Finding(verdict=Level.FAIL, link=link, detail=str(seen), remedy=remedy)


def warning(link: str, seen: str, remedy: str) -> Finding:
    """Return a warning."""
    return Finding(verdict=Level.WARN, link=link, detail=seen, remedy=remedy)


def skipped(link: str, why: str) -> Finding:
    """Return that nobody looked."""
    return Finding(verdict=Level.SKIP, link=link, detail=why)


def text(finding: Finding) -> str:
    """Return a finding as lines for a person."""
    detail = finding.detail.replace("\n", f"\n{_INDENT}")
    lines = f"{finding.verdict.value:<5} {finding.link:<{_LINK_WIDTH}} {detail}"
    return f"{lines}\n{_INDENT}-> {finding.remedy}" if finding.remedy else lines
