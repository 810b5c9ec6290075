# SPDX-License-Identifier: Apache-2.0
"""What is remembered of copies in an upload is bounded."""

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine.attempts import busy_copies
from tests.fakes import clock as clocks
from tests.unit import builders

COPY = builders.copy(status=images.ImageStatus.SAVING)


def key(number):
    return tasks.TaskKey(image_id=images.ImageId(str(number)), region=builders.REGION)


def test_an_upload_is_busy_since_it_was_seen_first():
    clock = clocks.FakeClock()
    busy = busy_copies.BusyCopies(clock)
    assert busy.seconds(key(1), COPY) == 0.0
    clock.advance(5.0)
    assert busy.seconds(key(1), COPY) == 5.0
    assert busy.seconds(key(1), builders.copy(status=COPY.status, image_id="another")) == 0.0
    busy.forget(key(1))
    assert busy.seconds(key(1), COPY) == 0.0


def test_an_active_copy_is_not_busy():
    busy = busy_copies.BusyCopies(clocks.FakeClock())
    assert busy.seconds(key(1), builders.copy()) == 0.0
    assert busy.seconds(key(1), None) == 0.0


def test_no_more_than_a_thousand_copies_are_remembered():
    clock = clocks.FakeClock()
    busy = busy_copies.BusyCopies(clock)
    for number in range(1024):
        busy.seconds(key(number), COPY)
    busy.seconds(key(0), COPY)  # it is the last one now
    busy.seconds(key(9999), COPY)
    clock.advance(61.0)
    assert busy.seconds(key(0), COPY) == 61.0
    assert busy.seconds(key(2), COPY) == 61.0
    assert busy.seconds(key(1), COPY) == 0.0
