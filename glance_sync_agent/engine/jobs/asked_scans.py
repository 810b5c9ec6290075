# SPDX-License-Identifier: Apache-2.0
"""A scan that a person asks for, by a command or by the API."""

from collections.abc import Callable, Iterator, Sequence
import datetime

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import jobs
from glance_sync_agent.engine.jobs.ledger import Ledger
from glance_sync_agent.engine.reconcile import differences
from glance_sync_agent.engine.reconcile import member_scans
from glance_sync_agent.engine.reconcile import scan
from glance_sync_agent.engine.reconcile import scan_state
from glance_sync_agent.engine.requests import TaskRequests

MakeScan = Callable[[scan.ScanKind, differences.Receiver], scan.Scan]
#: Takes what the scan has found about a page of images.
Take = Callable[[Sequence[differences.Difference]], None]

_ALL = 2**63
#: What somebody looked at before allowing deletions may have changed after that.
_FRESH = datetime.timedelta(minutes=10)


class AskedScans:
    """Runs scans of all images."""

    def __init__(
        self,
        make_scan: MakeScan,
        requests: Callable[[], TaskRequests],
        max_deletes: Callable[[], int],
    ) -> None:
        """Make it.

        :param max_deletes: returns ``[reconcile] max_deletes``.
        """
        self._make_scan = make_scan
        self._requests = requests
        self._max_deletes = max_deletes

    def run(
        self, order: jobs.Order, take: Take, go_on: Callable[[], None] = lambda: None
    ) -> scan_state.ScanReport:
        """Compare the images with their copies, and request the differences; return a report.

        Unlike the scans of the agent it compares the members of all shared images.

        :param go_on: called often; what it raises ends the scan.
        :raises TransientError: the cascading region does not answer; nothing was deleted.
        """
        # A dry run gets nothing that can write.
        receive = len if order.is_dry else differences.requesting(self._requests())
        limit, gone = self.limit(order), set[images.ImageId]()

        def request(found: Sequence[differences.Difference]) -> int:
            gone.update(one.image_id for one in found if one.may_delete)
            take(found)
            return receive(found)

        kind = scan.ScanKind(
            # A dry run shows all deletions, also those that the limit holds back.
            max_deletes=lambda: _ALL if order.is_dry else limit,
            members=member_scans.FixedShare(member_scans.ALL),
            is_dry=order.is_dry,
            is_accepted=order.allow_deletes is not None,
        )
        scope = scan_state.Scope(only=frozenset(order.regions) or None)
        report = self._make_scan(kind, request).run(scope, go_on)
        if order.is_dry:
            report.held_back = len(gone) if len(gone) > limit else 0
        return report

    def limit(self, order: jobs.Order) -> int:
        """Return how many sources may be gone so that their copies are deleted."""
        return self._max_deletes() if order.allow_deletes is None else order.allow_deletes

    def work(self, order: jobs.Order, ledger: Ledger) -> None:
        """Run a scan as a job.

        :raises Refused: it may delete, and somebody asked for it too long ago.
        """
        _require_fresh(ledger.job)
        report = self.run(
            order, lambda found: ledger.add(map(_finding, found)), ledger.go_on
        )
        ledger.go_on()  # the scan of an agent that stops ends early
        ledger.count(
            images=report.sources,
            requested=0 if order.is_dry else report.requested,
            gone_sources=report.deleted_sources,
            held_back=report.held_back,
            missing=report.missing,
        )
        for text in sentences(report, self.limit(order), order.regions):
            ledger.note(text)


def _require_fresh(job: jobs.Job) -> None:
    if job.order.allow_deletes is None or job.order.is_dry or job.started_at is None:
        return
    if job.runs > 1 or job.started_at - job.asked_at > _FRESH:
        raise errors.Refused(
            "deletions are allowed for one scan that begins within ten minutes; look at a dry "
            "run, and ask again"
        )


def sentences(
    report: scan_state.ScanReport, limit: int, regions: Sequence[images.RegionId]
) -> Iterator[str]:
    """Say what a scan did not do, and what to do about it.

    :param limit: the most sources that are gone whose copies it deletes.
    :param regions: that it compared; empty: all.
    """
    if report.failed_regions:
        names = ", ".join(sorted(report.failed_regions))
        yield f"Not compared, because they failed: {names}"
    if report.held_back:
        yield (
            f"{report.held_back} sources are gone or out of strategy, more than the limit of "
            f"{limit}: none of their copies is deleted. If their number is right, "
            f"{_again(report.held_back, regions)}"
        )
    if report.missing:
        yield (
            f"{report.missing} sources are missing, and no message announced their deletion; "
            "they count as deleted after [reconcile] gone_grace"
        )
    if report.restored:
        names = ", ".join(sorted(report.restored))
        yield (
            f"The newest images of {names} are missing, as if Glance was restored from a "
            "backup. No image there counts as deleted until you run 'glance-sync "
            "reconcile --allow-deletes N'"
        )


def _again(number: int, regions: Sequence[images.RegionId]) -> str:
    if len(regions) > 1:
        return f"ask for the same scan with allow_deletes = {number}"
    where = f" --region {regions[0]}" if regions else ""
    return f"run 'glance-sync reconcile{where} --allow-deletes {number}'"


def is_partial(report: scan_state.ScanReport) -> bool:
    """Tell whether a scan left something undone that a person should look at."""
    return bool(report.failed_regions or report.held_back or report.restored)


def _finding(one: differences.Difference) -> jobs.Finding:
    return jobs.Finding(
        image_id=one.image_id,
        region=one.region,
        what=one.step.what.value,
        why=one.step.why,
        image_name=one.image_name,
    )
