# SPDX-License-Identifier: Apache-2.0
"""Connections to peers."""

from collections.abc import Iterator
import contextlib
import socket
import threading

import pytest

from glance_sync_agent.drivers.transport import streams
from tests.unit.drivers.transport import peers


@pytest.fixture
def connect() -> Iterator[peers.Connect]:
    with contextlib.ExitStack() as stack:

        def make(peer: peers.Peer, *, idle_seconds: float = 10.0) -> peers.Line:
            ours, theirs = socket.socketpair()
            line = peers.Line(ours, streams.Timeouts(idle_seconds=idle_seconds))

            def run() -> None:
                with theirs:
                    line.heard = peer(theirs)

            line.thread = threading.Thread(target=run)
            line.thread.start()
            stack.callback(line.thread.join)
            stack.callback(line.connection.close)
            return line

        yield make
