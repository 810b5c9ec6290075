# SPDX-License-Identifier: Apache-2.0
"""Whatever is done to the cloud and whatever fails, nothing is wrong and all is in step at last.

``GLANCE_SYNC_MODEL_EXAMPLES=5000`` looks at more than the usual number of examples.
"""

from collections import Counter
import dataclasses
import os

import hypothesis
from hypothesis import stateful
from hypothesis import strategies as st
import pytest

from glance_sync_agent.domain import images
from glance_sync_agent.domain import strategy
from glance_sync_agent.engine.attempts import execution
from glance_sync_agent.engine.transfer import blocks
from tests import marks
from tests.contract import convergence
from tests.contract import handing_on
from tests.fakes import interruptions
from tests.fakes import world as worlds

EXAMPLES = int(os.environ.get("GLANCE_SYNC_MODEL_EXAMPLES", "300"))
STEPS = 30
_MOST_IMAGES = 4
_MOST_THEIRS = 8

Status = images.ImageStatus

_ITSELF = "the id of the image itself"
_SOMEBODYS = "00000000-0000-4000-8000-000000000bad"
_ANCESTOR = {marks.SOURCE_ID: _SOMEBODYS, marks.SOURCE_REGION: "Somewhere"}

picks = st.integers(0, 11)  # one of what there is, whatever that is
regions = st.sampled_from(worlds.CASCADED)
agents = st.integers(0, 1)
#: What the engines here may call.
CALLS = (
    "bytes.read",
    "bytes.read, next",
    "bytes.write",
    "bytes.write, next",
    "catalogue.regions",
    "breakers.all",
    "breakers.change",
    "facts.get",
    "facts.put",
    "glance.add_location",
    "glance.copies_of",
    "glance.create",
    "glance.delete",
    "glance.find",
    "glance.get",
    "glance.get_record",
    "glance.members",
    "glance.pages",
    "glance.pages, next",
    "glance.referring_to",
    "glance.remove_location",
    "glance.require_all_rights",
    "glance.require_public_size",
    "glance.set_active",
    "glance.update",
    "history.add",
    "identity.association",
    "pauses.all",
    "regions.image_service",
    "regions.served",
    "regions.source_store",
    "regions.store",
    "tasks.call_off",
    "tasks.claim",
    "tasks.distrust",
    "tasks.due_regions",
    "tasks.find",
    "tasks.finish",
    "tasks.image_ids",
    "tasks.image_ids, next",
    "tasks.note_active",
    "tasks.note_copied",
    "tasks.note_copy",
    "tasks.note_deactivated",
    "tasks.note_missing",
    "tasks.note_proven",
    "tasks.note_verified",
    "tasks.outlines",
    "tasks.release",
    "tasks.renew",
    "tasks.request",
    "tasks.request_in",
    "tasks.unverified",
    "tasks.unverified, next",
    "tasks.waiting",
    "tasks.waiting, next",
    "turns.take",
)
#: One moment in which something may have run out: a pause, a lease, a transfer.
seconds = st.sampled_from([1.5, 7.0, 25.0, 61.0, 130.0])
errors = st.builds(
    interruptions.Fate,
    moment=st.sampled_from(interruptions.Moment),
    choice=st.integers(0, 4),
    seconds=st.just(0.0) | seconds,
) | st.builds(interruptions.Fate, seconds=seconds)
calls = st.builds(
    lambda call, number: Place(call, number), st.sampled_from(CALLS), st.integers(0, 2)
) | st.builds(lambda number: Place(None, number), st.integers(0, 40))


@dataclasses.dataclass
class Place:
    """A call to stop at: one of a kind, or of any."""

    call: str | None
    number: int  # of such calls that come first

    def is_at(self, activity):
        """Tell whether an activity has come there; once it has, nothing is there any more."""
        call = activity.waits_at
        if call is None or self.call not in {None, str(call)}:
            return False
        self.number -= 1
        return self.number == -1

    def was_reached(self):
        return self.number < 0


