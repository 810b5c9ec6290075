# SPDX-License-Identifier: Apache-2.0
"""Random bytes that Glance takes for raw data."""

import pytest

from tools import raw_data


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1000])
def test_no_data_looks_like_a_boot_sector(size):
    data = raw_data.random_data(size, lambda count: b"\x55\xaa" * (count // 2 + 1))[:size]
    assert len(data) == size
    assert data[510:512] != b"\x55\xaa"
    assert len(raw_data.random_data(size)) == size
