# SPDX-License-Identifier: Apache-2.0
"""A lock that shows how far the threads of a test have come."""

import threading


class CountedLock:
    """Takes the place of a lock; tells how often it was left."""

    def __init__(self) -> None:
        self._left = threading.Semaphore(0)
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        self._left.release()

    def was_left(self, times: int) -> bool:
        """Wait until it was left so often since the last call."""
        return all(self._left.acquire(timeout=10) for _ in range(times))
