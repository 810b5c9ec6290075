# SPDX-License-Identifier: Apache-2.0
"""What a scan covers, and what it has found so far."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
import dataclasses
import datetime
import itertools
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.engine.reconcile import differences
from glance_sync_agent.engine.reconcile import member_scans

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """The regions, sources and tasks that a scan covers; by default all."""

    only: Set[images.RegionId] | None = None  # regions that are compared; None: all
    without: Set[images.RegionId] = frozenset()  # regions that get no request
    since: datetime.datetime | None = None  # sources that changed then or later; None: all
    deletions: bool = True  # whether the scan searches for sources that are gone
    #: Skips unfinished tasks, and tasks that failed then or later; None: skips none.
    failed_before: datetime.datetime | None = None

    def covers(self, region: images.RegionId) -> bool:
        """Tell whether the copies in a region are compared."""
        return self.only is None or region in self.only

    def repeats(self, region: images.RegionId | None) -> bool:
        """Tell whether the scan repeats one that failed in a region.

        That one compared no copy of the region's data, wherever it is. A person who names
        regions means copies in these regions only.
        """
        return self.only is not None and region in self.only and not self.deletions


FULL = Scope()


@dataclasses.dataclass(kw_only=True, slots=True)
class ScanReport:
    """The result of a scan."""

    sources: int = 0
    requested: int = 0  # pairs of image and region
    deleted_sources: int = 0
    held_back: int = 0  # images whose copies the brake kept
    missing: int = 0  # sources that count as deleted after the grace period
    #: Regions that lost their newest images; no source of theirs counts as deleted.
    restored: set[images.RegionId] = dataclasses.field(default_factory=set)
    failed_regions: set[images.RegionId] = dataclasses.field(default_factory=set)
    #: The latest change of a source, by the clock of its Glance.
    newest: datetime.datetime | None = dataclasses.field(default=None, compare=False)

    def add_page(self, page: Sequence[images.Image]) -> None:
        """Count sources."""
        self.sources += len(page)
        times = [self.newest, *(source.updated_at for source in page)]
        self.newest = max((time for time in times if time is not None), default=None)


#: An image, and the region that its source is gone from; None: its source is there.
_Key = tuple[images.ImageId, images.RegionId | None]


class Deletions:
    """Counts deletions by image. Beyond the limit it keeps only the ids."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._found: dict[_Key, list[differences.Difference]] = {}

    def add(
        self, found: Iterable[differences.Difference], *, gone_from: images.RegionId | None = None
    ) -> None:
        """Add deletions of copies.

        :param gone_from: where their source was; None: the source is there.
        """
        for one in found:
            kept = self._found.setdefault((one.image_id, gone_from), [])
            if not self.are_too_many():
                kept.append(one)

    def drop(self, origin: images.RegionId) -> int:
        """Remove those whose source is gone from a region; return how many images that were.

        If there were too many, only the next scan finds the others again.
        """
        before = len(self._found)
        self._found = {key: one for key, one in self._found.items() if key[1] != origin}
        return before - len(self._found)

    def count(self) -> int:
        """Return the number of images."""
        return len(self._found)

    def are_too_many(self) -> bool:
        """Tell whether there are more images than the limit."""
        return len(self._found) > self.limit

    def first(self) -> images.ImageId:
        """Return one of the images."""
        image_id, _gone_from = next(iter(self._found))
        return image_id

    def all(self) -> Iterator[differences.Difference]:
        """Walk the deletions; some are missing if there are, or were, too many."""
        return itertools.chain(*self._found.values())


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SourceListing:
    """What the agent remembers of a region's sources after the scan."""

    newest: Sequence[images.Image]
    now: datetime.datetime
    before: datetime.datetime | None  # when the scan before listed them
    is_complete: bool = True  # False: some of the newest ones were found by their tasks only


Shares = Mapping[images.RegionId, member_scans.Share]  # by the region of the copies


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ScanState:
    """One scan while it runs."""

    scope: Scope
    renew_lease: Callable[[], None]
    report: ScanReport
    deletions: Deletions
    silent: set[images.RegionId]  # regions that get no request for sources or their data
    listings: dict[images.RegionId, SourceListing] = dataclasses.field(default_factory=dict)
    #: Whose members are compared, by the region of the sources.
    shares: dict[images.RegionId, Shares] = dataclasses.field(default_factory=dict)
    #: Missing sources that no scan has listed, by region.
    lost: dict[images.RegionId, set[images.ImageId]] = dataclasses.field(default_factory=dict)

    #: Owners of whom Keystone does not say where their images belong. Their copies lose access as
    #: their sources do; everything else stays as it is.
    undecided: set[str | None] = dataclasses.field(default_factory=set)

    def note_undecided(self, owner: str | None, failure: errors.Undecided) -> None:
        """Compare only access from now on to the images of an owner; log the first owner."""
        if not self.undecided:
            LOG.warning(
                "%s. For the images of such projects, this scan looks only for access that was "
                "taken back; a later one compares the rest",
                failure,
            )
        self.undecided.add(owner)

    def skip_sources(self, region: images.RegionId, failure: errors.SyncError) -> None:
        """Leave out the sources whose data is in a region that failed."""
        self.silent.add(region)
        self.report.failed_regions.add(region)
        LOG.warning(
            "Could not read the snapshots of region %s: %s. A later scan compares them",
            region, failure,
        )
