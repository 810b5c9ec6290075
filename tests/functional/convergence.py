# SPDX-License-Identifier: Apache-2.0
"""Whether a cloud is exactly what its sources and the strategy ALL say.

Reads every Glance, every directory of data and the agents' database, and believes nobody.
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import dataclasses
import hashlib
import pathlib
import sqlite3
from typing import Any

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from tests import marks
from tests.functional import people as users
from tools import cloud as clouds

Record = Mapping[str, Any]
Records = Mapping[str, Mapping[str, Record]]  # by region and id
Key = tuple[str, str]  # region, and an id: that of the source, if it is about a copy

_DONE = frozenset({"active", "deactivated"})
#: What a copy shares with its source; tags are compared as a set.
_SHARED = frozenset(images.ATTRIBUTES)
_OURS = ("glance_sync_", "os_glance_")
#: What every record of Glance has; the rest are properties of the image.
_BASE = frozenset(
    "id status size virtual_size checksum os_hash_algo os_hash_value created_at updated_at tags"
    " self file schema locations direct_url stores".split()
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Before:
    """What was there before: nobody's business, so it has to stay as it is."""

    records: Records
    files: frozenset[pathlib.Path]
    #: Of the data of users' images, by region and id, where it is compared.
    sha512: Mapping[Key, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is not as it should be, in sentences."""

    lost: Sequence[str]  # copies that are not there
    wrong: Sequence[str]  # other bytes, or other metadata
    touched: Sequence[str]  # images of users
    orphaned: Sequence[str]  # files, records and tasks that nobody needs
    unfinished: Sequence[str]  # tasks

    def __bool__(self) -> bool:
        """Tell whether all is well."""
        kinds = (self.lost, self.wrong, self.touched, self.orphaned, self.unfinished)
        return not any(kinds)

    def __str__(self) -> str:
        """Return all sentences."""
        return "\n".join(
            f"{field.name}: {sentence}"
            for field in dataclasses.fields(self)
            for sentence in getattr(self, field.name)
        )


class Digests:
    """Digests of files of data, which do not change while they are what they were."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int, int], str] = {}

    def of(self, path: pathlib.Path) -> str | None:
        """Return the digest of a file; None: there is none."""
        try:
            with path.open("rb") as file:
                stat = path.stat()
                key = (str(path), stat.st_ino, stat.st_mtime_ns, stat.st_size)
                if key not in self._known:
                    self._known[key] = hashlib.file_digest(file, "sha512").hexdigest()
        except FileNotFoundError:
            return None
        return self._known[key]


def before(people: users.People, then: Before | None = None) -> Before:
    """Note what is there and is not ours.

    :param then: what was noted already; its records stay, and only files are added. Without it,
        what names a source that is not there was left by users of before.
    """
    described = people.cloud.describe()
    sources = {} if then else _records(people, [people.cascading])[people.cascading]
    return Before(
        records=then.records if then else {
            region: {
                image_id: record
                for image_id, record in found.items()
                if marks.source_id(record, region) not in sources
            }
            for region, found in _records(people, people.cascaded).items()
        },
        sha512=then.sha512 if then else {},
        files=frozenset(path for region in described.cascaded for path in _files(region)),
    )


def converged(
    people: users.People,
    published: Mapping[str, users.Published],
    known: Sequence[tasks.Task],
    *,
    then: Before,
    digests: Digests,
    refused: frozenset[Key] = frozenset(),
    shared: frozenset[str] = frozenset(),
) -> Verdict:
    """Compare what is with what should be.

    :param published: by id; those of them that are in the cascading region are wanted.
    :param known: all tasks of the agents.
    :param then: what was there before, or was made since by somebody else.
    :param refused: copies that cannot be, and whose tasks have failed therefore.
    :param shared: ids of those images whose members are compared, at a request for each copy.
    """
    look = _Look(people, published, known, then, digests, refused, shared)
    return Verdict(
        lost=list(look.lost()),
        wrong=list(look.wrong()),
        touched=list(look.touched()),
        orphaned=[*look.stray_files(), *look.stray_records(), *look.stray_tasks()],
        unfinished=list(look.unfinished()),
    )


def left(region: clouds.Region) -> frozenset[pathlib.Path]:
    """Return what a region's Glance, which was killed and does not run, has left.

    These are files of an upload or a deletion that it was at. It knows nothing of them any more,
    so that nobody can remove them through it.
    """
    database = pathlib.Path(region.datadir).parent / "glance.sqlite"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        known = dict(connection.execute("SELECT id, status FROM images"))
    return frozenset(path for path in _files(region) if known.get(path.name) not in _DONE)


class _Look:
    """One look at everything."""

    def __init__(
        self,
        people: users.People,
        published: Mapping[str, users.Published],
        known: Sequence[tasks.Task],
        then: Before,
        digests: Digests,
        refused: frozenset[Key],
        shared: frozenset[str],
    ) -> None:
        self._cloud = people.cloud.describe()
        self._published = published
        self._tasks = {(str(one.key.region), str(one.key.image_id)): one for one in known}
        self._then = then
        self._digests = digests
        self._refused = refused
        records = _records(people, [people.cascading, *people.cascaded])
        self._sources = records.pop(people.cascading)
        self._records = records
        self._wanted = {
            (region, image_id)
            for region in people.cascaded
            for image_id in published
            if image_id in self._sources
        } - refused
        self._copies: dict[Key, list[Record]] = {}
        for region, found in records.items():
            theirs = then.records.get(region, {})
            for record in found.values():
                source_id = marks.source_id(record, region)
                if source_id is not None and record["id"] not in theirs:
                    self._copies.setdefault((region, source_id), []).append(record)
        self._source_members = {
            image_id: people.members(people.cascading, image_id)
            for image_id in shared
            if image_id in self._sources
        }
        self._members = {
            key: people.members(key[0], copies[0]["id"])
            for key, copies in self._copies.items()
            if key[1] in self._source_members
        }

    def lost(self) -> Iterator[str]:
        for key in sorted(self._wanted):
            region, image_id = key
            status = self._sources[image_id]["status"]
            copies = self._copies.get(key, [])
            if status == "deactivated" and not any(copy["size"] for copy in copies):
                continue  # nobody may read its data
            if [copy["status"] for copy in copies] != [status]:
                found = [(copy["id"], copy["status"]) for copy in copies]
                yield f"{image_id} in {region} is {found}, not one copy that is {status}"
                continue
            if not self._file(region, copies[0]["id"]).exists():
                yield f"{image_id} in {region} is {copies[0]['id']}, which has no data"
            task = self._tasks.get(key)
            if task is None or task.copy_id != copies[0]["id"]:
                yield f"{image_id} in {region} is {copies[0]['id']}, which {task} does not know"

    def wrong(self) -> Iterator[str]:
        for key, copies in sorted(self._copies.items()):
            image = self._published.get(key[1])
            for copy in copies:
                if image is not None and copy["status"] in _DONE:
                    yield from self._wrong_data(key[0], image, copy)
            if key in self._wanted:
                yield from self._wrong_metadata(key, copies[0])

    def _wrong_data(self, region: str, image: users.Published, copy: Record) -> Iterator[str]:
        told = (copy["size"], copy["os_hash_value"])
        if told != (image.size, image.sha512):
            yield f"{image.image_id} in {region}: {copy['id']} says {told}"
        digest = self._digests.of(self._file(region, copy["id"]))
        if digest not in (None, image.sha512):
            yield f"{image.image_id} in {region}: {copy['id']} has other bytes"

    def _wrong_metadata(self, key: Key, copy: Record) -> Iterator[str]:
        source = self._sources[key[1]]
        names = _SHARED | {name for name in source if name not in _BASE | _SHARED}
        differ = {
            name: (source.get(name), copy.get(name))
            for name in names
            if not name.startswith(_OURS) and source.get(name) != copy.get(name)
        }
        if set(source["tags"]) != set(copy["tags"]):
            differ["tags"] = (source["tags"], copy["tags"])
        if (members := self._source_members.get(key[1])) != self._members.get(key):
            differ["members"] = (members, self._members.get(key))
        if differ:
            yield f"{key[1]} in {key[0]}: {differ}"

    def touched(self) -> Iterator[str]:
        for region, found in self._then.records.items():
            for image_id, record in found.items():
                now = self._records[region].get(image_id)
                if now != record:
                    yield f"{image_id} of {region} is not ours, and was {record}; now {now}"
        for (region, image_id), sha512 in self._then.sha512.items():
            if self._digests.of(self._file(region, image_id)) != sha512:
                yield f"{image_id} of {region} is not ours and has other bytes"

    def stray_files(self) -> Iterator[str]:
        for region in self._cloud.cascaded:
            for path in _files(region):
                record = self._records[region.name].get(path.name)
                if path not in self._then.files and (
                    record is None or record["status"] not in _DONE
                ):
                    yield f"{path} belongs to {record}"

    def stray_records(self) -> Iterator[str]:
        for (region, image_id), copies in self._copies.items():
            for copy in copies:
                if image_id not in self._sources:
                    yield f"{copy['id']} in {region} is a copy of {image_id}, which is gone"
                waits = self._sources.get(image_id, {}).get("status") == "deactivated"
                if copy["status"] not in _DONE and not (waits and copy["status"] == "queued"):
                    yield f"{copy['id']} in {region} is {copy['status']}"

    def stray_tasks(self) -> Iterator[str]:
        for (region, image_id), task in self._tasks.items():
            if image_id in self._published and image_id not in self._sources:
                yield f"{image_id} in {region} is gone and has a task: {task}"

    def unfinished(self) -> Iterator[str]:
        for key, task in self._tasks.items():
            allowed = {tasks.TaskStatus.SUCCESS}
            if key in self._refused:
                allowed.add(tasks.TaskStatus.FAILURE)
            if task.status not in allowed:
                yield f"{task.key} is {task.status}: {task.reason}"

    def _file(self, region: str, image_id: str) -> pathlib.Path:
        return pathlib.Path(self._cloud.region(region).datadir, image_id)


def _records(people: users.People, regions: Sequence[str]) -> dict[str, dict[str, Record]]:
    return {
        region: {one["id"]: dict(one) for one in people.listed(region)} for region in regions
    }


def _files(region: clouds.Region) -> list[pathlib.Path]:
    return [
        path
        for directory in (region.datadir, region.staging_dir)
        for path in pathlib.Path(directory).iterdir()
        if path.is_file()
    ]
