# SPDX-License-Identifier: Apache-2.0
"""When a failed task is tried again."""

import dataclasses
import datetime


def ceiling(doublings: int, *, base: float, cap: float) -> float:
    """Return the seconds that a pause may take at most after so many doublings of ``base``."""
    # Bounded, because 2.0 ** 1024 overflows; the cap is long reached there.
    return min(cap, base * 2.0 ** min(doublings, 64))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """Exponential back-off with full jitter.

    With base 5 and cap 600 the waits before retries 1, 2, 3, 4 are at most 5, 10, 20, 40 s.
    """

    retries: int  # after the first attempt
    base: float  # seconds
    cap: float  # seconds

    def next_attempt(
        self,
        *,
        failed: int,
        now: datetime.datetime,
        chance: float,
        at_least: float | None = None,
    ) -> datetime.datetime | None:
        """Return when to try again, or None if that was the last attempt.

        :param failed: attempts that failed, the last one included; at least 1.
        :param chance: uniform in [0, 1), by the caller's random generator.
        :param at_least: seconds that the other side asked for.
        """
        if failed > self.retries:
            return None
        most = ceiling(failed - 1, base=self.base, cap=self.cap)
        return now + datetime.timedelta(seconds=max(most * chance, at_least or 0.0))
