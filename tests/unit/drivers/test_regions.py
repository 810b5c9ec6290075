# SPDX-License-Identifier: Apache-2.0
"""Which ways lead to the bytes of a region."""

import threading
import types
from typing import Any

import pytest

from glance_sync_agent import errors
from glance_sync_agent.conf import store_file
from glance_sync_agent.drivers import regions
from glance_sync_agent.drivers.stores import api
from glance_sync_agent.drivers.stores import fallback
from glance_sync_agent.drivers.stores import filesystem
from glance_sync_agent.drivers.transport import streams
from glance_sync_agent.drivers.transport.trust import Trust
from tests.unit import builders

MIB = 1024 * 1024
ENDPOINTS = {
    "RegionOne": "http://192.0.2.11:9292",
    "RegionTwo": "http://192.0.2.12:9292",
    "RegionThree": "http://192.0.2.13:9292",
    "RegionFour": "http://192.0.2.14:9292",
}
FILESYSTEM = {
    "name": "filesystem",
    "parameters": {"host": "192.0.2.99", "login_user": "glance", "datadir": "/images"},
}


class Catalogue:
    """Keystone's catalogue, without Keystone."""

    cascading = "RegionOne"
    forgotten = False

    def regions(self):
        return frozenset(ENDPOINTS)

    def endpoint(self, region):
        if region not in ENDPOINTS:
            raise errors.UnknownRegion(f"no region {region}")
        return ENDPOINTS[region]

    def forget_token(self):
        self.forgotten = True

    def token(self):
        return "a token"


@pytest.fixture
def services(tmp_path):
    """Return a function that makes the services for a store file."""
    made = []

    def make(entries=(), small_image_bytes=MIB):
        file = tmp_path / "glance_store.yaml"
        file.write_text(repr({"glances": list(entries)}))
        catalogue: Any = Catalogue()
        session: Any = types.SimpleNamespace(invalidate=lambda: None)
        made.append(
            regions.RegionServices(
                catalogue=catalogue,
                session=session,
                settings=regions.RegionSettings(
                    entries=store_file.load(file),
                    store_file=file,
                    known_hosts="/etc/keys",
                    small_image_bytes=small_image_bytes,
                    timeouts=streams.Timeouts(),
                    ssh_timeouts=streams.Timeouts(),
                    trust=Trust(),
                ),
                stop=threading.Event(),
            )
        )
        return made[-1]

    yield make
    for one in made:
        one.close()
        one.close()


def entry(name, *schemes, service_ip="198.51.100.1"):
    return {"name": name, "service_ip": service_ip, "schemes": list(schemes)}


def test_without_a_store_file_every_region_is_reached_through_its_image_api(services):
    made = services()
    made.check()
    assert isinstance(made.store("RegionTwo", 100 * MIB), api.ApiStore)
    for region in ("RegionOne", "RegionTwo"):
        assert isinstance(made.source_store(region), api.ApiStore)


def test_small_images_take_the_image_api_and_large_ones_ssh(services):
    made = services([entry("RegionTwo", FILESYSTEM)], small_image_bytes=2 * MIB)
    assert isinstance(made.store("RegionTwo", 2 * MIB), api.ApiStore)
    assert isinstance(made.store("RegionTwo", 2 * MIB + 1), filesystem.FilesystemStore)
    assert isinstance(made.store("RegionThree", 2 * MIB + 1), api.ApiStore)


def test_a_refused_token_is_forgotten_where_it_came_from(services):
    made = services()
    made._context("RegionTwo").forget_token()
    assert made._catalogue.forgotten


def test_data_for_the_cascading_region_takes_its_image_api(services):
    made = services([entry("RegionOne", FILESYSTEM)])
    assert isinstance(made.store("RegionOne", 100 * MIB), api.ApiStore)
    assert isinstance(made.scheme_store("RegionOne"), filesystem.FilesystemStore)


@pytest.mark.parametrize("region", ["RegionOne", "RegionTwo"])
def test_a_region_that_cannot_be_read_its_own_way_is_read_through_its_image_api(
    services, region
):
    made = services([entry(region, FILESYSTEM)])
    assert isinstance(made.source_store(region), fallback.WithFallback)
    assert made.source_store(region) is made.source_store(region)
    with pytest.raises(errors.UnknownRegion):
        made.source_store("RegionNine")


@pytest.mark.parametrize(("region", "is_reported"), [("RegionOne", True), ("RegionTwo", False)])
def test_unreadable_files_are_reported_for_the_cascading_region_only(
    services, monkeypatch, caplog, region, is_reported
):
    monkeypatch.setitem(ENDPOINTS, region, "http://127.0.0.1:1")  # where nothing listens
    blind = {"name": "filesystem", "parameters": {"host": "192.0.2.99", "login_user": "glance"}}
    made = services([entry(region, blind)])
    for _ in range(2):
        with pytest.raises(errors.ServiceUnavailable, match=r"127\.0\.0\.1:1"):
            made.source_store(region).read(builders.source()).__enter__()
    assert caplog.text.count("has no datadir to read from") == is_reported


def test_an_entry_is_found_by_name_and_else_by_address(services):
    made = services(
        [
            entry("RegionTwo", FILESYSTEM),
            entry("the third", FILESYSTEM, service_ip="192.0.2.13"),
            entry("misleading", FILESYSTEM, service_ip="192.0.2.12"),
        ]
    )
    assert made.entry("RegionTwo").name == "RegionTwo"
    assert made.entry("RegionThree").name == "the third"
    assert made.entry("RegionFour") is None
    with pytest.raises(errors.UnknownRegion):
        made.entry("RegionNine")


def test_a_scheme_without_a_driver_is_ignored(services):
    http = {"name": "http", "parameters": {"host": "192.0.2.99"}}
    made = services([entry("RegionTwo", http, FILESYSTEM), entry("RegionThree", http)])
    assert made.scheme("RegionTwo").name == "filesystem"
    assert made.scheme("RegionThree") is None
    assert isinstance(made.store("RegionThree", 100 * MIB), api.ApiStore)


def test_all_mistakes_in_the_store_file_are_named_at_once(services):
    bad = {"name": "filesystem", "parameters": {"hots": "192.0.2.99", "login_user": "glance"}}
    made = services([entry("RegionTwo", bad), entry("RegionThree", bad)])
    with pytest.raises(errors.ConfigurationError) as caught:
        made.check()
    said = str(caught.value)
    assert "RegionTwo" in said
    assert "RegionThree" in said
    assert said.count("glance_store.yaml") >= 2
    assert "hots" in said


def test_an_entry_of_no_region_is_reported(services, caplog):
    services([entry("RegionNine", FILESYSTEM)]).check()
    assert "RegionNine belongs to no region of the catalogue" in caplog.text


def test_services_are_made_once(services):
    made = services([entry("RegionTwo", FILESYSTEM)])
    for size in (1, 100 * MIB):
        assert made.store("RegionTwo", size) is made.store("RegionTwo", size)
    assert made.image_service("RegionTwo") is made.image_service("RegionTwo")
    with pytest.raises(errors.UnknownRegion):
        made.image_service("RegionNine")
