# SPDX-License-Identifier: Apache-2.0
"""Locations that name data in another region."""

import pytest

from glance_sync_agent.domain import image_records
from glance_sync_agent.domain import images
from glance_sync_agent.domain import remotes
from glance_sync_agent.domain import snapshots
from tests.unit import builders
from tests.unit.image_values import COPY_URL
from tests.unit.image_values import FILE
from tests.unit.image_values import located
from tests.unit.image_values import record
from tests.unit.image_values import SWIFT

ID = str(builders.IMAGE_ID)
OTHER_ID = str(builders.COPY_ID)


def remote(url: object = COPY_URL, **metadata: object) -> images.RemoteData | None:
    return located({"url": url, "metadata": {"image_from": "snapshot"} | metadata}).remote


@pytest.mark.parametrize("made_of", ["snapshot", "volume"])
def test_the_data_of_a_snapshot_may_lie_in_another_region(made_of: str) -> None:
    assert remote(image_from=made_of, image_id=OTHER_ID.upper()) == images.RemoteData(
        url=COPY_URL, image_id=builders.COPY_ID, image_from=made_of
    )


@pytest.mark.parametrize(
    "url",
    [
        COPY_URL,
        f"https://cloud.example/image/v2/images/{ID.upper()}",
        f"http://[::1]:9292/v2/images/{ID}",
    ],
)
def test_the_url_names_the_image_if_the_metadata_do_not(url: str) -> None:
    found = remote(url)
    assert found is not None
    assert (found.url, found.image_id) == (url, ID)


@pytest.mark.parametrize("made_of", [None, "", "Snapshot", "image", 5, ["snapshot"], {}])
def test_what_was_made_of_something_else_is_no_remote_data(made_of: object) -> None:
    assert remote(image_from=made_of) is None


def test_a_copy_of_an_upload_is_no_remote_data() -> None:
    metadata = {"image_id": ID, "action": "upload", "region": "RegionTwo"}
    entry = {"url": COPY_URL, "metadata": metadata}
    assert located(entry).remote is None
    snapshot = {"url": COPY_URL.replace(ID, OTHER_ID), "metadata": {"image_from": "snapshot"}}
    assert located(entry, snapshot).remote == located(snapshot).remote
    assert located(snapshot).remote is not None


@pytest.mark.parametrize("told", [None, "", "x", 5, [ID], f"../{ID}", ID.replace("-", "")])
def test_an_id_that_is_none_makes_no_remote_data(told: object) -> None:
    assert remote(image_id=told) is None


@pytest.mark.parametrize(
    "url",
    [
        f"{COPY_URL}/file",
        f"{COPY_URL}/",
        f"{COPY_URL}?x=1",
        f"{COPY_URL}#x",
        f"{COPY_URL}\n",
        COPY_URL[:-1],
        "http://glance.two:9292/v2/images/",
        f"http:///v2/images/{ID}",
        f"http://glance.two?x/v2/images/{ID}",
        f"http://glance.two/x?x/v2/images/{ID}",
        f"http://glance.two#x/v2/images/{ID}",
        f"http://glance.two/x#x/v2/images/{ID}",
        f"http://glance.two/images/{ID}",
        f"http://glance.two/v1/images/{ID}",
        f"http://glance.two/xv2/images/{ID}",
        f"ftp://glance.two/v2/images/{ID}",
        f"swift+https://glance.two/v2/images/{ID}",
        f"x{COPY_URL}",
        f"/v2/images/{ID}",
        "",
    ],
)
def test_a_url_that_leads_to_no_image_record_is_no_remote_data(url: str) -> None:
    assert remote(url, image_id=OTHER_ID) is None
    assert remotes.url_image_id(url) is None


def test_the_first_remote_data_counts() -> None:
    metadata = {"image_from": "volume"}
    first = {"url": COPY_URL, "metadata": metadata}
    second = {"url": COPY_URL.replace(ID, OTHER_ID), "metadata": metadata}
    assert located(first, second).remote == located(first).remote
    assert located(first).remote != located(second).remote


def test_an_image_with_its_data_here_has_no_remote_data() -> None:
    plain = image_records.parse(record(), builders.REGION)
    for image in (located(FILE), located(), plain, builders.source()):
        assert image.remote is None


def test_the_url_of_remote_data_is_not_shown() -> None:
    image = located({"url": COPY_URL, "metadata": {"image_from": "snapshot"}})
    assert "glance.two" not in repr(image)
    assert f"RemoteData(image_id='{ID}', image_from='snapshot', region=None" in repr(image)


@pytest.mark.parametrize("url", [FILE["url"], SWIFT, "x", f"{COPY_URL}/file"])
def test_a_snapshot_with_local_data_has_no_remote_data(url: str) -> None:
    snapshot = {"url": COPY_URL, "metadata": {"image_from": "snapshot"}}
    here = {"url": url, "metadata": {}}
    for image in (located(here, snapshot), located(snapshot, here)):
        assert image.remote is None
        assert snapshots.is_snapshot(image)


def test_remote_data_may_not_be_read_before_its_image_was_read() -> None:
    found = remote()
    assert found is not None
    assert found.fault == "the agent has not read the image that holds the data"
    assert (found.region, found.status) == (None, None)
