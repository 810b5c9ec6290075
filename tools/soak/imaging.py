# SPDX-License-Identifier: Apache-2.0
"""Images that users make from copies with Nova, Cinder, glance-replicator and scripts."""

from collections.abc import Callable, Mapping
from typing import Final
import uuid

from glanceclient import exc as glance_exc

from tests.fakes import nova
from tests.functional import servers
from tools.soak import plans
from tools.soak import stage as stages
from tools.soak import weights

#: There was no copy, or no image to fill.
NOTHING: Final = object()

_Make = Callable[[str, str], object]


class Imaging:
    """One user, who makes images with the mark of a copy that are no copies."""

    def __init__(self, stage: stages.Stage, user: str) -> None:
        self._stage = stage
        self._user = user
        self._other = next(one for one in weights.USERS if one != user)
        self._people = stage.visitor()
        self._servers = servers.Servers(self._people, stage.theirs)
        self._queued: list[tuple[str, str]] = []  # region and id

    @property
    def making(self) -> Mapping[str, Callable[[plans.Operation], object]]:
        """The function for each kind of operation."""
        return {
            "snapshot": self._with(lambda *copy: self._servers.snapshot(*copy, user=self._other)),
            "shelve": self._with(lambda *copy: self._servers.snapshot(*copy, user=self._user)),
            "backup": self._with(
                lambda *copy: self._servers.snapshot(
                    *copy, user=self._user, image_type=nova.BACKUP, is_protected=True
                )
            ),
            "queue": self._with(self._queue),
            "fill": self._fill,
            "volumes": self._with(
                lambda *copy: self._servers.snapshot_volumes(*copy, user=self._user)
            ),
            "volume": self._with(lambda *copy: self._servers.volume(*copy, user=self._user)),
            "script": self._with(lambda *copy: self._servers.script(*copy, user=self._user)),
            "forge": self._with(self._forge),
            "replicate": self._replicate,
        }

    def _with(self, make: _Make) -> Callable[[plans.Operation], object]:
        """Return a function that makes an image from the copy of an operation."""

        def make_of(one: plans.Operation) -> object:
            copy_id = self._copy(one)
            return NOTHING if copy_id is None else make(one.value, copy_id)

        return make_of

    def _copy(self, one: plans.Operation) -> str | None:
        copies = self._people.copies(one.value, one.image.image_id)
        there = [copy["id"] for copy in copies if copy["status"] in stages.DONE]
        return str(there[0]) if there else None

    def _queue(self, region: str, copy_id: str) -> None:
        made = self._servers.snapshot(region, copy_id, user=self._user, has_data=False)
        self._queued.append((region, made))

    def _fill(self, _one: plans.Operation) -> object:
        if not self._queued:
            return NOTHING
        region, image_id = self._queued.pop()
        self._servers.fill(region, image_id, user=self._user)
        return image_id

    def _forge(self, region: str, copy_id: str) -> None:
        """Make an image that only its owner distinguishes from a copy with a lost row."""
        new = str(uuid.uuid4())
        self._stage.forged.add((region, new))
        self._servers.forge(region, copy_id, user=self._other, new=new)

    def _replicate(self, one: plans.Operation) -> object:
        copy_id = self._copy(one)
        if copy_id is None:
            return NOTHING
        into = next(region for region in weights.REGIONS if region != one.value)
        # The image may arrive before the copy.
        key = into, one.image.image_id
        is_new = copy_id == one.image.image_id and key not in self._stage.occupied
        if is_new:
            self._stage.occupied.add(key)
        try:
            return self._servers.replicate(one.value, copy_id, into)
        except glance_exc.HTTPConflict:
            if is_new:
                self._stage.occupied.discard(key)
            raise
