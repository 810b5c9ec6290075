# SPDX-License-Identifier: Apache-2.0
"""``engine.ports.FactStore`` in memory."""

from collections.abc import Callable
import threading


class MemoryFacts:
    """Held to ``tests/contract/test_facts.py``."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> str | None:
        return self._kept.get(name)

    def put(self, name: str, value: str) -> None:
        self._kept[name] = value

    def change(self, name: str, decide: Callable[[str | None], str | None]) -> str | None:
        with self._lock:
            value = decide(self._kept.get(name))
            if value is not None:
                self._kept[name] = value
            return self._kept.get(name)
