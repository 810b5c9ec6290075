# SPDX-License-Identifier: Apache-2.0
"""What ``check`` says of the copies that a start would make."""

import pytest

from glance_sync_agent.cmd.check import findings
from glance_sync_agent.cmd.check import first_start
from glance_sync_agent.domain import images
from glance_sync_agent.domain import steps
from glance_sync_agent.engine.reconcile import differences

OK, WARN, _, _ = findings.Level
GIB = 1024**3


def missing(region, size):
    return differences.Difference(
        image_id=images.ImageId("6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e"),
        image_name="cirros",
        region=images.RegionId(region),
        step=steps.Step(what=steps.StepKind.COPY, why="there is no copy"),
        size=size,
    )


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        pytest.param([], "no copy is missing", id="nothing"),
        pytest.param(
            [("RegionTwo", 512)], "a start would copy to RegionTwo 1 image, 512 bytes", id="one"
        ),
        pytest.param(
            [("RegionTwo", GIB), ("RegionThree", GIB), ("RegionTwo", GIB // 2)],
            "a start would copy to RegionThree 1 image, 1.0 GiB; RegionTwo 2 images, 1.5 GiB; "
            "together 3 images, 2.5 GiB",
            id="several",
        ),
        pytest.param(
            [("RegionTwo", None), ("RegionTwo", 2048)],
            "a start would copy to RegionTwo 2 images, 2.0 KiB and 1 of unknown size",
            id="unknown",
        ),
    ],
)
def test_images_and_bytes_are_counted_for_each_region(pairs, said):
    found = first_start.summary([missing(*pair) for pair in pairs], frozenset())

    assert (found.verdict, found.link, found.detail) == (OK, "first start", said)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1024**2 - 1, "1024.0 KiB"),
        (1024**2, "1.0 MiB"),
        (5 * 1024**4, "5.0 TiB"),
        (3 * 1024**6, "3072.0 PiB"),
    ],
)
def test_bytes_are_shown_as_people_read_them(size, said):
    assert f"1 image, {said}" in first_start.summary([missing("R", size)], ()).detail


def test_regions_whose_glance_fails_are_named_and_warned_about_only_once():
    regions = frozenset(map(images.RegionId, ("RegionTwo",)))
    found = first_start.summary([], regions, regions)

    assert found.verdict is OK
    assert found.detail == "no copy is missing; not compared: RegionTwo"


def test_regions_that_were_not_compared_are_a_warning():
    regions = frozenset(map(images.RegionId, ("RegionTwo", "RegionFour")))
    found = first_start.summary([], regions)

    assert found.verdict is WARN
    assert found.detail == "no copy is missing; not compared: RegionFour, RegionTwo"
    assert "reconcile --dry-run" in found.remedy
