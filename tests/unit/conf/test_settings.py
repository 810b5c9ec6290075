# SPDX-License-Identifier: Apache-2.0
"""``sync.conf``: every option arrives, and bad values are refused with a sentence."""

import dataclasses
import datetime
import operator
import pathlib
import zoneinfo

from oslo_config import cfg
import pytest

from glance_sync_agent import errors
from glance_sync_agent.conf import options
from glance_sync_agent.conf import settings
from glance_sync_agent.conf import sync_conf
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import pause_windows
from glance_sync_agent.domain import strategy
from tests import paths

SAMPLES = paths.ROOT / "etc" / "glance"
RULES_FILE = SAMPLES / "sync_strategy.yaml"
PROJECT_MAP = SAMPLES / "project_map.yaml"
KEYS_STAY = ("cinder_encryption_key_deletion_policy", "os_encrypt_key_deletion_policy")
METADATA = metadata_policy.MetadataPolicy(exclude_properties=KEYS_STAY)
SNAPSHOT_REGIONS = frozenset(map(images.RegionId, ("RegionTwo", "RegionFour")))
#: Section, option, value as written, path of the field, value as it arrives.
ARRIVING = [
    (None, "sync_enabled", "false", "sync_enabled", False),
    (
        None, "sync_strategy", "None", "engine.placement",
        strategy.PlacementPolicy(strategy=strategy.Strategy.NONE),
    ),
    (
        None, "snapshot_region_names", "RegionTwo, RegionFour",
        "engine.placement", strategy.PlacementPolicy(snapshot_regions=SNAPSHOT_REGIONS),
    ),
    (
        "snapshots", "volume_backed", "true",
        "engine.placement", strategy.PlacementPolicy(volume_backed=True),
    ),
    ("snapshots", "shelved", "true", "engine.placement", strategy.PlacementPolicy(shelved=True)),
    ("strategy", "rules_file", str(RULES_FILE), "rules_file", RULES_FILE),
    ("strategy", "keystone_cache_seconds", "5", "engine.project_seconds", 5.0),
    (
        "strategy", "unfiltered_projects_may_use_all", "false",
        "engine.placement", strategy.PlacementPolicy(unfiltered_projects_may_use_all=False),
    ),
    (
        "metadata", "exclude_properties", "internal_*, b",
        "engine.metadata", metadata_policy.MetadataPolicy(exclude_properties=("internal_*", "b")),
    ),
    (
        "metadata", "owner", "Agent",
        "engine.metadata", dataclasses.replace(METADATA, owner=metadata_policy.Owner.AGENT),
    ),
    ("metadata", "project_map", str(PROJECT_MAP), "project_map", PROJECT_MAP),
    (
        "metadata", "visibility", "private",
        "engine.metadata",
        dataclasses.replace(METADATA, visibility=metadata_policy.Visibility.PRIVATE),
    ),
    (
        "metadata", "members", "false",
        "engine.metadata", dataclasses.replace(METADATA, members=False),
    ),
    (None, "cascading_endpoint_url", "https://g:1/x", "cascading_endpoint_url", "https://g:1/x"),
    (None, "record_locations", "true", "engine.attempts.record_locations", True),
    (None, "task_retry_times", "7", "engine.worker.retries.retries", 7),
    (None, "scp_copy_timeout", "0", "engine.attempts.limits.transfer", 0),
    (None, "state_path", "/srv/state", "state_path", pathlib.Path("/srv/state")),
    (None, "glance_store_cfg_file", "/dev/null", "store_file", pathlib.Path("/dev/null")),
    ("notifications", "topics", "one,two", "bus.topics", ("one", "two")),
    ("notifications", "exchange", "images", "bus.exchange", "images"),
    ("notifications", "pool", "second", "bus.pool", "second"),
    (None, "snapshot_timeout", "7", "engine.attempts.limits.snapshot", 7),
    (None, "snapshot_sleep_interval", "3", "snapshot_sleep_interval", 3),
    (
        "notifications", "region_transport_urls", "RegionTwo:rabbit://u:p@h:1,u:p@i:2/v",
        "bus.region_urls", {"RegionTwo": "rabbit://u:p@h:1,u:p@i:2/v"},
    ),
    ("notifications", "prefetch", "64", "bus.prefetch", 64),
    (
        "database", "connection", "mysql+pymysql://u:p@h/d",
        "database_url", "mysql+pymysql://u:p@h/d",
    ),
    ("ssh", "known_hosts", "/srv/known", "network.known_hosts", "/srv/known"),
    ("ssh", "connect_timeout_seconds", "2.5", "network.ssh_connect_seconds", 2.5),
    ("transfer", "tasks_per_region", "9", "engine.worker.tasks_per_region", 9),
    ("transfer", "tasks_per_region", "9", "engine.slots.tasks_per_region", 9),
    ("transfer", "small_image_mib", "3", "engine.origins.small_image_bytes", 3 * 1024 * 1024),
    ("transfer", "large_image_mib", "5", "engine.slots.large_image_bytes", 5 * 1024 * 1024),
    ("transfer", "copies_as_sources", "false", "engine.origins.copies_as_sources", False),
    ("transfer", "connect_timeout_seconds", "3.5", "network.connect_seconds", 3.5),
    ("transfer", "idle_timeout_seconds", "20", "network.idle_seconds", 20.0),
    ("transfer", "retry_base_seconds", "0.5", "engine.worker.retries.base", 0.5),
    ("transfer", "retry_max_seconds", "90", "engine.worker.retries.cap", 90.0),
    ("transfer", "give_up_seconds", "0", "engine.worker.retries.give_up", 0.0),
    ("transfer", "vanished_pause_seconds", "0", "engine.attempts.limits.vanished", 0.0),
    ("transfer", "lease_seconds", "300", "engine.attempts.limits.lease", 300.0),
    ("transfer", "lease_seconds", "300", "engine.worker.lease_seconds", 300.0),
    ("transfer", "region_failures", "0", "engine.breakers.failures", 0),
    ("transfer", "region_pause_seconds", "0.5", "engine.breakers.base", 0.5),
    ("transfer", "region_pause_max_seconds", "90", "engine.breakers.cap", 90.0),
    (
        "transfer", "pause_windows", "RegionTwo: 0 8 * * 1-5 10h Europe/Berlin finish",
        "engine.pause_windows",
        (
            pause_windows.PauseWindow(
                region=images.RegionId("RegionTwo"),
                starts="0 8 * * 1-5",
                zone=zoneinfo.ZoneInfo("Europe/Berlin"),
                duration=datetime.timedelta(hours=10),
                finishes=True,
                text="0 8 * * 1-5 10h Europe/Berlin",
            ),
        ),
    ),
    ("reconcile", "interval", "0", "engine.scans.intervals.full", 0.0),
    ("reconcile", "changes_interval", "7.5", "engine.scans.intervals.incremental", 7.5),
    ("reconcile", "members_interval", "0", "engine.scans.intervals.members", 0.0),
    ("reconcile", "max_deletes", "0", "engine.scans.max_deletes", 0),
    ("reconcile", "gone_grace", "3600", "engine.scans.gone_grace", 3600.0),
    (
        "reconcile", "delete_out_of_strategy", "true",
        "engine.attempts.delete_out_of_strategy", True,
    ),
    ("verify", "interval", "86400", "engine.verify.interval", 86400.0),
    ("verify", "max_bytes_per_second", "0", "engine.verify.max_bytes_per_second", 0),
    ("verify", "max_repairs", "3", "engine.verify.max_repairs", 3),
    (None, "sync_server_host", "0.0.0.0", "api.host", "0.0.0.0"),
    (None, "sync_server_port", "80", "api.port", 80),
    ("api", "enabled", "false", "api.is_enabled", False),
    ("api", "page", "false", "api.has_page", False),
    ("api", "session_key", "k" * 32, "api.session_key", "k" * 32),
    ("audit", "enabled", "true", "api.audit.is_enabled", True),
    ("audit", "audit_map_file", "/a.conf", "api.audit.map_file", "/a.conf"),
    ("audit", "ignore_req_list", "GET", "api.audit.ignored_methods", ("GET",)),
    ("history", "days", "0.5", "engine.upkeep.history_days", 0.5),
    ("api", "completion_target_seconds", "60", "engine.upkeep.completion_target", 60.0),
]


