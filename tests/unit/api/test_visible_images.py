# SPDX-License-Identifier: Apache-2.0
"""How often a Glance is asked whether a caller may see an image."""

import pytest

from glance_sync_agent import errors
from glance_sync_agent.api import visible_images
from glance_sync_agent.domain import images

IMAGE = images.ImageId("10000000-0000-4000-8000-000000000001")
OTHER = images.ImageId("20000000-0000-4000-8000-000000000002")


class Glance:
    """Answers, and notes what it was asked."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.visible = {("alice", IMAGE)}
        self.asked: list[tuple[str, str]] = []
        self.images = visible_images.VisibleImages(self._ask, lambda: self.seconds)

    def _ask(self, token: str, image_id: images.ImageId) -> bool:
        self.asked.append((token, image_id))
        return (token, image_id) in self.visible


@pytest.fixture
def glance():
    return Glance()


def test_a_permission_is_kept_for_a_few_seconds(glance):
    assert all(glance.images.may_see("alice", IMAGE) for _ in range(3))
    assert len(glance.asked) == 1
    glance.visible.clear()
    glance.seconds = 4.9
    assert glance.images.may_see("alice", IMAGE)
    glance.seconds = 5.1
    assert not glance.images.may_see("alice", IMAGE)


def test_a_permission_is_that_of_one_token_and_one_image(glance):
    assert glance.images.may_see("alice", IMAGE)
    assert not glance.images.may_see("bob", IMAGE)
    assert not glance.images.may_see("alice", OTHER)


def test_a_refusal_is_not_kept(glance):
    assert not glance.images.may_see("bob", IMAGE)
    glance.visible.add(("bob", IMAGE))
    assert glance.images.may_see("bob", IMAGE)


def test_a_glance_that_does_not_answer_is_asked_again():
    answers = iter([errors.ServiceUnavailable("down"), True])

    def ask(_token, _image_id):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    visible = visible_images.VisibleImages(ask)
    with pytest.raises(errors.ServiceUnavailable):
        visible.may_see("alice", IMAGE)
    assert visible.may_see("alice", IMAGE)
