# SPDX-License-Identifier: Apache-2.0
"""Regions that answer nobody, left alone by all agents until one task found them well again."""

from collections.abc import Callable, Mapping, Sequence, Set
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
    """How many tasks a region may be asked for."""

    ALL = enum.auto()  # that it has room for
    PROBE = enum.auto()  # one
    NONE = enum.auto()


class RegionHealth:
    """Takes note of what attempts tell of their regions. Thread safe."""

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
        #: As last seen; replaced as a whole. What a look misses, the next one sees.
        self._seen: Mapping[images.RegionId, breakers.Breaker] = {}

    def look(self) -> None:
        """See what other agents found out.

        :raises ServiceUnavailable: the database does not answer.
        """
        self._seen = self._kept.all()

    def open_regions(self) -> Set[images.RegionId]:
        """Return the regions that are left alone now; those slowed down are not among them.

        :raises ServiceUnavailable: the database does not answer.
        """
        now = self._clock.now()
        known = self._kept.all().items()
        return {region for region, one in known if one.is_left_alone(now)}

    def failed_last(self, region: images.RegionId) -> Sequence[images.ImageId]:
        """Return the images that a probe should not be about, for they failed last."""
        return self._seen.get(region, breakers.CLOSED).image_ids

    def probes(self, region: images.RegionId) -> Sequence[bool | None]:
        """Return which tasks to try as a probe, one kind after the other.

        :returns: kinds as in ``TaskStore.claim``.
        """
        breaker = self._seen.get(region, breakers.CLOSED)
        if breaker.of_data:
            return (False,)  # only bytes show that their way is mended
        # A task whose copy has its data costs little, and may take something back from users.
        # Every second probe takes any task, or a few broken images would keep the region paused.
        return (None,) if breaker.failures % 2 else (True, None)

    def admits_copies(self, region: images.RegionId) -> bool:
        """Tell whether one task may be let through whose copy has its data, whatever others do.

        A region that answers gets it, and one where only the way of the bytes may be broken.
        """
        breaker = self._seen.get(region, breakers.CLOSED)
        return breaker.retry_at is None or breaker.answers or breaker.of_data

    def admission(
        self, region: images.RegionId, *, now: datetime.datetime, seconds: float
    ) -> Admission:
        """Return how many tasks a region may be asked for now.

        Once its pause is over that is one, the probe, and none for any agent until the end of
        it is told or ``seconds`` have passed. A region that is slowed down gets what it has
        room for, and the next ones after another pause.

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
        probe = self._kept.change(region, lambda one: one.probed(now=now, until=until))
        if probe is None:
            return Admission.NONE
        return Admission.ALL if breaker.answers else Admission.PROBE

    def note_failure(
        self, task: tasks.Task, failure: errors.TransientError
    ) -> breakers.Breaker:
        """Take note that the region of a claimed task failed; return what that makes of it.

        :raises ServiceUnavailable: the database does not answer.
        """
        region, now = task.key.region, self._clock.now()
        reason, chance, policy = str(failure), self._chance(), self._policy()

        def decide(one: breakers.Breaker) -> breakers.Breaker | None:
            return policy.failed(
                one,
                image_id=task.key.image_id,
                fault=failure.fault,
                of_data=not task.has_data,
                began=_began(task),
                now=now,
                chance=chance,
                reason=reason,
                at_least=failure.retry_after,
            )

        breaker = self._kept.change(region, decide)
        if breaker is None:  # it was opened by another attempt, or is the same as before
            return self._kept.all().get(region, breakers.CLOSED)
        before = self._seen.get(region, breakers.CLOSED)
        # Whoever ends well now has to know, or the next failures would count as in a row.
        self._seen = {**self._seen, region: breaker}
        if breaker.answers and breaker.retry_at is not None:
            is_known = before.answers and before.retry_at is not None
            LOG.log(
                logging.DEBUG if is_known else logging.WARNING,
                "Region %s fails with %d images in a row, and gets a few tasks at a time until "
                "one ends well: %s",
                region, breaker.failures, reason,
            )
        elif breaker.retry_at is not None:
            LOG.warning(
                "Region %s is left alone until %s, after %d failures in a row: %s",
                region,
                breaker.retry_at.isoformat(timespec="seconds"),
                breaker.failures,
                reason,
            )
        return breaker

    def again_at(self, breaker: breakers.Breaker) -> datetime.datetime | None:
        """Return when a task that failed with its region is due again.

        None: the region is not left alone, and the task has its own time.

        Due tasks are not claimed while their region is left alone. One that is due later than
        need be would wait on when a probe that was on its way has ended well.
        """
        if breaker.retry_at is None or breaker.answers:
            return None
        soon = self._clock.now() + datetime.timedelta(seconds=self._policy().base)
        return min(breaker.retry_at, soon)

    def note_outcome(self, task: tasks.Task, outcome: tasks.Outcome | None) -> None:
        """Take note of what came of an attempt at a claimed task.

        A copy that was seen in step, or was to go and is there no more, proves that its region
        answers. Any other outcome, that of a failure that was noted aside, proves nothing. A copy
        that has its data proves nothing of the way of the bytes, where only that is in doubt.

        :param outcome: None: it was called off.
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
            LOG.info("Region %s answers again", region)

    def give_up_probe(self, region: images.RegionId, began: datetime.datetime) -> None:
        """Let another task be the probe that began then, if there was one.

        :raises ServiceUnavailable: the database does not answer.
        """
        if region in self._seen:
            now = self._clock.now()
            self._kept.change(region, lambda one: one.given_up(began=began, now=now))


def _was_looked_for(task: tasks.Task, outcome: tasks.Outcome | None) -> bool:
    """Tell whether the region must have been asked for the copy, and have answered."""
    if isinstance(outcome, tasks.Succeeded):
        return outcome.copy is not None
    # Without a proof that its source existed, a copy that nobody wants is not looked for.
    return isinstance(outcome, tasks.Forgotten) and task.may_delete


def _began(task: tasks.Task) -> datetime.datetime:
    """Return when a task was claimed; its row is as it was then."""
    return task.updated_at