#: A constant, and a choice that follows from the buses.
WITHOUT_OPTION = {"engine.attempts.limits.progress", "engine.scans.snapshot_origins"}
POLICIES = (strategy.PlacementPolicy, metadata_policy.MetadataPolicy)


def paths_of(group, prefix=""):
    """Yield the paths of all fields; a policy counts as one."""
    for field in dataclasses.fields(group):
        value = getattr(group, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, POLICIES):
            yield from paths_of(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}"


@pytest.fixture
def written(tmp_path):
    """Return a function that writes a ``sync.conf`` and reads it as the agent does."""
    file = tmp_path / "sync.conf"

    def write(text=""):
        file.write_text(text)
        return sync_conf.parse([f"--config-file={file}"], prog="test", description="")

    return write


def section(name, option, value):
    return f"[{name or 'DEFAULT'}]\n{option} = {value}\n"


def registered():
    return {(group, option.dest) for group, found in options.GROUPS.items() for option in found}


@pytest.mark.parametrize(
    ("group", "option", "text", "field", "value"), ARRIVING, ids=[row[3] for row in ARRIVING]
)
def test_an_option_arrives(written, group, option, text, field, value):
    read = operator.attrgetter(field)
    assert read(settings.load(written())) != value

    assert read(settings.load(written(section(group, option, text)))) == value


