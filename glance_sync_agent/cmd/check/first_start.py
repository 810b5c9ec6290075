# SPDX-License-Identifier: Apache-2.0
"""How much a start of the agent would copy to which regions; writes nothing."""

from collections.abc import Collection, Iterable, Sequence

from oslo_config import cfg

from glance_sync_agent import errors
from glance_sync_agent import wiring
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.domain import images
from glance_sync_agent.domain import steps
from glance_sync_agent.engine.reconcile import differences
from glance_sync_agent.engine.reconcile import member_scans
from glance_sync_agent.engine.reconcile import scan
from glance_sync_agent.engine.reconcile import scan_state

_LINK = "first start"
_REMEDY = "see the lines that fail above, or run 'glance-sync reconcile --dry-run'"
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def look(
    conf: cfg.ConfigOpts, current: wiring.CurrentSettings, *, why_not: str | None = None
) -> findings.Finding:
    """Compare all images with their copies, and count what is missing.

    :param why_not: why that is not possible; None: it is.
    """
    if why_not is not None:
        return findings.skipped(_LINK, why_not)

    try:
        return summary(*_missing(conf, current))
    except errors.SyncError as exc:
        return findings.warning(_LINK, f"images were not compared: {exc}", _REMEDY)


def _missing(
    conf: cfg.ConfigOpts, current: wiring.CurrentSettings
) -> tuple[Sequence[differences.Difference], Collection[images.RegionId]]:
    """Return the copies that are missing, and the regions that were not compared."""
    found: list[differences.Difference] = []

    def keep(some: Sequence[differences.Difference]) -> int:
        found.extend(one for one in some if one.step.what is steps.StepKind.COPY)
        return 0

    with wiring.Cloud(conf, current) as cloud:
        kind = scan.ScanKind(
            max_deletes=lambda: 0,
            members=member_scans.FixedShare(member_scans.NONE),
            is_dry=True,
        )
        scope = scan_state.Scope(deletions=False)
        report = cloud.engine().make_scan(kind, keep).run(scope)
    return found, report.failed_regions


def summary(
    found: Iterable[differences.Difference], failed: Collection[images.RegionId]
) -> findings.Finding:
    """Return the line that says what is missing."""
    sizes: dict[images.RegionId, list[int | None]] = {}
    for one in found:
        sizes.setdefault(one.region, []).append(one.size)
    parts = [f"{region} {_counted(sizes[region])}" for region in sorted(sizes)]
    if len(parts) > 1:
        parts.append(f"together {_counted([one for some in sizes.values() for one in some])}")
    seen = f"a start would copy to {'; '.join(parts)}" if parts else "no copy is missing"
    if failed:
        return findings.warning(
            _LINK,
            f"{seen}; not compared: {', '.join(sorted(failed))}",
            _REMEDY,
        )
    return findings.Finding(verdict=findings.Level.OK, link=_LINK, detail=seen)


def _counted(sizes: Sequence[int | None]) -> str:
    known = [size for size in sizes if size is not None]
    noun = "image" if len(sizes) == 1 else "images"
    unknown = len(sizes) - len(known)
    more = f" and {unknown} of unknown size" if unknown else ""
    return f"{len(sizes)} {noun}, {_bytes(sum(known))}{more}"


def _bytes(count: int) -> str:
    """Return a number of bytes as people read it."""
    power = min(max(count.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    return f"{count / 1024**power:.1f} {_UNITS[power]}" if power else f"{count} bytes"
