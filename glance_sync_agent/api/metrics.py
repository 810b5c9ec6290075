# SPDX-License-Identifier: Apache-2.0
"""Metrics for Prometheus: what the database knows of all agents, and what this process counts.

Every agent answers the same about the fleet, so queries take the ``max`` of it.
"""

from collections.abc import Iterator
import time
from typing import Any, Final

import falcon
import prometheus_client
from prometheus_client import core
from prometheus_client import registry as registries

from glance_sync_agent.api.parts import Parts
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine.reports import region_reports
from glance_sync_agent.engine.reports import task_counts
from glance_sync_agent.engine.reports.region_states import RegionStates

_BUCKETS: Final = (0.005, 0.02, 0.1, 0.5, 2, 10)
_UNFINISHED: Final = frozenset({tasks.TaskStatus.PENDING, tasks.TaskStatus.FAILURE})


class Fleet(registries.Collector):
    """The state of all regions and agents, read when Prometheus asks."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def collect(self) -> Iterator[core.Metric]:
        """Yield the metrics.

        :raises ServiceUnavailable: the database is unreachable.
        """
        outside, current = self._parts.outside, self._parts.engine.shared.current_pauses
        target = self._parts.settings().upkeep.completion_target
        counted = self._parts.counts.read()
        states, now = RegionStates.read(outside.breakers, current), outside.clock.now()
        names = region_reports.names(counted, states)
        regions = [region_reports.fields(name, counted, states, now) for name in names]
        yield from _of_tasks(counted, regions)
        yield from _of_regions(regions)
        yield _by_region(
            "region_pause_end_timestamp_seconds",
            "When the pause of the region ends by itself; absent: a person ends it.",
            [
                (name, pause.until.timestamp())
                for name in names
                if (pause := states.pauses.of(name)) is not None and pause.until is not None
            ],
        )
        yield from self._of_agents()
        yield _gauge("completion_target_seconds", "What waits longer is late.", target)
        build = core.GaugeMetricFamily(
            "glance_sync_build_info", "The version of the agent.", labels=["version"]
        )
        build.add_metric([self._parts.version], 1)
        yield build

    def _of_agents(self) -> Iterator[core.Metric]:
        now = self._parts.outside.clock.now()
        agents = self._parts.outside.agents.all()
        alive = sum(agent.is_alive(now) for agent in agents)
        yield _gauge("agents_alive", "Agents that have reported lately.", alive)
        heard = [agent.heard_at.timestamp() for agent in agents if agent.heard_at is not None]
        yield _gauge(
            "last_message_timestamp_seconds",
            "When the last message came from the bus; 0: none yet.",
            max(heard, default=0.0),
        )
        scans = core.GaugeMetricFamily(
            "glance_sync_last_scan_timestamp_seconds",
            "When the last scan ended; 0: none yet.",
            labels=["kind"],
        )
        for kind, times in (
            ("full", [agent.scanned_at for agent in agents]),
            ("incremental", [agent.scanned_changes_at for agent in agents]),
        ):
            ended = [moment.timestamp() for moment in times if moment is not None]
            scans.add_metric([kind], max(ended, default=0.0))
        yield scans


def _gauge(name: str, text: str, value: float) -> core.GaugeMetricFamily:
    return core.GaugeMetricFamily(f"glance_sync_{name}", text, value=value)


def _by_region(
    name: str, text: str, values: list[tuple[str, float]]
) -> core.GaugeMetricFamily:
    found = core.GaugeMetricFamily(f"glance_sync_{name}", text, labels=["region"])
    for region, value in values:
        found.add_metric([region], value)
    return found


def _of_tasks(
    counted: task_counts.TaskCounts, regions: list[dict[str, Any]]
) -> Iterator[core.Metric]:
    by_status = core.GaugeMetricFamily(
        "glance_sync_tasks", "Tasks by region and status.", labels=["region", "status"]
    )
    for region in regions:
        for status in tasks.TaskStatus:
            by_status.add_metric([region["region"], status.value], region[status.value])
    yield by_status
    yield _reasons(counted)
    yield _by_region(
        "oldest_pending_timestamp_seconds",
        "When the oldest unfinished task was asked for; absent: all are finished.",
        [
            (region, counts.oldest_asked_at.timestamp())
            for region, counts in counted.regions.items()
            if counts.oldest_asked_at is not None
        ],
    )
    yield _gauge(
        "counted_timestamp_seconds", "When the tasks were counted.", counted.at.timestamp()
    )


def _reasons(counted: task_counts.TaskCounts) -> core.Metric:
    found = core.GaugeMetricFamily(
        "glance_sync_unfinished_tasks",
        "Tasks that wait or failed, by the code of the reason.",
        labels=["region", "status", "code"],
    )
    for region, counts in counted.regions.items():
        for (status, code), number in counts.tasks.items():
            if status in _UNFINISHED:
                found.add_metric([region, status, code or "unknown"], number)
    return found


def _of_regions(regions: list[dict[str, Any]]) -> Iterator[core.Metric]:
    yield _by_region(
        "pending_bytes",
        "Bytes that unfinished tasks have to copy.",
        [(one["region"], one["waiting_bytes"]) for one in regions],
    )
    yield _by_region(
        "late_tasks",
        "Unfinished tasks that have waited for longer than the target.",
        [(one["region"], one["late"]) for one in regions],
    )
    for name, text, state in (
        ("region_paused", "1: a person or a window has paused the region.", region_reports.PAUSED),
        ("region_breaker_open", "1: the region is unavailable.", region_reports.UNAVAILABLE),
    ):
        values = [(one["region"], float(one["state"] == state)) for one in regions]
        yield _by_region(name, text, values)


class Requests:
    """Counts the requests of the API; a middleware of falcon."""

    def __init__(self, registry: prometheus_client.CollectorRegistry) -> None:
        self._requests = prometheus_client.Counter(
            "glance_sync_api_requests",
            "Requests that this process answered.",
            ["route", "status"],
            registry=registry,
        )
        self._durations = prometheus_client.Histogram(
            "glance_sync_api_request_duration_seconds",
            "How long an answer took.",
            ["route"],
            buckets=_BUCKETS,
            registry=registry,
        )

    def process_request(self, request: falcon.Request, _response: falcon.Response) -> None:
        """Begin to measure."""
        request.context.began = time.monotonic()

    def process_response(
        self,
        request: falcon.Request,
        response: falcon.Response,
        _resource: object,
        _succeeded: bool,  # noqa: FBT001 - falcon's signature
    ) -> None:
        """Count an answer."""
        route = request.uri_template or "none"
        self._requests.labels(route, str(response.status_code)).inc()
        self._durations.labels(route).observe(time.monotonic() - request.context.began)


class Metrics:
    """Answers ``GET /metrics``."""

    def __init__(self, *found: prometheus_client.CollectorRegistry) -> None:
        """Keep the registries.

        :param found: their metrics are answered together.
        """
        self._found = found

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """Answer GET."""
        texts = [prometheus_client.generate_latest(one) for one in self._found]
        response.content_type = prometheus_client.CONTENT_TYPE_LATEST
        response.data = b"".join(texts)
