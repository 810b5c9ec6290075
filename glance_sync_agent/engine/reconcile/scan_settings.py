# SPDX-License-Identifier: Apache-2.0
"""What an operator chooses about scans."""

from collections.abc import Set
import dataclasses

from glance_sync_agent.domain import images


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ScanIntervals:
    """Seconds from the end of a scan to the next one of its kind; 0: no next one."""

    full: float
    incremental: float = 60.0
    members: float = 86400.0  # in which each image's members are compared; 0: in each scan


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ScanSettings:
    """When to scan, and what a scan may conclude."""

    intervals: ScanIntervals
    max_deletes: int
    gone_grace: float  # seconds that a source has to be missing
    #: Regions besides the cascading one whose snapshots are sources.
    snapshot_origins: Set[images.RegionId]
