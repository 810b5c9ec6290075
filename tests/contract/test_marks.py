# SPDX-License-Identifier: Apache-2.0
"""What the names of regions on images promise (``engine.ports.MarkedRecords``)."""

from collections.abc import Callable, Iterator
import dataclasses
import datetime
import threading
from typing import Any
import uuid

from keystoneauth1 import token_endpoint
import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import region_names
from glance_sync_agent.drivers.glance.calls import Retries
from glance_sync_agent.drivers.glance.image_service import GlanceImageService
from glance_sync_agent.drivers.glance.marked_records import GlanceMarkedRecords
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.engine import ports
from tests.contract import conftest
from tests.fakes import marks as fake
from tests.fakes import scripted_http
from tests.unit import builders

REGION = builders.REGION
OLD, ONE = images.RegionId(f"Old-{uuid.uuid4()}"), images.RegionId("RegionOne")


@dataclasses.dataclass(frozen=True)
class Place:
    """A region: the port under test, and a way to put images there."""

    marks: ports.MarkedRecords
    put: Callable[..., images.ImageId]
    created_at: Callable[[images.ImageId], datetime.datetime | None]


@pytest.fixture(params=["memory", pytest.param("glance", marks=pytest.mark.cloud)])
def place(request) -> Iterator[Place]:
    if request.param == "memory":
        yield memory()
        return
    cloud = request.getfixturevalue("cloud")
    session = request.getfixturevalue("agent_session")
    endpoint = cloud.describe().region(REGION).glance_url
    service = GlanceImageService(
        region=REGION, session=session, endpoint=endpoint, stop=threading.Event()
    )
    users = conftest.RealUsers(cloud.glance(REGION, "admin").http_client, service)
    owner = uuid.uuid4().hex

    def put(*, protected: bool = False, os_hidden: bool = False, **named: str) -> images.ImageId:
        image_id = conftest.new_id()
        properties = {"glance_sync_copy_id": image_id, **named}
        users.make(
            image_id=image_id,
            owner=owner,
            properties=properties,
            protected=protected,
            os_hidden=os_hidden,
        )
        return image_id

    def created_at(image_id: images.ImageId) -> datetime.datetime | None:
        found = service.get(image_id)
        assert found is not None
        return found.created_at

    marks = GlanceMarkedRecords(region=REGION, session=session, endpoint=endpoint)
    yield Place(marks, put, created_at)
    users.delete_all_of(owner)


def memory() -> Place:
    marks = fake.MemoryMarks()

    def put(*, protected: bool = False, os_hidden: bool = False, **named: str) -> images.ImageId:
        image_id = conftest.new_id()
        marks.images[image_id] = region_names.MarkedRecord(
            image_id=image_id,
            region=REGION,
            copy_id=image_id,
            copy_region=named.get("glance_sync_copy_region"),
            source_region=named.get("glance_sync_source_region"),
            created_at=builders.NOW,
        )
        return image_id

    return Place(marks, put, lambda image_id: marks.images[image_id].created_at)


def marked(place: Place, image_id: images.ImageId, **changes: Any) -> region_names.MarkedRecord:
    image = region_names.MarkedRecord(
        image_id=image_id,
        region=REGION,
        copy_id=image_id,
        copy_region=OLD,
        source_region=ONE,
        created_at=place.created_at(image_id),
    )
    return dataclasses.replace(image, **changes)


NAMED = {"glance_sync_copy_region": OLD, "glance_sync_source_region": ONE}


def test_images_that_name_a_region_in_either_property_are_found_once(place):
    both = place.put(glance_sync_copy_region=OLD, glance_sync_source_region=OLD)
    hidden = place.put(os_hidden=True, **NAMED)
    sourced = place.put(glance_sync_copy_region=REGION, glance_sync_source_region=OLD)
    place.put(glance_sync_copy_region=REGION, glance_sync_source_region=ONE)
    place.put()

    found = {one.image_id: one for one in place.marks.naming(OLD)}

    assert len(place.marks.naming(OLD)) == 3
    assert found == {
        both: marked(place, both, source_region=OLD),
        hidden: marked(place, hidden),
        sourced: marked(place, sourced, copy_region=REGION, source_region=OLD),
    }


@pytest.mark.parametrize("protected", [False, True], ids=["free", "protected"])
def test_properties_get_new_values_and_no_others_change(place, protected):
    image_id = place.put(protected=protected, **NAMED)
    for _ in range(2):
        place.marks.change(image_id, {"glance_sync_copy_region": REGION})
    assert place.marks.get(image_id) == marked(place, image_id, copy_region=REGION)


def test_an_image_that_is_gone_is_neither_read_nor_changed(place):
    place.marks.change(conftest.new_id(), {"glance_sync_copy_region": REGION})
    assert place.marks.get(conftest.new_id()) is None


def test_properties_that_are_not_there_are_none(place):
    image_id = place.put()
    assert place.marks.get(image_id) == marked(
        place, image_id, copy_region=None, source_region=None
    )


@pytest.mark.parametrize("record", [["a", "list"], {"id": "none"}, {}], ids=str)
def test_an_answer_that_is_no_image_is_not_believed(record):
    with scripted_http.serving() as server:
        server.script = [scripted_http.Reply.of(record)]
        session = credentials.make_session(token_endpoint.Token(server.url, "token"))
        marks = GlanceMarkedRecords(
            region=REGION,
            session=session,
            endpoint=server.url,
            retries=Retries(attempts=1),
        )
        with pytest.raises(errors.ServiceUnavailable, match="makes no sense"):
            marks.get(builders.IMAGE_ID)
        session.session.close()
