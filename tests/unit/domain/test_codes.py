# SPDX-License-Identifier: Apache-2.0
"""The codes of tasks."""

import pytest

from glance_sync_agent.domain import codes


@pytest.mark.parametrize("text", ["", "a code of a newer agent", None])
def test_what_no_agent_of_this_version_wrote_is_unknown(text):
    assert codes.Code(text) is codes.Code.UNKNOWN


def test_the_table_has_room_for_every_code():
    assert max(map(len, codes.Code)) <= 32
