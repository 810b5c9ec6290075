# SPDX-License-Identifier: Apache-2.0
"""How many requests the Glances of the real cloud get where nothing is to be done."""

import io
import pathlib
import re
from typing import Any

from glanceclient import exc as glance_exc
import pytest

from tests.functional import conftest
from tests.functional import people as users
from tests.functional import running

#: Of uWSGI, see tools/cloud/uwsgi.py.
_REQUEST = re.compile(r'"([A-Z]+) (\S+) HTTP/1\.\d" \d{3} ')
#: It looks at everything at start, and only then.
ONCE: dict[str, Any] = {"interval": 0, "changes_interval": 0}


class Requests:
    """What the Glances were asked for since this was made, by region."""

    def __init__(self, people: users.People) -> None:
        described = people.cloud.describe()
        self._logs = {
            region: pathlib.Path(described.region(region).glance_log)
            for region in (people.cascading, *people.cascaded)
        }
        self._from = {region: log.stat().st_size for region, log in self._logs.items()}

    def of(self, region: str, text: str = "") -> list[str]:
        """Return the requests to a region whose address has ``text``."""
        with self._logs[region].open(errors="replace") as log:
            log.seek(self._from[region])
            found = [f"{method} {uri}" for method, uri in _REQUEST.findall(log.read())]
        return [one for one in found if text in one]

    def are(self, count: int, region: str, text: str) -> None:
        """Assert that there were ``count`` such requests.

        uWSGI logs a request after it was answered, so the newest lines may be a moment late.
        """
        users.eventually(
            lambda: len(self.of(region, text)) >= count, f"{count} requests of {text} to {region}"
        )
        assert len(self.of(region, text)) == count, self.of(region)


class Broken(io.BytesIO):
    """Data whose second part cannot be read."""

    def read(self, size: int | None = -1) -> bytes:
        """Return the first part."""
        if self.tell():
            raise OSError("the disk of the user broke")
        return super().read(size)


@pytest.fixture
def agent(make_agent: conftest.MakeAgent) -> running.Agent:
    made = make_agent(options={**running.FAST, "reconcile": ONCE})
    made.begin()
    return made


def test_records_that_came_and_went_cost_no_region_a_request(agent, people):
    requests = Requests(people)
    empty = people.create("never filled")
    snapshot = people.create("never uploaded", image_type="snapshot")
    failed = people.create("broken off")
    with pytest.raises(glance_exc.CommunicationError, match="broke"):
        people.client().images.upload(failed.id, Broken(bytes(4 * 1024 * 1024)))
    users.eventually(
        lambda: people.record(people.cascading, failed.id)["status"] == "queued", "its end"
    )
    agent.wait_until(lambda: len(agent.tasks_of(snapshot.id)) > 0, "the snapshot's tasks")
    gone = [empty.id, snapshot.id, failed.id]
    for image_id in gone:
        people.delete(image_id)
    last = people.publish("afterwards")
    agent.wait_until(lambda: people.in_step(last), "the image after them")
    agent.wait_until(
        lambda: all(
            status in {"success", "failure"}
            for image_id in gone
            for status in agent.statuses(image_id).values()
        ),
        "the end of their tasks",
    )
    for region in people.cascaded:
        for image_id in gone:
            assert requests.of(region, image_id) == []


def test_a_scan_of_shared_images_in_step_asks_each_region_once(make_agent, people):
    made = [people.publish("shared", visibility="shared") for _ in range(3)]
    agent = make_agent(options={**running.FAST, "reconcile": ONCE})
    agent.begin()
    agent.wait_until(lambda: all(map(people.in_step, made)), "the copies")
    agent.wait_until(
        lambda: {s for one in made for s in agent.statuses(one.image_id).values()} == {"success"},
        "the end of their tasks",
    )
    assert agent.stop() == 0

    requests = Requests(people)
    agent.begin()
    for region in people.cascaded:
        requests.are(1, region, "/images?")
        assert requests.of(region, "/members") == []
    # The visible and the hidden, the newest once more, and those of rows.
    requests.are(4, people.cascading, "/images?")
    assert requests.of(people.cascading, "/members") == []
    assert agent.stop() == 0

    always = {"reconcile": {**ONCE, "members_interval": 0}}
    conftest.rewrite(agent, people.cloud.describe(), always)
    requests = Requests(people)
    agent.begin()
    for region in (people.cascading, *people.cascaded):
        for image in made:
            requests.are(1, region, f"{image.image_id}/members")
