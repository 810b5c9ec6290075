# SPDX-License-Identifier: Apache-2.0
"""What ``check`` says of the regions that the operator's files name."""

import pathlib

import pytest

from glance_sync_agent.cmd import findings
from glance_sync_agent.cmd import region_checks
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy

OK, WARN, SKIP, FAIL = findings.Verdict
FILE = pathlib.Path("/etc/glance/project_map.yaml")
REGIONS = tuple(map(images.RegionId, ("RegionOne", "RegionTwo")))


def look(project_map, owner=metadata_policy.Owner.MAPPED):
    policy = metadata_policy.Policy(owner=owner, project_map=project_map)
    return region_checks.project_map(FILE, policy, REGIONS)


def test_a_map_of_regions_that_there_are_is_ok():
    found = look({"RegionTwo": {"alpha": "beta", "gamma": "delta"}})

    assert found.verdict is OK
    assert found.detail == f"{FILE}: 2 projects in 1 regions"


def test_regions_that_there_are_not_are_warned_about_with_those_that_there_are():
    found = look({"RegionTwo": {"a": "b"}, "RegionX": {"a": "b"}, "RegionNine": {"a": "b"}})

    assert found.verdict is WARN
    assert found.detail == f"{FILE}: RegionNine, RegionX: no region of the catalogue"
    assert found.remedy.endswith("those that there are: RegionOne, RegionTwo")


@pytest.mark.parametrize("owner", [metadata_policy.Owner.SAME, metadata_policy.Owner.AGENT])
def test_a_map_that_is_not_used_is_skipped_and_says_why(owner):
    found = look({"RegionNine": {"a": "b"}}, owner)

    assert found.verdict is SKIP
    assert f"[metadata] owner = {owner}" in found.detail
