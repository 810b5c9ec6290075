# SPDX-License-Identifier: Apache-2.0
"""One long story is told again and again, and each time one call of a port fails.

``test_convergence_model.py`` draws what happens, and when; here nothing is left to chance. Each
kind of call fails in all ways that it may, at places all over the story. With
``GLANCE_SYNC_TEST_EVERY_WAY=1`` every single call does, which takes some minutes.

The tests are in two modules, which two workers run side by side.
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import functools
import os

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import rules
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import tasks
from tests.contract import convergence
from tests.contract import handing_on
from tests.fakes import interruptions
from tests.fakes import world as worlds
from tests.fakes.interruptions import Call
from tests.fakes.interruptions import Fate
from tests.fakes.interruptions import Moment

Status = images.ImageStatus
TWO, THREE = worlds.CASCADED
#: Rules about nobody, for which Keystone has to be asked.
RULES = (
    rules.Rule(title="one", match=rules.Match(project_name=("nobody",)), regions=()),
    rules.Rule(title="two", match=rules.Match(roles=frozenset({"nobody"})), regions=()),
)
DATA = b"a long transfer"
assert len(DATA) == convergence.LARGE_BYTES
COMMON = {"owner": "alpha", "name": "image", "visibility": "shared"}
#: What is sent takes its time, so that the leases have to be renewed.
SLOW = Fate(seconds=2.0)

EVERY_WAY = os.environ.get("GLANCE_SYNC_TEST_EVERY_WAY") == "1"


class Story:
    """What users, operators and an agent do, one after the other, while one call fails."""

    def __init__(self, number: int = -1, fate: Fate = interruptions.GO_ON) -> None:
        """Begin with nothing.

        :param number: of the call that has the fate.
        """
        self.calls: list[Call] = []
        self._number = number
        self._fate = fate
        self._is_over = False
        self._stops = False  # the agent, in the middle of an upload
        self.cloud = convergence.Cloud(agents=1, prepare=_prepare, fate_of=self._fate_of)
        self.cloud.draw_map()
        self.cloud.catalogue.project = COMMON["owner"]
        # Its copies have to be read back, for their hashes say nothing.
        self.cloud.regions.glances[THREE].hash_algo = "sha256"
        self.cloud.set_policy(
            strategy.PlacementPolicy(strategy=strategy.Strategy.USER, rules=RULES)
        )

    @property
    def world(self) -> worlds.World:
        """The agent, whichever it is by now."""
        return self.cloud.agents[0].world

    def tell(self) -> None:
        """Do everything, the last thing being that all is in step."""
        golden, snapshot, elsewhere, heard, unheard = self._publish()
        self._change(golden)
        self._upload(snapshot)
        self._stop_in_the_middle()
        self._lose_a_region()
        self._fail_after_the_bytes()
        self._wait_for_a_slot()
        self._pause_a_region()
        self._have_copies({golden: 2, snapshot: 2, elsewhere: 1, heard: 2, unheard: 2})
        self._make_images_of_copies(golden, heard, unheard)
        self._lay_hands_on_copies(golden, snapshot)
        self._look()
        self._verify()
        self._delete(heard, unheard)
        self._do(lambda: self.world.rounds.end())
        self._do(lambda: self.world.verification.end())
        self._is_over = True
        self.cloud.converge()

    def _publish(self) -> list[images.ImageId]:
        made = [
            self._publish_one(),
            self._publish_one(has_data=False, is_snapshot=True),
            self.cloud.refer(TWO, DATA, **COMMON),
            self._publish_one(),
            self._publish_one(),
        ]
        self._hear()
        return made

    def _publish_one(
        self, *, has_data: bool = True, is_snapshot: bool = False
    ) -> images.ImageId:
        return self.cloud.publish(DATA, has_data=has_data, is_snapshot=is_snapshot, **COMMON)

    def _change(self, golden: images.ImageId) -> None:
        self.cloud.source.change(golden, name="renamed", hw_disk_bus="virtio")
        self.cloud.source.share(golden, "gamma", "accepted")
        self.cloud.tell(golden)
        self._hear()
        for active in (False, True):
            self.cloud.source.set_active(golden, active=active)
            self.cloud.tell(golden)
            self._hear()

    def _upload(self, snapshot: images.ImageId) -> None:
        """Nobody tells of it."""
        self.cloud.source.put_data(snapshot, DATA)
        self.cloud.leave(snapshot)
        self._do(lambda: self.world.snapshots.check())
        self._work()

    def _stop_in_the_middle(self) -> None:
        self._publish_one()
        self._hear(and_work=False)
        self.cloud.clock.advance(1.0)
        self._do(lambda: self.world.worker.dispatch())
        self._stops = True
        self._attempt()
        self._stops = False
        self.cloud.agents[0].kill()
        self.cloud.replace_dead(same_machine=False)
        self._do(lambda: self.world.store.release_owned("agent-1", self.cloud.clock.now()))
        self._work()

    def _lose_a_region(self) -> None:
        """Have one that does not answer, and that is well again a little later."""
        service = self.cloud.regions.glances[THREE]

        def be_down(_name: str, _image_id: images.ImageId | None) -> None:
            raise errors.ServiceUnavailable("down", region=THREE)

        before, service.before = service.before, be_down
        self._publish_one()
        self._hear()
        service.before = before
        self.cloud.clock.advance(20.0)
        self._work()

    def _fail_after_the_bytes(self) -> None:
        """Have an attempt fail after its transfer, so its row learns where the bytes were read."""
        service = self.cloud.regions.glances[TWO]
        image_id = self._publish_one()
        before = service.before

        def fail_once(name: str, asked: images.ImageId | None) -> None:
            before(name, asked)
            if name == "get_record" and service.image(image_id).status is Status.ACTIVE:
                service.before = before
                raise errors.ServiceUnavailable("no answer")

        service.before = fail_once
        self._hear()
        service.before = before
        self.cloud.clock.advance(20.0)
        self._work()

    def _wait_for_a_slot(self) -> None:
        """Have a copy that is gone wait until another large image frees its slot."""
        service, image_id = self.cloud.regions.glances[TWO], self._publish_one()
        self._hear()
        if image_id in service.ids():
            service.delete_as_user(image_id)
        other = tasks.TaskKey(image_id=images.new_id(), region=TWO)
        self.world.places.take(other, len(DATA))
        self.cloud.tell(image_id)
        self._hear()
        self.world.places.leave(other)
        self._work()

    def _pause_a_region(self) -> None:
        """Have a region that is paused right after a copy got its data."""
        service = self.cloud.regions.glances[TWO]
        image_id = self._publish_one()
        before = service.before

        def pause_once(name: str, asked: images.ImageId | None) -> None:
            before(name, asked)
            if name == "get_record" and service.image(image_id).status is Status.ACTIVE:
                service.before = before
                self.cloud.pause(TWO)
                self._do(lambda: self.world.worker.dispatch())

        service.before = pause_once
        self._hear()
        service.before = before
        self.cloud.pauses.resume(TWO)
        self._work()

    def _have_copies(self, wanted: Mapping[images.ImageId, int]) -> None:
        """If nothing has failed, so many must be there."""
        found = {source: len(self._copies(source)) for source in wanted}
        assert self._number >= 0 or found == wanted

    def _make_images_of_copies(self, *sources: images.ImageId) -> None:
        """Have users take snapshots and the like, which none of the calls may ever touch."""
        for source in sources:
            for copied in self._copies(source):
                for what in ("snapshot", "snapshot without data", "forgery without data"):
                    handing_on.make_here(self.cloud, copied, what, "alpha")
        for copied in self._copies(sources[0])[:1]:
            handing_on.publish(self.cloud, copied, "alpha")
            self._hear()

    def _lay_hands_on_copies(self, *sources: images.ImageId) -> None:
        """Delete one, and spoil another one."""
        golden, snapshot = (self._copies(one) for one in sources)
        if golden:
            self.cloud.regions.glances[golden[0].region].delete(golden[0])
        if snapshot:
            spoilt = snapshot[-1]
            self.cloud.damage(self.cloud.regions.glances[spoilt.region], spoilt.image_id)

    def _look(self) -> None:
        self.world.rounds.request_full_scan()
        self._do(lambda: self.world.rounds.run())
        self._work()

    def _verify(self) -> None:
        self._do(lambda: self.world.verification.run())
        self._work()

    def _delete(self, heard: images.ImageId, unheard: images.ImageId) -> None:
        for image_id in (heard, unheard):
            self.cloud.source.delete(self.cloud.source.image(image_id))
            self.cloud.leave(image_id)
        self.cloud.tell(heard)
        self._hear()
        self._look()
        self.cloud.clock.advance(convergence.GONE_SECONDS)
        self._look()

    def _copies(self, source: images.ImageId) -> list[images.Image]:
        return [
            one
            for one in self.cloud.ours()
            if self.cloud.source_of(one) == source and one.status is Status.ACTIVE
        ]

    def _hear(self, *, and_work: bool = True) -> None:
        for message in self.cloud.messages:
            self._do(functools.partial(self.world.intake.handle, message))
        self.cloud.messages.clear()
        if and_work:
            self._work()

    def _work(self) -> None:
        """Take what is due, once: what failed comes again while the story goes on."""
        self.cloud.clock.advance(1.0)
        self._do(lambda: self.world.worker.dispatch())
        self._attempt()

    def _attempt(self) -> None:
        while self.world.submitted:
            self._do(self.world.submitted.pop(0))

    def _do(self, function: Callable[[], object]) -> None:
        """Do as the daemon does, which goes on after whatever is no end of the process."""
        try:
            function()
        except (interruptions.Killed, interruptions.Bug):
            self.cloud.agents[0].kill()
            self.cloud.replace_dead(same_machine=True)
        except errors.SyncError:
            pass
        self.cloud.check()

    def _fate_of(self, call: Call) -> Fate:
        if self._is_over or call.method == "image_url":  # asks nobody
            return interruptions.GO_ON
        self.calls.append(call)
        if self._stops and call.method == "write, next":
            self.world.stop.set()
        if len(self.calls) == self._number + 1:
            return self._fate
        return SLOW if call.method == "write, next" else interruptions.GO_ON


def _prepare(world: worlds.World) -> None:
    # The owner that the sources have, too, as it must be.
    world.metadata = metadata_policy.MetadataPolicy(owner=metadata_policy.Owner.AGENT)
    world.cache_seconds = 30.0
    world.breaker_policy = dataclasses.replace(world.breaker_policy, failures=1)


def calls_of_the_story() -> list[Call]:
    story = Story()
    story.tell()
    return story.calls


def fail_calls_of(*names: str) -> None:
    """Tell the story again and again, each time with a failure of a call of these ports."""
    for call, fate, numbers in faults():
        if call.port not in names:
            continue
        struck = False
        for number in numbers:
            struck |= tell(number, call, fate)
            if struck and not EVERY_WAY:
                break
        assert struck, f"{call}: {fate}"


def faults() -> Iterator[tuple[Call, Fate, list[int]]]:
    """Give each way in which each kind of call may fail, and its numbers, all over the story."""
    places: dict[Call, list[int]] = {}
    for number, call in enumerate(calls_of_the_story()):
        places.setdefault(call, []).append(number)
    for call, numbers in places.items():
        ways = [
            Fate(moment, choice)
            for moment in Moment
            for choice in range(len(interruptions.ERRORS[call.port]))
        ]
        for place, way in enumerate(ways):
            first = place * len(numbers) // len(ways)
            yield call, way, numbers[first:] + numbers[:first]


def tell(number: int, call: Call, fate: Fate) -> bool:
    """Tell the story while a call has a fate; return False if it fails by itself anyway."""
    story = Story(number, fate)
    try:
        story.tell()
    except AssertionError as exc:
        exc.add_note(f"call {number}, {call}: {fate}")
        raise
    assert story.calls[number] == call, "another story"
    return bool(story.cloud.hits)
