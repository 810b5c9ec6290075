# SPDX-License-Identifier: Apache-2.0
"""Two agents in opposite directions, while people do this and that at both ends.

``GLANCE_SYNC_TEST_SECONDS`` says for how long; with ``-s`` the test tells what it has seen.
"""

from collections import Counter
from collections.abc import Mapping
import dataclasses
import json
import os
import random
import threading
import time
from typing import Any

import pytest

from tests import marks
from tests.functional import conftest
from tests.functional import history
from tests.functional import people as users
from tests.functional import running
from tools import cloud as clouds

SECONDS = float(os.environ.get("GLANCE_SYNC_TEST_SECONDS", "10"))
SEED = int(os.environ.get("GLANCE_SYNC_TEST_SEED", str(random.randrange(10**6))))
ONE, TWO = "RegionOne", "RegionTwo"
_MOST_IMAGES = 12
_LARGEST_BYTES = 3 * users.MIB  # some are large enough for the SSH way, most are not
_COMPARED = ("name", "visibility", "owner", "os_hidden", "min_ram", "size", "os_hash_value")


class Side:
    """Somebody who publishes in one region, and changes what he published."""

    def __init__(self, people: users.People, region: str, user: str, guest: str) -> None:
        self.region = region
        self.done: Counter[str] = Counter()
        self.queued: list[str] = []
        self.active: list[str] = []
        self.deleted: list[str] = []
        self._people = people
        self._user = user
        self._guest = people.project(guest)
        self._chance = random.Random(f"{SEED} {region}")
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    @property
    def ever(self) -> set[str]:
        """All that was published here."""
        return {*self.queued, *self.active, *self.deleted}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                step = self._chosen()
                step()
                self.done[step.__name__.lstrip("_")] += 1
        except Exception as exc:  # noqa: BLE001 - for stop()
            self._failure = exc

    def _chosen(self) -> Any:
        count = len(self.queued) + len(self.active)
        steps = [] if count >= _MOST_IMAGES else [self._create] * 3
        steps += [self._upload] * 3 if self.queued else []
        if self.active:
            steps += [self._update] * 4 + [self._share, self._unshare, self._delete]
        return self._chance.choice(steps or [self._create])

    @property
    def _images(self) -> Any:
        return self._people.client(self.region, self._user).images

    @property
    def _members(self) -> Any:
        return self._people.client(self.region, self._user).image_members

    def _create(self) -> None:
        made = self._people.create("image", region=self.region, user=self._user)
        self.queued.append(made.id)

    def _upload(self) -> None:
        image_id = self.queued.pop(self._chance.randrange(len(self.queued)))
        size = int(_LARGEST_BYTES * self._chance.random() ** 4) + 1
        self.active.append(image_id)  # before, because the agent may be quicker than we are
        self._people.upload(image_id, size, region=self.region, user=self._user)

    def _update(self) -> None:
        image_id = self._chance.choice(self.active)
        number = str(self._chance.randrange(1000))
        match self._chance.randrange(5):
            case 0:
                self._images.update(image_id, **{f"p_{self._chance.randrange(3)}": number})
            case 1:
                there = [name for name in self._images.get(image_id) if name.startswith("p_")]
                self._images.update(image_id, remove_props=there)
            case 2:
                name = self._images.get(image_id)["name"].partition("+")[0]
                self._images.update(image_id, name=f"{name}+{number}")
            case 3:
                self._people.client(self.region, self._user).image_tags.update(image_id, number)
            case _:
                self._images.update(image_id, os_hidden=self._chance.random() < 0.5)

    def _share(self) -> None:
        image_id = self._chance.choice(self.active)
        if not list(self._members.list(image_id)):
            self._members.create(image_id, self._guest)

    def _unshare(self) -> None:
        image_id = self._chance.choice(self.active)
        if list(self._members.list(image_id)):
            self._members.delete(image_id, self._guest)

    def _delete(self) -> None:
        image_id = self.active.pop(self._chance.randrange(len(self.active)))
        self.deleted.append(image_id)
        self._images.delete(image_id)


