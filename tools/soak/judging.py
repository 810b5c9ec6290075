# SPDX-License-Identifier: Apache-2.0
"""Checks for violations during the run, and for convergence at the end."""

from collections.abc import Iterator, Mapping
import contextlib
import subprocess
import time
from typing import Any
import uuid

import sqlalchemy as sa

from glance_sync_agent import errors as sync_errors
from tests import marks
from tests.functional import convergence
from tests.functional import people as users
from tests.functional import servers
from tools.soak import obedience
from tools.soak import operations
from tools.soak import plans
from tools.soak import settling
from tools.soak import stage as stages
from tools.soak import weights

_PAUSE_SECONDS = 2.0
_GONE_SECONDS = 2.0  # in which a record follows its file
_FOREIGN: Mapping[str, Mapping[str, Any]] = {
    "theirs": {"size": 100_000},
    "theirs-empty": {"size": 0},
    "theirs-public": {"size": 5_000, "visibility": "public"},
    "theirs-protected": {"size": weights.MIB, "protected": True},
    "theirs-chosen": {"size": 1, "sync_regions": "RegionTwo"},
}
#: A copy without its data, or with other bytes than its source's.
_DAMAGED = ("has other bytes", "has no data")
_AWAY = (
    *operations.REFUSED, sync_errors.SyncError, sa.exc.DBAPIError, subprocess.TimeoutExpired,
)


