# SPDX-License-Identifier: Apache-2.0
"""An agent has its own name, and keeps it."""

import socket
import stat

import pytest

from glance_sync_agent import errors
from glance_sync_agent.drivers.host import agent_id


def test_it_stays_the_same(tmp_path):
    name = agent_id.of(tmp_path)
    assert name.startswith(f"{socket.gethostname()}:")
    assert agent_id.of(tmp_path) == name
    assert len(name) <= 255  # what a lease has room for


def test_two_directories_are_two_agents(tmp_path):
    names = set()
    for number in range(2):
        directory = tmp_path / str(number)
        directory.mkdir()
        names.add(agent_id.of(directory))
    assert len(names) == 2


def test_other_users_cannot_read_it(tmp_path):
    agent_id.of(tmp_path)
    assert stat.S_IMODE((tmp_path / "agent.id").stat().st_mode) & 0o007 == 0


@pytest.mark.parametrize("text", ["", "nonsense", "\0"])
def test_a_file_without_an_id_is_an_error(tmp_path, text):
    (tmp_path / "agent.id").write_text(text)
    with pytest.raises(errors.ConfigurationError, match=r"agent\.id should hold .* UUID; remove"):
        agent_id.of(tmp_path)


def test_a_missing_directory_is_an_error(tmp_path):
    with pytest.raises(errors.ConfigurationError, match=r"agent\.id: .* No such file"):
        agent_id.of(tmp_path / "missing")
