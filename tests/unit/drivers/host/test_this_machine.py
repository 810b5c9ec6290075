# SPDX-License-Identifier: Apache-2.0
"""Which hosts are this machine."""


import socket
import subprocess
import sys
from unittest import mock

import pytest

from glance_sync_agent.drivers.host import this_machine
from tests import paths

ELSEWHERE = ["192.0.2.77", "2001:db8::77"]

#: Addresses of its own, the second of an interface among them, and every address can be bound.
NETWORK = """
ip link set lo up
ip link add veth0 type veth peer name veth1
ip link set veth0 up
ip address add 192.0.2.1/24 dev veth0
ip address add 192.0.2.2/24 dev veth0
ip address add 2001:db8::1/64 dev veth0 nodad
sysctl --quiet --write net.ipv4.ip_nonlocal_bind=1 net.ipv6.ip_nonlocal_bind=1
"""
ASK = """
import sys
from glance_sync_agent.drivers.host import this_machine
print(*[host for host in sys.argv[1:] if this_machine.has_address_of(host)])
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
def test_loopback_is_here(host):
    assert this_machine.has_address_of(host)


@pytest.mark.parametrize("host", [*ELSEWHERE, "nowhere.invalid", "", "[", "x" * 300])
def test_other_addresses_and_bad_names_are_not_here(host):
    assert not this_machine.has_address_of(host)


def test_an_address_that_can_be_bound_may_be_elsewhere():
    with mock.patch.object(socket.socket, "bind", autospec=True):
        assert not this_machine.has_address_of(ELSEWHERE[0])


def test_without_netlink_no_address_is_here():
    refusal = OSError(97, "Address family not supported by protocol")
    with mock.patch.object(socket.socket, "send", autospec=True, side_effect=refusal):
        assert not this_machine.has_address_of("127.0.0.1")


def test_own_addresses_are_found_even_if_every_address_can_be_bound():
    unshare = ["unshare", "--map-root-user", "--net", "sh", "-e", "-c"]
    prepared = subprocess.run([*unshare, NETWORK], capture_output=True, text=True, check=False)
    if prepared.returncode:
        pytest.skip(f"no network of our own: {prepared.stderr}")
    ours = ["127.0.0.2", "192.0.2.1", "192.0.2.2", "2001:db8::1"]
    asked = subprocess.run(
        [*unshare, NETWORK + '"$@"', "sh", sys.executable, "-c", ASK, *ours, *ELSEWHERE],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.split() == ours
