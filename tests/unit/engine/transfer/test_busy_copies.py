# SPDX-License-Identifier: Apache-2.0
"""What is remembered of copies in an upload is bounded."""

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine.transfer import busy_copies
from tests.fakes import clock as clocks
from tests.unit import builders

COPY = builders.copy(status=images.ImageStatus.SAVING)


def key(number):
    return tasks.TaskKey(image_id=images.ImageId(str(number)), region=builders.REGION)


def test_no_more_than_a_thousand_copies_are_remembered():
    clock = clocks.FakeClock()
    busy = busy_copies.BusyCopies(clock)
    for number in range(1024):
        busy.removal(key(number), COPY, lease_seconds=60.0)
    busy.removal(key(0), COPY, lease_seconds=60.0)  # it is the last one now
    busy.removal(key(9999), COPY, lease_seconds=60.0)
    clock.advance(61.0)
    assert busy.removal(key(0), COPY, lease_seconds=60.0) is not None
    assert busy.removal(key(2), COPY, lease_seconds=60.0) is not None
    assert busy.removal(key(1), COPY, lease_seconds=60.0) is None
