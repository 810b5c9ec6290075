# SPDX-License-Identifier: Apache-2.0
"""Orphans and doubtful images on the page."""

import re

import pytest

from glance_sync_agent import errors
from tests.fakes import world as worlds
from tests.unit.api.test_application import UNKNOWN
from tests.unit.ui import stages

TWO, THREE = worlds.CASCADED


@pytest.fixture
def stage():
    made = stages.Stage()
    assert made.log_in().status_code == 303
    return made


@pytest.fixture
def image(stage):
    """An image with copies that no task knows."""
    made = stage.api.publish(name="golden")
    stage.world.run()
    stage.world.store.__init__()
    return made


@pytest.fixture
def doubtful(stage, image):
    """An image of RegionTwo that may be a copy."""
    stage.world.two.change(image.image_id, owner="somebody else")
    return image


@pytest.fixture
def orphan(stage, image):
    """A copy whose source is gone."""
    stage.world.source.delete(image)
    return image


def search(stage, region=TWO):
    answer = stage.get("/ui/orphans", query_string=f"search=yes&region={region}")
    assert answer.status_code == 200, answer.text
    return answer.text


def actions(text):
    """Return what the forms of a page do."""
    return set(re.findall(r'action="/ui/orphans/[^/"]*/(\w+)"', text))


def test_a_visit_searches_nothing(stage, doubtful):
    text = stage.get("/ui/orphans").text
    assert ("GET", "/v1/orphans") not in stage.calls
    assert "golden" not in text
    assert "There is nothing to settle." not in text
    assert "There is nothing to settle." in search(stage, THREE)


def test_a_doubtful_image_is_adopted(stage, doubtful):
    text = search(stage)
    assert actions(text) == {"adopt", "disown"}
    sentence = f"Image golden with the id {doubtful.image_id} in region {TWO}: "
    assert f"{sentence}It becomes the copy of" in text
    assert f"{sentence}It loses its mark" in text
    answer = stage.post(
        f"/ui/orphans/{doubtful.image_id}/adopt", {"search": "yes", "region": TWO}
    )
    assert answer.headers["location"] == f"/ui/orphans?search=yes&region={TWO}&done=adopted"
    text = stage.get(answer.headers["location"]).text
    assert "The image is now a copy of its source." in text
    assert actions(text) == set()
    assert [one.key.region for one in stage.world.store.list()] == [TWO]


def test_a_doubtful_image_is_disowned(stage, doubtful):
    path = f"/ui/orphans/{doubtful.image_id}/disown"
    answer = stage.post(path, {"region": TWO})
    assert answer.headers["location"] == f"/ui/orphans?region={TWO}&done=disowned"
    assert actions(search(stage)) == set()
    assert doubtful.image_id in stage.world.two.ids()


def test_an_orphan_is_deleted(stage, orphan):
    text = search(stage, "")
    assert actions(text) == {"delete", "disown"}
    assert f"in region {THREE}: It is deleted with its data. Nobody can undo this." in text
    answer = stage.post(f"/ui/orphans/{orphan.image_id}/delete", {"region": TWO})
    assert answer.headers["location"] == f"/ui/orphans?region={TWO}&done=deleted"
    assert orphan.image_id not in stage.world.two.ids()
    assert orphan.image_id in stage.world.three.ids()


def test_what_is_no_orphan_any_more_is_not_deleted(stage, doubtful):
    answer = stage.post(f"/ui/orphans/{doubtful.image_id}/delete", {"region": TWO})
    assert answer.status_code == 409
    assert "is no orphan" in answer.text
    assert doubtful.image_id in stage.world.two.ids()


@pytest.mark.parametrize("action", ["adopt", "disown", "delete"])
@pytest.mark.parametrize("region", ["", "Nowhere", "a/b", "../images", "<b>"])
def test_an_unknown_region_is_refused(stage, orphan, action, region):
    answer = stage.post(f"/ui/orphans/{orphan.image_id}/{action}", {"region": region})
    assert answer.status_code in {400, 404}
    assert "<b>" not in answer.text
    assert stage.post(f"/ui/orphans/x/{action}", {"region": TWO}).status_code == 404
    assert stage.post(f"/ui/orphans/{UNKNOWN}/{action}", {"region": TWO}).status_code == 409


def test_a_region_that_was_not_searched_is_named(stage):
    def fail(_name, _image_id):
        raise errors.ServiceUnavailable("down")

    stage.world.two.before = fail
    assert f"region {TWO} was not searched: down" in search(stage, "")


def test_a_reader_sees_the_images_and_no_form(stage, orphan):
    stage.cookie = None
    assert stage.log_in("reader").status_code == 303
    text = search(stage)
    assert orphan.image_id in text
    assert actions(text) == set()
    answer = stage.post(f"/ui/orphans/{orphan.image_id}/delete", {"region": TWO})
    assert answer.status_code == 403
    assert orphan.image_id in stage.world.two.ids()
