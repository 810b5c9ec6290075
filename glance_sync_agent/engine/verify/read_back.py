# SPDX-License-Identifier: Apache-2.0
"""Reads copies back from their regions and judges them. Writes nothing."""

from collections.abc import Callable
import dataclasses
import hashlib

from glance_sync_agent import errors
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts.remote_sources import RemoteSources
from glance_sync_agent.engine.verify.pacing import Pace

#: The pause before an unreachable region gets another request.
_UNREACHABLE_SECONDS = 60.0
#: The task may bring another copy at any time.
UNSETTLED = frozenset({tasks.TaskStatus.PENDING, tasks.TaskStatus.PROCESSING})

#: Called often with a task, and with the bytes of its copy that were read and exist.
Watch = Callable[[tasks.Task, int, int], None]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ReadBackResult:
    """The verdict on a copy, and what the reading cost."""

    key: tasks.TaskKey
    verdict: verification.Condition
    size: int  # bytes that were read
    seconds: float
    detail: str  # the reason, for an operator
    damage: verification.Damage | None = None  # set if the copy must be replaced


@dataclasses.dataclass(kw_only=True, slots=True)
class _Meter:
    """Counts what is read of one copy, and slows it down."""

    task: tasks.Task
    watch: Watch
    pace: Pace
    size: int = 0  # bytes, of both readings

    def take(self, count: int, *, done: int, total: int) -> None:
        self.size += count
        self.watch(self.task, done, total)
        self.pace.take(count)


class Verifier:
    """Compares the bytes of copies with the hashes of their sources. For one thread."""

    def __init__(
        self,
        outside: ports.Ports,
        remote_sources: RemoteSources,
        pace: Pace,
        meters: ports.Meters,
    ) -> None:
        self._regions = outside.regions
        self._catalogue = outside.catalogue
        self._clock = outside.clock
        self._remote_sources = remote_sources
        self._pace = pace
        self._meters = meters
        #: Until when, by the monotonic clock, and why.
        self._unreachable: dict[images.RegionId, tuple[float, str]] = {}

    def verify(self, task: tasks.Task, watch: Watch) -> ReadBackResult:
        """Read the copy of a task and judge it; a failure to read is a verdict, too.

        :param watch: its exceptions pass through.
        :raises Cancelled: the agent is stopping.
        """
        started = self._clock.monotonic()
        meter = _Meter(task=task, watch=watch, pace=self._pace)
        try:
            judgement = self._judge(task, meter)
        except (errors.Cancelled, errors.LeaseLost):
            raise
        except errors.SyncError as exc:
            judgement = verification.Judgement(
                verdict=verification.Condition.UNREACHABLE, detail=str(exc)
            )
        self._meters.verified(task.key.region, judgement.verdict)
        return ReadBackResult(
            key=task.key,
            verdict=judgement.verdict,
            size=meter.size,
            seconds=self._clock.monotonic() - started,
            detail=judgement.detail,
            damage=judgement.damage,
        )

    def _judge(self, task: tasks.Task, meter: _Meter) -> verification.Judgement:
        comparison = self._comparison(task)
        if isinstance(comparison, str):
            return verification.Judgement(
                verdict=verification.Condition.SKIPPED, detail=comparison
            )
        region = comparison.copy.region
        stored = _read(self._regions.source_store(region), comparison, meter)
        if stored.multihash == comparison.expected:
            return verification.Judgement(verdict=verification.Condition.OK)
        served = _read(self._regions.served(region), comparison, meter)
        return verification.judge(comparison, stored, served)

    def _comparison(self, task: tasks.Task) -> verification.Comparison | str:
        """Return what to compare, or why not to read the copy."""
        if task.status in UNSETTLED:
            return f"its task is {task.status}"
        if task.known_copy is None:
            return "its task knows no copy"
        region = task.source_region or self._catalogue.cascading
        source = self._record(region, task.key.image_id)
        source = source and self._remote_sources.join(source)
        copy = self._record(task.key.region, task.known_copy.copy_id)
        evidence = identity.Evidence(
            key=images.SourceKey(image_id=task.key.image_id, region=region),
            source=source,
            known=task.known_copy,
        )
        whose = None if copy is None else identity.whose(copy, evidence)
        found = verification.comparison_of(source, copy, whose)
        if isinstance(found, str) or found.expected.algo in hashlib.algorithms_available:
            return found
        return f"hashes of this kind cannot be made here: {found.expected}"

    def _record(
        self, region: images.RegionId, image_id: images.ImageId
    ) -> images.Image | None:
        """Read a record, unless the region was just unreachable.

        :raises ServiceUnavailable: the region is unreachable.
        """
        now = self._clock.monotonic()
        until, reason = self._unreachable.get(region, (now, ""))
        if now < until:
            raise errors.ServiceUnavailable(reason)
        try:
            return self._regions.image_service(region).get_record(image_id)
        except errors.ServiceUnavailable as exc:
            until = self._clock.monotonic() + _UNREACHABLE_SECONDS
            self._unreachable[region] = (until, str(exc))
            raise


def _read(
    store: ports.ImageStore, comparison: verification.Comparison, meter: _Meter
) -> verification.Reading:
    copy, algo = comparison.copy, comparison.expected.algo
    digest, done = hashlib.new(algo), 0
    try:
        with store.read(copy) as chunks:
            for chunk in chunks:
                digest.update(chunk)
                done += len(chunk)
                meter.take(len(chunk), done=done, total=copy.size or 0)
    except (errors.Cancelled, errors.LeaseLost):
        raise
    except errors.NoData as exc:
        return verification.Reading(size=0, multihash=None, failure=str(exc), has_data=False)
    except errors.SyncError as exc:
        return verification.Reading(size=done, multihash=None, failure=str(exc))
    found = images.Multihash(algo=algo, value=digest.hexdigest())
    return verification.Reading(size=done, multihash=found)
