# SPDX-License-Identifier: Apache-2.0
"""The check of what a start of the agent would copy. It writes nothing."""

from collections.abc import Collection, Iterable, Sequence, Set

from glance_sync_agent import errors
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.domain import images
from glance_sync_agent.domain import steps
from glance_sync_agent.engine.reconcile import differences
from glance_sync_agent.engine.reconcile import member_scans
from glance_sync_agent.engine.reconcile import scan
from glance_sync_agent.engine.reconcile import scan_state
from glance_sync_agent.wiring.cloud import Cloud

LINK = "first start"
_REMEDY = "see the lines that fail above, or run 'glance-sync reconcile --dry-run'"
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def check(cloud: Cloud, failing: Set[images.RegionId]) -> findings.Finding:
    """Compare all images with their copies, and count the missing copies.

    :param failing: regions whose Glance fails, as an earlier line says.
    """
    if cloud.catalogue.cascading in failing:
        return findings.skipped(LINK, f"needs Glance {cloud.catalogue.cascading}")
    try:
        return summary(*_missing(cloud), failing)
    except errors.SyncError as exc:
        return findings.warning(LINK, f"images were not compared: {exc}", _REMEDY)


def _missing(
    cloud: Cloud,
) -> tuple[Sequence[differences.Difference], Collection[images.RegionId]]:
    """Return the copies that are missing, and the regions that were not compared."""
    found: list[differences.Difference] = []

    def keep(some: Sequence[differences.Difference]) -> int:
        found.extend(one for one in some if one.step.what is steps.StepKind.COPY)
        return 0

    kind = scan.ScanKind(
        max_deletes=lambda: 0,
        members=member_scans.FixedShare(member_scans.NONE),
        is_dry=True,
    )
    report = cloud.engine().scans.make_scan(kind, keep).run(scan_state.Scope(deletions=False))
    return found, report.failed_regions


def summary(
    found: Iterable[differences.Difference],
    failed: Collection[images.RegionId],
    failing: Set[images.RegionId] = frozenset(),
) -> findings.Finding:
    """Return the finding about missing copies.

    :param failed: regions that were not compared.
    :param failing: those of them that an earlier line explains.
    """
    sizes: dict[images.RegionId, list[int | None]] = {}
    for one in found:
        sizes.setdefault(one.region, []).append(one.size)
    parts = [f"{region} {_counted(sizes[region])}" for region in sorted(sizes)]
    if len(parts) > 1:
        parts.append(f"together {_counted([one for some in sizes.values() for one in some])}")
    seen = f"a start would copy to {'; '.join(parts)}" if parts else "no copy is missing"
    if failed:
        seen = f"{seen}; not compared: {', '.join(sorted(failed))}"
    if set(failed) - failing:
        return findings.warning(LINK, seen, _REMEDY)
    return findings.ok(LINK, seen)


def _counted(sizes: Sequence[int | None]) -> str:
    known = [size for size in sizes if size is not None]
    noun = "image" if len(sizes) == 1 else "images"
    unknown = len(sizes) - len(known)
    more = f" and {unknown} of unknown size" if unknown else ""
    return f"{len(sizes)} {noun}, {_bytes(sum(known))}{more}"


def _bytes(count: int) -> str:
    """Return a number of bytes with a unit."""
    power = min(max(count.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    return f"{count / 1024**power:.1f} {_UNITS[power]}" if power else f"{count} bytes"
