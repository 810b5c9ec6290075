# SPDX-License-Identifier: Apache-2.0
"""Which regions the operator's strategy names."""

import pytest

from glance_sync_agent.domain import strategy
from tests.unit import builders

CATALOGUE = ["RegionOne", "RegionTwo", "RegionThree"]


@pytest.mark.parametrize(
    ("chosen", "catalogue", "regions"),
    [
        pytest.param("none", CATALOGUE, set(), id="none copies nothing"),
        pytest.param("all", CATALOGUE, {"RegionTwo", "RegionThree"}, id="all but the cascading"),
        pytest.param("all", ["RegionOne"], set(), id="all of one region"),
        pytest.param("all", ["RegionTwo"], {"RegionTwo"}, id="cascading not listed"),
        pytest.param("all", [], set(), id="empty catalogue"),
    ],
)
def test_the_strategy_names_the_regions(chosen, catalogue, regions):
    assert (
        strategy.target_regions(
            strategy.Strategy(chosen), cascading=builders.SOURCE_REGION, catalogue=catalogue
        )
        == regions
    )
