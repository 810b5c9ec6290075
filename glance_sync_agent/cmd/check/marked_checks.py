# SPDX-License-Identifier: Apache-2.0
"""The links of ``check`` about marked images: a line for each region. Writes nothing."""

from collections import Counter
from collections.abc import Iterator

from oslo_config import cfg

from glance_sync_agent import errors
from glance_sync_agent import wiring
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.domain import images
from glance_sync_agent.engine.marks import census
from glance_sync_agent.engine.marks.census import MarkKind


def look(
    conf: cfg.ConfigOpts, current: wiring.CurrentSettings, *, why_not: str | None = None
) -> Iterator[findings.Finding]:
    """Count the marked images of each region.

    :param why_not: why that is not possible; None: it is.
    """
    if why_not is not None:
        yield findings.skipped("marked images", why_not)
        return
    with wiring.Cloud(conf, current) as cloud:
        marked = cloud.engine(clock=wiring.SystemClock()).census
        for region in sorted(cloud.catalogue.regions()):
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
    told = (
        f"{copies} copies, {inherited} users' images with an inherited mark, "
        f"{doubtful} doubtful, {orphans} orphaned"
    )
    if unadopted := count[MarkKind.UNADOPTED]:
        told += f", {unadopted} copies of another agent, or of a region copied no more"
    if doubtful or orphans:
        remedy = f"glance-sync orphan list --region {region} shows those that are left alone"
        return findings.warning(link, told, remedy)
    return findings.Finding(verdict=findings.Level.OK, link=link, detail=told)
