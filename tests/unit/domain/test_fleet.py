# SPDX-License-Identifier: Apache-2.0
"""Which agents are alive, and what a region's counts say."""

import datetime

import pytest

from glance_sync_agent.domain import fleet
from tests.unit import builders

SECOND = datetime.timedelta(seconds=1)


@pytest.mark.parametrize(
    ("silence", "stopped_at", "is_alive"),
    [
        (0 * SECOND, None, True),
        (30 * SECOND, None, True),
        (30.001 * SECOND, None, False),
        (-5 * SECOND, None, True),  # the clocks differ a little
        (0 * SECOND, builders.NOW, False),
        (31 * SECOND, builders.NOW, False),
    ],
)
def test_an_agent_is_alive_that_reported_lately_and_has_not_stopped(
    silence, stopped_at, is_alive
):
    agent = fleet.Agent(
        agent_id="a", host="one", version="1", started_at=builders.LONG_AGO,
        seen_at=builders.NOW - silence, stopped_at=stopped_at,
    )
    assert agent.is_alive(builders.NOW) is is_alive


def test_tasks_with_a_status_are_counted_whatever_their_code():
    counts = fleet.Counts(
        tasks={("success", "in_sync"): 3, ("success", "not_ours"): 4, ("failed", "in_sync"): 5},
        waiting_bytes=0, oldest_asked_at=None, late=0,
    )
    assert counts.with_status("success") == 7
    assert counts.with_status("failed") == 5
    assert counts.with_status("pending") == 0
