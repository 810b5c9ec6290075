# SPDX-License-Identifier: Apache-2.0
"""``glance-sync-manage check`` on a real cloud, whole and broken."""

import contextlib
import dataclasses
import json
import pathlib
import re
import subprocess
from typing import Any
import uuid

import pytest
import yaml

from glance_sync_agent.domain import images
from glance_sync_agent.drivers.glance import access
from tests.functional import conftest
from tests.functional import databases
from tests.functional import people as users
from tests.functional import running
from tools import agents

LINKS = [
    "sync.conf",
    "glance_store.yaml",
    "sync_strategy.yaml",
    "state_path",
    "database",
    "message bus",
    "Keystone",
    "catalogue",
    "Glance RegionOne",
    "Glance RegionFour",
    "Glance RegionThree",
    "Glance RegionTwo",
    "store RegionOne",
    "store RegionFour",
    "store RegionThree",
    "store RegionTwo",
    "unused entries",
    "clock",
    "agents",
    "images RegionFour",
    "images RegionOne",
    "images RegionThree",
    "images RegionTwo",
    "first start",
]
#: What a quick check leaves out, because it lists all images.
SLOW = LINKS[-5:]


@dataclasses.dataclass(frozen=True)
class Report:
    """What a check said."""

    status: int
    found: dict[str, dict[str, Any]]  # by link, in the order of the report

    def having(self, verdict: str) -> list[str]:
        """Return the links of a verdict; images that other tests left behind are no bad link."""
        return [
            link
            for link, one in self.found.items()
            if ("OK" if link.startswith("images ") else one["verdict"]) == verdict
        ]

    def failure(self) -> dict[str, Any]:
        """Return the one failure."""
        (link,) = self.having("FAIL")
        assert self.status == 1
        assert self.found[link]["remedy"]
        return self.found[link]


@pytest.fixture
def configured(cloud, keepers, tmp_path):
    """Return a function that writes an agent's files; the database is made."""

    def configure(**options):
        agent = running.Agent(cloud.describe(), tmp_path, **options)
        databases.make(agent.directory)
        return agent

    return configure


@pytest.fixture
def edited(configured):
    """Return a function that writes an agent's files with changes to RegionTwo's entry."""

    def edit(**parameters):
        agent = configured()
        file = agent.directory / "glance_store.yaml"
        content = yaml.safe_load(file.read_text())
        (entry,) = [one for one in content["glances"] if one["name"] == "RegionTwo"]
        entry["schemes"][0]["parameters"].update(parameters)
        file.write_text(yaml.safe_dump(content))
        return agent

    return edit


def run(agent, *arguments):
    command = agent.command("glance-sync-manage", "check", *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=False)


def check(agent, cloud):
    done = run(agent, "-f", "json")
    assert done.stderr == ""
    assert cloud.describe().user("glance-sync").password not in done.stdout
    assert cloud.describe().rabbitmq.password not in done.stdout
    found = {one["link"]: one for one in json.loads(done.stdout)}
    return Report(status=done.returncode, found=found)


def contents(cloud):
    """Return the ids of all images of all regions."""
    return {
        region.name: sorted(
            image.id
            for image in cloud.glance(region.name, "admin").images.list(
                filters={"visibility": "all"}
            )
        )
        for region in cloud.describe().regions
    }


def test_a_whole_cloud_is_ok_in_every_link(cloud, configured):
    before = contents(cloud)

    report = check(configured(), cloud)

    assert list(report.found) == LINKS
    assert report.having("OK") == LINKS
    assert report.status == 0
    assert contents(cloud) == before


@contextlib.contextmanager
def forbidding_uploads(cloud, name):
    """Let the policy of a region's Glance forbid uploads, until the block ends."""
    directory = pathlib.Path(cloud.describe().region(name).config_dir)
    policy, conf = directory / "no-uploads.yaml", directory / "local.conf"
    policy.write_text('"upload_image": "!"\n')
    conf.write_text(f"[oslo_policy]\npolicy_file = {policy}\n")
    try:
        cloud.restart_service(f"glance-{name}")
        yield
    finally:
        policy.unlink()
        conf.unlink()
        cloud.restart_service(f"glance-{name}")


def test_uploads_that_a_policy_forbids_are_found_and_nothing_is_left(cloud, configured):
    before = contents(cloud)

    with forbidding_uploads(cloud, "RegionTwo"):
        report = check(configured(), cloud)

    failure = report.failure()
    assert failure["link"] == "Glance RegionTwo"
    assert "does not let the agent's user upload" in failure["detail"]
    assert "upload_image" in failure["remedy"]
    assert report.found["Glance RegionThree"]["detail"].endswith("uploads allowed")
    assert report.found["Glance RegionOne"]["detail"].endswith("as administrator")
    assert contents(cloud) == before


