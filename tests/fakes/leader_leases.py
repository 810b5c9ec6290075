# SPDX-License-Identifier: Apache-2.0
"""The leader leases in memory."""

import datetime


class MemoryLeaderLeases:
    """``engine.ports.LeaderLeases``; held to ``tests/contract/test_leader_leases.py``."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, datetime.datetime]] = {}

    def take(
        self, name: str, *, owner: str, now: datetime.datetime, until: datetime.datetime
    ) -> bool:
        holder, expires_at = self._held.get(name, (owner, now))
        if holder != owner and expires_at > now:
            return False
        self._held[name] = owner, until
        return True

    def give_back(self, name: str, *, owner: str) -> None:
        if self._held.get(name, ("", None))[0] == owner:
            del self._held[name]
