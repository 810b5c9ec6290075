# SPDX-License-Identifier: Apache-2.0
"""Whichever call of the database fails, the story ends well, and it has every call."""

import pytest

from glance_sync_agent.engine import ports
from glance_sync_agent.engine.transfer import blocks
from tests.contract import story

PORTS = {
    "catalogue": ports.Catalogue,
    "identity": ports.ProjectDirectory,
    "glance": ports.ImageService,
    "bytes": ports.ImageStore,
    "regions": ports.Regions,
    "tasks": ports.TaskStore,
    "turns": ports.LeaderLeases,
    "breakers": ports.BreakerStore,
    "facts": ports.FactStore,
    "pauses": ports.PauseStore,
    "history": ports.EventStore,
}
#: What no engine calls, for the commands do, and what asks nobody.
WITHOUT = {
    "bytes.way", "catalogue.cascading", "glance.image_url", "history.newest", "history.remove",
    "pauses.pause", "pauses.resume", "tasks.adopt", "tasks.cancel", "tasks.count",
    "tasks.disown", "tasks.get", "tasks.list", "tasks.matching", "tasks.next_due", "tasks.page",
    "tasks.permit_activation",
}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4)


def test_the_story_has_every_call_that_an_engine_makes():
    calls = {str(call) for call in story.calls_of_the_story()}
    methods = {
        f"{name}.{method}"
        for name, port in PORTS.items()
        for method in dir(port)
        if not method.startswith("_")
    }
    assert methods - calls == WITHOUT


@pytest.mark.timeout(1200)
def test_whichever_call_of_the_database_fails_nothing_is_lost_and_nothing_is_wrong():
    story.fail_calls_of("tasks", "turns", "breakers", "facts", "pauses", "history")
