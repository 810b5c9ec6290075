# SPDX-License-Identifier: Apache-2.0
"""Copies of a paused region, whose store may not be mounted."""

import pytest

from glance_sync_agent.domain import pauses
from tests.fakes import world as worlds

TWO, THREE = worlds.CASCADED


@pytest.fixture
def world():
    made = worlds.World()
    made.verify_interval = 1.0
    return made


@pytest.fixture
def image(world):
    image = world.source.publish(b"0123456789")
    world.changed(image.image_id)
    world.settle()
    return image


def pause(world):
    world.pauses.pause(
        TWO, pauses.Pause(since=world.clock.now(), by="alice", reason="new disks")
    )


def verify(world):
    world.clock.advance(100.0)
    world.verification.run()


def test_they_are_not_read_and_are_read_afterwards(world, image):
    pause(world)
    world.two.damage(image.image_id, None)
    verify(world)
    assert world.task(image).damage is None
    world.pauses.resume(TWO)
    verify(world)
    verify(world)
    assert world.task(image).damage is not None


def test_what_was_read_before_the_pause_means_nothing(world, image, monkeypatch, caplog):
    """The store is taken away a moment before the operator pauses the region."""
    world.two.damage(image.image_id, None)
    report = world.make_repairs()
    report.take(world.verifying.verify(world.task(image), lambda *_: None))
    pause(world)
    found = report.request()
    assert (found.requested, found.held_back) == (0, 1)
    assert world.task(image).damage is None
    assert "The region is paused, so that means nothing" in caplog.text
