# SPDX-License-Identifier: Apache-2.0
"""``engine.ports.ImageStore``: the fake, the image API, and SSH into a real Glance."""

from collections.abc import Callable, Iterable, Iterator
import dataclasses
import multiprocessing
import multiprocessing.synchronize
import pathlib
import threading
import time
from typing import Any
import uuid

from keystoneauth1 import session as sessions
import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers import stores
from glance_sync_agent.drivers.glance.image_service import GlanceImageService
from glance_sync_agent.drivers.ssh import hosts
from glance_sync_agent.drivers.stores import api
from glance_sync_agent.drivers.stores import filesystem
from glance_sync_agent.engine import ports
from tests.contract import conftest
from tests.fakes import glance as fake_glance
from tests.unit import builders
from tools import cloud as clouds
from tools import raw_data

REGION = builders.REGION
MIB = 1024 * 1024
DATA = raw_data.random_data(3 * MIB + 7)


@dataclasses.dataclass(frozen=True)
class StoreRegion:
    """One region: the store under test, and those who use the region beside it."""

    store: ports.ImageStore
    users: fake_glance.FakeGlance | conftest.RealUsers
    owner: str
    lose_data: Callable[[images.ImageId], None]

    def queued(self) -> images.ImageId:
        return self.users.make(owner=self.owner).image_id

    def settled(self, image_id: images.ImageId) -> images.Image:
        """Return the image once Glance has noticed how the upload ended."""
        deadline = time.monotonic() + 30
        while (image := self.users.image(image_id)).status is images.ImageStatus.SAVING:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return image

    def write_in_the_end(self, image_id: images.ImageId, data: bytes) -> None:
        """Write, as soon as Glance has noticed that the last upload is over."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return self.store.write(image_id, len(data), pieces(data))
            except errors.TransientError:
                assert time.monotonic() < deadline
                assert self.settled(image_id).status is images.ImageStatus.QUEUED


@dataclasses.dataclass(frozen=True)
class RealStore:
    """All that is needed to make the store, in another process too."""

    scheme: str
    endpoint: str
    token: str
    known_hosts: str
    parameters: dict[str, str]

    def make(self, ssh: hosts.SshHosts) -> ports.ImageStore:
        context = stores.StoreContext(
            region=REGION,
            endpoint=self.endpoint,
            token=lambda: self.token,
            ssh=ssh,
            known_hosts=self.known_hosts,
        )
        if self.scheme == "api":
            return api.ApiStore.from_parameters({}, context)
        return filesystem.FilesystemStore.from_parameters(self.parameters, context)


def real_store(
    scheme: str, description: clouds.Description, session: sessions.Session
) -> RealStore:
    region = description.region(REGION)
    assert region.ssh_host
    return RealStore(
        scheme=scheme,
        endpoint=region.glance_url,
        token=session.get_token() or "",
        known_hosts=description.ssh.known_hosts,
        parameters={
            "host": region.ssh_host,
            "port": str(region.ssh_port),
            "login_user": description.ssh.user,
            "key_filename": description.ssh.private_key,
            "datadir": region.datadir,
        },
    )


REAL = [pytest.param(scheme, marks=pytest.mark.cloud) for scheme in ("api", "filesystem")]


@pytest.fixture
def real(request: pytest.FixtureRequest) -> RealStore:
    description = request.getfixturevalue("cloud").describe()
    return real_store(request.param, description, request.getfixturevalue("agent_session"))


@pytest.fixture
def over(request: pytest.FixtureRequest) -> Iterator[Callable[..., StoreRegion]]:
    """Return what gives the region with a certain store."""
    ssh = hosts.SshHosts()
    owner = uuid.uuid4().hex
    cleanup: list[Callable[[], None]] = [ssh.close]

    def make(real: RealStore) -> StoreRegion:
        cloud = request.getfixturevalue("cloud")
        description = cloud.describe()
        service = GlanceImageService(
            region=REGION,
            session=request.getfixturevalue("agent_session"),
            endpoint=description.region(REGION).glance_url,
            stop=threading.Event(),
        )
        users = conftest.RealUsers(cloud.glance(REGION, "admin").http_client, service)
        cleanup.append(lambda: users.delete_all_of(owner))
        store = real.make(ssh)
        if isinstance(store, api.ApiStore):
            cleanup.append(store.close)
        datadir = pathlib.Path(description.region(REGION).datadir)
        return StoreRegion(
            store=store,
            users=users,
            owner=owner,
            lose_data=lambda image_id: (datadir / image_id).unlink(),
        )

    yield make
    for step in reversed(cleanup):
        step()


@pytest.fixture(params=["memory", *REAL])
def region(request: pytest.FixtureRequest, over: Callable[..., StoreRegion]) -> StoreRegion:
    """Give RegionTwo: in memory, over its image API, over SSH."""
    if request.param != "memory":
        description = request.getfixturevalue("cloud").describe()
        session = request.getfixturevalue("agent_session")
        return over(real_store(request.param, description, session))
    fake = fake_glance.FakeGlance(REGION)
    return StoreRegion(
        store=fake_glance.FakeImageStore(fake),
        users=fake,
        owner="alpha",
        lose_data=lambda image_id: _forget(fake, image_id),
    )


def _forget(fake: fake_glance.FakeGlance, image_id: images.ImageId) -> None:
    del fake._data[image_id]


def read(store: ports.ImageStore, image: images.Image, offset: int = 0) -> list[bytes]:
    with store.read(image, offset=offset) as chunks:
        return list(chunks)


def pieces(data: bytes, size: int = MIB) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("data", [DATA, b"x", b"y" * MIB], ids=["some", "little", "one chunk"])
def test_what_was_written_is_active_with_its_hash_and_reads_back(
    region: StoreRegion, data: bytes
) -> None:
    image_id = region.queued()
    region.store.write(image_id, len(data), pieces(data))
    image = region.users.image(image_id)
    assert image.status is images.ImageStatus.ACTIVE
    assert image.size == len(data)
    assert image.multihash == builders.multihash(data)
    chunks = read(region.store, image)
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) <= MIB


def test_the_way_is_one_word_for_metrics(region: StoreRegion) -> None:
    assert region.store.way.isidentifier()


@pytest.mark.parametrize("offset", [1, MIB, 2 * MIB + 5, len(DATA) - 1])
def test_reading_may_begin_in_the_middle(region: StoreRegion, offset: int) -> None:
    image = region.users.publish(DATA, owner=region.owner)
    chunks = read(region.store, image, offset)
    assert b"".join(chunks) == DATA[offset:]
    assert max(map(len, chunks)) <= MIB


def test_an_image_without_bytes_is_an_image(region: StoreRegion) -> None:
    image_id = region.queued()
    region.store.write(image_id, 0, [])
    image = region.users.image(image_id)
    assert image.status is images.ImageStatus.ACTIVE
    assert read(region.store, image) == []


def test_a_source_that_fails_half_way_leaves_a_queued_record_that_can_be_written(
    region: StoreRegion,
) -> None:
    def source() -> Iterator[bytes]:
        yield DATA[: 2 * MIB]
        raise errors.DigestMismatch(what="data", expected="a", actual="b")

    image_id = region.queued()
    with pytest.raises(errors.DigestMismatch):
        region.store.write(image_id, len(DATA), source())
    region.write_in_the_end(image_id, DATA)
    assert region.users.image(image_id).multihash == builders.multihash(DATA)


@pytest.mark.parametrize("announced", [len(DATA) + 1, len(DATA) - 1, 0])
def test_a_length_that_was_not_kept_is_an_interruption(
    region: StoreRegion, announced: int
) -> None:
    image_id = region.queued()
    with pytest.raises(errors.TransferInterrupted):
        region.store.write(image_id, announced, pieces(DATA))
    assert region.settled(image_id).status is not images.ImageStatus.ACTIVE


def test_an_active_image_is_not_written_again(region: StoreRegion) -> None:
    image = region.users.publish(b"first", owner=region.owner)
    with pytest.raises(errors.TransferInterrupted, match="active"):
        region.store.write(image.image_id, 6, [b"second"])
    assert b"".join(read(region.store, image)) == b"first"


def test_a_large_upload_into_an_active_image_says_so_and_is_not_merely_broken(
    region: StoreRegion,
) -> None:
    image = region.users.publish(b"first", owner=region.owner)
    with pytest.raises(errors.TransferInterrupted, match="active"):
        region.store.write(image.image_id, 64 * MIB, (bytes(MIB) for _ in range(64)))


@pytest.mark.cloud
@pytest.mark.parametrize("real", ["api", "filesystem"], indirect=True)
def test_a_signature_that_cannot_be_checked_in_the_region_says_what_to_do(
    real: RealStore, over: Callable[..., StoreRegion]
) -> None:
    region = over(real)
    signed = region.users.make(
        owner=region.owner,
        properties={
            "img_signature": "AAAA",
            "img_signature_hash_method": "SHA-256",
            "img_signature_key_type": "RSA-PSS",
            "img_signature_certificate_uuid": "0a5c1d9e-3b7f-4e62-9d48-c17e5f80a2b6",
        },
    )
    with pytest.raises(errors.Refused, match="exclude_properties = img_signature") as caught:
        region.store.write(signed.image_id, 4, [b"data"])
    assert "img_signature_certificate_uuid" in str(caught.value)
    assert region.settled(signed.image_id).status is images.ImageStatus.QUEUED


def test_bytes_of_another_format_than_the_image_s_are_refused_and_the_record_stays(
    region: StoreRegion,
) -> None:
    record = region.users.make(owner=region.owner, disk_format="qcow2")
    with pytest.raises(errors.FormatRefused):
        region.store.write(record.image_id, len(DATA), pieces(DATA))
    assert region.settled(record.image_id).status is images.ImageStatus.QUEUED


def test_a_record_that_is_not_there_takes_no_data(region: StoreRegion) -> None:
    with pytest.raises(errors.TransientError):
        region.store.write(conftest.new_id(), 4, [b"data"])


def test_data_that_is_not_there_is_worth_a_retry(region: StoreRegion) -> None:
    image = region.users.publish(b"data", owner=region.owner)
    region.lose_data(image.image_id)
    with pytest.raises(errors.TransientError):
        read(region.store, image)


def test_reading_may_stop_in_the_middle(region: StoreRegion) -> None:
    image = region.users.publish(DATA, owner=region.owner)
    for _ in range(2):
        with region.store.read(image) as chunks:
            assert DATA.startswith(next(chunks))
    assert b"".join(read(region.store, image)) == DATA


def test_many_threads_use_one_store(region: StoreRegion) -> None:
    wanted = {region.queued(): raw_data.random_data(64 * 1024) for _ in range(8)}
    threads = [
        threading.Thread(target=region.store.write, args=(image_id, len(data), [data]))
        for image_id, data in wanted.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for image_id, data in wanted.items():
        assert b"".join(read(region.store, region.users.image(image_id))) == data


@pytest.mark.cloud
@pytest.mark.parametrize("real", ["api", "filesystem"], indirect=True)
def test_a_sender_that_is_killed_never_leaves_an_active_image(
    real: RealStore, over: Callable[..., StoreRegion]
) -> None:
    region = over(real)
    image_id = region.queued()
    spawn = multiprocessing.get_context("spawn")
    half_way = spawn.Event()
    sender = spawn.Process(target=_write_half, args=(real, image_id, half_way))
    sender.start()
    assert half_way.wait(60)
    sender.kill()
    sender.join()
    sender.close()
    assert region.settled(image_id).status is images.ImageStatus.QUEUED


def _write_half(
    real: RealStore, image_id: images.ImageId, half_way: multiprocessing.synchronize.Event
) -> None:
    def source() -> Iterable[bytes]:
        yield DATA[:MIB]
        yield DATA[MIB : 2 * MIB]
        half_way.set()
        threading.Event().wait()

    real.make(hosts.SshHosts()).write(image_id, len(DATA), source())


@pytest.mark.cloud
@pytest.mark.parametrize("real", ["api", "filesystem"], indirect=True)
def test_a_token_that_is_not_taken_is_forgotten(real: RealStore, over: Any) -> None:
    forgotten = threading.Event()
    image_id = over(real).queued()
    store = dataclasses.replace(real, token="expired").make(hosts.SshHosts())
    context = dataclasses.replace(store._context, forget_token=forgotten.set)  # type: ignore[attr-defined]
    store._context = context  # type: ignore[attr-defined]
    with pytest.raises(errors.ServiceUnavailable, match="401"):
        store.write(image_id, 4, [b"data"])
    assert forgotten.is_set()
