# SPDX-License-Identifier: Apache-2.0
"""``engine.ports.FactStore`` in memory."""


class MemoryFacts:
    """Held to ``tests/contract/test_facts.py``."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    def get(self, name: str) -> str | None:
        return self._kept.get(name)

    def put(self, name: str, value: str) -> None:
        self._kept[name] = value