@dataclasses.dataclass
class Seen:
    """What the looks at all regions came to."""

    looks: int = 0
    most_copies: int = 0
    copies_of_copies: list[str] = dataclasses.field(default_factory=list)

    def look(self, people: users.People) -> None:
        """List every region, and find copies whose source is a copy."""
        found = {
            (region, image["id"]): source
            for region in (people.cascading, *people.cascaded)
            for image in people.listed(region)
            if (source := marks.source_of(image, region))
        }
        self.looks += 1
        self.most_copies = max(self.most_copies, len(found))
        self.copies_of_copies += [
            f"{copy} of {source}" for copy, source in found.items() if source in found
        ]


def shown(people: users.People, region: str, image: Mapping[str, Any]) -> dict[str, Any]:
    """Return what source and copy must have in common."""
    own = {name: value for name, value in image.items() if name.startswith("p_")}
    common = {name: image[name] for name in _COMPARED}
    return {
        **own,
        **common,
        "tags": sorted(image["tags"]),
        "members": people.members(region, image["id"]),
    }


def out_of_step(people: users.People, side: Side) -> list[str]:
    """Return what is not as it has to be in the end, each as a sentence."""
    found = []
    others = [name for name in (people.cascading, *people.cascaded) if name != side.region]
    for region in others:
        here = {image["id"]: image for image in people.listed(region)}
        found += [
            f"{image_id} is in {region} still" for image_id in side.deleted if image_id in here
        ]
        found += [f"{image_id} has no data" for image_id in side.queued if image_id in here]
        for image_id in side.active:
            source = people.record(side.region, image_id)
            copy = here.get(image_id)
            assert source is not None
            if copy is None or copy["status"] != "active":
                found.append(f"{image_id} is not in {region}")
            elif shown(people, region, copy) != shown(people, side.region, source):
                found.append(f"{image_id} is another one in {region}")
    return found


def is_at_rest(agent: running.Agent) -> bool:
    return all(task.status == "success" for task in agent.tasks())


@pytest.mark.timeout(SECONDS + 300)
def test_they_never_copy_a_copy_and_end_in_step(
    make_agent: conftest.MakeAgent, people: users.People, cloud: clouds.Cloud
) -> None:
    there = make_agent("there", cascading=ONE)
    # The cascading region has no SSH host.
    back = make_agent("back", cascading=TWO, ssh=False)
    before = len(history.copies(cloud))
    sides = {ONE: Side(people, ONE, "alice", "bob"), TWO: Side(people, TWO, "bob", "alice")}
    for agent in (there, back):
        agent.begin()
    for side in sides.values():
        side.start()
    seen = Seen()
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        seen.look(people)
        time.sleep(0.2)
    for side in sides.values():
        side.stop()
    left: list[str] = []

    def is_over() -> bool:
        if all(map(is_at_rest, (there, back))):
            left[:] = [what for side in sides.values() for what in out_of_step(people, side)]
            return not left
        return False

    users.eventually(is_over, f"an end of seed {SEED}; what was left last: {left}", 180)
    seen.look(people)
    ever = history.copies_of_copies(cloud)
    print(  # noqa: T201 - what a long run is for
        json.dumps(
            {
                "seconds": SECONDS,
                "seed": SEED,
                "operations": {name: dict(side.done) for name, side in sides.items()},
                "copies_made": len(history.copies(cloud)) - before,
                "looks": seen.looks,
                "most_copies_at_once": seen.most_copies,
                "copies_of_copies_seen": len(seen.copies_of_copies),
                "copies_of_copies_ever": len(ever),
            }
        )
    )
    assert seen.copies_of_copies == []
    assert ever == []
    # A copy is not even asked about: there is no task for it.
    assert not sides[ONE].ever & {task.key.image_id for task in back.tasks()}
    assert not sides[TWO].ever & {task.key.image_id for task in there.tasks()}
