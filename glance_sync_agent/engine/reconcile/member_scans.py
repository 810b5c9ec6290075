# SPDX-License-Identifier: Apache-2.0
"""The images whose members a scan compares.

No listing shows members, and a change of them does not change the image. So the members of each
image and of each copy cost a request. The scans of a day share these requests: each image has its
time of day, and a scan compares the images whose time came since the scan before. Other requests
for single images follow the same shares.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import hashlib
import json

from glance_sync_agent.domain import images
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.reconcile import scan_settings

#: Names the fact of each region: by the region of the sources, the time up to which the members
#: were compared, and whether the agent set the members of copies then. Databases hold this name.
_FACT = "members looked at in "
#: The most that a late scan compares to catch up.
_MOST_AT_ONCE = 1 / 24  # of all images
_LATE_FACTOR = 2  # times the share of a scan that is in time


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """The images whose members one scan compares, by their time in each period."""

    start: int  # milliseconds, as the next two
    length: int
    period: int
    is_first: bool = False  # there was no scan before

    def has(self, image_id: images.ImageId) -> bool:
        """Tell whether an image belongs to this share."""
        digest = hashlib.blake2b(image_id.encode(), digest_size=8).digest()
        return (int.from_bytes(digest, "big") - self.start) % self.period < self.length

    @property
    def end(self) -> int:
        """Return where the next share begins."""
        return self.start + self.length


ALL = Share(start=0, length=1, period=1)
NONE = Share(start=0, length=0, period=1)


@dataclasses.dataclass(frozen=True, slots=True)
class FixedShare:
    """Gives the same share to each scan, and remembers nothing: for an operator's commands."""

    same: Share

    def share(self, origin: images.RegionId, region: images.RegionId) -> Share:
        """Return the share."""
        del origin, region
        return self.same

    def note(self, origin: images.RegionId, region: images.RegionId, share: Share) -> None:
        """Write nothing."""


class SpreadMemberScans:
    """Gives each scan the images whose time came since the last scan of the region.

    All methods raise ServiceUnavailable if the database does not answer.

    The database keeps the end of the last share. So restarts cost nothing: after an hour without
    an agent, the scan compares one hour's images. After a longer time several scans catch up.
    """

    def __init__(
        self,
        *,
        facts: ports.FactStore,
        clock: ports.Clock,
        intervals: Callable[[], scan_settings.ScanIntervals],
        are_ours: Callable[[], bool],  # whether the agent sets the members of copies
    ) -> None:
        self._facts = facts
        self._clock = clock
        self._intervals = intervals
        self._are_ours = are_ours

    def share(self, origin: images.RegionId, region: images.RegionId) -> Share:
        """Return the sources of ``origin`` whose members are due in ``region``.

        At the first scan, which starts the time, that is none.
        """
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
        """Remember that a scan compared a share. Idempotent."""
        now = _milliseconds(self._clock.now().timestamp())
        end = now if share == ALL else share.end
        known = {**self._known(region), origin: [end, self._are_ours()]}
        self._facts.put(_FACT + region, json.dumps(known))

    def _known(self, region: images.RegionId) -> Mapping[str, Sequence[int]]:
        known: Mapping[str, Sequence[int]] = json.loads(self._facts.get(_FACT + region) or "{}")
        return known


MemberScans = SpreadMemberScans | FixedShare


def _due(since: int, now: int, period: int, most: int) -> Share:
    """Return what is due, or if that is too much, the part that was due first.

    :param most: milliseconds.
    """
    if now - since >= period <= most:
        return Share(start=now - period, length=period, period=period)
    # After whole periods without a scan, the same images are next as without them.
    missed = max((now - since) // period - 1, 0)
    start = since + missed * period
    return Share(start=start, length=min(now - start, most), period=period)


def _most(intervals: scan_settings.ScanIntervals) -> int:
    if intervals.full == 0:
        return _milliseconds(intervals.members)
    seconds = max(intervals.members * _MOST_AT_ONCE, intervals.full * _LATE_FACTOR)
    return _milliseconds(min(seconds, intervals.members))


def _milliseconds(seconds: float) -> int:
    return max(round(seconds * 1000), 1)