def test_what_a_start_would_copy_is_counted_and_nothing_is_written(cloud, configured):
    agent = configured()
    people = users.People(cloud)
    sizes = [people.publish(size=size).size for size in (1000, 3 * 1024 * 1024)]
    try:
        report = check(agent, cloud)
        quick = run(agent, "--quick", "-f", "json")
        rows = agent.tasks()
    finally:
        people.clean()

    each = f"2 images, {sum(sizes) / 1024**2:.1f} MiB"
    assert report.found["first start"]["detail"] == (
        f"a start would copy to RegionFour {each}; RegionThree {each}; RegionTwo {each}; "
        f"together 6 images, {3 * sum(sizes) / 1024**2:.1f} MiB"
    )
    assert report.status == 0
    assert rows == []
    found = {one["link"]: one for one in json.loads(quick.stdout)}
    assert list(found) == [link for link in LINKS if link not in SLOW]
    assert found["Glance RegionTwo"]["detail"].endswith("as administrator")


def test_marked_images_are_counted_and_orphans_are_settled_by_name(cloud, configured, people):
    orphan, heir = str(uuid.uuid4()), str(uuid.uuid4())
    marks = {
        "glance_sync_source_id": str(uuid.uuid4()),
        "glance_sync_source_region": people.cascading,
        "glance_sync_copy_id": orphan,
        "glance_sync_copy_region": "RegionTwo",
    }
    agent = configured()

    def counts():
        detail = check(agent, cloud).found["images RegionTwo"]["detail"]
        return [int(one) for one in re.findall(r"(\d+) (?:users|orph)", detail)]

    before = counts()
    for image_id in (orphan, heir):  # the second one has the mark of the first
        people.create("marked", region="RegionTwo", id=image_id, **marks)
    assert counts() == [before[0] + 1, before[1] + 1]

    def settle(*words):
        done = subprocess.run(
            agent.command("glance-sync", *words), capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    status, said = settle("orphan", "list", "--region", "RegionTwo")
    assert status == 0
    assert orphan in said
    assert heir not in said
    status, said = settle("orphan", "delete", heir, "--region", "RegionTwo")
    assert status == 1
    assert "does not say that it is a copy" in said
    status, said = settle("disown", orphan, "--region", "RegionTwo")
    assert (status, counts()) == (0, [before[0] + 1, before[1]])
    assert people.record("RegionTwo", orphan)["name"].endswith("marked")
    status, said = settle("adopt", orphan, "--region", "RegionTwo")
    assert status == 1
    assert "nothing to settle" in said


def test_a_person_gets_a_line_for_each_link(cloud, configured):
    done = run(configured())

    assert done.returncode == 0
    lines = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert [line[6:26].strip() for line in lines] == LINKS
    assert all(line.startswith("OK ") for line in lines if " images " not in line)
    (two,) = [line for line in lines if "store RegionTwo" in line]
    assert "SHA256:" in two
    assert f"reaches {cloud.describe().region('RegionTwo').glance_url}" in two


def test_without_a_store_file_every_region_is_filled_by_its_api(cloud, configured):
    report = check(configured(ssh=False), cloud)

    assert report.status == 0
    assert report.having("SKIP") == ["glance_store.yaml"]
    assert not [link for link in report.found if link.startswith("store ")]


def test_a_stopped_sshd_is_found_and_hides_nothing_else(cloud, configured):
    agent = configured()
    cloud.stop_service("sshd-RegionTwo")
    try:
        report = check(agent, cloud)
    finally:
        cloud.start_service("sshd-RegionTwo")

    failure = report.failure()
    assert failure["link"] == "store RegionTwo"
    assert "refused" in failure["detail"]
    assert "start sshd" in failure["remedy"]
    assert str(agent.directory / "glance_store.yaml") in failure["remedy"]
    assert report.having("OK") == [link for link in LINKS if link != "store RegionTwo"]


def test_a_stopped_glance_is_found_from_here_and_from_its_host(cloud, configured):
    agent = configured()
    cloud.stop_service("glance-RegionFour")
    try:
        report = check(agent, cloud)
    finally:
        cloud.start_service("glance-RegionFour")

    assert report.status == 1
    assert report.having("FAIL") == ["Glance RegionFour", "store RegionFour"]
    assert "/versions" in report.found["Glance RegionFour"]["remedy"]


def test_a_wrong_password_is_found_and_what_depends_on_it_is_left_out(cloud, configured):
    agent = configured(options={"service_credentials": {"password": "wrong"}})

    report = check(agent, cloud)

    failure = report.failure()
    assert failure["link"] == "Keystone"
    assert "401" in failure["detail"]
    assert "[service_credentials]" in failure["remedy"]
    assert report.having("SKIP") == ["catalogue", "regions", "marked images", "first start"]


def test_a_user_who_is_no_administrator_is_found_with_the_command_that_helps(cloud, configured):
    alice = cloud.describe().user("alice")
    credentials = {
        "username": alice.name,
        "password": alice.password,
        "project_name": alice.project,
    }

    failure = check(configured(options={"service_credentials": credentials}), cloud).failure()

    assert failure["link"] == "Keystone"
    assert failure["remedy"] == (
        f"openstack role add --user {alice.name} --project {alice.project} admin"
    )


def test_a_user_without_the_service_role_is_warned_about(cloud, configured):
    admin = cloud.describe().user("admin")
    credentials = {
        "username": admin.name,
        "password": admin.password,
        "project_name": admin.project,
    }

    report = check(configured(options={"service_credentials": credentials}), cloud)

    assert report.status == 0
    assert report.having("WARN") == ["Keystone"]
    assert report.found["Keystone"]["remedy"].endswith(" service")


@pytest.mark.parametrize(("user", "is_admin"), [("alice", False), ("glance-sync", True)])
def test_a_glance_shows_whether_it_takes_us_for_an_administrator(cloud, user, is_admin):
    region = cloud.describe().region("RegionTwo")
    session = cloud.session(user)

    found = access.probe(
        region=images.RegionId(region.name), session=session, endpoint=region.glance_url + "/v2/"
    )

    assert found.is_admin is is_admin
    assert found.version.startswith("v2.")
    session.session.close()


def test_a_host_that_shows_another_key_is_refused_with_both(cloud, configured, tmp_path):
    described = cloud.describe()
    two, three = described.region("RegionTwo"), described.region("RegionThree")
    text = pathlib.Path(described.ssh.known_hosts).read_text()
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(text.replace(two.ssh_host_key, three.ssh_host_key))

    failure = check(configured(options={"ssh": {"known_hosts": known_hosts}}), cloud).failure()

    assert failure["link"] == "store RegionTwo"
    assert failure["detail"].count("SHA256:") == 2
    assert "host key" in failure["detail"]
    assert "ssh-keygen -R" in failure["detail"]
    assert "compare the fingerprint" in failure["remedy"]


def test_hosts_whose_keys_nobody_wrote_down_are_refused(cloud, configured, tmp_path):
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text("")

    report = check(configured(options={"ssh": {"known_hosts": known_hosts}}), cloud)

    assert report.status == 1
    assert report.having("FAIL") == ["store RegionFour", "store RegionThree", "store RegionTwo"]
    two = cloud.describe().region("RegionTwo")
    scan = f"ssh-keyscan -p {two.ssh_port} {two.ssh_host} >> {known_hosts}"
    assert scan in report.found["store RegionTwo"]["detail"]


def test_a_key_that_the_host_does_not_know_is_refused(cloud, edited, tmp_path):
    key = tmp_path / "stranger"
    keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(keygen, check=True)

    failure = check(edited(key_filename=str(key)), cloud).failure()

    assert failure["link"] == "store RegionTwo"
    assert str(key) in failure["detail"]
    assert "authorized_keys" in failure["remedy"]


def test_a_forwarding_that_the_key_does_not_permit_is_refused(cloud, edited):
    elsewhere = cloud.describe().region("RegionThree").glance_url

    failure = check(edited(image_endpoint=elsewhere), cloud).failure()

    assert failure["link"] == "store RegionTwo"
    assert "permitopen" in failure["remedy"]


def test_a_parameter_that_does_not_exist_is_named(cloud, edited):
    agent = edited(login_name="glance")

    failure = check(agent, cloud).failure()

    assert failure["link"] == "store RegionTwo"
    assert "login_name" in failure["detail"]
    assert failure["remedy"] == (
        f"edit the entry of RegionTwo in {agent.directory / 'glance_store.yaml'}"
    )


def test_a_password_in_the_store_file_is_warned_about(cloud, edited):
    report = check(edited(login_password="hidden"), cloud)

    assert report.having("WARN") == ["glance_store.yaml"]
    assert "login_password of RegionTwo" in report.found["glance_store.yaml"]["detail"]
    assert "hidden" not in json.dumps(report.found)


def test_entries_that_nobody_uses_are_warned_about(cloud, configured):
    agent = configured()
    file = agent.directory / "glance_store.yaml"
    content = yaml.safe_load(file.read_text())
    two = content["glances"].pop(1)
    assert two["name"] == "RegionTwo"
    content["glances"] += [
        {"name": "RegionTwo", "schemes": [{"name": "swift"}]},
        {"name": "RegionNine", "schemes": [{"name": "filesystem"}]},
    ]
    file.write_text(yaml.safe_dump(content))

    report = check(agent, cloud)

    assert report.status == 0
    assert report.having("WARN") == ["store RegionTwo", "unused entries"]
    assert "no driver is installed for swift" in report.found["store RegionTwo"]["detail"]
    assert "RegionNine" in report.found["unused entries"]["detail"]


def test_a_source_that_cannot_be_read_over_ssh_is_no_failure(cloud, configured):
    agent = configured()
    file = agent.directory / "glance_store.yaml"
    datadir = cloud.describe().region("RegionOne").datadir
    file.write_text(file.read_text().replace(datadir, "/nonexistent"))

    report = check(agent, cloud)

    assert report.status == 0
    assert report.having("WARN") == ["store RegionOne"]
    assert "through the image API instead" in report.found["store RegionOne"]["detail"]


@pytest.mark.parametrize("interface", ["public", "internal"])
def test_a_cascading_endpoint_that_the_catalogue_lacks_is_found_with_those_it_has(
    cloud, configured, interface
):
    options: agents.Options = {
        "DEFAULT": {"cascading_endpoint_url": "http://127.0.0.1:9/"},
        "service_credentials": {"interface": interface},
    }
    report = check(configured(options=options), cloud)

    failure = report.failure()
    assert failure["link"] == "catalogue"
    for region in cloud.describe().regions:
        assert region.glance_url in failure["detail"]
    assert "cascading_endpoint_url" in failure["remedy"]
    assert failure["remedy"].endswith(
        f"openstack endpoint list --service image --interface {interface}"
    )


@pytest.mark.parametrize(
    ("wrong", "seen"),
    [
        pytest.param(lambda url, _: url.replace("/RegionOne", "/nowhere"), "nowhere", id="vhost"),
        pytest.param(lambda url, word: url.replace(word, "wrong"), "403", id="password"),
        pytest.param(lambda _, __: "carrier-pigeon://coop/", "transport_url", id="scheme"),
    ],
)
def test_a_bus_that_does_not_let_us_in_is_found(cloud, configured, wrong, seen):
    described = cloud.describe()
    url = described.region(described.cascading_region).transport_url
    options: agents.Options = {
        "DEFAULT": {"transport_url": wrong(url, described.rabbitmq.password)}
    }

    failure = check(configured(options=options), cloud).failure()

    assert failure["link"] == "message bus"
    assert seen in failure["detail"]
    assert "transport_url" in failure["remedy"]


def test_a_glance_with_durable_queues_is_found_with_the_options_that_help(cloud, configured):
    exchange = f"durable-{uuid.uuid4().hex[:8]}"
    agent = configured(options={"notifications": {"exchange": exchange}})
    assert check(agent, cloud).status == 0
    with conftest.bus(cloud) as channel:
        channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
    try:
        failure = check(agent, cloud).failure()
    finally:
        with conftest.bus(cloud) as channel:
            channel.exchange_delete(exchange)

    assert failure["link"] == "message bus"
    assert f"'durable' for exchange '{exchange}'" in failure["detail"]
    assert "amqp_durable_queues" in failure["remedy"]


def test_an_agent_that_is_told_to_copy_nothing_is_warned_about(cloud, configured):
    report = check(configured(options={"DEFAULT": {"sync_enabled": "false"}}), cloud)

    assert report.having("WARN") == ["sync.conf"]
    assert "sync_enabled" in report.found["sync.conf"]["remedy"]


def test_a_project_map_is_read_and_regions_that_there_are_not_are_warned_about(cloud, configured):
    agent = configured(options={"metadata": {"owner": "mapped"}})
    file = agent.directory / "project_map.yaml"
    file.write_text("RegionTwo: {a: b}\nRegionNine: {a: b}\n")

    report = check(agent, cloud)

    assert report.status == 0
    assert report.having("WARN") == ["project_map.yaml"]
    assert "RegionNine" in report.found["project_map.yaml"]["detail"]
    assert "RegionTwo" in report.found["project_map.yaml"]["remedy"]
    file.write_text("RegionTwo: {a: the other}\n")
    assert f"{file}:1: expected the id of a project for 'a'" in run(agent).stdout


RECORDING: agents.Options = {"DEFAULT": {"record_locations": "true"}}


def test_what_record_locations_lacks_is_warned_about_and_no_failure(cloud, configured):
    people = users.People(cloud)
    people.publish()
    try:
        report = check(configured(options=RECORDING), cloud)
    finally:
        people.clean()

    links = [f"locations {region.name}" for region in cloud.describe().regions]
    assert sorted(report.having("WARN")) == sorted(links)
    assert report.status == 0
    source, *others = [link for link in report.found if link in links]
    assert source == "locations RegionOne"
    assert "shows no locations" in report.found[source]["detail"]
    assert "show_multiple_locations = true" in report.found[source]["remedy"]
    for link in others:
        assert "HTTP 401" in report.found[link]["detail"]
        assert "answers HEAD" in report.found[link]["remedy"]
