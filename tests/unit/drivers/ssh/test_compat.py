# SPDX-License-Identifier: Apache-2.0
"""The private parts of paramiko are as the driver expects them."""

import socket
import struct

import paramiko
import pytest

from glance_sync_agent.drivers.ssh import compat

VERSION, EXTENDED_REPLY = 2, 201


def packet(kind, *payload):
    body = bytes([kind]) + b"".join(payload)
    return struct.pack(">I", len(body)) + body


@pytest.fixture
def sockets():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_paramiko_sends_extended_requests_and_returns_their_answer(sockets):
    ours, theirs = sockets
    numbers = struct.pack(">11Q", 4096, 512, 90, 80, 70, 0, 0, 0, 0, 0, 255)
    theirs.sendall(packet(VERSION, struct.pack(">I", 3)))
    theirs.sendall(packet(EXTENDED_REPLY, struct.pack(">I", 1), numbers))
    assert compat.free_bytes(paramiko.SFTPClient(ours), "/images") == 512 * 70
    sent = theirs.recv(1000)
    assert b"statvfs@openssh.com" in sent
    assert sent.endswith(b"/images")


def test_paramiko_names_the_cipher_of_the_host(sockets):
    assert compat.cipher(paramiko.Transport(sockets[0])) == ""
