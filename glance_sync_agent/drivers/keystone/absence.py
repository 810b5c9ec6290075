# SPDX-License-Identifier: Apache-2.0
"""Whether Keystone is away: to us, and so to the services that have to ask it about our token."""

from collections.abc import Callable
import threading
import time
from typing import Final

from keystoneauth1 import plugin

from glance_sync_agent import errors
from glance_sync_agent.drivers.keystone import credentials

#: Seconds for an answer; one that takes longer helps no service either.
_TIMEOUT_SECONDS: Final = 10.0
#: Seconds for which a Keystone that was away is taken to be so still.
_AWAY_SECONDS: Final = 5.0


class Absence:
    """Asks Keystone for what takes the whole of it. Thread safe."""

    def __init__(
        self, session: credentials.Session, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Keep the parts; asks nobody yet."""
        self._session = session
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._away_until = 0.0

    def __call__(self) -> bool:
        """Tell whether Keystone does not answer now; one that says no is there."""
        with self._lock:  # those who wait while it hangs need not ask
            if self._monotonic() < self._away_until:
                return True
            try:
                self._ask()
            except errors.ServiceUnavailable:
                self._away_until = self._monotonic() + _AWAY_SECONDS
                return True
            except errors.Refused:
                return False
            return False

    def _ask(self) -> None:
        with credentials.translated("ask whether Keystone answers"):
            self._session.get(
                "/auth/catalog",
                endpoint_filter={"interface": plugin.AUTH_INTERFACE, "version": (3,)},
                timeout=_TIMEOUT_SECONDS,
                connect_retries=0,
            )
