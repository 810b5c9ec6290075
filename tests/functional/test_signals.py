# SPDX-License-Identifier: Apache-2.0
"""What the agent does when it is told to end, to reload, or cannot begin."""

from collections.abc import Callable
import os
import signal
import socket
import subprocess
import time
from typing import Any

import pytest

from tests.functional import conftest
from tests.functional import people as users
from tests.functional import running
from tests.functional import valves
from tools import cloud as clouds

MIB = users.MIB
REGION = "RegionTwo"
HELD_AFTER = 6 * MIB
SIZE = 16 * MIB


@pytest.fixture
def held(
    make_agent: conftest.MakeAgent,
    through: Callable[[running.Agent, valves.Valve], None],
    valve: valves.Valve,
    people: users.People,
    cloud: clouds.Cloud,
) -> Callable[..., tuple[running.Agent, users.Published]]:
    """Start an agent and bring it into the middle of a transfer to RegionTwo."""

    def start(**options: Any) -> tuple[running.Agent, users.Published]:
        agent = make_agent()
        through(agent, valve)
        if options:
            reconfigure(agent, valve, cloud, **options)
        agent.begin()
        valve.hold_after(HELD_AFTER)
        image = people.publish("held", size=SIZE)
        valve.held()
        return agent, image

    return start


def reconfigure(
    agent: running.Agent, valve: valves.Valve, cloud: clouds.Cloud, **options: object
) -> None:
    """Put options of [DEFAULT] and the like, as section__name, into an agent's file."""
    sections: dict[str, dict[str, object]] = {}
    for key, value in options.items():
        section, _, name = key.rpartition("__")
        sections.setdefault(section or "DEFAULT", {})[name] = value
    sections.setdefault("ssh", {})["known_hosts"] = agent.directory / "known_hosts"
    conftest.rewrite(agent, cloud.describe(), sections)


def test_sigterm_lets_a_running_transfer_end(held, valve, people):
    agent, image = held()
    agent.signal(signal.SIGTERM)
    agent.wait_for_log("Waiting for ")
    assert people.record(REGION, image.image_id)["status"] != "active"
    valve.open()
    assert agent.wait_for_end() == 0
    assert people.in_step(image)
    people.check_bytes(image)
    assert set(agent.statuses(image.image_id).values()) == {"success"}
    assert "Traceback" not in agent.said()


def test_sigterm_calls_off_what_takes_too_long_and_the_next_start_finishes(held, valve, people):
    agent, image = held(graceful_shutdown_timeout=1)
    started = time.monotonic()
    agent.signal(signal.SIGTERM)
    assert agent.wait_for_end() == 0
    assert time.monotonic() - started < 30
    assert "Calling off 1 tasks" in agent.said()
    assert agent.statuses(image.image_id)[REGION] == "pending"
    assert agent.tasks_of(image.image_id)[REGION].attempts == 0
    valve.open()
    valve.cut()
    users.eventually(
        lambda: people.record(REGION, image.image_id)["status"] == "queued", "a queued record"
    )
    agent.begin()
    agent.wait_until(lambda: people.in_step(image), "the copy")
    people.check_bytes(image)
    assert agent.stop() == 0
    assert "Traceback" not in agent.said()


def test_sigterm_ends_an_agent_whose_log_ins_hang(make_agent, through, valve, people, cloud):
    agent = make_agent()
    through(agent, valve)
    reconfigure(
        agent, valve, cloud, graceful_shutdown_timeout=1, ssh__connect_timeout_seconds=60
    )
    agent.begin()
    valve.hold_after(0)
    images = [people.publish(f"waits {number}", size=SIZE) for number in range(4)]
    agent.wait_until(
        lambda: all(agent.statuses(one.image_id).get(REGION) == "processing" for one in images),
        "four tasks that wait for one host",
    )
    valve.held()
    agent.signal(signal.SIGTERM)
    assert agent.wait_for_end() == 0
    assert " Stopped\n" in agent.said()  # and was not killed
    assert {agent.statuses(one.image_id)[REGION] for one in images} == {"pending"}
    assert "Traceback" not in agent.said()


def test_sigint_ends_the_agent_and_the_next_start_finishes(held, valve, people):
    agent, image = held()
    worker = agent.worker
    agent.signal(signal.SIGINT)
    agent.wait_for_end()
    users.eventually(lambda: not running.is_alive(worker), "the worker's end")
    assert "Traceback" not in agent.said()
    valve.open()
    valve.cut()
    agent.begin()
    agent.wait_until(lambda: people.in_step(image), "the copy")
    people.check_bytes(image)


