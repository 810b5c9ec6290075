# SPDX-License-Identifier: Apache-2.0
"""Which images' members a look asks for.

No listing shows members, and a change of them leaves no trace in the image. So each image and
each of its copies costs a request. Those requests are spread over the looks of a day: each
image has its time of day, and a look asks for those whose time has come since the last one.
What else costs a request for each image is asked for at the same time.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import hashlib
import json
from typing import Protocol

from glance_sync_agent.domain import images
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.reconcile import scan_settings

#: Names for each region, by that of the sources, the time up to which members were looked at, and
#: whether they were the agent's business then. If not, nobody knows what they are.
_FACT = "members looked at in "
#: A look that comes late makes up for what was missed by asking for so much at most.
_MOST_AT_ONCE = 1 / 24  # of all images
_LATE_FACTOR = 2  # times the share of a look that is in time


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """The images whose members one look asks for, by their time in each period."""

    start: int  # milliseconds, as the next two
    length: int
    period: int
    is_first: bool = False  # there was no look before this one

    def has(self, image_id: images.ImageId) -> bool:
        """Tell whether the time of an image is in this share."""
        digest = hashlib.blake2b(image_id.encode(), digest_size=8).digest()
        return (int.from_bytes(digest, "big") - self.start) % self.period < self.length

    @property
    def end(self) -> int:
        """Where the next share begins."""
        return self.start + self.length


ALL = Share(start=0, length=1, period=1)
NONE = Share(start=0, length=0, period=1)


class MemberScans(Protocol):
    """Shares the members out to the looks."""

    def share(self, origin: images.RegionId, region: images.RegionId) -> Share:
        """Return the sources of ``origin`` whose members a look in ``region`` asks for.

        :raises ServiceUnavailable: the database does not answer.
        """

    def note(self, origin: images.RegionId, region: images.RegionId, share: Share) -> None:
        """Take note that a look asked for all of a share. Idempotent.

        :raises ServiceUnavailable: the database does not answer.
        """


@dataclasses.dataclass(frozen=True, slots=True)
class FixedShare:
    """Asks for the same in each look, and takes no notes: for an operator's commands."""

    same: Share

    def share(self, origin: images.RegionId, region: images.RegionId) -> Share:
        """Return it."""
        del origin, region
        return self.same

    def note(self, origin: images.RegionId, region: images.RegionId, share: Share) -> None:
        """Write nothing."""


class SpreadMemberScans:
    """Asks in each look for those whose time has come since the last look of that region.

    Where that look ended is remembered in the database. So it does not matter how often an
    agent starts: one that was away for an hour asks for one hour's images. After a longer
    absence several looks make up for it, in the order of time, so that nobody is left out.
    """

    def __init__(
        self,
        *,
        facts: ports.FactStore,
        clock: ports.Clock,
        intervals: Callable[[], scan_settings.ScanIntervals],
        are_ours: Callable[[], bool],
    ) -> None:
        """Keep the parts.

        :param are_ours: tells whether the members of copies are the agent's business.
        """
        self._facts = facts
        self._clock = clock
        self._intervals = intervals
        self._are_ours = are_ours

    def share(self, origin: images.RegionId, region: images.RegionId) -> Share:
        """Return what is due; nothing at the very first look, from which the time counts."""
        intervals = self._intervals()
        if intervals.members == 0:
            return ALL
        now = _milliseconds(self._clock.now().timestamp())
        period = _milliseconds(intervals.members)
        known = self._known(region).get(origin)
        if known is None:
            return Share(start=now, length=0, period=period, is_first=True)
        until, were_ours = known
        if self._are_ours() and not were_ours:
            return Share(start=now - period, length=period, period=period)
        return _due(min(until, now), now, period, _most(intervals))

    def note(self, origin: images.RegionId, region: images.RegionId, share: Share) -> None:
        """Remember where the next share begins."""
        now = _milliseconds(self._clock.now().timestamp())
        end = now if share == ALL else share.end
        known = {**self._known(region), origin: [end, self._are_ours()]}
        self._facts.put(_FACT + region, json.dumps(known))

    def _known(self, region: images.RegionId) -> Mapping[str, Sequence[int]]:
        known: Mapping[str, Sequence[int]] = json.loads(self._facts.get(_FACT + region) or "{}")
        return known


def _due(since: int, now: int, period: int, most: int) -> Share:
    """Return what is due after so long; where it is too much, the part that was due first.

    :param most: milliseconds' worth that one look asks for.
    """
    if now - since >= period <= most:
        return Share(start=now - period, length=period, period=period)
    # Whole periods that nobody looked change nothing about whose turn is next.
    missed = max((now - since) // period - 1, 0)
    start = since + missed * period
    return Share(start=start, length=min(now - start, most), period=period)


def _most(intervals: scan_settings.ScanIntervals) -> int:
    if intervals.everything == 0:
        return _milliseconds(intervals.members)
    seconds = max(intervals.members * _MOST_AT_ONCE, intervals.everything * _LATE_FACTOR)
    return _milliseconds(min(seconds, intervals.members))


def _milliseconds(seconds: float) -> int:
    return max(round(seconds * 1000), 1)
