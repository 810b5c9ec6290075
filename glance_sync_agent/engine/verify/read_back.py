# SPDX-License-Identifier: Apache-2.0
"""Reads copies back, each from its own region, and tells what is there. Writes nothing."""

from collections.abc import Callable
import dataclasses
import hashlib

from glance_sync_agent import errors
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts import remote_sources
from glance_sync_agent.engine.verify import pacing

#: A region that does not answer is asked again after so long, and not for every copy.
_AWAY_SECONDS = 60.0
#: A task that is at work, or about to be, may bring another copy at any time.
UNSETTLED = frozenset({tasks.TaskStatus.PENDING, tasks.TaskStatus.PROCESSING})

#: Told about the bytes of a copy that were read so far, of how many, often.
Watch = Callable[[tasks.Task, int, int], None]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ReadBackResult:
    """What a look at a copy came to."""

    key: tasks.TaskKey
    verdict: verification.Condition
    size: int  # bytes that were read
    seconds: float
    detail: str  # why it is so, for an operator
    damage: verification.Damage | None = None  # set if the copy is to be replaced


class Verifier:
    """Compares the bytes of copies with the hashes of their sources. For one thread."""

    def __init__(
        self,
        *,
        regions: ports.Regions,
        joined: remote_sources.RemoteSources,
        cascading: images.RegionId,
        clock: ports.Clock,
        pace: pacing.Pace,
    ) -> None:
        self._regions = regions
        self._joining = joined
        self._cascading = cascading
        self._clock = clock
        self._pace = pace
        self._away: dict[images.RegionId, tuple[float, str]] = {}  # monotonic, and why
        self._size = 0

    def verify(self, task: tasks.Task, watch: Watch) -> ReadBackResult:
        """Read a copy and compare it; what fails is part of what is told.

        :param watch: what it raises comes through.
        :raises Cancelled: the agent is stopping.
        """
        started, self._size = self._clock.monotonic(), 0
        damage = None
        try:
            compared = self._compared(task)
            if isinstance(compared, str):
                judgement = _skipped(compared)
            else:
                judgement = self._compare(task, compared, watch)
                damage = _damage(compared.copy, judgement)
        except (errors.Cancelled, errors.LeaseLost):
            raise
        except errors.SyncError as exc:
            judgement = _unreachable(str(exc))
        return ReadBackResult(
            key=task.key,
            verdict=judgement.verdict,
            size=self._size,
            seconds=self._clock.monotonic() - started,
            detail=judgement.detail,
            damage=damage,
        )

    def _compared(self, task: tasks.Task) -> verification.Comparison | str:
        """Return what to compare with what, or why not."""
        if task.status in UNSETTLED:
            return f"its task is {task.status}"
        if task.known_copy is None:
            return "its task knows no copy"
        region = task.source_region or self._cascading
        source = self._record(region, task.key.image_id)
        source = source and self._joining.join(source)
        copy = self._record(task.key.region, task.known_copy.copy_id)
        evidence = identity.Evidence(
            key=images.SourceKey(image_id=task.key.image_id, region=region),
            source=source,
            known=task.known_copy,
        )
        whose = None if copy is None else identity.whose(copy, evidence)
        found = verification.comparison(source, copy, whose)
        if isinstance(found, str) or found.wanted.algo in hashlib.algorithms_available:
            return found
        return f"hashes of this kind cannot be made here: {found.wanted}"

    def _record(
        self, region: images.RegionId, image_id: images.ImageId
    ) -> images.Image | None:
        """Read a record, unless the region did not answer a moment ago.

        :raises ServiceUnavailable: it does not, or did not.
        """
        now = self._clock.monotonic()
        until, reason = self._away.get(region, (now, ""))
        if now < until:
            raise errors.ServiceUnavailable(reason)
        try:
            return self._regions.image_service(region).get_record(image_id)
        except errors.ServiceUnavailable as exc:
            self._away[region] = (self._clock.monotonic() + _AWAY_SECONDS, str(exc))
            raise

    def _compare(
        self, task: tasks.Task, compared: verification.Comparison, watch: Watch
    ) -> verification.Judgement:
        copy, wanted = compared.copy, compared.wanted

        def noted(done: int) -> None:
            watch(task, done, copy.size or 0)

        stored = self._read(self._regions.source_store(copy.region), copy, wanted.algo, noted)
        if stored.multihash == wanted:
            return verification.Judgement(verdict=verification.Condition.OK)
        served = self._read(self._regions.served(copy.region), copy, wanted.algo, noted)
        return verification.judge(wanted, stored, served)

    def _read(
        self,
        store: ports.ImageStore,
        copy: images.Image,
        algo: str,
        noted: Callable[[int], None],
    ) -> verification.Reading:
        digest, done = hashlib.new(algo), 0
        try:
            with store.read(copy) as chunks:
                for chunk in chunks:
                    digest.update(chunk)
                    done += len(chunk)
                    self._size += len(chunk)
                    noted(done)
                    self._pace.take(len(chunk))
        except (errors.Cancelled, errors.LeaseLost):
            raise
        except errors.NoData as exc:
            return verification.Reading(size=0, multihash=None, failure=str(exc), has_data=False)
        except errors.SyncError as exc:
            return verification.Reading(size=done, multihash=None, failure=str(exc))
        found = images.Multihash(algo=algo, value=digest.hexdigest())
        return verification.Reading(size=done, multihash=found)


def _damage(
    copy: images.Image, judgement: verification.Judgement
) -> verification.Damage | None:
    if judgement.found is None:
        return None
    return verification.Damage(copy_id=copy.image_id, found=judgement.found)


def _skipped(why: str) -> verification.Judgement:
    return verification.Judgement(verdict=verification.Condition.SKIPPED, detail=why)


def _unreachable(why: str) -> verification.Judgement:
    return verification.Judgement(verdict=verification.Condition.UNREACHABLE, detail=why)
