# SPDX-License-Identifier: Apache-2.0
"""What an operator chose about scans."""

from collections.abc import Set
import dataclasses

from glance_sync_agent.domain import images


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ScanIntervals:
    """Seconds from the end of a scan to the next one; 0: there is no next one."""

    everything: float  # of full scans
    changes: float = 60.0  # of incremental scans
    members: float = 86400.0  # in which each image's members are read once; 0: in each scan


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ScanSettings:
    """When to scan, and what a scan may conclude."""

    intervals: ScanIntervals
    max_deletes: int
    gone_grace: float  # seconds that a source has to be missing
    #: Regions besides the cascading one whose snapshots are sources.
    snapshot_origins: Set[images.RegionId]
