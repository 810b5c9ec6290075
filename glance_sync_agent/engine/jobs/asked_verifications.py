# SPDX-License-Identifier: Apache-2.0
"""A verification that a person asks for, by a command or by the API."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses

from glance_sync_agent.domain import images
from glance_sync_agent.domain import jobs
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.current_pauses import CurrentPauses
from glance_sync_agent.engine.jobs.ledger import Ledger
from glance_sync_agent.engine.verify import read_back
from glance_sync_agent.engine.verify.repairs import RepairReport
from glance_sync_agent.engine.verify.repairs import Repairs

#: Returns what requests repairs, with the limit of ``[verify] max_repairs`` or without.
MakeRepairs = Callable[[bool], Repairs]


class AskedVerifications:
    """Reads copies back, and requests that bad ones are replaced."""

    def __init__(
        self,
        store: ports.TaskQueries,
        pauses: CurrentPauses,
        make_verifier: Callable[[], read_back.Verifier],
        make_repairs: MakeRepairs,
    ) -> None:
        self._store = store
        self._pauses = pauses
        self._make_verifier = make_verifier
        self._make_repairs = make_repairs

    def run(
        self,
        order: jobs.Order,
        take: Callable[[read_back.ReadBackResult], None],
        watch: read_back.Watch,
    ) -> RepairReport:
        """Read the copies, then request the repairs; return how many.

        Nothing is read in a paused region, whose store may not be mounted.

        :param take: gets each result at once.
        :param watch: called often; what it raises ends the verification.
        """
        verifier = self._make_verifier()
        # A dry run gets nothing that can write.
        repairs = None if order.is_dry else self._make_repairs(not order.replace_all)
        for task in self._tasks(order):
            if self._is_paused(task.key.region):
                result = _skipped(task.key)
            else:
                result = verifier.verify(task, watch)
                if result.damage is not None and self._is_paused(task.key.region):
                    result = _skipped(task.key, result)
            take(result)
            if repairs is not None:
                repairs.take(result)
        return RepairReport() if repairs is None else repairs.request()

    def _is_paused(self, region: images.RegionId) -> bool:
        return self._pauses.read().of(region) is not None

    def _tasks(self, order: jobs.Order) -> Iterable[tasks.Task]:
        if order.image_id is not None:
            found = self._store.list(image_id=order.image_id)
            return (one for one in found if not order.regions or one.key.region in order.regions)
        return self._of_regions(order)

    def _of_regions(self, order: jobs.Order) -> Iterator[tasks.Task]:
        for region in order.regions or (None,):
            yield from self._store.list(region=region)

    def work(self, order: jobs.Order, ledger: Ledger) -> None:
        """Run a verification as a job."""
        counts: Counter[str] = Counter()

        def take(result: read_back.ReadBackResult) -> None:
            ledger.add([_finding(result)])
            counts["bytes"] += result.size
            counts[result.verdict.value] += 1
            ledger.go_on()

        report = self.run(order, take, lambda _task, _done, _total: ledger.go_on())
        ledger.count(**counts, requested=report.requested, held_back=report.held_back)
        if report.held_back:
            ledger.note(_held_back(report.held_back, order.regions))


def _held_back(number: int, regions: Sequence[images.RegionId]) -> str:
    where = f"region {', '.join(regions)}" if regions else "a region"
    return (
        f"{number} bad copies are not replaced, because {where} has more of them than [verify] "
        "max_repairs. Check the store there, which may not be mounted. If they are really bad, "
        "ask for the same verification with replace_all"
    )


def _skipped(
    key: tasks.TaskKey, read: read_back.ReadBackResult | None = None
) -> read_back.ReadBackResult:
    """Return that a copy is not judged, because its region is paused."""
    detail = f"region {key.region} is paused"
    if read is not None:
        return dataclasses.replace(
            read, verdict=verification.Condition.SKIPPED, detail=detail, damage=None
        )
    return read_back.ReadBackResult(
        key=key, verdict=verification.Condition.SKIPPED, size=0, seconds=0.0, detail=detail
    )


def _finding(result: read_back.ReadBackResult) -> jobs.Finding:
    return jobs.Finding(
        image_id=result.key.image_id,
        region=result.key.region,
        what=result.verdict.value,
        why=result.detail,
        size=result.size,
    )
