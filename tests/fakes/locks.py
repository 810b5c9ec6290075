# SPDX-License-Identifier: Apache-2.0
"""A lock that counts, so that a test knows where its threads are."""

import threading


class CountedLock:
    """Replaces a lock, and counts how often it was left."""

    def __init__(self) -> None:
        self._left = threading.Semaphore(0)
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        self._left.release()

    def was_left(self, times: int) -> bool:
        """Wait until it was left so often since the last call; return False after 10 s."""
        return all(self._left.acquire(timeout=10) for _ in range(times))
