# SPDX-License-Identifier: Apache-2.0
"""Which images are snapshots."""

import pytest

from glance_sync_agent.domain import images
from glance_sync_agent.domain import snapshots
from tests.unit import builders
from tests.unit.image_values import COPY_URL

SNAPSHOT = images.Location(url=COPY_URL, metadata={"image_from": "volume"})


ENTRY = images.Location(url=COPY_URL, metadata={"action": "upload"})


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (builders.source(properties={"image_type": "snapshot"}), True),
        (builders.source(properties={"image_type": "snapshot"}, locations=(SNAPSHOT,)), True),
        (builders.source(locations=(ENTRY, SNAPSHOT)), True),
        (builders.source(locations=(ENTRY,)), False),
        (builders.source(locations=()), False),
        (builders.source(properties={"image_type": "backup"}), True),
        (builders.source(properties={"image_type": "base"}), False),
        (builders.source(), False),
    ],
)
def test_a_snapshot_has_the_type_or_the_location_of_one(
    image: images.Image, expected: bool
) -> None:
    assert snapshots.is_snapshot(image) is expected


OF_SERVER = {"image_type": "snapshot", "instance_uuid": "x"}


@pytest.mark.parametrize(
    ("name", "properties", "expected"),
    [
        ("web-shelved", OF_SERVER, True),
        ("-shelved", OF_SERVER, True),
        ("web-shelved-2", OF_SERVER, False),
        ("shelved", OF_SERVER, False),
        (None, OF_SERVER, False),
        ("web-shelved", {"image_type": "snapshot"}, False),
        ("web-shelved", {"instance_uuid": "x"}, False),
        ("web-shelved", {**OF_SERVER, "image_type": "backup"}, False),
    ],
)
def test_the_name_that_nova_gives_shows_a_shelved_server(
    name: str | None, properties: dict[str, str], expected: bool
) -> None:
    assert snapshots.is_shelved(builders.source(name=name, properties=properties)) is expected


@pytest.mark.parametrize(
    ("size", "properties", "expected"),
    [
        (0, {"block_device_mapping": "[]"}, True),
        (0, {"block_device_mapping": "", "image_type": "snapshot"}, True),
        (0, {"image_type": "snapshot", "bdm_v2": "True"}, False),
        (0, {}, False),
        (1, {"block_device_mapping": "[]"}, False),
        (None, {"block_device_mapping": "[]"}, False),
    ],
)
def test_a_volume_backed_snapshot_has_no_bytes_and_names_its_volumes(
    size: int | None, properties: dict[str, str], expected: bool
) -> None:
    image = builders.source(size=size, properties=properties)
    assert snapshots.is_volume_backed(image) is expected
