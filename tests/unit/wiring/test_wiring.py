# SPDX-License-Identifier: Apache-2.0
"""Which parts are put together, and what settings reach them."""

import contextlib
import dataclasses
import datetime
import logging
import subprocess
import sys
import textwrap
import types
from typing import Any

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import strategy
from glance_sync_agent.drivers import regions
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.drivers.transport import streams
from glance_sync_agent.drivers.transport.trust import Trust
from glance_sync_agent.engine import ports
from glance_sync_agent.wiring import agent
from glance_sync_agent.wiring import buses
from glance_sync_agent.wiring import catalogue_checks
from glance_sync_agent.wiring import cloud as clouds
from glance_sync_agent.wiring import configuration as configurations
from glance_sync_agent.wiring.cloud import SystemClock
from tests.unit import builders

CONF = """
[DEFAULT]
state_path = {directory}/state
{line}
[service_credentials]
auth_url = http://127.0.0.1:1/v3
username = agent
password = secret
"""
ENDPOINTS = {
    "RegionOne": "http://192.0.2.11:9292",
    "RegionTwo": "http://192.0.2.12:9292",
    "RegionThree": "http://192.0.2.13:9292",
    "RegionFour": "http://192.0.2.14:9292",
}


class Catalogue:
    """Keystone's catalogue, without Keystone."""

    cascading = "RegionOne"

    def regions(self):
        return frozenset(ENDPOINTS)

    def endpoint(self, region):
        if region not in ENDPOINTS:
            raise errors.UnknownRegion(f"no region {region}")
        return ENDPOINTS[region]


@pytest.fixture(autouse=True)
def _logging_stays_as_it_was():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "sync.conf"


@pytest.fixture
def configure(file):
    def read(line=""):
        write(file, line)
        return configurations.configure(["--config-file", str(file)], prog="test", description="")

    return read


def write(file, line):
    file.write_text(CONF.format(directory=file.parent, line=textwrap.dedent(line)))


def test_mutable_options_follow_the_file(configure, file):
    current = configure()
    write(
        file,
        """
        sync_strategy = none
        sync_enabled = false
        task_retry_times = 9
        scp_copy_timeout = 7
        [reconcile]
        max_deletes = 3
        [metadata]
        members = false
        [transfer]
        copies_as_sources = false
        give_up_seconds = 11
        vanished_pause_seconds = 12
        pause_windows = RegionTwo: 0 8 * * * 1h UTC
        pause_windows = *: 0 9 * * * 1h UTC
        """,
    )
    current.reload()
    assert current.for_engine().placement.strategy is strategy.Strategy.NONE
    assert not current.settings.sync_enabled
    assert current.for_engine().scans.max_deletes == 3
    assert not current.for_engine().metadata.members
    assert not current.for_engine().origins.copies_as_sources
    assert current.for_engine().worker.retries.retries == 9
    assert current.for_engine().worker.retries.give_up == 11
    assert current.for_engine().attempts.limits.transfer == 7
    assert current.for_engine().attempts.limits.vanished == 12
    assert [one.region for one in current.for_engine().pause_windows] == ["RegionTwo", None]


def test_other_options_stay_as_they_were_at_start(configure, file):
    current = configure()
    before = current.settings
    write(file, "cascading_endpoint_url = http://192.0.2.77/\n[notifications]\npool = other")
    current.reload()
    assert current.settings == before


@pytest.mark.parametrize(
    "line",
    [
        "sync_strategy = SOME",
        "task_retry_times = many",
        "[transfer]\nlease_seconds = 1",
        "[transfer]\npause_windows = RegionTwo: 0 8 * * * 1h",
        "no section",
        "[service_credentials]\ninterface = private",
    ],
)
def test_a_bad_file_changes_nothing(configure, file, line):
    current = configure("task_retry_times = 7")
    before = current.settings
    write(file, line)
    with pytest.raises(errors.ConfigurationError):
        current.reload()
    assert current.settings is before
    assert current.for_engine().worker.retries.retries == 7
    write(file, "task_retry_times = 8")
    current.reload()
    assert current.for_engine().worker.retries.retries == 8


def test_a_file_that_is_gone_changes_nothing(configure, file):
    current = configure()
    before = current.settings
    file.unlink()
    with pytest.raises(errors.ConfigurationError):
        current.reload()
    assert current.settings is before


