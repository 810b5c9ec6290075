# SPDX-License-Identifier: Apache-2.0
"""The rules for Prometheus, tried with promtool, and the dashboard for Grafana."""

from collections import Counter
from collections.abc import Callable
import json
import pathlib
import re
import shutil
import subprocess
from typing import NoReturn

import pytest
import yaml

from tests import paths
from tests.unit.api import exposition

_RULES = paths.ROOT / "etc" / "monitoring" / "glance-sync-rules.yml"
_DASHBOARD = _RULES.with_name("glance-sync-dashboard.json")


@pytest.fixture
def promtool(missing_service: Callable[[str], NoReturn]) -> str:
    found = shutil.which("promtool")
    if found is None:
        missing_service("promtool (package prometheus) is not installed")
    return found


def _run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )


def test_the_rules_are_valid(promtool: str) -> None:
    done = _run(promtool, "check", "rules", _RULES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_by_what_it_is_for(promtool: str, tmp_path: pathlib.Path) -> None:
    shutil.copy(_RULES, tmp_path)
    tests = tmp_path / "rules.yml"
    shutil.copy(pathlib.Path(__file__).with_name("rules.yml"), tests)
    done = _run(promtool, "test", "rules", tests)
    assert done.returncode == 0, done.stdout + done.stderr
    tried = yaml.safe_load(tests.read_text())["tests"]
    fired = {
        one["alertname"] for test in tried for one in test["alert_rule_test"]
        if one.get("exp_alerts")
    }
    rules = yaml.safe_load(_RULES.read_text())["groups"][0]["rules"]
    assert fired == {rule["alert"] for rule in rules if "alert" in rule}


@pytest.mark.parametrize("file", [_RULES, _DASHBOARD], ids=lambda file: file.name)
def test_rules_and_dashboard_name_metrics_that_exist(file: pathlib.Path) -> None:
    named = set(re.findall(r"\bglance_sync_\w+", file.read_text()))
    assert named
    assert named <= exposition.series()


def test_the_dashboard_shows_every_metric() -> None:
    text = _DASHBOARD.read_text()
    assert [name for name in exposition.metrics() if name not in text] == []


def test_the_panels_of_the_dashboard_have_ids_and_places_of_their_own() -> None:
    panels = json.loads(_DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = Counter(
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    )
    assert set(cells.values()) == {1}
    assert max(x for x, _y in cells) < 24


def test_the_dashboard_asks_the_data_source_that_the_reader_chooses() -> None:
    dashboard = json.loads(_DASHBOARD.read_text())
    assert [one["name"] for one in dashboard["templating"]["list"]] == ["datasource", "region"]
    asked = [
        one["datasource"]["uid"]
        for panel in dashboard["panels"]
        for one in (panel, *panel.get("targets", ()))
        if "datasource" in one
    ]
    assert set(asked) == {"${datasource}"}