def chosen(found, pick):
    """Return one of several."""
    return found[pick % len(found)]


class Convergence(stateful.RuleBasedStateMachine):
    """Users, an operator, agents and faults."""

    def __init__(self) -> None:
        super().__init__()
        self.cloud = convergence.Cloud()

    def teardown(self) -> None:
        try:
            self.cloud.converge()
        finally:
            self.cloud.close()
            for (call, moment), count in self.cloud.hits.items():
                hypothesis.event(f"{moment} {call}")
                HITS[call, moment] += count

    @stateful.invariant()
    def nothing_is_wrong(self):
        self.cloud.check()

    # Users of the cascading region.

    @stateful.initialize(
        has_data=st.lists(st.just(True) | st.booleans(), min_size=1, max_size=2),
        has_map=st.booleans(),
        other_hashes=st.none() | regions,
    )
    def begin_with_images(self, has_data, has_map, other_hashes):
        if has_map:
            self.cloud.draw_map()
        if other_hashes:
            self.cloud.regions.glances[other_hashes].hash_algo = "sha256"
        for one in has_data:
            self.cloud.publish(
                b"a long transfer", has_data=one, is_snapshot=False, owner="alpha",
                visibility="shared", name="image",
            )

    @stateful.precondition(lambda self: len(self.cloud.bytes) < _MOST_IMAGES)
    @stateful.rule(
        data=st.sampled_from([b"", b"short", b"a long transfer"]),
        owner=st.sampled_from(convergence.OWNERS),
        visibility=st.sampled_from(["shared", "private", "public"]),
        sync_regions=st.sampled_from([None, None, None, *worlds.CASCADED, "*", "none"]),
        has_data=st.sampled_from([True, True, False]),
        has_hash=st.sampled_from([True, True, False]),
        is_snapshot=st.sampled_from([False, False, True]),
    )
    def publish(self, data, sync_regions, has_hash, **details):
        properties = {"hw_disk_bus": "virtio"}
        if sync_regions is not None:
            properties[strategy.SYNC_REGIONS] = sync_regions
        image_id = self.cloud.publish(data, properties=properties, name="image", **details)
        if details["has_data"] and not has_hash:
            self.cloud.source.change(image_id, os_hash_algo=None, os_hash_value=None)
            self.cloud.leave(image_id)

    @stateful.precondition(lambda self: self.cloud.sources())
    @stateful.rule(
        pick=picks,
        fields=st.sampled_from(
            [
                {"name": "renamed"},
                {"tags": ["a", "b"]},
                {"hw_disk_bus": "scsi", "os_type": "linux"},
                {"hw_disk_bus": None},
                {"protected": True, "os_hidden": True},
                {"protected": False, "min_ram": 64},
                {"visibility": "private"},
                {"visibility": "shared"},
                {"visibility": "public"},
                {"sync_regions": "none"},
                {"sync_regions": None},
                {"owner": "beta"},
                # A snapshot's mark, and that of another agent's copy.
                _ANCESTOR,
                {**_ANCESTOR, marks.COPY_ID: "another", marks.COPY_REGION: "Somewhere"},
                {**_ANCESTOR, marks.COPY_ID: _ITSELF, marks.COPY_REGION: worlds.CASCADING},
            ]
        ),
    )
    def change(self, pick, fields):
        source = chosen(self.cloud.sources(), pick)
        if "owner" in fields:
            self.cloud.owners_changed.add(source.image_id)
        fields = {
            name: source.image_id if value == _ITSELF else value
            for name, value in fields.items()
        }
        self.cloud.source.change(source.image_id, **fields)
        self.cloud.tell(source.image_id)

    @stateful.precondition(lambda self: self.cloud.sources())
    @stateful.rule(
        pick=picks,
        member=st.sampled_from(["gamma", "delta"]),
        status=st.sampled_from(["pending", "accepted", None]),
    )
    def share(self, pick, member, status):
        source = chosen(self.cloud.sources(), pick)
        if source.metadata.visibility == "shared":
            self.cloud.source.share(source.image_id, member, status)
            self.cloud.tell(source.image_id)

    @stateful.precondition(lambda self: self.cloud.sources())
    @stateful.rule(pick=picks, what=st.sampled_from(["toggle", "toggle", "delete", "damage"]))
    def go_on_with(self, pick, what):
        """Upload what has no data, deactivate what is active, and the other way round."""
        source = chosen(self.cloud.sources(), pick)
        service, image_id = self.cloud.source, source.image_id
        if what == "damage":
            if source.size and source.multihash is not None:
                self.cloud.damage(service, image_id)
            return
        if what == "delete":
            service.delete(source)
        elif source.status is Status.QUEUED:
            service.put_data(image_id, self.cloud.bytes[image_id])
        else:
            service.set_active(image_id, active=source.status is not Status.ACTIVE)
            self.cloud.rested.add(image_id)
        self.cloud.tell(image_id)

    # Users of the cascaded regions.

    @stateful.precondition(lambda self: self.cloud.sources())
    @stateful.rule(pick=picks, region=regions, data=st.sampled_from([None, b"foreign"]))
    def squat(self, pick, region, data):
        """Take the id of a source for an image that is not ours, or delete that again."""
        service = self.cloud.regions.glances[region]
        image_id = chosen(self.cloud.sources(), pick).image_id
        if self.cloud.foreign.pop((region, image_id), None):
            service.delete_as_user(image_id)  # by which the id is spent
        elif image_id not in service._used:
            service.make(image_id=image_id, name="foreign", owner="alpha")
            if data:
                service.put_data(image_id, data)
            self.cloud.disown(service, image_id)

    @stateful.precondition(lambda self: self.cloud.sources())
    @stateful.rule(pick=picks, region=regions)
    def spend_an_id(self, pick, region):
        service = self.cloud.regions.glances[region]
        image_id = chosen(self.cloud.sources(), pick).image_id
        if image_id not in service._used:
            service.make(image_id=image_id)
            service.delete_as_user(image_id)

    @stateful.precondition(lambda self: self.cloud.ours())
    @stateful.rule(
        pick=picks,
        what=st.sampled_from(
            [
                {"name": "by hand", "tags": ["by hand"]},
                {"by_hand": "yes", "os_type": "by hand"},
                {"hw_disk_bus": None},
                {"protected": True},
                "delete",
                "spoil",
                "toggle",
                "take over",
                "edit",
            ]
        ),
    )
    def lay_hands_on_a_copy(self, pick, what):
        copied = chosen(self.cloud.ours(), pick)
        service = self.cloud.regions.glances[copied.region]
        match what:
            case "delete":
                service.delete(copied)
            case "spoil":
                self._spoil(service, copied)
            case "toggle":
                if copied.status in {Status.ACTIVE, Status.DEACTIVATED}:
                    is_active = copied.status is Status.ACTIVE
                    service.set_active(copied.image_id, active=not is_active)
                    self.cloud.held.add((copied.region, copied.image_id))
            case "take over":
                self._take_over(service, copied, dict.fromkeys(marks.NAMES))
            case "edit":
                self._take_over(service, copied, {marks.SOURCE_ID: _SOMEBODYS})
            case fields:
                self.cloud.by_hand |= {"by_hand", "os_type"} & set(fields)
                service.change(copied.image_id, **fields)

    def _take_over(self, service, copied, fields):
        """Make a copy somebody's, unless an agent may have looked at it and be about to act."""
        if not self._is_any_at_work():
            service.change(copied.image_id, **fields)
            self.cloud.disown(service, copied.image_id)

    def _is_any_at_work(self):
        return any(one.activities for one in self.cloud.agents)

    def _spoil(self, service, copied):
        """Fill what has no data with other bytes; damage what has."""
        if copied.status is Status.QUEUED:
            service.put_data(copied.image_id, b"other bytes of another size")
            self.cloud.filled.add((copied.region, copied.image_id))
        elif copied.size and copied.status is Status.ACTIVE:
            self.cloud.damage(service, copied.image_id)

    # Users of all regions who hand on what a copy bears, or another image of that kind.

    @stateful.precondition(lambda self: self._may_make_more())
    @stateful.rule(
        pick=picks,
        what=st.sampled_from(sorted(handing_on.HERE)),
        project=st.sampled_from(convergence.OWNERS),
    )
    def make_an_image_of_one(self, pick, what, project):
        handing_on.make_here(self.cloud, chosen(self._bearing_marks(), pick), what, project)

    @stateful.precondition(lambda self: self._may_make_more())
    @stateful.rule(pick=picks)
    def replicate(self, pick):
        handing_on.replicate(self.cloud, chosen(self._bearing_marks(), pick))

    @stateful.precondition(
        lambda self: len(self.cloud.bytes) < _MOST_IMAGES and self._bearing_marks()
    )
    @stateful.rule(pick=picks, project=st.sampled_from(convergence.OWNERS))
    def publish_an_image_of_one(self, pick, project):
        handing_on.publish(self.cloud, chosen(self._bearing_marks(), pick), project)

    @stateful.precondition(lambda self: self.cloud.foreign)
    @stateful.rule(pick=picks, do=st.sampled_from([handing_on.protect, handing_on.fill]))
    def go_on_with_theirs(self, pick, do):
        do(self.cloud, chosen(sorted(self.cloud.foreign), pick))

    def _bearing_marks(self):
        return [*self.cloud.ours(), *self.cloud.theirs()]

    def _may_make_more(self):
        return len(self.cloud.foreign) < _MOST_THEIRS and self._bearing_marks()

    # The operator.

    @stateful.rule(really=st.sampled_from([False, False, True]))
    def lose_the_database(self, really):
        if really and not self._is_any_at_work():
            self.cloud.lose_database()

    @stateful.rule(
        kind=st.sampled_from([*strategy.Strategy, strategy.Strategy.ALL, strategy.Strategy.USER]),
        owner=st.sampled_from(convergence.OWNERS),
        associated=st.frozensets(regions),
    )
    def change_the_strategy(self, kind, owner, associated):
        self.cloud.identity.associated[owner] = associated
        self.cloud.set_policy(strategy.PlacementPolicy(strategy=kind))

    @stateful.rule(region=regions)
    def take_a_region_out_or_in(self, region):
        self.cloud.catalogue.names ^= {region}

    @stateful.rule(region=regions, finishes=st.booleans())
    def pause_or_resume(self, region, finishes):
        if not self.cloud.pauses.resume(region):
            self.cloud.pause(region, finishes=finishes)

    @stateful.precondition(lambda self: self.cloud.bytes)
    @stateful.rule(pick=picks, region=st.none() | regions)
    def cancel(self, pick, region):
        image_id = chosen(sorted(self.cloud.bytes), pick)
        named = None if region is None else [region]
        self.cloud.store.cancel(image_id, named, by="alice", now=self.cloud.clock.now())

    # The bus.

    @stateful.precondition(lambda self: self.cloud.messages)
    @stateful.rule(pick=picks, is_lost=st.booleans())
    def lose_or_double_a_message(self, pick, is_lost):
        message = chosen(self.cloud.messages, pick)
        if is_lost:
            self.cloud.messages.remove(message)
        else:
            self.cloud.messages.append(message)

    @stateful.precondition(lambda self: self.cloud.messages)
    @stateful.rule(agent=agents, pick=picks, fate=st.none() | errors, place=calls)
    def bring_a_message(self, agent, pick, fate, place):
        by = self.cloud.agents[agent]
        self._go_on(by, self.cloud.bring(by, chosen(self.cloud.messages, pick)), place, fate)

    # The agents.

    @stateful.rule(agent=agents)
    def work(self, agent):
        self._work(agent, interruptions.GO_ON, Place(None, 0), is_cut=False)

    @stateful.rule(agent=agents, fate=errors, place=calls, is_cut=st.booleans())
    def work_until_something_fails(self, agent, fate, place, is_cut):
        self._work(agent, fate, place, is_cut=is_cut)

    @stateful.rule(agent=agents, fate=errors, place=calls, is_cut=st.booleans())
    def look_and_work(self, agent, fate, place, is_cut):
        by = self.cloud.agents[agent]
        if not any(one.kind == "look" for one in by.activities):
            look = by.begin("look", by.world.reconciliation.run)
            self._go(by, look, place, fate)
        self._work(agent, fate, place, is_cut=is_cut)

    def _work(self, agent, fate, place, *, is_cut):
        """Take messages and tasks, to the end if nothing happens."""
        by = self.cloud.agents[agent]
        for message in list(self.cloud.messages):
            if not by.is_dead:
                self._go(by, self.cloud.bring(by, message), place, fate)
        self.cloud.clock.advance(1.0)
        taken = True
        while taken and not by.is_dead:
            self._go(by, by.begin("dispatch", by.world.worker.dispatch), place, fate)
            taken = bool(by.activities)
            while by.activities and not (is_cut and place.was_reached()):
                self._go(by, by.activities[0], place, fate)
            taken = taken and not by.activities
        self._replace_dead()

    @stateful.rule(
        agent=agents,
        kind=st.sampled_from(["look", "snapshots", "dispatch", "verify"]),
        fate=st.none() | errors,
        place=calls,
    )
    def begin(self, agent, kind, fate, place):
        """Begin something, and leave off somewhere, or go on to the end."""
        by = self.cloud.agents[agent]
        if any(one.kind == kind for one in by.activities):
            return  # the daemon has one thread for each
        world = by.world
        function = {
            "look": world.reconciliation.run,
            "snapshots": world.snapshots.check,
            "dispatch": world.worker.dispatch,
            "verify": world.verification.run,
        }[kind]
        self._go_on(by, by.begin(kind, function), place, fate)

    @stateful.precondition(lambda self: any(one.activities for one in self.cloud.agents))
    @stateful.rule(pick=picks, fate=st.none() | errors, place=calls)
    def go_on(self, pick, fate, place):
        """Let one of the threads go on, and leave off again."""
        by, activity = chosen(
            [(by, one) for by in self.cloud.agents for one in by.activities], pick
        )
        self._go_on(by, activity, place, fate)

    @stateful.rule(agent=agents, how=st.sampled_from(["stop", "kill", "kill for ever"]))
    def end(self, agent, how):
        """End an agent, gracefully or not, and start one again."""
        by = self.cloud.agents[agent]
        if how == "stop":
            by.world.stop.set()
            by.finish()
        by.kill()
        self.cloud.replace_dead(same_machine=how != "kill for ever")

    @stateful.rule(seconds=seconds)
    def pass_time(self, seconds):
        self.cloud.clock.advance(seconds)

    def _go(self, by, activity, place, fate):
        """Run an activity to its end; the call at ``place`` has the fate."""
        while activity in by.activities:
            if place.was_reached():
                by.run(activity)
            else:
                by.step(activity, fate if place.is_at(activity) else interruptions.GO_ON)

    def _go_on(self, by, activity, place, fate):
        """Let an activity come to a place, and the call there have its fate; leave it there."""
        while activity in by.activities:
            if place.is_at(activity):
                if fate is not None:
                    by.step(activity, fate)
                break
            by.step(activity)
        self._replace_dead()

    def _replace_dead(self):
        self.cloud.replace_dead(same_machine=True)


HITS: Counter[tuple[str, str]] = Counter()


@pytest.mark.timeout(120 + EXAMPLES)
def test_nothing_is_lost_and_nothing_is_wrong_whatever_fails(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4)
    monkeypatch.setattr(execution, "_LONG_TRANSFER_BYTES", 12)
    stateful.run_state_machine_as_test(
        Convergence,
        settings=hypothesis.settings(max_examples=EXAMPLES, stateful_step_count=STEPS),
    )
