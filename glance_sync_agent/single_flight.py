# SPDX-License-Identifier: Apache-2.0
"""A call that threads share if they make it at the same time."""

from collections.abc import Callable, Hashable
from concurrent import futures
import threading
from typing import Any, TypeVar

T = TypeVar("T")


class SingleFlight:
    """Runs a call once for all threads that ask while it runs. Thread safe.

    The threads share its failure as well. If each of them tried in turn, a service that hangs
    would outlast their leases.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Hashable, futures.Future[Any]] = {}

    def run(self, key: Hashable, call: Callable[[], T]) -> T:
        """Return what ``call`` returns, or what the running call of the same key returns.

        :raises Exception: what the call raises.
        """
        mine: futures.Future[T] = futures.Future()
        with self._lock:
            running = self._running.setdefault(key, mine)
        if running is not mine:
            result: T = running.result()
            return result
        try:
            mine.set_result(call())
        except BaseException as exc:
            mine.set_exception(exc)
            raise
        finally:
            with self._lock:
                del self._running[key]
        return mine.result()

    def is_running(self, key: Hashable) -> bool:
        """Return whether a call of this key runs now."""
        with self._lock:
            return key in self._running
