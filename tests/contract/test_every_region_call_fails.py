# SPDX-License-Identifier: Apache-2.0
"""Whichever call of a Glance, of Keystone or of a transfer fails, the story ends well."""

import pytest

from glance_sync_agent.engine.transfer import blocks
from tests.contract import story


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4)


@pytest.mark.timeout(1200)
def test_whichever_call_of_a_region_fails_nothing_is_lost_and_nothing_is_wrong():
    story.fail_calls_of("catalogue", "identity", "glance", "bytes", "regions")