def test_sighup_takes_over_mutable_options_and_drops_no_transfer(held, valve, people, cloud):
    agent, image = held()
    worker = agent.worker
    reconfigure(agent, valve, cloud, sync_strategy="none", debug=True, reconcile__max_deletes=0)
    agent.signal(signal.SIGHUP)
    agent.wait_for_log("Took over the configuration")
    agent.wait_for_log("DEBUG glance_sync_agent")
    second = people.publish("not wanted")
    reconfigure(agent, valve, cloud, sync_strategy="ALL", sync_enabled=False)
    agent.signal(signal.SIGHUP)
    agent.wait_for_log("messages wait in the broker")
    agent.wait_for_log("Stopped listening")
    third = people.publish("waits in the broker")
    valve.open()
    agent.wait_until(lambda: people.in_step(image), "the copy")
    people.check_bytes(image)
    assert agent.worker == worker
    assert agent.said().count(f"Copied image {image.image_id} in region {REGION}") == 1
    assert agent.tasks_of(image.image_id)[REGION].attempts == 0
    for other in (second, third):
        assert not any(people.record(region, other.image_id) for region in people.cascaded)
    assert conftest.ready(cloud, "glance-sync-agent") > 0
    reconfigure(agent, valve, cloud)
    agent.signal(signal.SIGHUP)
    agent.wait_until(
        lambda: people.in_step(second) and people.in_step(third), "what had waited"
    )
    assert agent.worker == worker
    assert agent.stop() == 0


BROKEN_FILES = {
    "value": "[DEFAULT]\nsync_strategy = SOME\n",
    "type": "[DEFAULT]\ntask_retry_times = many\n",
    "syntax": "no section\n",
    "missing": None,
}


def test_sighup_with_a_broken_file_keeps_the_old_values(make_agent, people):
    agent = make_agent()
    agent.begin()
    worker = agent.worker
    good = agent.config_file.read_text()
    for number, broken in enumerate(BROKEN_FILES.values(), start=1):
        if broken is None:
            agent.config_file.unlink()
        else:
            agent.config_file.write_text(good + broken)
        reload(agent, "Kept the old configuration")
        image = people.publish("after a broken file")
        agent.wait_until(lambda image=image: people.in_step(image), "the copy")
        assert agent.said().count("Kept the old configuration") == number
    agent.config_file.write_text(good)
    reload(agent, "Took over the configuration")
    for _ in range(20):  # faster than they can be answered
        agent.signal(signal.SIGHUP)
    image = people.publish("after many reloads")
    agent.wait_until(lambda: people.in_step(image), "the copy")
    assert agent.worker == worker
    assert agent.stop() == 0
    assert "Traceback" not in agent.said()


def reload(agent: running.Agent, answer: str) -> None:
    """Send SIGHUP and wait for what the agent has to say."""
    before = agent.said().count(answer)
    agent.signal(signal.SIGHUP)
    agent.wait_until(lambda: agent.said().count(answer) > before, f"one more '{answer}'")


def test_a_second_agent_waits_for_the_first_and_then_goes_on(make_agent, people):
    first, second = make_agent("same"), make_agent("same")
    first.begin()
    second.start()
    second.wait_for_log("another glance-sync-agent")
    assert first.stop() == 0
    second.wait_for_log("Started with process")
    second.wait_for_log("Scanned ")
    assert second.stop() == 0


def test_sighup_during_the_start_is_heeded_and_does_not_end_the_agent(make_agent):
    first, second = make_agent("same"), make_agent("same")
    first.begin()
    second.start()
    second.wait_for_log("another glance-sync-agent")
    change(second, sync_enabled=False)
    second.signal(signal.SIGHUP)
    assert first.stop() == 0
    second.wait_for_log("Took over the configuration")
    second.wait_for_log("messages wait in the broker")
    assert second.stop() == 0
    assert "Traceback" not in second.said()


def test_systemd_is_told_when_the_agent_is_ready(make_agent, tmp_path, monkeypatch):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        agent = make_agent()
        agent.start()
        assert listener.recv(100) == b"READY=1"
    assert agent.stop() == 0


