# SPDX-License-Identifier: Apache-2.0
"""Users of a real cloud who make images of what is there, and a look whether these are untouched.

They ask Glance for what Nova, Cinder, glance-replicator and scripts ask for, see
tests/fakes/nova.py. What they made is nobody's business but theirs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import io
from typing import Any
import uuid

from tests import marks
from tests.fakes import nova
from tests.functional import people as users
from tools import raw_data

Record = Mapping[str, Any]
#: What agents may write on a source: where its copies are.
_WRITTEN = frozenset({"locations", "updated_at"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Theirs:
    """An image of a user as it was left."""

    record: Record
    members: Mapping[str, str]
    sha512: str | None  # None: it has no data


class Servers:
    """Users with servers and volumes, and the images that they make."""

    def __init__(
        self, people: users.People, theirs: dict[tuple[str, str], Theirs] | None = None
    ) -> None:
        """Keep the clients.

        :param theirs: what they made, by region and id; of others as well, if given.
        """
        self._people = people
        self.theirs = {} if theirs is None else theirs

    @property
    def ways(self) -> Sequence[Callable[[str, str], str]]:
        """All that can be done to a copy; each takes region and id, and returns a new id."""
        return (
            self.snapshot,
            lambda region, image_id: self.snapshot(region, image_id, user="alice"),
            lambda region, image_id: self.snapshot(region, image_id, image_type=nova.BACKUP),
            lambda region, image_id: self.snapshot(region, image_id, has_data=False),
            lambda region, image_id: self.snapshot(region, image_id, is_protected=True),
            self.snapshot_volumes,
            self.volume,
            self.script,
            lambda region, image_id: self.script(region, image_id, user="alice"),
            self.forge,
            lambda region, image_id: self.forge(region, image_id, has_data=False),
        )

    def snapshot(
        self,
        region: str,
        image_id: str,
        *,
        user: str = "bob",
        image_type: str = nova.SNAPSHOT,
        data: bytes | None = None,
        has_data: bool = True,
        is_protected: bool = False,
    ) -> str:
        """Take a snapshot or a backup of a server that was booted from an image, or shelve it.

        :param data: of the server; None: by chance.
        :param has_data: whether it has been uploaded; see :meth:`fill`.
        """
        project = self._people.project(user)
        record = self._read(region, image_id)
        body = nova.snapshot(record, project=project, image_type=image_type)
        made = self._create(region, user, body)
        if is_protected:
            self._people.client(region, user).images.update(made, protected=True)
        if has_data:
            self.fill(region, made, user=user, data=data)
        return self.note(region, made)

    def fill(
        self, region: str, image_id: str, *, user: str = "bob", data: bytes | None = None
    ) -> None:
        """Upload the data of a snapshot whose record is there."""
        project = self._people.project(user)
        self.theirs.pop((region, image_id), None)  # until it is as it will be
        changes = nova.upload(self._read(region, image_id), project=project)
        self._people.client(region, user).images.update(image_id, **changes)
        self._upload(region, user, image_id, data)
        self.note(region, image_id)

    def snapshot_volumes(self, region: str, image_id: str, *, user: str = "bob") -> str:
        """Take a snapshot of a server whose disks are volumes."""
        project = self._people.project(user)
        body = nova.volume_backed(self._read(region, image_id), project=project)
        made = self._create(region, user, body)
        self._upload(region, user, made, b"")
        return self.note(region, made)

    def volume(self, region: str, image_id: str, *, user: str = "bob") -> str:
        """Make an image of a volume that was made of an image."""
        project = self._people.project(user)
        body = nova.volume(self._read(region, image_id), project=project)
        made = self._create(region, user, body)
        self._upload(region, user, made)
        return self.note(region, made)

    def script(
        self,
        region: str,
        image_id: str,
        *,
        user: str = "bob",
        into: str | None = None,
        has_data: bool = True,
        **own: Any,
    ) -> str:
        """Make an image with all properties of another one, its mark included.

        :param into: another region.
        :param own: what is not as on that image.
        """
        own.setdefault("owner", self._people.project(user))
        body = nova.scripted(self._read(region, image_id), **own)
        made = self._create(into or region, user, body)
        if has_data:
            self._upload(into or region, user, made)
        return self.note(into or region, made)

    def forge(
        self,
        region: str,
        image_id: str,
        *,
        user: str = "bob",
        has_data: bool = True,
        new: str | None = None,
    ) -> str:
        """Do as :meth:`script` does, and have the mark name the image that is made.

        :param new: its id.
        """
        new = new or str(uuid.uuid4())
        names_itself = {marks.COPY_ID: new, marks.COPY_REGION: region}
        return self.script(
            region, image_id, user=user, has_data=has_data, id=new, **names_itself
        )

    def replicate(self, region: str, image_id: str, into: str) -> str:
        """Bring an image to another region, as it is and with its id, with glance-replicator."""
        body = nova.replicated(self._read(region, image_id))
        self._people.client(into, "admin").images.create(**body)
        data = b"".join(self._people.client(region, "admin").images.data(image_id))
        self._upload(into, "admin", image_id, data)
        return self.note(into, image_id)

    def note(self, region: str, image_id: str) -> str:
        """Take note of an image as its user has left it; return its id."""
        found = self._look(region, image_id)
        assert found is not None
        self.theirs[region, image_id] = found
        return image_id

    def touched(self) -> Iterator[tuple[tuple[str, str], str]]:
        """Yield what is not any more as users have left it: region and id, and a sentence."""
        for (region, image_id), was in self.theirs.items():
            now = self._look(region, image_id)
            if now is None or self._told(region, now) != self._told(region, was):
                sentence = f"{image_id} of {region} is a user's, and was {was}; now {now}"
                yield (region, image_id), sentence

    def _told(self, region: str, found: Theirs) -> Theirs:
        if region != self._people.cascading:
            return found
        record = {name: found.record[name] for name in found.record.keys() - _WRITTEN}
        return dataclasses.replace(found, record=record)

    def _look(self, region: str, image_id: str) -> Theirs | None:
        record = self._people.record(region, image_id)
        if record is None:
            return None
        is_shared = record["visibility"] == "shared"
        return Theirs(
            record=record,
            members=self._people.members(region, image_id) if is_shared else {},
            sha512=self._people.sha512(region, image_id) if record["size"] else None,
        )

    def _read(self, region: str, image_id: str) -> Record:
        record = self._people.record(region, image_id)
        assert record is not None, f"no image {image_id} in {region}"
        return record

    def _create(self, region: str, user: str, body: nova.Body) -> str:
        if user != "admin":
            assert body.pop("owner") == self._people.project(user)
        body["name"] = self._people.name(body["name"])
        return str(self._people.client(region, user).images.create(**body).id)

    def _upload(
        self, region: str, user: str, image_id: str, data: bytes | None = None
    ) -> None:
        data = raw_data.random_data(1000) if data is None else data
        client = self._people.client(region, user)
        client.images.upload(image_id, io.BytesIO(data), image_size=len(data))
