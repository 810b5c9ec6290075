# SPDX-License-Identifier: Apache-2.0
"""A cloud with users, operators and several agents, and what must be true of it whatever fails.

What should be is said here a second time and more simply than in the domain, from what the
users did; :func:`next_action` is not asked.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
import dataclasses
import datetime
from typing import Any

from glance_sync_agent import errors
from glance_sync_agent.domain import events
from glance_sync_agent.domain import images
from glance_sync_agent.domain import pauses
from glance_sync_agent.domain import snapshots
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import tasks
from tests import marks
from tests.fakes import agents as fake_agents
from tests.fakes import breakers as fake_breakers
from tests.fakes import clock as clocks
from tests.fakes import facts as fake_facts
from tests.fakes import glance
from tests.fakes import interruptions
from tests.fakes import jobs as fake_jobs
from tests.fakes import leader_leases as fake_leases
from tests.fakes import pauses as fake_pauses
from tests.fakes import restores
from tests.fakes import task_store
from tests.fakes import world as worlds

OWNERS = ("alpha", "beta")
VISIBILITIES = ("public", "community", "shared", "private")  # from the widest on
LARGE_BYTES = 15  # for which not all places are
Status = images.ImageStatus
Place = tuple[images.RegionId, images.ImageId]

_ROUNDS = 3  # looks at everything until nothing may be left to do
#: Longer than the looks of one story are apart, mostly, so that each asks for a part.
MEMBERS_SECONDS = 600.0
#: After so long nobody doubts any more that a source is gone.
GONE_SECONDS = 25 * 3600.0
#: What an attempt may do for others, too.
_SHARED = {
    "image_service", "source_store", "get", "get_record", "read", "read, next",
    "add_location", "remove_location",
}
_WITH_DATA = {Status.ACTIVE, Status.DEACTIVATED}


@dataclasses.dataclass(frozen=True)
class _Held:
    token: str
    owner: str
    until: datetime.datetime


class WatchedTaskStore(task_store.MemoryTaskStore):
    """Keeps its own account of who may work on what, and of who did all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.violations: list[str] = []
        #: Copies that a row ever knew, but for those on probation: of others nothing proves later
        #: that they are ours, if an agent was killed right after it had made them.
        self.known: set[Place] = set()
        self._leases: dict[tasks.TaskKey, _Held] = {}

    def claim(self, region, limit, *, owner, now, until, **limits):
        leases = super().claim(region, limit, owner=owner, now=now, until=until, **limits)
        for lease in leases:
            held = self._leases.get(lease.task.key)
            if held is not None and held.until > now:
                self.violations.append(f"{owner} took {lease.task.key} from {held}")
            self._leases[lease.task.key] = _Held(lease.token, owner, until)
        return leases

    def renew(self, lease, *, until, **progress):
        super().renew(lease, until=until, **progress)
        held = self._check(lease, "renewed")
        self._leases[lease.task.key] = dataclasses.replace(held, until=until)

    def note_copy(self, lease, copy, image_name):
        super().note_copy(lease, copy, image_name)
        self._check(lease, "noted a copy of")
        self._account_for_copy(lease.task.key)

    def finish(self, lease, outcome, now, *, events=()):
        is_last = super().finish(lease, outcome, now, events=events)
        self._check(lease, "finished")
        self._account_for_copy(lease.task.key)
        del self._leases[lease.task.key]
        return is_last

    def release(self, lease, now):
        super().release(lease, now)
        self._check(lease, "released")
        del self._leases[lease.task.key]

    def cancel(self, image_id, regions, *, by, now):
        found = super().cancel(image_id, regions, by=by, now=now)
        for region in found:
            self._leases.pop(tasks.TaskKey(image_id=image_id, region=region), None)
        return found

    def call_off(self, regions, now, *, only_abandoned=False):
        self._leases = {
            key: one
            for key, one in self._leases.items()
            if (regions is not None and key.region not in regions)
            or (only_abandoned and one.until > now)
        }
        return super().call_off(regions, now, only_abandoned=only_abandoned)

    def release_owned(self, owner, now):
        self._leases = {key: one for key, one in self._leases.items() if one.owner != owner}
        return super().release_owned(owner, now)

    def _account_for_copy(self, key: tasks.TaskKey) -> None:
        row = self.get(key)
        copy = row and row.known_copy
        if copy and copy.created_at is not None and not copy.on_probation:
            self.known.add((key.region, copy.copy_id))

    def forget(self) -> None:
        """Forget who has what, because nobody has anything any more."""
        self._leases.clear()

    def _check(self, lease: tasks.Lease, what: str) -> _Held:
        held = self._leases.get(lease.task.key, _Held("", "nobody", lease.task.updated_at))
        if held.token != lease.token:
            self.violations.append(f"who had lost it {what} {lease.task.key}")
        return held