def test_every_option_and_every_field_is_among_those_that_arrive(written):
    assert {row[:2] for row in ARRIVING} == registered()
    assert {row[3] for row in ARRIVING} | WITHOUT_OPTION == set(paths_of(settings.load(written())))


def test_the_generator_is_given_copies_of_all_options():
    listed = options.list_opts()

    assert {(group, option.dest) for group, found in listed for option in found} == registered()
    listed[0][1][0].default = "changed"
    assert options.list_opts()[0][1][0].default != "changed"


@pytest.mark.parametrize("group", options.GROUPS)
def test_every_option_has_a_help_that_is_a_sentence(group):
    texts = [option.help for option in options.GROUPS[group]]

    assert not [text for text in texts if not text or not text.endswith(".")]


def test_what_may_hold_a_password_is_neither_logged_nor_shown(written):
    conf = written(section("database", "connection", "postgresql+psycopg://u:hidden@h/d"))
    (option,) = options.GROUPS["database"]

    assert option.secret
    assert "hidden" not in repr(settings.load(conf))


def test_the_key_of_the_page_is_long_and_not_shown(written):
    assert "kkkk" not in repr(settings.load(written(section("api", "session_key", "k" * 32))))
    with pytest.raises(errors.ConfigurationError, match="openssl rand -hex 32"):
        settings.load(written(section("api", "session_key", "k" * 31)))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["rabbit://u:hidden@h"], "expected REGION:URL"),
        (["RegionTwo"], "expected REGION:URL"),
        (["RegionTwo=rabbit://u:hidden@h"], "in entry 1"),
        ([" :rabbit://u:hidden@h"], "in entry 1"),
        (["RegionTwo:rabbit://u:hidden@h", "RegionThree:h:1"], "in entry 2"),
        (["R:rabbit://u:hidden@h", " R :rabbit://u:hidden@i"], "R is given twice"),
    ],
)
def test_a_wrong_bus_of_a_region_is_reported_without_its_password(written, lines, said):
    text = "".join(f"region_transport_urls = {line}\n" for line in lines)
    conf = written(f"[notifications]\n{text}")
    with pytest.raises(errors.ConfigurationError) as caught:
        settings.load(conf)
    assert said in str(caught.value)
    assert "sync.conf" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_the_buses_of_regions_are_not_shown(written):
    conf = written("[notifications]\nregion_transport_urls = RegionTwo:rabbit://u:hidden@h\n")
    (option,) = [one for one in options.GROUPS["notifications"] if "region" in one.dest]
    assert option.secret
    assert "hidden" not in repr(settings.load(conf))


def test_the_database_is_in_the_state_path_unless_it_is_named(written):
    found = settings.load(written(section(None, "state_path", "/srv/state")))

    assert found.database_url == "sqlite:////srv/state/sync.sqlite"


@pytest.mark.parametrize("text", ["ALL", "all", "All"])
def test_a_strategy_is_taken_in_any_case_of_letters(written, text):
    conf = written(section(None, "sync_strategy", text))

    assert settings.load(conf).engine.placement.strategy is strategy.Strategy.ALL


