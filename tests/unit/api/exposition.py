# SPDX-License-Identifier: Apache-2.0
"""All metrics of an agent with its API, by name."""

from collections.abc import Sequence

from prometheus_client import parser

from glance_sync_agent.domain import verification
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.drivers import meters
from tests.fakes import world as worlds
from tests.unit.api import test_application

_OF_HISTOGRAM = ("_bucket", "_count", "_sum")


def metrics() -> dict[str, Sequence[str]]:
    """Return the labels of each metric, after everything was counted once."""
    stage = test_application.Stage(_counted())
    stage.publish()
    stage.world.open_window()
    stage.get("/v1/images")
    stage.world.upkeep.run()
    found: dict[str, Sequence[str]] = {}
    for family in parser.text_string_to_metric_families(stage.ask("GET", "/metrics").text):
        (sample, *_) = family.samples
        name = family.name if family.type == "histogram" else sample.name
        found[name] = [label for label in sample.labels if label != "le"]
    return {name: labels for name, labels in found.items() if not name.endswith("_created")}


def series() -> set[str]:
    """Return the names that a query may use."""
    plain = set(metrics())
    return plain | {f"{name}{suffix}" for name in plain for suffix in _OF_HISTOGRAM}


def _counted() -> meters.PrometheusMeters:
    made = meters.PrometheusMeters()
    region = worlds.CASCADED[0]
    made.attempted(region, "success")
    made.failed(region, Code.REFUSED)
    made.copied(region, "api", 1, 1.0)
    made.completed(region, 1.0)
    made.verified(region, verification.Condition.OK)
    made.heard("handled")
    return made