def test_the_watchdog_is_fed_only_while_the_loop_turns(make_agent, tmp_path, monkeypatch):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "300000000")
        agent = make_agent()
        agent.begin()
        assert [systemd.recv(100) for _ in range(4)].count(b"WATCHDOG=1") == 3
        os.kill(agent.worker, signal.SIGSTOP)
        systemd.settimeout(5)
        with pytest.raises(TimeoutError):  # noqa: PT012 - the last of several ends it
            while True:  # it may have sent some before
                assert systemd.recv(100) == b"WATCHDOG=1"
        os.kill(agent.worker, signal.SIGCONT)
        systemd.settimeout(60)
        assert systemd.recv(100) == b"WATCHDOG=1"
        assert agent.stop() == 0


def test_sigusr2_asks_for_a_report_without_secrets(make_agent):
    agent = make_agent()
    agent.begin()
    options = [line.partition(" = ") for line in agent.config_file.read_text().splitlines()]
    secrets = {value for name, _, value in options if name in {"password", "transport_url"}}
    assert len(secrets) > 1
    os.kill(agent.worker, signal.SIGUSR2)
    agent.wait_for_log("max_repairs = ")  # in the last section
    said = agent.said()
    assert "in dispatch" in said
    assert "transport_url = ***" in said
    assert not [secret for secret in secrets if secret in said]
    assert agent.stop() == 0


def test_sigterm_during_the_start_ends_the_agent(make_agent):
    agent = make_agent()
    for text in ("Created the database", "Started with process", "Listening on"):
        agent.start()
        if (agent.directory / "state" / "sync.sqlite").exists() and text.startswith("Created"):
            text = "Regions of the catalogue"
        agent.wait_for_log(text)
        agent.stop()
        assert "Traceback" not in agent.said()


def start_and_fail(agent: running.Agent) -> str:
    """Run an agent that cannot begin; return what it says."""
    done = subprocess.run(
        agent.command("glance-sync-agent"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not done.stdout
    sentences = [line for line in done.stderr.splitlines() if " INFO " not in line]
    assert sentences[0].startswith("glance-sync-agent: ")
    if len(sentences) > 1:
        assert "glance_store.yaml" in done.stderr  # which lists all that is wrong
    return "\n".join(sentences)


def change(agent: running.Agent, **options: object) -> None:
    lines = agent.config_file.read_text().splitlines()
    for name, value in options.items():
        lines = [f"{name} = {value}" if line.startswith(f"{name} =") else line for line in lines]
        if f"{name} = {value}" not in lines:
            lines.insert(1, f"{name} = {value}")
    agent.config_file.write_text("\n".join(lines) + "\n")


def test_a_missing_file_is_named(make_agent):
    agent = make_agent()
    agent.config_file.unlink()
    assert str(agent.config_file) in start_and_fail(agent)


def test_a_bad_value_is_named(make_agent):
    agent = make_agent()
    change(agent, sync_strategy="SOME")
    said = start_and_fail(agent)
    assert "sync_strategy" in said
    assert "SOME" in said


def test_a_wrong_password_is_told_from_other_troubles(make_agent):
    agent = make_agent()
    change(agent, password="wrong-secret")
    said = start_and_fail(agent)
    assert "401" in said
    assert "[service_credentials]" in said
    assert "wrong-secret" not in said


def test_a_wrong_cascading_endpoint_lists_what_there_is(make_agent, cloud):
    agent = make_agent()
    change(agent, cascading_endpoint_url="http://192.0.2.1:9292/")
    said = start_and_fail(agent)
    for region in cloud.describe().regions:
        assert f"{region.name}: {region.glance_url}" in said


def test_a_broken_store_file_is_refused_with_all_its_lines(make_agent):
    agent = make_agent()
    store_file = agent.directory / "glance_store.yaml"
    store_file.write_text(
        "glances:\n- name: RegionTwo\n  service_ip: [1]\n- name: RegionThree\n  schemes: 7\n"
    )
    said = start_and_fail(agent)
    assert f"{store_file}:3" in said
    assert f"{store_file}:5" in said


@pytest.mark.parametrize(
    ("option", "value"),
    [("connection", "sqlite:////proc/sync.sqlite"), ("state_path", "/proc/state")],
)
def test_a_place_that_cannot_be_written_is_named(make_agent, option, value):
    agent = make_agent()
    if option == "connection":
        agent.config_file.write_text(
            agent.config_file.read_text() + f"[database]\nconnection = {value}\n"
        )
    else:
        change(agent, **{option: value})
    said = start_and_fail(agent)
    assert "/proc" in said
