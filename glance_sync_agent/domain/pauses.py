# SPDX-License-Identifier: Apache-2.0
"""Pauses of regions: what a person or a window says before work on a region."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import datetime

from glance_sync_agent.domain import images

_NO_END = datetime.datetime.max.replace(tzinfo=datetime.UTC)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """A pause of one region or of all. It holds for all agents until its end."""

    since: datetime.datetime  # aware UTC
    by: str  # who paused it
    reason: str
    #: Running attempts may finish; otherwise they stop within seconds and are made again later.
    finishes: bool = False
    until: datetime.datetime | None = None  # aware UTC; None: until a person ends it


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Pauses:
    """The pauses that hold at one moment."""

    regions: Mapping[images.RegionId, Sequence[Pause]] = dataclasses.field(default_factory=dict)
    everywhere: Sequence[Pause] = ()  # each pauses every region

    def of(self, region: images.RegionId) -> Pause | None:
        """Return the pause of a region that ends last; None if the region is not paused."""
        found = [*self.regions.get(region, ()), *self.everywhere]
        return max(found, key=lambda one: one.until or _NO_END, default=None)

    def each(self) -> Iterator[tuple[images.RegionId | None, Pause]]:
        """Yield each pause with its region; None: every region."""
        for region, found in self.regions.items():
            for pause in found:
                yield region, pause
        for pause in self.everywhere:
            yield None, pause
