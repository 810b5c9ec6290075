# SPDX-License-Identifier: Apache-2.0
"""The private parts of paramiko are as the driver expects them."""

import io
import socket
import struct
from typing import Any

import paramiko

from glance_sync_agent.drivers.ssh import compat

VERSION, EXTENDED_REPLY = 2, 201


class Channel:
    """A channel to an SFTP server with prepared answers."""

    def __init__(self, *answers):
        self.sent = b""
        self._answers = io.BytesIO(b"".join(answers))

    def get_name(self):
        return "channel"

    def recv(self, size):
        return self._answers.read(size)

    def send(self, data):
        self.sent += data
        return len(data)


def packet(kind, *payload):
    body = bytes([kind]) + b"".join(payload)
    return struct.pack(">I", len(body)) + body


def test_paramiko_sends_extended_requests_and_returns_their_answer():
    numbers = struct.pack(">11Q", 4096, 512, 90, 80, 70, 0, 0, 0, 0, 0, 255)
    channel: Any = Channel(
        packet(VERSION, struct.pack(">I", 3)),
        packet(EXTENDED_REPLY, struct.pack(">I", 1), numbers),
    )
    assert compat.free_bytes(paramiko.SFTPClient(channel), "/images") == 512 * 70
    assert b"statvfs@openssh.com" in channel.sent
    assert channel.sent.endswith(b"/images")


def test_paramiko_has_an_attribute_for_the_cipher_of_the_host():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert compat.cipher(paramiko.Transport(ours)) == ""
