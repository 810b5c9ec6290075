# SPDX-License-Identifier: Apache-2.0
"""The lock of a state directory."""

import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from glance_sync_agent import errors
from glance_sync_agent.cmd.daemon import state_lock

HOLDER = """
import pathlib, sys
from glance_sync_agent.cmd.daemon import state_lock
with state_lock.held(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Give another process that holds the lock of a directory."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert line(process) == "held\n"
        yield process
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def line(process):
    assert process.stdout is not None
    return process.stdout.readline()


def hold(directory, patience_seconds):
    with state_lock.held(directory, patience_seconds=patience_seconds):
        pass


def test_the_directory_is_made_without_access_for_other_users(tmp_path):
    directory = tmp_path / "var" / "state"
    with state_lock.held(directory):
        assert directory.stat().st_mode & 0o007 == 0
        assert (directory / "agent.lock").stat().st_mode & 0o027 == 0


def test_the_lock_is_given_back(tmp_path):
    for _ in range(2):
        hold(tmp_path, 0.0)


def test_a_second_agent_is_refused_with_the_remedy(tmp_path, holder):
    with pytest.raises(errors.ConfigurationError) as caught:
        hold(tmp_path, 0.1)
    assert str(tmp_path) in str(caught.value)
    assert "another glance-sync-agent runs there" in str(caught.value)
    assert "another state_path" in str(caught.value)


def test_a_second_agent_says_that_it_waits_and_goes_on_when_the_first_is_killed(
    tmp_path, holder, caplog
):
    entered = threading.Event()

    def second():
        with state_lock.held(tmp_path):
            entered.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert not entered.wait(0.5)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "waiting up to 60 s until it ends" in caplog.text
    holder.kill()
    assert entered.wait(10)
    thread.join()


def test_the_lock_is_held_until_the_last_process_of_an_agent_is_gone(tmp_path, holder):
    # As the worker, which outlives a launcher that was killed.
    # In one write each, so that the two lines do not mix.
    program = HOLDER.replace('print("held", flush=True)', r'os.write(1, b"%d\n" % os.fork())')
    directory = tmp_path / "forked"
    with subprocess.Popen(
        [sys.executable, "-c", "import os" + program, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as launcher:
        (worker,) = {int(line(launcher)), int(line(launcher))} - {0}
        launcher.kill()
        launcher.wait()
        with pytest.raises(errors.ConfigurationError):
            hold(directory, 0.1)
        os.kill(worker, signal.SIGKILL)
        hold(directory, 10.0)


def test_a_directory_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.ConfigurationError, match=f"state_path = {tmp_path}/file"):
        hold(tmp_path / "file", 0.0)


def test_a_symbolic_link_in_the_lock_s_place_is_refused(tmp_path):
    (tmp_path / "agent.lock").symlink_to("/etc/passwd")
    with pytest.raises(errors.ConfigurationError, match="cannot be used"):
        hold(tmp_path, 0.0)
