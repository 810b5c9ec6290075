# SPDX-License-Identifier: Apache-2.0
"""What an agent counts of its own work, for its operators."""

from typing import Protocol

from glance_sync_agent.domain import images
from glance_sync_agent.domain import verification
from glance_sync_agent.domain.codes import Code


class Meters(Protocol):
    """Counts since the process began. Threads may share it; no method fails."""

    def attempted(self, region: images.RegionId, outcome: str) -> None:
        """Count an attempt.

        :param outcome: one of a few words.
        """

    def failed(self, region: images.RegionId, code: Code) -> None:
        """Count an attempt that failed."""

    def copied(self, region: images.RegionId, way: str, size: int, seconds: float) -> None:
        """Count a transfer.

        :param way: of the store that took the bytes.
        :param size: bytes.
        :param seconds: that it took.
        """

    def completed(self, region: images.RegionId, seconds: float) -> None:
        """Count a copy that became in step.

        :param seconds: since it was asked for.
        """

    def verified(self, region: images.RegionId, condition: verification.Condition) -> None:
        """Count a copy that was read back."""

    def heard(self, outcome: str) -> None:
        """Count a message from the bus.

        :param outcome: one of a few words.
        """


class NoMeters:
    """Counts nothing, for commands and tests."""

    def attempted(self, region: images.RegionId, outcome: str) -> None:
        """Do nothing."""

    def failed(self, region: images.RegionId, code: Code) -> None:
        """Do nothing."""

    def copied(self, region: images.RegionId, way: str, size: int, seconds: float) -> None:
        """Do nothing."""

    def completed(self, region: images.RegionId, seconds: float) -> None:
        """Do nothing."""

    def verified(self, region: images.RegionId, condition: verification.Condition) -> None:
        """Do nothing."""

    def heard(self, outcome: str) -> None:
        """Do nothing."""
