# SPDX-License-Identifier: Apache-2.0
"""When a failed task is tried again."""

import dataclasses
import datetime


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
        # The exponent is bounded because 2.0 ** 1024 overflows; the cap is long reached there.
        ceiling = min(self.cap, self.base * 2.0 ** min(failed - 1, 64))
        return now + datetime.timedelta(seconds=max(ceiling * chance, at_least or 0.0))
