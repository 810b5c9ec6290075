# SPDX-License-Identifier: Apache-2.0
"""Which due tasks are claimed next."""

from collections.abc import Sequence
import dataclasses
import datetime

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts import fair_claims
from glance_sync_agent.engine.attempts.large_slots import LargeSlots
from glance_sync_agent.engine.attempts.region_health import Admission
from glance_sync_agent.engine.attempts.region_health import RegionHealth


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What a region has room for."""

    region: images.RegionId
    slots: int  # that are free
    is_extra_free: bool  # the slot for a task whose copy already has its data
    running: Sequence[images.ImageId]  # images of the region's running tasks


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """Tasks that were claimed."""

    leases: Sequence[tasks.Lease] = ()
    extra: Sequence[tasks.Lease] = ()  # for the extra slot


class Claims:
    """Claims tasks as far as each region has room. For one thread.

    An unavailable region gets one task as a probe, and the others wait without a failure being
    counted.

    Each region has one extra slot, for a task whose copy already has its data. Access that is
    taken back then waits neither for hours of transfers nor for the byte path.
    """

    def __init__(
        self,
        outside: ports.Ports,
        owner: str,
        lease_seconds: float,
        region_health: RegionHealth,
        slots: LargeSlots,
    ) -> None:
        self._store = outside.store
        self._clock = outside.clock
        self._owner = owner
        self._lease = datetime.timedelta(seconds=lease_seconds)
        self._region_health = region_health
        self._slots = slots
        self._turns = {
            kind: fair_claims.ProjectTurns(outside.store, outside.clock, with_data=kind)
            for kind in (None, False, True)
        }

    def due_regions(self) -> Sequence[tuple[images.RegionId, frozenset[bool]]]:
        """Return the regions with due tasks, and which kinds: with data, and without.

        :raises ServiceUnavailable: the database does not answer.
        """
        now = self._clock.now()
        by_kind = {
            kind: set(self._store.due_regions(now, with_data=kind)) for kind in (False, True)
        }
        due = sorted(set().union(*by_kind.values()))
        if due:
            self._region_health.refresh()
        return [
            (region, frozenset(kind for kind, found in by_kind.items() if region in found))
            for region in due
        ]

    def claim(self, room: Room, kinds: frozenset[bool]) -> Claimed:
        """Claim tasks of one region.

        :param kinds: of its due tasks, as :meth:`due_regions` returns them.
        :raises ServiceUnavailable: the database does not answer.
        """
        now = self._clock.now()
        admission = Admission.NONE
        leases: Sequence[tasks.Lease] = ()
        if room.slots > 0:
            admission = self._region_health.admission(
                room.region, now=now, seconds=self._lease.total_seconds()
            )
        if admission is Admission.PROBE:
            leases = self._claim_probe(room, now)
        elif admission is Admission.ALL:
            # A query for one kind costs half as much as one for both.
            only = next(iter(kinds)) if len(kinds) == 1 else None
            leases = self._claim(room, room.slots, with_data=only)
        # If there was room for everything that is due, nothing is left.
        is_left = admission is not Admission.ALL or len(leases) >= room.slots
        if not (True in kinds and is_left and room.is_extra_free):
            return Claimed(leases=leases)
        return Claimed(leases=leases, extra=self._claim_extra(room, leases))

    def _claim_probe(self, room: Room, now: datetime.datetime) -> Sequence[tasks.Lease]:
        """Claim the task that shows whether a region is available again."""
        # Another image each time, as long as there is one.
        failed = self._region_health.failed_last(room.region)
        for with_data in self._region_health.probes(room.region):
            for without in (failed, ()):
                if leases := self._claim(room, 1, without=without, with_data=with_data):
                    return leases
        self._region_health.give_up_probe(room.region, now)
        return ()

    def _claim_extra(
        self, room: Room, claimed: Sequence[tasks.Lease]
    ) -> Sequence[tasks.Lease]:
        if not self._region_health.admits_copies(room.region):
            return ()
        without = [lease.task.key.image_id for lease in claimed]
        leases = self._claim(room, 1, without=without, with_data=True)
        for lease in leases:
            self._slots.keep_apart(lease.task.key)
        return leases

    def _claim(
        self,
        room: Room,
        limit: int,
        *,
        without: Sequence[images.ImageId] = (),
        with_data: bool | None = None,
    ) -> Sequence[tasks.Lease]:
        region, now, turns = room.region, self._clock.now(), self._turns[with_data]
        projects = turns.of(region, now)
        leases = self._store.claim(
            region,
            limit,
            owner=self._owner,
            now=now,
            until=now + self._lease,
            claim_filter=ports.ClaimFilter(
                below=self._slots.limit(region),
                # A task that outlived its lease, or whose lease ended because a clock was set,
                # never runs twice in this agent. It may go on as long as no other agent takes it.
                without=[*room.running, *without],
                projects=projects,
                with_data=with_data,
            ),
        )
        if projects:
            turns.note(region, leases, limit)
        return leases
