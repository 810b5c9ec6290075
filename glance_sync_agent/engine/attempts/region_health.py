# SPDX-License-Identifier: Apache-2.0
"""Unavailable regions: all agents leave their tasks until one task finds them well again."""

from collections.abc import Callable, Mapping, Sequence
import datetime
import enum
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports

LOG = logging.getLogger(__name__)


class Admission(enum.Enum):
    """How many tasks of a region may be claimed."""

    ALL = enum.auto()  # as many as there is room for
    PROBE = enum.auto()  # one
    NONE = enum.auto()


class RegionHealth:
    """Notes what attempts show about their regions. Thread safe."""

    def __init__(
        self,
        *,
        kept: ports.BreakerStore,
        policy: Callable[[], breakers.BreakerPolicy],
        clock: ports.Clock,
        chance: Callable[[], float],
    ) -> None:
        self._kept = kept
        self._policy = policy
        self._clock = clock
        self._chance = chance
        #: As last read; replaced as a whole.
        self._seen: Mapping[images.RegionId, breakers.Breaker] = {}

    def refresh(self) -> None:
        """Read what other agents found out.

        :raises ServiceUnavailable: the database does not answer.
        """
        self._seen = self._kept.all()

    def open_regions(self) -> Mapping[images.RegionId, bool]:
        """Return the unavailable regions, and whether the Glance of each may answer.

        It may if only transfers failed. Regions that are slowed down are not among them.

        :raises ServiceUnavailable: the database does not answer.
        """
        now = self._clock.now()
        known = self._kept.all().items()
        return {region: one.of_data for region, one in known if one.is_unavailable(now)}

    def failed_last(self, region: images.RegionId) -> Sequence[images.ImageId]:
        """Return the images that failed last, which make bad probes."""
        return self._seen.get(region, breakers.CLOSED).image_ids

    def probes(self, region: images.RegionId) -> Sequence[bool | None]:
        """Return which kinds of tasks to try as a probe, in this order.

        :returns: kinds as in ``TaskStore.claim``.
        """
        breaker = self._seen.get(region, breakers.CLOSED)
        if breaker.of_data:
            return (False,)  # only a transfer shows that the byte path works again
        # A task whose copy has its data costs little, and may take access back. Every second
        # probe takes any task: else a few broken images would keep the region unavailable.
        return (None,) if breaker.failures % 2 else (True, None)

    def admits_copies(self, region: images.RegionId) -> bool:
        """Tell whether the extra slot may be used, for a task whose copy has its data.

        A region that answers may get it, and a region whose byte path alone may be broken.
        """
        breaker = self._seen.get(region, breakers.CLOSED)
        return breaker.retry_at is None or breaker.answers or breaker.of_data

    def admission(
        self, region: images.RegionId, *, now: datetime.datetime, seconds: float
    ) -> Admission:
        """Return how many tasks of a region may be claimed now.

        Once its pause is over, one agent may claim one task, the probe. Then nobody may until the
        probe has ended or ``seconds`` have passed. A region that is slowed down gets as many as
        it has room for, and more after another pause.

        :raises ServiceUnavailable: the database does not answer.
        """
        breaker = self._seen.get(region, breakers.CLOSED)
        if breaker.retry_at is None:
            return Admission.ALL
        if breaker.is_open(now):
            return Admission.NONE
        if breaker.answers:
            seconds = self._policy().slow_pause(self._chance())
        until = now + datetime.timedelta(seconds=seconds)
        probe = self._kept.change(region, lambda one: one.with_probe(now=now, until=until))
        if probe is None:
            return Admission.NONE
        return Admission.ALL if breaker.answers else Admission.PROBE

    def note_failure(
        self, task: tasks.Task, failure: errors.TransientError
    ) -> breakers.Breaker:
        """Note that the region of a claimed task failed; return the breaker as it is then.

        :raises ServiceUnavailable: the database does not answer.
        """
        region, now = task.key.region, self._clock.now()
        reason, chance, policy = str(failure), self._chance(), self._policy()
        seen = breakers.RegionFailure(
            image_id=task.key.image_id,
            fault=failure.fault,
            began=_began(task),
            reason=reason,
            of_data=not task.has_data,
            retry_after=failure.retry_after,
        )
        breaker = self._kept.change(
            region, lambda one: policy.failed(one, seen, now=now, chance=chance)
        )
        if breaker is None:  # another attempt opened it, or nothing changed
            return self._kept.all().get(region, breakers.CLOSED)
        before = self._seen.get(region, breakers.CLOSED)
        # A task that succeeds now must know it, or the next failures would count as in a row.
        self._seen = {**self._seen, region: breaker}
        if breaker.answers and breaker.retry_at is not None:
            is_known = before.answers and before.retry_at is not None
            LOG.log(
                logging.DEBUG if is_known else logging.WARNING,
                "Region %s failed with %d images in a row and gets a few tasks at a time until "
                "one succeeds: %s",
                region, breaker.failures, reason,
            )
        elif breaker.retry_at is not None:
            LOG.warning(
                "Region %s is unavailable until %s, after %d failures in a row: %s",
                region,
                breaker.retry_at.isoformat(timespec="seconds"),
                breaker.failures,
                reason,
            )
        return breaker

    def again_at(self, breaker: breakers.Breaker) -> datetime.datetime | None:
        """Return when a task that failed with its region is due again.

        None: the region is available, and the task has its own time.

        Due tasks are not claimed while their region is unavailable. A task that is due later
        than necessary would still wait after a running probe has succeeded.
        """
        if breaker.retry_at is None or breaker.answers:
            return None
        soon = self._clock.now() + datetime.timedelta(seconds=self._policy().base)
        return min(breaker.retry_at, soon)

    def note_outcome(self, task: tasks.Task, outcome: tasks.Outcome | None) -> None:
        """Note the outcome of an attempt at a claimed task.

        A copy that is in step, or was deleted as intended, proves that its region answers. Any
        other outcome proves nothing. If only the byte path is in doubt, a copy that has its data
        proves nothing either.

        :param outcome: None: the attempt was cancelled.
        :raises ServiceUnavailable: the database does not answer.
        """
        if task.has_data and self._seen.get(task.key.region, breakers.CLOSED).of_data:
            return
        if _was_looked_for(task, outcome):
            self._note_answer(task.key.region)
        else:
            self.give_up_probe(task.key.region, _began(task))

    def _note_answer(self, region: images.RegionId) -> None:
        seen = self._seen.get(region)
        if seen is None:
            return
        self._kept.change(region, lambda _: breakers.CLOSED)
        self._seen = {name: one for name, one in self._seen.items() if name != region}
        if seen.retry_at is not None:
            LOG.info("Region %s is available again", region)

    def give_up_probe(self, region: images.RegionId, began: datetime.datetime) -> None:
        """End the probe that began then without a result, so another task can be the probe.

        :raises ServiceUnavailable: the database does not answer.
        """
        if region in self._seen:
            now = self._clock.now()
            self._kept.change(region, lambda one: one.without_probe(began=began, now=now))


def _was_looked_for(task: tasks.Task, outcome: tasks.Outcome | None) -> bool:
    """Tell whether the region must have answered a request for the copy."""
    if isinstance(outcome, tasks.Succeeded):
        return outcome.copy is not None
    # Without a proof that its source existed, no attempt looks for an unwanted copy.
    return isinstance(outcome, tasks.Forgotten) and task.may_delete


def _began(task: tasks.Task) -> datetime.datetime:
    """Return when a task was claimed; its row is from that moment."""
    return task.updated_at
