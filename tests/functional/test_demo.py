# SPDX-License-Identifier: Apache-2.0
"""``tools/demo.sh``, as a person starts it, on the cloud of the tests."""

from collections.abc import Callable, Iterator
import fcntl
import json
import os
import pathlib
import re
import signal
import subprocess
from typing import Any

import pytest

from tests import paths
from tools import cloud as clouds
from tools.demo import results
from tools.demo import verdicts

_ROOT = paths.ROOT
_DEMO = _ROOT / "tools" / "demo.sh"
_SMALL = ("--size", "16")
_CHANGES = {
    "shared during the copy",
    "property changed",
    "RegionFour paused and resumed",
    "shared with bob",
    "no longer shared",
    "deleted",
}

Done = subprocess.CompletedProcess[str]
Demo = Callable[..., Done]


@pytest.fixture
def demo(cloud: clouds.Cloud) -> Iterator[Demo]:
    """Give a way to run the demo on the cloud that runs; a kept agent ends with the test."""

    def run(*arguments: str) -> Done:
        return subprocess.run(
            [_DEMO, "--attach", "--name", cloud.name, *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )

    yield run
    pid = _agent_pid(cloud)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def _agent_pid(cloud: clouds.Cloud) -> int | None:
    try:
        content = json.loads((cloud.state_dir / "run" / "demo-agent.json").read_text())
    except FileNotFoundError:
        return None
    return int(content["pid"])


def _is_alive(pid: int) -> bool:
    return pathlib.Path(f"/proc/{pid}").exists()


def _summary(done: Done) -> dict[str, Any]:
    assert "Traceback" not in done.stderr
    return dict(json.loads(done.stdout))


def test_every_copy_is_read_back_and_every_change_arrives(
    demo: Demo, cloud: clouds.Cloud
) -> None:
    done = demo("--json", *_SMALL)

    assert done.returncode == 0, done.stderr
    summary = _summary(done)
    assert summary["ok"]
    assert summary["failure"] is None
    regions = {region.name for region in cloud.describe().regions}
    assert set(summary["regions"]) == regions
    assert [image["size"] for image in summary["images"]] == [16 * 1024 * 1024, 64 * 1024 + 1]
    for image in summary["images"]:
        assert {copy["region"] for copy in image["copies"]} == regions
        for copy in image["copies"]:
            assert copy["status"] == "active"
            assert copy["size"] == image["size"]
            assert copy["sha512"] == image["sha512"]
            assert copy["verified"]
            assert copy["is_source"] or copy["seconds"] >= 0
    assert {change["change"] for change in summary["changes"]} == _CHANGES
    for change in summary["changes"]:
        assert set(change["seconds"]) == regions - {summary["cascading_region"]}
        assert None not in change["seconds"].values()
    assert summary["versions"].keys() >= {"glance", "keystone", "glance-sync-agent"}
    assert _agent_pid(cloud) is None


def test_a_region_that_does_not_answer_is_named(demo: Demo, cloud: clouds.Cloud) -> None:
    cloud.stop_service("glance-RegionThree")
    try:
        done = demo("--json", "--timeout", "12", *_SMALL)
    finally:
        cloud.start_service("glance-RegionThree")

    assert done.returncode == 1
    error = done.stderr[done.stderr.rindex("error: ") :]
    assert "region RegionThree has no active copy of demo-16-MiB" in error
    assert "RegionTwo" not in error
    assert "RegionFour" not in error
    assert "The end of the agent's log" in done.stderr
    summary = _summary(done)
    assert not summary["ok"]
    assert "RegionThree" in summary["failure"]


def test_a_person_reads_tables(demo: Demo) -> None:
    done = demo("--size", "1")

    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if "│" in line]
    assert sum(line.rstrip(" │").endswith("yes") for line in rows) == 8
    assert any("property changed" in line for line in rows)
    assert "RegionTwo" in done.stderr


def test_a_kept_agent_gives_way_to_the_next_demo(demo: Demo, cloud: clouds.Cloud) -> None:
    kept = demo("--keep", "--size", "1")
    assert kept.returncode == 0, kept.stderr
    pid = _agent_pid(cloud)
    assert pid is not None
    assert _is_alive(pid)
    assert f"kill {pid}" in kept.stderr
    assert f"tools/cloud/down --name {cloud.name}" in kept.stderr
    page = re.search(r"http://127\.0\.0\.1:\d+/ui/", kept.stderr)
    assert page is not None

    done = demo("--size", "1")

    assert done.returncode == 0, done.stderr
    assert not _is_alive(pid)
    assert _agent_pid(cloud) is None


def test_ctrl_c_leaves_no_agent_behind(cloud: clouds.Cloud) -> None:
    # A shell lets what it starts with "&" ignore Ctrl-C: us, perhaps.
    at_a_terminal = ("env", "--default-signal=INT")
    process = subprocess.Popen(
        [*at_a_terminal, _DEMO, "--json", "--attach", "--name", cloud.name, "--size", "64"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    with process:
        assert process.stderr is not None
        assert any("uploads two images" in line for line in process.stderr)
        pid = _agent_pid(cloud)
        assert pid is not None
        process.send_signal(signal.SIGINT)
        said, log = process.communicate()

    assert process.returncode == 128 + signal.SIGINT
    assert "Traceback" not in log
    assert not json.loads(said)["ok"]
    assert not _is_alive(pid)
    assert _agent_pid(cloud) is None


def test_one_cloud_has_one_demo_at_a_time(demo: Demo, cloud: clouds.Cloud) -> None:
    with (cloud.state_dir / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        done = demo()

    assert done.returncode == 1
    assert "another tools/demo.sh is using the cloud" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--size", "0"], "'0' is not a number of MiB", id="size"),
        pytest.param(["--timeout", "soon"], "'soon' is not a number of seconds", id="timeout"),
        pytest.param(["--fast"], "unrecognized arguments: --fast", id="unknown"),
    ],
)
def test_a_mistake_in_the_options_is_told_in_a_sentence(arguments: list[str], said: str) -> None:
    done = subprocess.run([_DEMO, *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cloud_that_was_never_up_is_told_in_a_sentence() -> None:
    done = subprocess.run(
        [_DEMO, "--attach", "--name", "never-up"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "there is no cloud here" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("copy", "record", "fault"),
    [
        pytest.param({}, {}, "", id="right"),
        pytest.param({"sha512": "bb"}, {}, "sha512 bb were read", id="bytes"),
        pytest.param({"size": 9}, {}, "9 bytes", id="size"),
        pytest.param({"status": "deactivated"}, {}, "it is deactivated", id="status"),
        pytest.param({}, {"name": "other"}, "differ from the source: name", id="name"),
        pytest.param({}, {"os_distro": "x"}, "differ from the source: os_distro", id="property"),
        pytest.param({}, {"tags": []}, "differ from the source: tags", id="tags"),
    ],
)
def test_a_copy_is_verified_only_if_nothing_differs(
    copy: dict[str, Any], record: dict[str, Any], fault: str
) -> None:
    source: dict[str, Any] = {"name": "demo", "os_distro": "debian", "tags": ["a", "b"]}
    read: dict[str, Any] = {"status": "active", "size": 10, "sha512": "aa"} | copy

    found = verdicts.fault_of(
        results.Copy(region="RegionTwo", is_source=False, **read),
        uploaded=results.Image(
            image_id="", name="demo", size=10, sha512="aa",
            upload_seconds=0.0, active_at=0.0, copies={},
        ),
        source=source,
        record=source | record,
        properties={"os_distro": "debian"},
        tags=["b", "a"],
    )

    assert (fault in found) if fault else not found
