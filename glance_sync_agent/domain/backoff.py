# SPDX-License-Identifier: Apache-2.0
"""When the agent retries a failed task, and when it replaces a copy that vanished."""

import dataclasses
import datetime
from typing import Final, Self

DAY_SECONDS: Final = 86400.0
_FORGOTTEN: Final = datetime.timedelta(days=7)


def ceiling(doublings: int, *, base: float, cap: float) -> float:
    """Return the longest pause, in seconds, after ``base`` was doubled so often."""
    # 2.0 ** 1024 would overflow, and the cap applies long before.
    return min(cap, base * 2.0 ** min(doublings, 64))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """Exponential back-off with full jitter.

    With base 5 and cap 600 the waits before retries 1, 2, 3, 4 are at most 5, 10, 20, 40 s.
    """

    retries: int  # after the first attempt
    base: float  # seconds
    cap: float  # seconds
    give_up: float = 0.0  # seconds after the first failure in which no attempt is the last

    def next_attempt(
        self,
        *,
        failed: int,
        since: datetime.datetime,
        now: datetime.datetime,
        chance: float,
        at_least: float | None = None,
    ) -> datetime.datetime | None:
        """Return when to try again; None if that was the last attempt.

        :param failed: failed attempts, at least 1.
        :param since: when the first of them failed.
        :param chance: uniform in [0, 1).
        :param at_least: seconds that the service asked for.
        """
        if failed > self.retries and (now - since).total_seconds() >= self.give_up:
            return None
        most = ceiling(failed - 1, base=self.base, cap=self.cap)
        return now + datetime.timedelta(seconds=max(most * chance, at_least or 0.0))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Vanishings:
    """How often a copy vanished, and when the agent replaced it last.

    The agent replaces the first copy at once. Before each further replacement it pauses, and the
    pauses double up to a day. After a week in which no copy vanishes, the count starts again.
    """

    times: int
    last_at: datetime.datetime  # aware UTC

    def next_copy(self, base: float) -> datetime.datetime:
        """Return when the agent may replace the copy if it vanishes again.

        :param base: seconds of the first pause.
        """
        pause = ceiling(self.times - 1, base=base, cap=DAY_SECONDS)
        return self.last_at + datetime.timedelta(seconds=pause)

    def once_more(self, now: datetime.datetime) -> Self:
        """Count one more."""
        return dataclasses.replace(self, times=self.times + 1, last_at=now)

    def is_over(self, now: datetime.datetime) -> bool:
        """Tell whether the last replacement is too old to count."""
        return now - self.last_at >= _FORGOTTEN
