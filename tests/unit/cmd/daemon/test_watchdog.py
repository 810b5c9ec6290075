# SPDX-License-Identifier: Apache-2.0
"""What systemd's watchdog gets to eat."""

import socket

import pytest

from glance_sync_agent.cmd.daemon import watchdog


@pytest.fixture(params=["path", "@"])
def systemd(request, tmp_path, monkeypatch):
    path = str(tmp_path / "notify")
    address = path if request.param == "path" else f"@{path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address.replace("@", "\0"))
        listener.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield listener


def test_it_is_fed_also_after_the_launcher_took_the_address(systemd, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "300000000")
    dog = watchdog.Watchdog()
    monkeypatch.delenv("NOTIFY_SOCKET")
    dog.feed()
    assert systemd.recv(100) == b"WATCHDOG=1"


def test_a_unit_without_a_watchdog_is_told_nothing(systemd, monkeypatch):
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    watchdog.Watchdog().feed()
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.recv(100)


def test_a_systemd_that_is_gone_does_not_stop_the_agent(systemd, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "300000000")
    dog = watchdog.Watchdog()
    systemd.close()
    dog.feed()