@pytest.mark.parametrize(
    ("group", "option", "text"),
    [
        pytest.param(None, "sync_enabled", "perhaps", id="boolean"),
        pytest.param(None, "sync_strategy", "SOME", id="unknown strategy"),
        pytest.param(None, "sync_strategy", "", id="no strategy"),
        pytest.param(None, "cascading_endpoint_url", "ftp://host/", id="scheme"),
        pytest.param(None, "cascading_endpoint_url", "glance", id="no URL"),
        pytest.param(None, "task_retry_times", "-1", id="negative"),
        pytest.param(None, "task_retry_times", "many", id="no number"),
        pytest.param(None, "scp_copy_timeout", "-1", id="negative time"),
        pytest.param(None, "glance_store_cfg_file", "absent.yaml", id="no such file"),
        pytest.param("metadata", "owner", "somebody", id="unknown owner"),
        pytest.param("metadata", "visibility", "public", id="more visible than the source"),
        pytest.param("metadata", "members", "some", id="some members"),
        pytest.param("metadata", "project_map", "absent.yaml", id="no such map"),
        pytest.param("notifications", "prefetch", "1", id="prefetch that loses its last place"),
        pytest.param("ssh", "connect_timeout_seconds", "0", id="no time"),
        pytest.param("transfer", "tasks_per_region", "0", id="no task"),
        pytest.param("transfer", "idle_timeout_seconds", "0.5", id="idle too short"),
        pytest.param("transfer", "lease_seconds", "9", id="lease too short"),
        pytest.param("transfer", "small_image_mib", "1.5", id="fraction"),
        pytest.param("reconcile", "max_deletes", "-1", id="negative count"),
        pytest.param("verify", "max_bytes_per_second", "-1", id="negative rate"),
    ],
)
def test_a_bad_value_is_refused_with_file_and_option(written, tmp_path, group, option, text):
    with pytest.raises(errors.ConfigurationError) as caught:
        settings.load(written(section(group, option, text)))

    assert str(tmp_path / "sync.conf") in str(caught.value)
    assert option in str(caught.value)
    assert "LocationInfo" not in str(caught.value)


@pytest.mark.parametrize(
    ("lease", "idle", "allowed"),
    [
        pytest.param(120, 60, True, id="twice"),
        pytest.param(119.5, 60, False, id="a little less"),
        pytest.param(180, 91, False, id="longer idle"),
    ],
)
def test_a_lease_is_at_least_twice_the_idle_time(written, lease, idle, allowed):
    conf = written(
        section("transfer", "lease_seconds", f"{lease}\nidle_timeout_seconds = {idle}")
    )

    if allowed:
        assert settings.load(conf).engine.attempts.limits.lease == lease
    else:
        with pytest.raises(errors.ConfigurationError, match=r"lease_seconds = .* at least twice"):
            settings.load(conf)


def test_the_defaults_go_together(written):
    found = settings.load(written())

    assert found.engine.placement == strategy.PlacementPolicy(strategy=strategy.Strategy.ALL)
    assert found.store_file is None
    assert found.engine.metadata == METADATA


def test_a_deleted_copy_takes_no_encryption_key_along_unless_the_operator_says_so(written):
    assert settings.load(written()).engine.metadata.exclude_properties == KEYS_STAY
    conf = written(section("metadata", "exclude_properties", ""))
    assert settings.load(conf).engine.metadata.exclude_properties == ()


def test_the_project_map_beside_sync_conf_is_read_for_every_kind_of_owner(
    written, tmp_path
):
    file = tmp_path / "project_map.yaml"
    file.write_text("RegionTwo: {alpha: beta}\n")
    for owner in ("same", "mapped"):
        found = settings.load(written(section("metadata", "owner", owner)))
        assert found.project_map == file
        assert found.engine.metadata.project_map == {"RegionTwo": {"alpha": "beta"}}
    file.write_text("RegionTwo: 7\n")
    with pytest.raises(errors.ConfigurationError, match=rf"{file}:1: expected 'RegionTwo'"):
        settings.load(written())


def test_mapped_owners_without_a_map_are_refused(written, tmp_path):
    with pytest.raises(errors.ConfigurationError, match="owner = mapped needs") as caught:
        settings.load(written(section("metadata", "owner", "mapped")))

    assert "no project_map.yaml" in str(caught.value)
    assert str(tmp_path / "sync.conf") in str(caught.value)


def test_a_syntax_error_is_refused_with_its_file(written, tmp_path):
    with pytest.raises(errors.ConfigurationError, match=str(tmp_path / "sync.conf")):
        written("sync_enabled\n")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(errors.ConfigurationError, match=r"absent\.conf"):
        sync_conf.parse(
            [f"--config-file={tmp_path / 'absent.conf'}"], prog="test", description=""
        )


