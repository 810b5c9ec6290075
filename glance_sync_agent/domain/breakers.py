# SPDX-License-Identifier: Apache-2.0
"""Whether a region is left alone because it answers nobody.

A circuit breaker: *closed* while the region answers, *open* for a pause after so many failures
in a row, then *half-open*: one task is let through as a probe, and what becomes of it closes the
breaker or opens it for longer.

A connection that fails counts whichever image it was for. A request about one image that gets
5xx, or no answer, counts only if that image is another one than those that failed before: one
image that never works says nothing of its region. A region that answers 5xx about many images
answers at least, and there may be others behind them that are well: it is *slowed down*, which
means that tasks are let through in small batches with short pauses that do not grow.

If only attempts to bring data failed, the byte path may be broken, such as an SSH host. Changes
of copies that have their data then continue. Their outcomes say nothing about the byte path.

Several agents share it through their database and an operator's tool shows it, so it is a value
and a function of that value. The libraries that there are (tenacity, pybreaker) guard the calls
of one process: they keep their state in its memory, or in a Redis of their own, and raise where
here a task is simply not claimed.
"""

import dataclasses
import datetime
from typing import Final, Self

from glance_sync_agent import errors
from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import images

#: Pauses of a region that is slowed down, as a part of the first pause of one that is left alone.
_SLOWED_DOWN: Final = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    """What is known of one region."""

    failures: int = 0  # of the region, in a row
    #: Aware UTC; since when it is open, or its probe has been running. None: it is closed.
    since: datetime.datetime | None = None
    retry_at: datetime.datetime | None = None  # aware UTC; no task before then. None: closed
    reason: str = ""  # the last failure
    #: Of the sources that failed last, each once, the last one at the end.
    image_ids: tuple[images.ImageId, ...] = ()
    #: The last failure was an answer: while this is not closed, the region is slowed down.
    answers: bool = False
    #: Each of the failures was that of an attempt that was to bring data.
    of_data: bool = False

    def is_open(self, now: datetime.datetime) -> bool:
        """Tell whether the region gets no task now."""
        return self.retry_at is not None and now < self.retry_at

    def is_left_alone(self, now: datetime.datetime) -> bool:
        """Tell whether that is so because nobody answers there."""
        return self.is_open(now) and not self.answers

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
class BreakerPolicy:
    """When a breaker opens, and for how long.

    With base 10 and cap 300 the pauses are at most 10, 20, 40, 80, 160, 300 s and then 300 s,
    and at least half of that; those of a region that is slowed down are at most 1 s.
    """

    failures: int  # in a row that open it; 0: it never opens
    base: float  # seconds of the first pause
    cap: float  # seconds

    def slow_pause(self, chance: float) -> float:
        """Return the seconds between two batches of tasks for a region that is slowed down.

        :param chance: uniform in [0, 1).
        """
        return self.base * _SLOWED_DOWN * (1 + chance) / 2

    def failed(
        self,
        seen: Breaker,
        *,
        image_id: images.ImageId,
        fault: errors.Fault,
        of_data: bool = False,
        began: datetime.datetime,
        now: datetime.datetime,
        chance: float,
        reason: str,
        at_least: float | None = None,
    ) -> Breaker | None:
        """Return the breaker after one more failure of the region.

        :param of_data: the attempt that failed was to bring data.
        :param began: when it began.
        :param chance: uniform in [0, 1).
        :param at_least: seconds that the other side asked for.
        :returns: None if that is no news: the attempt began before the breaker opened, or the
            image failed before.
        """
        if seen.since is not None and began < seen.since:
            return None
        is_known = image_id in seen.image_ids and seen.retry_at is None
        if is_known and fault is not errors.Fault.CONNECTION:
            return None
        failures, answers = seen.failures + 1, fault is errors.Fault.ANSWER
        others = tuple(one for one in seen.image_ids if one != image_id)
        counted = Breaker(
            failures=failures,
            reason=reason,
            image_ids=(*others, image_id)[-self.failures :] if self.failures else (),
            answers=answers,
            of_data=of_data and (seen.of_data or not seen.failures),
        )
        if not self.failures or failures < self.failures:
            return counted
        if answers:
            # What one answer asks for is granted to its image alone.
            pause, failures = self.slow_pause(chance), self.failures
        else:
            most = backoff.ceiling(failures - self.failures, base=self.base, cap=self.cap)
            pause = max(most * (1 + chance) / 2, at_least or 0.0)
        return dataclasses.replace(
            counted,
            failures=failures,
            since=now,
            retry_at=now + datetime.timedelta(seconds=pause),
        )
