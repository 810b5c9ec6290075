# SPDX-License-Identifier: Apache-2.0
"""Limits how often somebody may try to log in."""

from collections.abc import Callable, Iterable
import dataclasses
import math
import threading
import time
from typing import Final
import unicodedata

import cachetools

_WINDOW_SECONDS: Final = 300.0
_PER_ADDRESS: Final = 20
#: More would let an attacker lock a user out with less effort than guessing is worth.
_PER_USER: Final = 8
_REMEMBERED: Final = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class _Window:
    ends_at: float
    tries: int


class Throttle:
    """Counts the tries of each address and for each user within a window. Thread safe.

    Each process has a table of its own. It is bounded, so an attacker with many addresses
    replaces old entries, and fills no memory.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._windows: cachetools.LRUCache[tuple[str, str], _Window] = cachetools.LRUCache(
            maxsize=_REMEMBERED
        )

    def begin(self, address: str, user: str) -> int:
        """Count a try before it is made, so that many at once gain nothing.

        :returns: 0, or the seconds until the next try is allowed.
        """
        with self._lock:
            now = self._monotonic()
            limits = {("address", address): _PER_ADDRESS, ("user", user): _PER_USER}
            found = {key: self._window(key, now) for key in limits}
            full = [found[key].ends_at for key, limit in limits.items()
                    if found[key].tries >= limit]
            if full:
                return max(math.ceil(max(full) - now), 1)
            for key, window in found.items():
                self._windows[key] = dataclasses.replace(window, tries=window.tries + 1)
            return 0

    def succeeded(self, address: str, user: str) -> None:
        """Forget the tries for a user who logged in, and this one of the address."""
        self.give_back(address, user)
        with self._lock:
            self._windows.pop(("user", user), None)

    def give_back(self, address: str, user: str) -> None:
        """Forget a try about which nobody decided."""
        with self._lock:
            for key in (("address", address), ("user", user)):
                window = self._windows.get(key)
                if window is not None:
                    tries = max(window.tries - 1, 0)
                    self._windows[key] = dataclasses.replace(window, tries=tries)

    def _window(self, key: tuple[str, str], now: float) -> _Window:
        window = self._windows.get(key)
        if window is None or window.ends_at <= now:
            return _Window(ends_at=now + _WINDOW_SECONDS, tries=0)
        return window


def one_name(parts: Iterable[str]) -> str:
    """Return one key for a user's name and domain, as a database may find them.

    Those of MySQL ignore case, accents and spaces at the end.
    """
    return "\n".join(_plain(part.strip()) for part in parts)


def _plain(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in parts if not unicodedata.combining(one))
