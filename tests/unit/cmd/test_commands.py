# SPDX-License-Identifier: Apache-2.0
"""What all commands have in common."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "name", ["daemon.command", "cli.shell", "manage.manager", "status.command"]
)
def test_a_command_loads_nothing_of_eventlet(name):
    program = f"import glance_sync_agent.cmd.{name}, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stderr == ""
    loaded = done.stdout.split()
    assert "oslo_service" in loaded
    assert [one for one in loaded if one.startswith("eventlet.")] == []


def test_eventlet_is_loaded_unless_that_is_blocked():
    # If this fails, futurist has changed, and the block in cmd/__init__.py may be superfluous.
    program = "import futurist, sys; print('eventlet' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        check=True, capture_output=True, text=True,
    )
    assert done.stdout == "True\n"
