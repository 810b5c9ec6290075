# SPDX-License-Identifier: Apache-2.0
"""The checks of marked images, one for each region. They write nothing."""

from collections import Counter
from collections.abc import Iterator, Set

from glance_sync_agent import errors
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.domain import images
from glance_sync_agent.engine.marks import census
from glance_sync_agent.engine.marks.census import MarkKind
from glance_sync_agent.wiring.cloud import Cloud
from glance_sync_agent.wiring.cloud import SystemClock


def check(cloud: Cloud, failing: Set[images.RegionId]) -> Iterator[findings.Finding]:
    """Count the marked images of each region.

    :param failing: regions whose Glance fails, as an earlier line says.
    """
    marked = cloud.engine(clock=SystemClock()).scans.census
    for region in sorted(cloud.catalogue.regions()):
        if region in failing:
            yield findings.skipped(f"images {region}", f"needs Glance {region}")
        else:
            yield _counted(marked, region)


def _counted(marked: census.Census, region: images.RegionId) -> findings.Finding:
    link = f"images {region}"
    try:
        count = Counter(found.kind for found in marked.find(region))
    except errors.SyncError as exc:
        return findings.warning(
            link, f"marked images were not counted: {exc}", "see the lines that fail above"
        )
    copies, inherited = count[MarkKind.COPY], count[MarkKind.INHERITED]
    doubtful, orphans = count[MarkKind.DOUBTFUL], count[MarkKind.ORPHAN]
    seen = (
        f"{copies} copies, {inherited} users' images with an inherited mark, "
        f"{doubtful} doubtful, {orphans} orphaned"
    )
    if unadopted := count[MarkKind.UNADOPTED]:
        seen += f", {unadopted} copies of another agent or of a region that is not copied"
    if doubtful or orphans:
        remedy = f"list the images to settle: glance-sync orphan list --region {region}"
        return findings.warning(link, seen, remedy)
    return findings.ok(link, seen)
