# SPDX-License-Identifier: Apache-2.0
"""Each query of the dashboard, asked of a real Prometheus that reads a real agent."""

import contextlib
import json
import pathlib

import requests

from tests import paths
from tests.functional import prometheus
from tests.functional import running
from tests.functional import test_api
from tests.functional import test_verify

_DASHBOARD = paths.ROOT / "etc" / "monitoring" / "glance-sync-dashboard.json"
_OPTIONS = {
    **running.FAST,
    "transfer": {
        **running.FAST["transfer"],
        "pause_windows": "RegionFour: 0 * * * * 2h UTC",  # it never ends
    },
    "api": {"enabled": "true", "completion_target_seconds": 1},
    "verify": {"interval": 2},
}
TWO, THREE = "RegionTwo", "RegionThree"


def queries():
    """Return the queries by the title of their panel, with values for the variables."""
    panels = json.loads(_DASHBOARD.read_text())["panels"]
    return [
        (
            panel["title"],
            target["expr"]
            .replace("$region", ".*")
            .replace("$__rate_interval", f"{prometheus.RATE_SECONDS}s"),
        )
        for panel in panels
        for target in panel.get("targets", ())
    ]


def test_each_query_of_the_dashboard_has_an_answer(cloud, make_agent, people, watched_by):
    agent = make_agent(options=_OPTIONS)
    agent.begin()
    api = test_api.Api(agent, people)
    server = watched_by(agent.api_port)
    two = cloud.describe().region(TWO)
    # Before anything happens, because a rate needs a sample from before.
    server.wait_until(lambda: bool(server.query("glance_sync_agents_alive == 1")), "a scrape")

    image = people.publish("golden", size=100_000)
    agent.wait_until(lambda: people.in_step(image, [TWO, THREE]), "the copies")
    test_verify.flip(pathlib.Path(two.datadir, image.image_id))
    refusing = pathlib.Path(two.config_dir, "refuse")
    refusing.write_text("PUT 503")
    try:
        people.publish("refused", size=100_000)
        missing = dict.fromkeys(queries())
        assert not [query for _title, query in missing if "$" in query]

        def has_all() -> bool:
            requests.get(f"{api.url}/", timeout=test_api.SECONDS)
            for query in list(missing):
                if server.query(query[1]):
                    del missing[query]
            return not missing

        with contextlib.suppress(AssertionError):
            server.wait_until(has_all, "series for all queries", 60.0)
        assert not missing
    finally:
        refusing.unlink()