class Judge:
    """Checks everything with clients of its own, and trusts no agent."""

    def __init__(self, stage: stages.Stage) -> None:
        self._stage = stage
        self._people = stage.visitor()
        self._digests = convergence.Digests()
        self._then = convergence.Before(records={}, files=frozenset())
        self._foreign: dict[tuple[str, str], str] = {}  # their hashes
        self._obedience = obedience.Obedience(stage)
        self._touched: set[convergence.Key] = set()  # images of users

    def prepare(self) -> None:
        """Publish images of others everywhere, and one source that is never deleted.

        One of the others has that source's id.
        """
        keeper = plans.Image(
            image_id=str(uuid.uuid4()), name="keeper", size=weights.MIB, visibility="shared",
            fields={},
        )
        self._stage.occupied.add((weights.REGIONS[0], keeper.image_id))
        for region in weights.REGIONS:
            for name, fields in _FOREIGN.items():
                self._publish(region, name, fields)
        self._publish(weights.REGIONS[0], "theirs-by-id", {"id": keeper.image_id, "size": 99})
        self._then = convergence.before(self._people)
        operations.User(self._stage, "alice").create(keeper)

    def _publish(self, region: str, name: str, fields: Mapping[str, Any]) -> None:
        made = self._people.publish(name, region=region, user="admin", **fields)
        self._foreign[region, made.image_id] = made.sha512

    def watch(self, _seed: int) -> None:
        """Check all regions until the time is over."""
        while not self._stage.over.is_set():
            for region in weights.REGIONS:
                # A service that is away cannot be checked.
                with contextlib.suppress(*_AWAY):
                    self.check(region)
            self._stage.wait(_PAUSE_SECONDS)

    def check(self, region: str) -> None:
        """Check one region."""
        theirs = dict(self._stage.theirs)  # a change of its user replaces the entry
        began = time.time()
        found = {record["id"]: dict(record) for record in self._people.listed(region)}
        for record in found.values():
            is_copy = marks.source_of(record, region) is not None
            if is_copy and (region, record["id"]) not in self._stage.forged:
                self._check_copy(region, record)
        for key, left in theirs.items():
            if key[0] == region and self._stage.theirs.get(key) is left:
                self._check_users_image(key, left, found.get(key[1]))
        for image_id, was in self._then.records[region].items():
            if (now := found.get(image_id)) != was:
                self._say(f"{image_id} of {region} is not ours, and was {was}; now {now}")
            if self._digest(region, image_id) != self._foreign.get((region, image_id)):
                self._say(f"{image_id} of {region} is not ours and has other bytes")
        self._obedience.check(region, found, began)

    def _check_users_image(
        self, key: convergence.Key, left: servers.Theirs, now: Mapping[str, Any] | None
    ) -> None:
        region, image_id = key
        if now != left.record:
            self._touched.add(key)
            self._say(f"{image_id} of {region} is a user's, and was {left.record}; now {now}")
        elif self._digest(region, image_id) != left.sha512 and left.record["size"]:
            self._touched.add(key)
            self._say(f"{image_id} of {region} is a user's and has other bytes")

    def _check_copy(self, region: str, record: Mapping[str, Any]) -> None:
        copy_id, source_id = record["id"], record[marks.SOURCE_ID]
        image = self._stage.images.get(source_id)
        if image is None:
            self._say(f"{copy_id} in {region} is a copy of {source_id}, which no user made")
            return
        if region not in plans.regions_of(image):
            self._say(f"{copy_id} in {region} is a copy of {source_id}: {image.fields}")
        if record["status"] in stages.DONE:
            self._check_bytes(region, copy_id, self._stage.published[source_id])

    def _check_bytes(self, region: str, copy_id: str, image: users.Published) -> None:
        digest = self._digest(region, copy_id)
        if digest is None:
            self._check_data(region, copy_id, image.image_id)
        elif digest != image.sha512 and (region, copy_id) not in self._stage.damaged:
            self._say(f"{copy_id} in {region} is active and has other bytes than {image.image_id}")

    def _check_data(self, region: str, copy_id: str, source_id: str) -> None:
        if (region, copy_id) in self._stage.damaged or self._is_gone(region, copy_id):
            return
        # A Glance that was killed during a deletion may keep the record without its data. The
        # agent repeats the deletion.
        if self._people.record(self._people.cascading, source_id) is not None:
            self._say(f"{copy_id} in {region} is an active copy and has no data")

    def _is_gone(self, region: str, copy_id: str) -> bool:
        deadline = time.monotonic() + _GONE_SECONDS
        while (record := self._people.record(region, copy_id)) and record["status"] in stages.DONE:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def _digest(self, region: str, image_id: str) -> str | None:
        return self._digests.of(self._stage.file(region, image_id))

    def _say(self, text: str) -> None:
        self._stage.events.violation(text)

    # The end.

    def settle(self) -> None:
        """Do what users and operators would do after the last fault."""
        settling.settle(self._stage, self._people, self._then)

    def converge(self, began: float, seconds: float) -> float | None:
        """Wait until everything has converged; return the seconds since ``began``.

        After ``seconds`` each remaining difference is a violation; then return None.
        """
        while True:
            verdict = self._verdict()
            passed = time.monotonic() - began
            if verdict == "":
                return passed
            self._stage.events.note("judge", f"{passed:.1f} s, {len(verdict.splitlines())} left")
            if passed > seconds:
                for sentence in verdict.splitlines():
                    self._say(f"in the end: {sentence}")
                return None
            if any(text in verdict for text in _DAMAGED):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._stage.events.note("judge", f"verify: {self._stage.verify()}")
            # If the database or a Glance is busy, the next round tries again.
            with contextlib.suppress(*_AWAY):
                settling.settle_conflicts(self._stage, self._people)
            if not self._stage.restart_agents():
                self._say("an agent ended by itself after the last fault")
            time.sleep(1)

    def _verdict(self) -> str:
        """Return all differences, a line each; empty: everything has converged."""
        records = {region: dict(found) for region, found in self._then.records.items()}
        for (region, image_id), left in self._stage.theirs.items():
            records[region][image_id] = left.record
        then = convergence.Before(
            records=records, files=self._then.files | self._stage.left
        )
        try:
            return str(
                convergence.converged(
                    self._people,
                    self._stage.published,
                    self._stage.agents[0].tasks(),
                    then=then,
                    digests=self._digests,
                    refused=frozenset(self._unwanted()) | self._stage.occupied,
                    shared=frozenset(self._shared()),
                )
            )
        except _AWAY as exc:  # a copy changed at the same time
            return f"unfinished: {type(exc).__name__}: {exc}"

    def _unwanted(self) -> Iterator[convergence.Key]:
        for image in self._stage.images.values():
            for region in set(weights.REGIONS) - plans.regions_of(image):
                yield region, image.image_id

    def _shared(self) -> Iterator[str]:
        for record in self._people.listed(self._people.cascading):
            if record["visibility"] == "shared":
                yield record["id"]

    def check_theirs(self) -> tuple[int, int]:
        """Check the images of users; return how many there are, and how many were touched."""
        owners = servers.Servers(self._people, self._stage.theirs)
        for key, sentence in owners.touched():
            self._touched.add(key)
            self._say(sentence)
        return len(self._stage.theirs), len(self._touched)

    def check_foreign(self) -> int:
        """Read the images of others through their Glances; return how many there are."""
        for (region, image_id), sha512 in self._foreign.items():
            if self._people.sha512(region, image_id) != sha512:
                self._say(f"{image_id} of {region} is not ours: its Glance returns other bytes")
        return len(self._foreign)
