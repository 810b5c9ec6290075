# SPDX-License-Identifier: Apache-2.0
"""The meters of an agent as metrics of Prometheus."""

from typing import Final

import prometheus_client

from glance_sync_agent.domain import images
from glance_sync_agent.domain import verification
from glance_sync_agent.domain.codes import Code

#: Seconds: from an image of a few kilobytes to one that takes a night.
_BUCKETS: Final = (1, 5, 15, 60, 300, 900, 3600, 14400, 43200)


class PrometheusMeters:
    """``engine.ports.Meters``; the metrics are in a registry of its own."""

    def __init__(self) -> None:
        """Begin with 0."""
        self.registry = prometheus_client.CollectorRegistry()
        self._attempts = prometheus_client.Counter(
            "glance_sync_attempts",
            "Attempts of this agent at copies, by their outcome.",
            ["region", "outcome"],
            registry=self.registry,
        )
        self._failures = prometheus_client.Counter(
            "glance_sync_failures",
            "Attempts of this agent that failed, by the code of the reason.",
            ["region", "code"],
            registry=self.registry,
        )
        self._bytes = prometheus_client.Counter(
            "glance_sync_transferred_bytes",
            "Bytes of image data that this agent brought into a region.",
            ["region", "way"],
            registry=self.registry,
        )
        self._transfers = prometheus_client.Histogram(
            "glance_sync_transfer_duration_seconds",
            "How long a transfer of this agent took.",
            ["region", "way"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._completions = prometheus_client.Histogram(
            "glance_sync_completion_seconds",
            "From the request for a copy until it was in step.",
            ["region"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._verifications = prometheus_client.Counter(
            "glance_sync_verifications",
            "Copies that this agent read back, by their condition.",
            ["region", "result"],
            registry=self.registry,
        )
        self._messages = prometheus_client.Counter(
            "glance_sync_messages",
            "Messages from the bus, by what this agent did with them.",
            ["outcome"],
            registry=self.registry,
        )

    def attempted(self, region: images.RegionId, outcome: str) -> None:
        """Count an attempt."""
        self._attempts.labels(region, outcome).inc()

    def failed(self, region: images.RegionId, code: Code) -> None:
        """Count an attempt that failed."""
        self._failures.labels(region, str(code)).inc()

    def copied(self, region: images.RegionId, way: str, size: int, seconds: float) -> None:
        """Count a transfer."""
        self._bytes.labels(region, way).inc(size)
        self._transfers.labels(region, way).observe(seconds)

    def completed(self, region: images.RegionId, seconds: float) -> None:
        """Count a copy that became in step."""
        self._completions.labels(region).observe(seconds)

    def verified(self, region: images.RegionId, condition: verification.Condition) -> None:
        """Count a copy that was read back."""
        self._verifications.labels(region, condition.value).inc()

    def heard(self, outcome: str) -> None:
        """Count a message from the bus."""
        self._messages.labels(outcome).inc()
