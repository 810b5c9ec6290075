# SPDX-License-Identifier: Apache-2.0
"""The WSGI module under a real uWSGI, which loads it before its database is there."""

import os
import pathlib
import subprocess
import sys

import pytest
import requests

from tests.functional import people as users
from tests.functional import running
from tools.cloud import planning
from tools.cloud import uwsgi

ROOT = pathlib.Path(__file__).parents[2]
HOST = "127.0.0.1"
SECONDS = 30.0


@pytest.fixture
def agent(make_agent):
    return make_agent(options={**running.FAST, "api": {"enabled": "false"}})


@pytest.fixture
def address(agent):
    """Serve the module; give its address and its log."""
    port = planning.free_port(HOST)
    config, log = agent.directory / "uwsgi.ini", agent.directory / "uwsgi.log"
    uwsgi.write(
        config, name="glance-sync-api", host=HOST, port=port,
        module="glance_sync_agent.wsgi.api:application", root=ROOT,
        venv=pathlib.Path(sys.prefix), processes=2, threads=2,
    )
    environment = {**os.environ, "OS_GLANCE_SYNC_CONFIG_FILE": str(agent.config_file)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [ROOT / ".cloud/venv/bin/uwsgi", "--ini", config],
            env=environment, stdout=output, stderr=subprocess.STDOUT,
        )
    users.eventually(lambda: "spawned uWSGI worker 2" in log.read_text(), "two workers")
    yield f"http://{HOST}:{port}", log
    process.terminate()
    process.wait(SECONDS)


def test_it_answers_as_soon_as_the_database_is_there(agent, address, people):
    url, log = address
    headers = {"X-Auth-Token": people.cloud.session("admin").get_token()}

    def ask(path):
        return requests.get(f"{url}{path}", headers=headers, timeout=SECONDS)

    answer = ask("/v1/images")
    assert answer.status_code == 503
    assert "its log says why" in answer.json()["error"]["message"]
    agent.begin()
    image = people.publish("golden", size=1000)
    agent.wait_until(lambda: people.in_step(image), "the copies")
    path = f"/v1/images/{image.image_id}"
    users.eventually(lambda: len(ask(path).json().get("regions", ())) == 3, "its state")
    assert requests.get(f"{url}/v1/images", timeout=SECONDS).status_code == 401
    assert requests.get(f"{url}/ui/", timeout=SECONDS, allow_redirects=False).status_code == 303
    assert "The API cannot start yet: " in log.read_text()
    assert "Traceback" not in log.read_text()