class _Regions(worlds.FakeRegions):
    """Knows no region that is not in the catalogue."""

    def __init__(self, catalogue: worlds.FakeCatalogue) -> None:
        super().__init__(chunk_bytes=4)
        self._catalogue = catalogue

    def image_service(self, region):
        if region not in self._catalogue.names:
            raise errors.UnknownRegion(f"no region {region}")
        return super().image_service(region)

    def store(self, region, size):
        self.image_service(region)
        return super().store(region, size)


class Agent:
    """An engine that goes on one call at a time."""

    def __init__(self, cloud: "Cloud", owner: str) -> None:
        self.owner = owner
        self.is_dead = False
        self.activities: list[interruptions.Activity] = []
        self._note = cloud.note
        self._fate_of = cloud.fate_of
        turn = self._take_turn
        self.world = worlds.World(
            worlds.Outside(
                clock=cloud.clock,
                catalogue=interruptions.Interrupted(cloud.catalogue, "catalogue", turn),
                identity=interruptions.Interrupted(cloud.identity, "identity", turn),
                regions=interruptions.InterruptedRegions(cloud.regions, turn),
                store=interruptions.Interrupted(cloud.store, "tasks", turn),
                turns=interruptions.Interrupted(cloud.turns, "turns", turn),
                breakers=interruptions.Interrupted(cloud.breakers, "breakers", turn),
                facts=interruptions.Interrupted(cloud.facts, "facts", turn),
                pauses=interruptions.Interrupted(cloud.pauses, "pauses", turn),
                history=interruptions.Interrupted(cloud.store.history, "history", turn),
                agents=interruptions.Interrupted(cloud.reports, "agents", turn),
                jobs=interruptions.Interrupted(cloud.jobs, "jobs", turn),
            ),
            owner=owner,
            per_region=2,
            large_image_bytes=LARGE_BYTES,
            new_id=lambda: images.ImageId(cloud.copy_id()),
        )
        self.world.policy = cloud.policy
        self.world.max_deletes = self.world.max_repairs = 100
        self.world.gone_grace = GONE_SECONDS - 3600.0
        self.world.members_interval = MEMBERS_SECONDS
        self.world.cache_seconds = 0.0
        self.world.verify_interval = 1.0
        self.world.record_locations = cloud.has_map
        cloud.prepare(self.world)

    def begin(self, kind: str, function: Callable[[], object]) -> interruptions.Activity:
        """Start a thread of this agent, which waits."""
        activity = interruptions.Activity(kind, function)
        self.activities.append(activity)
        return activity

    def step(
        self,
        activity: interruptions.Activity,
        fate: interruptions.Fate = interruptions.GO_ON,
    ) -> None:
        """Let an activity go on to its next call, or another one that it may have to wait for."""
        activity = self._first(activity)
        activity.step(fate)
        self._tidy()

    def run(self, activity: interruptions.Activity) -> None:
        """Let an activity go on to its end, and whatever it may have to wait for."""
        while (first := self._first(activity)) is not activity:
            self.step(first)
        if not self.is_dead:
            activity.run()
            self._tidy()

    def finish(self) -> None:
        """Let everything that was begun end."""
        while self.activities:
            self.run(self.activities[0])

    def kill(self) -> None:
        """End the process: no call of any of its threads does anything any more."""
        self.is_dead = True
        for activity in self.activities:
            activity.run(interruptions.KILL)
        self.activities.clear()

    def _first(self, activity: interruptions.Activity) -> interruptions.Activity:
        """Return who must go on first: others may wait for what it has asked."""
        return next((one for one in self.activities if _is_waited_for(one)), activity)

    def _take_turn(self, call: interruptions.Call) -> interruptions.Fate:
        mine = next((one for one in self.activities if one.is_this()), None)
        fate = self._fate_of(call) if mine is None else mine.take_turn(call)
        self.world.clock.advance(fate.seconds)
        return interruptions.KILL if self.is_dead else dataclasses.replace(fate, note=self._note)

    def _tidy(self) -> None:
        """Begin what was dispatched, and judge what has ended."""
        while self.world.submitted:
            self.begin("attempt", self.world.submitted.pop(0))
        over = [one for one in self.activities if one.is_over]
        self.activities = [one for one in self.activities if not one.is_over]
        for one in over:
            self._judge(one)

    def _judge(self, activity: interruptions.Activity) -> None:
        match activity.failure:
            case None:
                return
            case interruptions.Killed():
                self.kill()
            case interruptions.Bug() if activity.kind not in {"attempt", "message"}:
                self.kill()  # a thread that the daemon cannot do without
            case errors.SyncError() | interruptions.Bug() if activity.kind != "attempt":
                return  # the daemon logs it and goes on
            case failure:
                raise failure


