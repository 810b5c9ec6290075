# SPDX-License-Identifier: Apache-2.0
"""The watchdog of systemd: it restarts an agent that does not feed it."""

import logging
import os
import socket

LOG = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 1.0


class Watchdog:
    """Tells systemd that the agent works, if the unit has ``WatchdogSec``.

    The process of the loops feeds it, not systemd's main process, so that the unit needs
    ``NotifyAccess=all``. Without ``WatchdogSec`` it does nothing.

    Source: sd_watchdog_enabled(3) and sd_notify(3). oslo.service and cotyledon send
    ``READY=1`` only.
    """

    def __init__(self) -> None:
        """Read where systemd listens; the launcher takes that from the environment later."""
        is_wanted = "WATCHDOG_USEC" in os.environ
        address = os.environ.get("NOTIFY_SOCKET", "") if is_wanted else ""
        # A name in the abstract namespace begins with @ there, and with NUL here.
        self._address = address.replace("@", "\0", 1) if address.startswith("@") else address

    def feed(self) -> None:
        """Ask for another ``WatchdogSec``."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
                systemd.settimeout(_TIMEOUT_SECONDS)
                systemd.connect(self._address)
                systemd.sendall(b"WATCHDOG=1")
        except OSError as exc:
            LOG.debug("Could not feed the watchdog of systemd: %s", exc)
