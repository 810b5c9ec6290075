# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus that reads an agent of a test."""

from collections.abc import Callable
import pathlib
import subprocess
import time
from typing import Any

import requests
import yaml

from tools.cloud import planning

_HOST = "127.0.0.1"
_SECONDS = 30.0
_POLL_SECONDS = 0.1
#: The window of a rate; it holds several samples.
RATE_SECONDS = 10


class Prometheus:
    """A server with its database in a directory. Reads and evaluates every second."""

    def __init__(self, directory: pathlib.Path, port: int, rules: str | None = None) -> None:
        """Start it.

        :param port: of the agent's API.
        :param rules: the text of a file of rules.
        """
        config: dict[str, Any] = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s",
                       "evaluation_interval": "1s"},
            "scrape_configs": [
                {"job_name": "glance-sync",
                 "static_configs": [{"targets": [f"{_HOST}:{port}"]}]}
            ],
        }
        if rules is not None:
            (directory / "rules.yml").write_text(rules)
            config["rule_files"] = ["rules.yml"]
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        address = f"{_HOST}:{planning.free_port(_HOST)}"
        self._url = f"http://{address}"
        self._log = directory / "prometheus.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={directory}/prometheus.yml",
                    f"--storage.tsdb.path={directory}/data",
                    f"--web.listen-address={address}",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        self.wait_until(self._is_ready, "an answer")

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"{self._url}/-/ready", timeout=_SECONDS).ok
        except requests.ConnectionError:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an expression."""
        found = self._get("query", query=expression)["result"]
        return list(found) if isinstance(found, list) else []

    def firing(self) -> set[tuple[str, str]]:
        """Return the names of the alerts that fire, with their regions."""
        return {
            (one["labels"]["alertname"], one["labels"].get("region", ""))
            for one in self._get("alerts")["alerts"]
            if one["state"] == "firing"
        }

    def _get(self, what: str, **parameters: str) -> dict[str, Any]:
        answer = requests.get(f"{self._url}/api/v1/{what}", params=parameters, timeout=_SECONDS)
        body: dict[str, Any] = answer.json()
        assert body["status"] == "success", f"{parameters}: {body}"
        return dict(body["data"])

    def wait_until(
        self, condition: Callable[[], bool], what: str, timeout_seconds: float = 120.0
    ) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, f"{timeout_seconds:g} s without {what}"
            time.sleep(_POLL_SECONDS)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(_SECONDS)
