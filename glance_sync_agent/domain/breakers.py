# SPDX-License-Identifier: Apache-2.0
"""The circuit breakers of regions.

A breaker is *closed* while its region answers. After several failures in a row it is *open* for a
pause, and the region is unavailable. Then one task is the *probe*: its outcome closes the breaker
or opens it for longer.

A failed connection counts for any image. A 5xx or missing answer about one image counts only
once for each image in a row, because one broken image proves nothing about its region. If such a
region answers 5xx about many images, it is only *slowed down*: it gets small batches of tasks
with short pauses, because other images may be well.

If only attempts with data failed, the byte path may be broken, such as an SSH host. Changes
of copies that have their data then continue. Their outcomes prove nothing about the byte path.

Agents share breakers through their database, so a breaker is a value. Libraries such as tenacity
and pybreaker keep their state in one process or in Redis, and raise instead of not claiming.
"""

import dataclasses
import datetime
from typing import Final, Self

from glance_sync_agent import errors
from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import images

#: The pause of a region that is slowed down, as a part of the first pause of an unavailable one.
_SLOWED_DOWN: Final = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    """The state of one region."""

    failures: int = 0  # of the region, in a row
    #: Aware UTC; when it opened or its probe began. None: it is closed.
    since: datetime.datetime | None = None
    retry_at: datetime.datetime | None = None  # aware UTC; no task before then. None: closed
    reason: str = ""  # the last failure
    #: Of the sources that failed last, each once, the last one at the end.
    image_ids: tuple[images.ImageId, ...] = ()
    #: The last failure was an answer: while this is not closed, the region is slowed down.
    answers: bool = False
    of_data: bool = False  # each failed attempt had to bring data

    def is_open(self, now: datetime.datetime) -> bool:
        """Tell whether the region gets no task now."""
        return self.retry_at is not None and now < self.retry_at

    def is_unavailable(self, now: datetime.datetime) -> bool:
        """Tell whether the region gets no task because it is unreachable."""
        return self.is_open(now) and not self.answers

    def with_probe(self, *, now: datetime.datetime, until: datetime.datetime) -> Self | None:
        """Admit a probe, and no other task before ``until``; None if none is due."""
        if self.retry_at is None or now < self.retry_at:
            return None
        return dataclasses.replace(self, since=now, retry_at=until)

    def without_probe(self, *, began: datetime.datetime, now: datetime.datetime) -> Self | None:
        """Make another probe due, because an attempt proved nothing about the region.

        :param began: when that attempt began.
        :returns: None if it was not the probe.
        """
        if self.since is None or began < self.since:
            return None
        return dataclasses.replace(self, retry_at=now)

    def with_probe_due(self, now: datetime.datetime) -> Self | None:
        """Make a probe due now, because an operator repaired the region; None if it is due."""
        return dataclasses.replace(self, retry_at=now) if self.is_open(now) else None


#: The breaker of a region that answers.
CLOSED = Breaker()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RegionFailure:
    """A failed attempt that says something about its region."""

    image_id: images.ImageId
    fault: errors.Fault
    began: datetime.datetime  # the attempt; aware UTC
    reason: str
    of_data: bool = False  # the attempt had to bring data
    retry_after: float | None = None  # seconds that the region asked for


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BreakerPolicy:
    """When a breaker opens, and for how long.

    With base 10 and cap 300 the pauses are at most 10, 20, 40, 80, 160, 300 s and then 300 s,
    and at least half of that. The pauses of a region that is slowed down are at most 1 s.
    """

    failures: int  # in a row that open it; 0: it never opens
    base: float  # seconds of the first pause
    cap: float  # seconds

    def slow_pause(self, chance: float) -> float:
        """Return the seconds between two batches for a region that is slowed down.

        :param chance: uniform in [0, 1).
        """
        return self.base * _SLOWED_DOWN * (1 + chance) / 2

    def failed(
        self, seen: Breaker, failure: RegionFailure, *, now: datetime.datetime, chance: float
    ) -> Breaker | None:
        """Return the breaker after one more failure.

        :param chance: uniform in [0, 1).
        :returns: None if nothing changes: the attempt began before the breaker opened, or the
            image failed before.
        """
        if seen.since is not None and failure.began < seen.since:
            return None
        is_known = failure.image_id in seen.image_ids and seen.retry_at is None
        if is_known and failure.fault is not errors.Fault.CONNECTION:
            return None
        counted = self._counted(seen, failure)
        if not self.failures or counted.failures < self.failures:
            return counted
        if counted.answers:
            # The region's Retry-After applies to this image only.
            pause, failures = self.slow_pause(chance), self.failures
        else:
            failures = counted.failures
            most = backoff.ceiling(failures - self.failures, base=self.base, cap=self.cap)
            pause = max(most * (1 + chance) / 2, failure.retry_after or 0.0)
        retry_at = now + datetime.timedelta(seconds=pause)
        return dataclasses.replace(counted, failures=failures, since=now, retry_at=retry_at)

    def _counted(self, seen: Breaker, failure: RegionFailure) -> Breaker:
        others = tuple(one for one in seen.image_ids if one != failure.image_id)
        return Breaker(
            failures=seen.failures + 1,
            reason=failure.reason,
            image_ids=(*others, failure.image_id)[-self.failures :] if self.failures else (),
            answers=failure.fault is errors.Fault.ANSWER,
            of_data=failure.of_data and (seen.of_data or not seen.failures),
        )
