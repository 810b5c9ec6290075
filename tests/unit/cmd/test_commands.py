# SPDX-License-Identifier: Apache-2.0
"""What all commands have in common."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("name", ["daemon.command", "cli.shell", "manage.manager"])
def test_a_command_loads_nothing_of_eventlet(name):
    program = f"import glance_sync_agent.cmd.{name}, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stderr == ""
    loaded = done.stdout.split()
    assert "oslo_service" in loaded
    assert [one for one in loaded if one.startswith("eventlet.")] == []
