# SPDX-License-Identifier: Apache-2.0
"""Whether Keystone is unreachable, for us and so for the services that check our token."""

from collections.abc import Callable
import threading
import time
from typing import Final

from keystoneauth1 import plugin

from glance_sync_agent import errors
from glance_sync_agent.drivers.keystone import credentials

#: A slower answer helps no service either.
_TIMEOUT_SECONDS: Final = 10.0
#: For so long an unreachable Keystone is not asked again.
_AWAY_SECONDS: Final = 5.0


class KeystoneAbsence:
    """Asks Keystone for something that needs all of its parts. Thread safe."""

    def __init__(
        self, session: credentials.Session, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Keep the parts; sends nothing yet."""
        self._session = session
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._away_until = 0.0

    def __call__(self) -> bool:
        """Return whether Keystone is unreachable now; one that refuses us is reachable."""
        with self._lock:  # threads that waited for an unreachable Keystone need not ask
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
