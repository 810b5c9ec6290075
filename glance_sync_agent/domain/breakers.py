# SPDX-License-Identifier: Apache-2.0
"""Whether a region is left alone because it answers nobody.

A circuit breaker: *closed* while the region answers, *open* for a pause after so many failures
in a row, then *half-open*: one task is let through as a probe, and what becomes of it closes the
breaker or opens it for longer.

Several agents share it through their database and an operator's tool shows it, so it is a value
and a function of that value. The libraries that there are (tenacity, pybreaker) guard the calls
of one process: they keep their state in its memory, or in a Redis of their own, and raise where
here a task is simply not claimed.
"""

import dataclasses
import datetime
from typing import Self

from glance_sync_agent.domain import backoff


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    """What is known of one region."""

    failures: int = 0  # of the region, in a row
    #: Aware UTC; since when it is open, or its probe has been running. None: it is closed.
    since: datetime.datetime | None = None
    retry_at: datetime.datetime | None = None  # aware UTC; no task before then. None: closed
    reason: str = ""  # the last failure

    def is_open(self, now: datetime.datetime) -> bool:
        """Tell whether the region is left alone."""
        return self.retry_at is not None and now < self.retry_at

    def probed(self, *, now: datetime.datetime, until: datetime.datetime) -> Self | None:
        """Let one task through, and no other one for as long as that may take.

        :returns: None if it is not the time for a probe.
        """
        if self.retry_at is None or now < self.retry_at:
            return None
        return dataclasses.replace(self, since=now, retry_at=until)

    def given_up(self, *, began: datetime.datetime, now: datetime.datetime) -> Self | None:
        """Let another probe through, because an attempt told nothing of the region.

        :param began: when that attempt did.
        :returns: None if it was no probe.
        """
        if self.since is None or began < self.since:
            return None
        return dataclasses.replace(self, retry_at=now)

    def awaited(self, now: datetime.datetime) -> Self | None:
        """Let the next probe through now, because somebody says that the region is mended."""
        return dataclasses.replace(self, retry_at=now) if self.is_open(now) else None


#: That of a region that answers.
CLOSED = Breaker()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """When a breaker opens, and for how long.

    With base 10 and cap 300 the pauses are at most 10, 20, 40, 80, 160, 300 s and then 300 s,
    and at least half of that.
    """

    failures: int  # in a row that open it; 0: it never opens
    base: float  # seconds of the first pause
    cap: float  # seconds

    def failed(
        self,
        seen: Breaker,
        *,
        began: datetime.datetime,
        now: datetime.datetime,
        chance: float,
        reason: str,
        at_least: float | None = None,
    ) -> Breaker | None:
        """Return the breaker after one more failure of the region.

        :param began: when the attempt that failed did.
        :param chance: uniform in [0, 1).
        :param at_least: seconds that the region asked for.
        :returns: None if that is no news: the attempt began before the breaker opened.
        """
        if seen.since is not None and began < seen.since:
            return None
        failures = seen.failures + 1
        if not self.failures or failures < self.failures:
            return Breaker(failures=failures, reason=reason)
        most = backoff.ceiling(failures - self.failures, base=self.base, cap=self.cap)
        pause = max(most * (1 + chance) / 2, at_least or 0.0)
        return Breaker(
            failures=failures,
            since=now,
            retry_at=now + datetime.timedelta(seconds=pause),
            reason=reason,
        )
