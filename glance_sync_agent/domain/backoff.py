# SPDX-License-Identifier: Apache-2.0
"""When a failed task is tried again, and when a copy that vanished is made anew."""

import dataclasses
import datetime
from typing import Final, Self

DAY_SECONDS: Final = 86400.0
_FORGOTTEN: Final = datetime.timedelta(days=7)


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
    give_up: float = 0.0  # seconds after the first failure; before that it is not the last one

    def next_attempt(
        self,
        *,
        failed: int,
        since: datetime.datetime,
        now: datetime.datetime,
        chance: float,
        at_least: float | None = None,
    ) -> datetime.datetime | None:
        """Return when to try again, or None if that was the last attempt.

        :param failed: attempts that failed, the last one included; at least 1.
        :param since: when the first of them failed.
        :param chance: uniform in [0, 1), by the caller's random generator.
        :param at_least: seconds that the other side asked for.
        """
        if failed > self.retries and (now - since).total_seconds() >= self.give_up:
            return None
        most = ceiling(failed - 1, base=self.base, cap=self.cap)
        return now + datetime.timedelta(seconds=max(most * chance, at_least or 0.0))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Vanishings:
    """How often somebody else deleted a copy, and when it was made anew after that.

    The second copy is made at once, the third one a pause after the second at the earliest,
    and the pauses double up to a day. After a week without a vanishing all is forgotten.
    """

    times: int
    last_at: datetime.datetime  # aware UTC

    def next_copy(self, base: float) -> datetime.datetime:
        """Return when the copy may be made anew once it has vanished again.

        :param base: seconds of the first pause.
        """
        pause = ceiling(self.times - 1, base=base, cap=DAY_SECONDS)
        return self.last_at + datetime.timedelta(seconds=pause)

    def once_more(self, now: datetime.datetime) -> Self:
        """Count one more."""
        return dataclasses.replace(self, times=self.times + 1, last_at=now)

    def is_over(self, now: datetime.datetime) -> bool:
        """Tell whether the last one is so long ago that it does not count any more."""
        return now - self.last_at >= _FORGOTTEN