def _is_waited_for(activity: interruptions.Activity) -> bool:
    """Tell whether a thread of the same agent may have to wait until a call is over.

    They share the views of sources, what is known of projects, what is read of images, and the
    locks of the location map.
    """
    call = activity.waits_at
    if call is None:
        return False
    return call.port == "identity" or (activity.kind == "attempt" and call.method in _SHARED)


class Cloud:
    """Regions, a bus, a database and agents; and an account of what was done to them."""

    def __init__(
        self,
        agents: int = 2,
        *,
        prepare: Callable[[worlds.World], None] = lambda _world: None,
        fate_of: interruptions.TakeTurn = lambda _call: interruptions.GO_ON,
    ) -> None:
        """Have the agents at work.

        :param prepare: changes the options of each agent that is started.
        :param fate_of: what becomes of a call that no activity makes.
        """
        self.has_map = False
        self.prepare = prepare
        self.fate_of = fate_of
        self.clock = clocks.FakeClock()
        self.catalogue = worlds.FakeCatalogue()
        self.identity = worlds.FakeIdentity()
        self.regions = _Regions(self.catalogue)
        self.store = WatchedTaskStore()
        self.turns = fake_leases.MemoryLeaderLeases()
        self.breakers = fake_breakers.MemoryBreakers()
        self.facts = fake_facts.MemoryFacts()
        self.pauses = fake_pauses.MemoryPauses()
        self.reports = fake_agents.MemoryAgents()
        self.jobs = fake_jobs.MemoryJobs()
        self.policy = strategy.PlacementPolicy()
        self.messages: list[events.ImageEvent] = []
        self.bytes: dict[images.ImageId, bytes] = {}  # of every source that ever was
        self.foreign: dict[Place, object] = {}  # images that are not ours, as they were left
        self.left: dict[images.ImageId, object] = {}  # sources, as users left them
        self.unknown: set[Place] = set()  # copies of which a database knew that is lost
        self.damaged: dict[Place, bytes] = {}  # data at rest that somebody spoiled: as it was
        self.filled: set[Place] = set()  # records of ours that got their data from somebody else
        self.held: set[Place] = set()  # copies that somebody deactivated in their region
        self.rested: set[images.ImageId] = set()  # sources that ever were deactivated
        self.by_hand: set[str] = set()  # properties that somebody gave to copies
        self.elsewhere: dict[images.ImageId, images.RegionId] = {}  # where their data is
        self.once_wanted: set[tuple[images.ImageId, images.RegionId]] = set()
        self.owners_changed: set[images.ImageId] = set()
        self.hits: Counter[tuple[str, str]] = Counter()
        for owner in OWNERS:
            self.identity.associated[owner] = frozenset(worlds.CASCADED)
        for number, service in enumerate(self.regions.glances.values()):
            service.new_id = _numbered(f"c{number}")
        self.source = self.regions.glances[worlds.CASCADING]
        self._new_id = _numbered("50")
        self.copy_id = _numbered("0c")  # of copies that cannot have their source's
        self._owners = 0
        # So that no listing is empty, from which nothing would be concluded.
        self.source.make(image_id=self._new_id(), name="keeper")
        self.agents = [self.new_agent() for _ in range(agents)]

    # What the agents do.

    def note(self, call: interruptions.Call, moment: interruptions.Moment) -> None:
        """Take note that an error came."""
        self.hits[str(call), moment.name.lower()] += 1

    def new_agent(self) -> Agent:
        """Start an agent on a new machine."""
        self._owners += 1
        return Agent(self, f"agent-{self._owners}")

    def replace_dead(self, *, same_machine: bool) -> None:
        """Start another agent for each that died; one on the same machine takes up its leases."""
        for number, agent in enumerate(self.agents):
            if not agent.is_dead:
                continue
            self.agents[number] = Agent(self, agent.owner) if same_machine else self.new_agent()
            if same_machine:
                self.store.release_owned(agent.owner, self.clock.now())

    def bring(self, agent: Agent, message: events.ImageEvent) -> interruptions.Activity:
        """Give a message to an agent; it stays on the bus until that has stored it."""

        def handle() -> None:
            agent.world.intake.handle(message)
            if message in self.messages:
                self.messages.remove(message)

        return agent.begin("message", handle)

    def draw_map(self) -> None:
        """Have all copies recorded as locations of their sources, which Glances show."""
        self.has_map = True
        for service in self.regions.glances.values():
            service.shows_locations = service.tells_size = True
        for agent in self.agents:
            agent.world.record_locations = True

    def set_policy(self, policy: strategy.PlacementPolicy) -> None:
        """Change what the operator wants, and tell all agents."""
        self.policy = policy
        for agent in self.agents:
            agent.world.policy = policy

    def pause(self, region: images.RegionId, *, finishes: bool = False) -> None:
        """Have an operator pause a region."""
        self.pauses.pause(
            region,
            pauses.Pause(since=self.clock.now(), by="alice", reason="disks", finishes=finishes),
        )

    # What users do to images of the cascading region.

    def publish(
        self, data: bytes, *, is_snapshot: bool, has_data: bool, **metadata: Any
    ) -> images.ImageId:
        """Make an image, and tell of it."""
        image_id = images.ImageId(self._new_id())
        properties = metadata.pop("properties", {})
        if is_snapshot:
            properties = {**properties, snapshots.IMAGE_TYPE: snapshots.SNAPSHOT}
        self.source.make(image_id=image_id, properties=properties, **metadata)
        self.bytes[image_id] = data
        if has_data:
            self.source.put_data(image_id, data)
        self.leave(image_id)
        if has_data or is_snapshot:
            self.tell(image_id)
        return image_id

    def refer(
        self, region: images.RegionId, data: bytes, **metadata: Any
    ) -> images.ImageId:
        """Make an image whose data is an image of another region, and tell of it."""
        service = self.regions.glances[region]
        there = service.publish(data, **metadata)
        self.disown(service, there.image_id)
        image_id = self.publish(b"", is_snapshot=False, has_data=False, **metadata)
        told = {"image_from": "snapshot", "image_id": there.image_id}
        self.source.locate(image_id, service.image_url(there.image_id), told)
        self.bytes[image_id] = data
        self.elsewhere[image_id] = region
        self.tell(image_id)
        return image_id

    def tell(self, image_id: images.ImageId) -> None:
        """Put on the bus that an image changed, or is no more."""
        is_there = image_id in self.source.ids()
        image = self.source.image(image_id) if is_there else None
        self.messages.append(
            events.ImageEvent(
                image_id=image_id,
                kind=events.EventKind.CHANGED if image else events.EventKind.DELETED,
                is_snapshot=image is not None and snapshots.is_snapshot(image),
                mark=None if image is None else image.mark,
            )
        )
        self.leave(image_id)

    def leave(self, image_id: images.ImageId) -> None:
        """Take note of a source as a user has left it."""
        self.left.pop(image_id, None)
        if image_id in self.source.ids():
            self.left[image_id] = self._without_locations(image_id)

    def sources(self) -> list[images.Image]:
        """Return the images of the cascading region that users made."""
        return [self.source.image(one) for one in sorted(self.bytes) if one in self.source.ids()]

    # What is found in the cascaded regions.

    def ours(self) -> list[images.Image]:
        """Return the images that the agents made."""
        return [
            image
            for region in worlds.CASCADED
            for image in self._images(region)
            if self.is_copy(image) and (region, image.image_id) not in self.foreign
        ]

    def source_of(self, image: images.Image) -> images.ImageId | None:
        """Return the source of a copy; None: it is none, or one of another cascading region."""
        record = self.regions.glances[image.region].look(image.image_id)
        region, image_id = marks.source_of(record, image.region) or (None, None)
        return images.ImageId(image_id) if image_id and region == worlds.CASCADING else None

    def is_copy(self, image: images.Image) -> bool:
        """Tell whether the mark of an image names itself."""
        record = self.regions.glances[image.region].look(image.image_id)
        return marks.source_of(record, image.region) is not None

    def theirs(self) -> list[images.Image]:
        """Return the images of cascaded regions that are not ours."""
        return [self.regions.glances[region].image(one) for region, one in sorted(self.foreign)]

    def disown(self, service: glance.FakeGlance, image_id: images.ImageId) -> None:
        """Take note of an image that is not ours, as it is now."""
        self.foreign[service.region, image_id] = service.whole(image_id)

    def lose_database(self) -> None:
        """Have the agents begin with an empty database."""
        restores.lose_database(self.store, self.facts)
        self.store.forget()
        self.unknown |= {(one.region, one.image_id) for one in self.ours()}

    def damage(self, service: glance.FakeGlance, image_id: images.ImageId) -> None:
        """Spoil data at rest, which its Glance does not notice."""
        place = service.region, image_id
        self.damaged.setdefault(place, service.data(image_id))
        service._data[image_id] = b"\0" * len(service.data(image_id))
        if service is self.source:
            self.leave(image_id)

    # What must be true.

    def check(self) -> None:
        """Assert what must be true at every moment."""
        assert not self.store.violations
        for (region, image_id), was in self.foreign.items():
            now = self.regions.glances[region].whole(image_id)
            assert now == was, f"{image_id} of {region} is a user's"
        for image_id, was in self.left.items():
            assert self._without_locations(image_id) == was, f"{image_id} is a user's source"
        for copied in self.ours():
            self._check_copy(copied)
        for agent in self.agents:
            worker = agent.world.worker
            assert agent.is_dead or worker.running() == len(worker._keys), "two attempts on a key"
        self._look_what_is_wanted()

    def _check_copy(self, copied: images.Image) -> None:
        source_id = self.source_of(copied)
        assert source_id in self.bytes, "a copy was made of a copy"
        assert (source_id, copied.region) in self.once_wanted, f"nobody wanted {copied}"
        place = copied.region, copied.image_id
        if copied.status in _WITH_DATA and place not in self.filled and place not in self.damaged:
            data = self.regions.glances[copied.region].data(copied.image_id)
            assert data == self.bytes[source_id], f"wrong bytes in {copied}"

    def _look_what_is_wanted(self) -> None:
        for source in self.sources():
            for region in worlds.CASCADED:
                if not self.is_copy(source) and self._is_wanted(source, region):
                    self.once_wanted.add((source.image_id, region))

    def _is_wanted(self, source: images.Image, region: images.RegionId) -> bool:
        if self.elsewhere.get(source.image_id) == region:
            return False
        chosen = source.metadata.properties.get(strategy.SYNC_REGIONS)
        match self.policy.strategy:
            case strategy.Strategy.ALL:
                return chosen != strategy.NOWHERE
            case strategy.Strategy.USER:
                allowed = self.identity.associated[source.metadata.owner or ""]
                return region in allowed and chosen in {None, strategy.EVERYWHERE, region}
        return False

    def converge(self) -> None:
        """Let all faults end, and assert that everything becomes as it should be."""
        self.messages.clear()  # lost
        self.catalogue.names = frozenset({worlds.CASCADING, *worlds.CASCADED})
        for (region, image_id), data in self.damaged.items():
            if region == worlds.CASCADING and image_id in self.source.ids():
                self.source._data[image_id] = data
                self.leave(image_id)
        for agent in self.agents:
            agent.finish()
        self.replace_dead(same_machine=False)
        self._let_all_go_on()
        # The operator says that no Glance was restored: the newest source is gone, at most.
        self.agents[0].world.newest.accept(worlds.CASCADING, (), self.clock.now())
        for _ in range(_ROUNDS):
            self._work()
            self.clock.advance(GONE_SECONDS)
        before = self._records()
        self._work()
        assert self._records() == before, "it never ends"
        self.check()
        for image_id in sorted(self.bytes):
            for region in worlds.CASCADED:
                self._check_in_step(image_id, region)

    def _let_all_go_on(self) -> None:
        """Undo pauses and cancellations."""
        for region in self.pauses.all():
            self.pauses.resume(region)
        for task in [one for one in self.store.list() if one.cancelled_by is not None]:
            self.agents[0].world.intake.request(task.key.image_id, task.key.region)

    def close(self) -> None:
        """End all threads."""
        for agent in self.agents:
            agent.kill()

    def _work(self) -> None:
        """Look at everything, read every copy back, and work until nothing waits any more."""
        self.agents[0].world.reconciliation.run()
        self._settle()
        self.agents[0].world.verification.run()
        self._settle()

    def _settle(self) -> None:
        for _ in range(20):
            self.clock.advance(700.0)  # longer than anything is waited for, or shunned
            for agent in self.agents:
                agent.world.run(seconds=0.0)
            if self.store.next_due() is None:
                return
        raise AssertionError([one for one in self.store.list() if one.status == "pending"])

    def _check_in_step(self, image_id: images.ImageId, region: images.RegionId) -> None:
        source = self.source.image(image_id) if image_id in self.source.ids() else None
        copies = [
            one
            for one in self.ours()
            if one.region == region and self.source_of(one) == image_id
        ]
        task = self.store.get(tasks.TaskKey(image_id=image_id, region=region))
        if source is None:
            proven = [one for one in copies if self._is_proven(region, one.image_id)]
            assert not proven, f"source is gone, and there is {proven}"
            at = image_id if task is None else task.copy_id or image_id
            is_theirs = (region, at) in self.foreign  # once ours, so that somebody has to decide
            assert task is None or is_theirs or task.status == "success", task
        elif self.policy.strategy is strategy.Strategy.NONE:
            # Nobody asks for more, so a task that has failed still says why.
            self._check_taken_back(source, copies, task)
        elif self.is_copy(source) or not self._is_wanted(source, region):
            assert task is None or task.status == "success", task
            self._check_taken_back(source, copies, task)
        elif task is not None and task.status == "failure":
            assert self._may_fail(source, region, task), task
        elif source.multihash is None and any(
            (region, one.image_id) in self.unknown for one in copies
        ):
            return  # without a hash and a row nothing proves which one is ours
        elif not copies and task is not None and task.held_id is not None:
            # What somebody else deactivated, and then deleted, is not made again.
            assert (region, task.held_id) in self.held or image_id in self.rested, task
            assert task.status == "success", task
        elif source.status in _WITH_DATA and (copies or source.status is Status.ACTIVE):
            assert len(copies) == 1, copies
            self._check_pair(source, copies[0], task)
        else:
            assert not copies or source.status is not Status.ACTIVE
            assert task is None or task.status == "success", task

    def _may_fail(
        self, source: images.Image, region: images.RegionId, task: tasks.Task
    ) -> bool:
        """Tell whether a failure is one that an operator has to mend."""
        at = task.copy_id or source.image_id
        if (region, at) in self.foreign or self._is_claimed(source.image_id, region):
            return True
        if not self._is_proven(region, at) and (
            source.multihash is None
            or source.image_id in self.owners_changed
            or (region, at) in self.filled
            or self._can_bytes_not_tell(source, region, at)
            or self._is_stuck(region, at)
        ):
            return True  # nothing proves whose it is
        if "no task knows it, and it belongs to project" in task.reason:
            return source.image_id in self.owners_changed
        return snapshots.is_snapshot(source) and "snapshot_timeout" in task.reason

    def _is_stuck(self, region: images.RegionId, copy_id: images.ImageId) -> bool:
        """Tell whether the upload into a record has died, which only an operator may delete."""
        service = self.regions.glances[region]
        return copy_id in service.ids() and service.image(copy_id).status is Status.SAVING

    def _is_proven(self, region: images.RegionId, copy_id: images.ImageId) -> bool:
        """Tell whether a database that is not lost ever knew a copy."""
        place = region, copy_id
        return place in self.store.known and place not in self.unknown

    def _can_bytes_not_tell(
        self, source: images.Image, region: images.RegionId, at: images.ImageId
    ) -> bool:
        """Tell whether a copy is damaged whose region hashes otherwise than its source's."""
        hashes_otherwise = self.regions.glances[region].hash_algo != self.source.hash_algo
        return hashes_otherwise and (region, at) in self.damaged

    def _is_claimed(self, source_id: images.ImageId, region: images.RegionId) -> bool:
        """Tell whether an image of a user says that it is a copy of a source."""
        theirs = (one for one in self.theirs() if one.region == region)
        return any(self.source_of(one) == source_id for one in theirs)

    def _check_pair(
        self, source: images.Image, copied: images.Image, task: tasks.Task | None
    ) -> None:
        is_known = (copied.region, copied.image_id) not in self.unknown
        if source.status is Status.DEACTIVATED and copied.status is Status.QUEUED:
            assert task.status == "success" if task else not is_known
            return
        assert task is not None
        is_held = copied.status is Status.DEACTIVATED and (
            source.status is Status.ACTIVE or task.held_id == copied.image_id
        )
        if is_held:
            # Of a deed that came after its lease nobody knows whose it was.
            place = copied.region, copied.image_id
            assert place in self.held or source.image_id in self.rested, task
            assert "somebody else deactivated" in task.reason, task
        else:
            assert task.reason == "in sync", task
            assert copied.status is source.status
        assert task.status == "success", task
        assert task.copy_id == copied.image_id
        assert copied.members == source.members
        wanted, found = source.metadata.properties, copied.metadata.properties
        assert {**found, **wanted} == found
        assert set(found) - set(wanted) <= self.by_hand
        assert dataclasses.replace(copied.metadata, properties=wanted) == source.metadata
        service = self.regions.glances[copied.region]
        # Of a source without a hash nobody can say which bytes are right, and what somebody else
        # deactivated is not replaced.
        is_damaged = (copied.region, copied.image_id) in self.damaged
        if not is_damaged or (source.multihash is not None and not is_held):
            assert service.data(copied.image_id) == self.bytes[source.image_id]
        if self.has_map and source.size and source.status is Status.ACTIVE:
            there = f"{glance.endpoint(copied.region)}/"
            at = [one.url for one in source.locations or () if one.url.startswith(there)]
            assert at == ([] if is_held else [service.image_url(copied.image_id)])

    def _check_taken_back(
        self, source: images.Image, copies: list[images.Image], task: tasks.Task | None
    ) -> None:
        """Assert that nobody may use a copy who may not use its source."""
        for copied in copies:
            if task is None or task.copy_id != copied.image_id or self.is_copy(source):
                continue
            theirs, ours = source.metadata.visibility, copied.metadata.visibility
            assert VISIBILITIES.index(ours) >= VISIBILITIES.index(theirs), copied
            if ours == theirs:
                assert copied.members.keys() <= source.members.keys(), copied
            rests = source.status is Status.DEACTIVATED
            assert not (rests and copied.status is Status.ACTIVE), copied

    def _without_locations(self, image_id: images.ImageId) -> object:
        """Return all there is of a source but what agents may write: where its copies are."""
        record, members, data = self.source.whole(image_id)
        written = {"locations", "updated_at"}
        return {name: record[name] for name in record.keys() - written}, members, data

    def _images(self, region: images.RegionId) -> Iterator[images.Image]:
        service = self.regions.glances[region]
        return (service.image(one) for one in sorted(service.ids()))

    def _records(self) -> Mapping[str, object]:
        """Return everything that is in any Glance, and how each task ended."""
        found: dict[str, object] = {
            f"{region} {image_id}": service.whole(image_id)
            for region, service in self.regions.glances.items()
            for image_id in service.ids()
        }
        return found | {str(one.key): (one.status, one.reason) for one in self.store.list()}


def _numbered(prefix: str) -> Callable[[], str]:
    count = 0

    def new_id() -> str:
        nonlocal count
        count += 1
        return f"{prefix}{count:06x}-0000-4000-8000-000000000000"

    return new_id