@pytest.mark.parametrize(
    ("line", "where"), [("", "stderr"), ("log_file = {directory}/agent.log", "file")]
)
def test_the_log_goes_to_stderr_or_its_file_and_never_to_stdout(file, line, where):
    write(file, line.format(directory=file.parent))
    program = (
        "import logging; from glance_sync_agent.wiring import configuration;"
        f"configuration.configure(['--config-file', {str(file)!r}], prog='test', description='');"
        "logging.getLogger('glance_sync_agent.test').info('a line')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not done.stdout
    assert ("a line" in done.stderr) == (where == "stderr")
    log = file.parent / "agent.log"
    assert ("a line" in log.read_text()) if where == "file" else not log.exists()


def test_what_paramiko_raises_it_does_not_log_as_well(file):
    write(file, "")
    program = (
        "import logging; from glance_sync_agent.wiring import configuration;"
        f"configuration.configure(['--config-file', {str(file)!r}], prog='test', description='');"
        "logging.getLogger('paramiko.transport').error('Traceback (most recent call last):')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("url", ["carrier://agent:s3cret@192.0.2.1/", "s3cret", "rabbit://a:b@c:x/"])
def test_a_transport_url_that_is_none_ends_the_start(configure, url):
    current = configure(f"transport_url = {url}")
    with pytest.raises(errors.ConfigurationError, match="transport_url") as caught:
        agent.prepare(current)
    assert "s3cret" not in str(caught.value)


def test_the_clock_is_aware_and_never_goes_back():
    clock = SystemClock()
    assert clock.now().utcoffset() == datetime.timedelta(0)
    assert clock.monotonic() <= clock.monotonic()


def test_the_clock_follows_the_database_and_logs_a_difference_once(caplog):
    clock = SystemClock()
    before = clock.monotonic()
    for hours in (1, 1, 2):
        clock.follow(datetime.timedelta(hours=hours))
        ahead = clock.now() - datetime.datetime.now(datetime.UTC)
        assert abs(ahead - datetime.timedelta(hours=hours)) < datetime.timedelta(seconds=1)
    assert clock.monotonic() - before < 1
    (told,) = caplog.messages
    assert told.startswith("The clock of the database is 3600 s ahead of this machine's")
    clock.follow(datetime.timedelta(milliseconds=20))
    assert len(caplog.messages) == 1
    assert abs(clock.now() - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(seconds=1)


def test_the_way_to_the_database_does_not_move_the_clock():
    clock = SystemClock()
    for _ in range(40):
        clock.follow(datetime.timedelta(seconds=0.4))
    assert clock.now() - datetime.datetime.now(datetime.UTC) < datetime.timedelta(seconds=0.2)


def test_the_store_file_and_the_settings_of_transfers_lead_to_the_bytes(configure, file):
    entry = {"name": "RegionTwo", "schemes": [{"name": "filesystem", "parameters": {"host": "h"}}]}
    (file.parent / "glance_store.yaml").write_text(repr({"glances": [entry]}))
    current = configure(
        """
        [ssh]
        connect_timeout_seconds = 3
        known_hosts = /etc/keys
        [transfer]
        small_image_mib = 2
        connect_timeout_seconds = 5
        idle_timeout_seconds = 7
        """
    )
    found = clouds.region_settings(current.settings, Trust(insecure=True))
    assert [one.name for one in found.entries] == ["RegionTwo"]
    assert found == regions.RegionSettings(
        entries=found.entries,
        store_file=file.parent / "glance_store.yaml",
        known_hosts="/etc/keys",
        small_image_bytes=2 * 1024 * 1024,
        timeouts=streams.Timeouts(connect_seconds=5, idle_seconds=7),
        ssh_timeouts=streams.Timeouts(connect_seconds=3, idle_seconds=7),
        trust=Trust(insecure=True),
    )


def test_settings_do_not_show_the_database_s_password(configure):
    current = configure("[database]\nconnection = postgresql+psycopg://agent:s3cret@db/x")
    assert "s3cret" not in repr(current.settings)
    assert dataclasses.is_dataclass(current.settings)


BUS = "rabbit://u:hidden@h:1/v"
ONE, TWO, GONE = map(images.RegionId, ("RegionOne", "RegionTwo", "Gone"))
REGIONS = frozenset(map(images.RegionId, ENDPOINTS))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("snapshot_region_names = RegionTwo,Atlantis", "snapshot_region_names: the catalogue has"),
        (
            f"[notifications]\nregion_transport_urls = Atlantis:{BUS}",
            "region_transport_urls: the catalogue has no image endpoint in region Atlantis",
        ),
        (
            "[transfer]\npause_windows = Atlantis: 0 8 * * * 1h UTC",
            "[transfer] pause_windows: the catalogue has no image endpoint in region Atlantis",
        ),
        (
            f"[notifications]\nregion_transport_urls = RegionOne:{BUS}",
            "RegionOne is the cascading region, whose bus is transport_url",
        ),
    ],
)
def test_an_unknown_region_in_the_files_is_reported_with_the_known_ones(configure, line, said):
    current = configure(line)
    with pytest.raises(errors.ConfigurationError) as caught:
        catalogue_checks.check_named_regions(current.settings, REGIONS, ONE)
    assert said in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_regions_that_are_there_may_be_named(configure):
    current = configure(
        "snapshot_region_names = RegionOne,RegionTwo\n"
        f"[notifications]\nregion_transport_urls = RegionTwo:{BUS}\n"
        "[transfer]\npause_windows = RegionTwo: 0 8 * * * 1h UTC\n"
        "pause_windows = *: 0 8 * * * 1h UTC"
    )
    catalogue_checks.check_named_regions(current.settings, REGIONS, ONE)


def test_a_bus_of_a_region_that_is_none_keeps_the_agent_from_starting(configure):
    current = configure("[notifications]\nregion_transport_urls = RegionTwo:no://u:hidden@h")
    with pytest.raises(errors.ConfigurationError) as caught:
        agent.prepare(current)
    assert "the entry of RegionTwo is not a URL" in str(caught.value)
    assert "hidden" not in str(caught.value)


RULES = """
rules:
  - regions: [Gone, RegionTwo]
  - regions: ["G*", Atlantis]
"""


def test_a_named_region_that_left_the_catalogue_is_reported_and_stops_nothing(configure, file):
    (file.parent / "sync_strategy.yaml").write_text(RULES)
    current = configure(
        "sync_strategy = USER\nsnapshot_region_names = Gone,RegionTwo\n"
        f"[notifications]\nregion_transport_urls = Gone:{BUS}"
    )
    known = frozenset({GONE, TWO})
    reported = catalogue_checks.check_named_regions(current.settings, REGIONS, ONE, known)
    assert reported == [
        "snapshot_region_names: region Gone has left Keystone's catalogue",
        "[notifications] region_transport_urls: region Gone has left Keystone's catalogue",
        f"{file.parent}/sync_strategy.yaml: region Gone has left Keystone's catalogue",
    ]


def test_a_region_that_was_never_seen_still_ends_the_start(configure):
    current = configure("snapshot_region_names = Gone,Atlantis")
    with pytest.raises(errors.ConfigurationError) as caught:
        catalogue_checks.check_named_regions(current.settings, REGIONS, ONE, frozenset({GONE}))
    assert "in region Atlantis" in str(caught.value)
    assert "Gone" not in str(caught.value)


def test_a_region_that_left_the_catalogue_and_is_not_named_is_not_reported(configure):
    found, known = configure().settings, frozenset({GONE})
    assert catalogue_checks.check_named_regions(found, REGIONS, ONE, known) == []


def test_another_cascading_region_is_refused_with_both_names_and_the_ways_on():
    catalogue_checks.check_cascading(None, TWO)
    catalogue_checks.check_cascading(TWO, TWO)
    with pytest.raises(errors.ConfigurationError) as caught:
        catalogue_checks.check_cascading(ONE, TWO)
    said = str(caught.value)
    assert "leads to region RegionTwo" in said
    assert "images of region RegionOne" in said
    assert "Correct cascading_endpoint_url" in said
    assert "'glance-sync-manage region rename RegionOne RegionTwo'" in said
    assert "'glance-sync-manage region forget RegionOne'" in said


@pytest.fixture
def tables(configure, tmp_path):
    """Return the configuration, and a store with its tables."""
    (tmp_path / "state").mkdir()
    current = configure("snapshot_region_names = RegionTwo")
    with contextlib.closing(task_store.SqlTaskStore(current.settings.database_url)) as store:
        store.upgrade()
        yield current, store


def test_the_catalogue_is_remembered_when_the_agent_starts(tables):
    current, store = tables
    catalogue: Any = Catalogue()
    for _ in range(2):
        assert catalogue_checks.check(current.settings, store, catalogue, builders.NOW) == []
    assert store.known_regions().cascading() == "RegionOne"
    assert store.known_regions().all() == REGIONS


def test_an_agent_that_comes_with_another_cascading_region_changes_nothing(tables):
    current, store = tables
    catalogue: Any = Catalogue()
    catalogue_checks.check(current.settings, store, catalogue, builders.NOW)
    catalogue.cascading = "RegionTwo"
    with pytest.raises(errors.ConfigurationError, match="leads to region RegionTwo, but"):
        catalogue_checks.check(current.settings, store, catalogue, builders.NOW)
    assert store.known_regions().cascading() == "RegionOne"


def test_a_region_that_was_in_the_catalogue_once_may_leave_it(tables, monkeypatch):
    current, store = tables
    catalogue: Any = Catalogue()
    catalogue_checks.check(current.settings, store, catalogue, builders.NOW)
    monkeypatch.delitem(ENDPOINTS, "RegionTwo")
    assert catalogue_checks.check(current.settings, store, catalogue, builders.NOW) == [
        "snapshot_region_names: region RegionTwo has left Keystone's catalogue"
    ]


def test_the_bus_of_a_region_that_left_the_catalogue_has_no_listener(configure):
    current = configure(
        f"[notifications]\nregion_transport_urls = Gone:{BUS}\n"
        f"region_transport_urls = RegionTwo:{BUS}"
    )
    requests: Any = types.SimpleNamespace(handle=lambda _event: None)
    made = buses.make_listeners(current, requests, {TWO}, ports.NoMeters())
    assert len(made._others) == 1