def test_without_any_file_the_searched_directories_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(cfg, "find_config_files", lambda **_: [])
    monkeypatch.setattr(cfg, "find_config_dirs", lambda **_: [])

    with pytest.raises(errors.ConfigurationError, match="--config-file") as caught:
        sync_conf.parse([], prog="test", description="")

    assert "/etc/glance" in str(caught.value)


def test_the_file_is_found_in_the_usual_directory(monkeypatch, tmp_path):
    (tmp_path / ".glance").mkdir()
    (tmp_path / ".glance" / "sync.conf").write_text(section(None, "task_retry_times", "8"))
    monkeypatch.setenv("HOME", str(tmp_path))

    conf = sync_conf.parse([], prog="anything", description="")

    assert settings.load(conf).engine.worker.retries.retries == 8


def test_a_directory_of_files_is_read_in_order(tmp_path):
    for name, text in (("10-a.conf", "1"), ("20-b.conf", "2")):
        (tmp_path / name).write_text(section(None, "task_retry_times", text))

    conf = sync_conf.parse([f"--config-dir={tmp_path}"], prog="test", description="")

    assert settings.load(conf).engine.worker.retries.retries == 2


def test_the_store_file_is_found_beside_sync_conf(written, tmp_path):
    store_file = tmp_path / "glance_store.yaml"
    store_file.write_text("")

    assert settings.load(written()).store_file == store_file


def test_the_store_file_of_another_name_is_found_beside_sync_conf(written, tmp_path):
    (tmp_path / "stores.yaml").write_text("")

    found = settings.load(written(section(None, "glance_store_cfg_file", "stores.yaml")))

    assert found.store_file == tmp_path / "stores.yaml"


def test_the_store_file_is_found_beside_the_directory_of_files(tmp_path):
    directory = tmp_path / "sync.conf.d"
    directory.mkdir()
    (directory / "a.conf").write_text("")
    (tmp_path / "glance_store.yaml").write_text("")

    conf = sync_conf.parse([f"--config-dir={directory}"], prog="test", description="")

    assert settings.load(conf).store_file == tmp_path / "glance_store.yaml"


@pytest.mark.parametrize(
    ("option", "field", "before", "after", "moves"),
    [
        ("sync_enabled", "sync_enabled", "true", "false", True),
        ("sync_strategy", "engine.placement", "ALL", "None", True),
        ("record_locations", "engine.attempts.record_locations", "false", "true", True),
        ("snapshot_region_names", "engine.placement", "", "RegionTwo", True),
        ("task_retry_times", "engine.worker.retries.retries", "1", "2", True),
        ("scp_copy_timeout", "engine.attempts.limits.transfer", "1", "2", True),
        ("state_path", "state_path", "/srv/a", "/srv/b", False),
    ],
)
def test_the_options_that_say_so_change_without_a_restart(
    written, tmp_path, option, field, before, after, moves
):
    conf = written(section(None, option, before))
    read = operator.attrgetter(field)
    first = read(settings.load(conf))

    (tmp_path / "sync.conf").write_text(section(None, option, after))
    conf.mutate_config_files()

    assert (read(settings.load(conf)) != first) is moves


@pytest.mark.parametrize("group", ["metadata", "verify"])
def test_all_options_of_some_groups_change_without_a_restart(group):
    assert all(option.mutable for option in options.GROUPS[group])


def test_options_of_libraries_are_added(tmp_path):
    file = tmp_path / "sync.conf"
    file.write_text("[DEFAULT]\ncolour = red\n")

    conf = sync_conf.parse(
        [f"--config-file={file}"],
        prog="test",
        description="",
        register=[lambda conf: conf.register_opts([cfg.StrOpt("colour")])],
    )

    assert conf.colour == "red"


def test_scans_look_for_snapshots_in_the_regions_that_have_a_bus(written):
    conf = written("[notifications]\nregion_transport_urls = RegionTwo:rabbit://u:p@h\n")

    assert settings.load(conf).engine.scans.snapshot_origins == {"RegionTwo"}


def test_all_timeouts_can_be_limited_at_once(written):
    network = settings.load(written()).network.at_most(12.0)

    assert (network.ssh_connect_seconds, network.connect_seconds, network.idle_seconds) == (
        12.0, 10.0, 12.0,
    )
