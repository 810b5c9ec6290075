# SPDX-License-Identifier: Apache-2.0
"""The signs of life of a transfer."""

import pytest

from glance_sync_agent import errors
from glance_sync_agent.engine.transfer import progress


def test_signs_show_what_was_passed_on_and_end_with_all():
    signs: list[int] = []
    assert list(progress.watched([b"some", b"", b"data"], signs.append)) == [b"some", b"", b"data"]
    assert signs == [0, 4, 4, 8]


def test_what_a_sign_raises_ends_the_transfer():
    def stop(done):
        if done:
            raise errors.Cancelled("stopping")

    passed = progress.watched([b"a", b"b", b"c"], stop)
    assert next(passed) == b"a"
    with pytest.raises(errors.Cancelled):
        next(passed)
