# SPDX-License-Identifier: Apache-2.0
"""What Prometheus is told."""

import datetime
import re

from prometheus_client import parser
import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import pauses
from glance_sync_agent.drivers import meters
from tests import paths
from tests.fakes import world as worlds
from tests.unit.api import exposition
from tests.unit.api import test_application

TWO, THREE = worlds.CASCADED


@pytest.fixture
def stage():
    made = test_application.Stage()
    made.world.upkeep.run()
    return made


def samples(stage):
    """Return the samples by name and labels."""
    answer = stage.ask("GET", "/metrics", headers={"X-Identity-Status": ""})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (one.name, *sorted(one.labels.values())): one.value
        for family in parser.text_string_to_metric_families(answer.text)
        for one in family.samples
    }


def test_the_fleet_is_shown_to_everybody(stage):
    stage.publish()
    stage.world.clock.advance(20.0)
    stage.world.upkeep.run()
    found = samples(stage)
    assert found["glance_sync_tasks", TWO, "pending"] == 1
    assert found["glance_sync_tasks", TWO, "success"] == 0
    assert found["glance_sync_oldest_pending_timestamp_seconds", TWO] == (
        stage.world.clock.now().timestamp() - 20.0
    )
    assert found["glance_sync_completion_target_seconds",] == 900
    assert found["glance_sync_agents_alive",] == 1
    assert found["glance_sync_build_info", "1.2.3"] == 1
    assert found["glance_sync_last_message_timestamp_seconds",] > 0
    assert found["glance_sync_last_scan_timestamp_seconds", "full"] == 0
    assert found["glance_sync_counted_timestamp_seconds",] == stage.world.clock.now().timestamp()


def test_what_is_late_paused_or_unavailable_is_shown(stage):
    stage.publish()
    stage.world.clock.advance(901.0)
    now = stage.world.clock.now()
    stage.world.pauses.pause(TWO, pauses.Pause(since=now, by="alice", reason="disks"))
    later = now + datetime.timedelta(seconds=60)
    stage.world.breakers.change(
        THREE, lambda _: breakers.Breaker(failures=3, retry_at=later, reason="refused")
    )
    stage.world.upkeep.run()
    found = samples(stage)
    assert (found["glance_sync_late_tasks", TWO], found["glance_sync_pending_bytes", TWO]) == (
        1, 0
    )
    assert found["glance_sync_region_paused", TWO] == 1
    assert found["glance_sync_region_paused", THREE] == 0
    assert ("glance_sync_region_pause_end_timestamp_seconds", TWO) not in found
    assert found["glance_sync_region_breaker_open", THREE] == 1
    assert found["glance_sync_region_breaker_open", TWO] == 0


def test_a_region_that_a_window_pauses_is_shown_with_the_end(stage):
    stage.publish()
    stage.world.clock.advance(20.0)
    stage.world.upkeep.run()
    stage.world.open_window()
    found = samples(stage)
    assert found["glance_sync_region_paused", TWO] == 1
    assert found["glance_sync_region_paused", THREE] == 0
    end = datetime.datetime(2026, 11, 22, 16, tzinfo=datetime.UTC).timestamp()
    assert found["glance_sync_region_pause_end_timestamp_seconds", TWO] == end
    assert ("glance_sync_region_pause_end_timestamp_seconds", THREE) not in found


def test_waiting_and_failed_tasks_are_shown_by_their_code(stage):
    def fail(name, _image_id):
        if name == "write":
            raise errors.StorageFull("no room")

    stage.world.two.before = fail
    stage.publish()
    stage.world.run()
    stage.world.clock.advance(20.0)
    stage.world.upkeep.run()
    found = {name: value for name, value in samples(stage).items() if "unfinished" in name[0]}
    assert found == {
        ("glance_sync_unfinished_tasks", *sorted((TWO, "pending", "storage_full"))): 1
    }


def test_scans_are_shown_by_their_kind(stage):
    stage.world.source.publish()
    stage.world.rounds.run()
    stage.world.upkeep.run()
    found = samples(stage)
    now = stage.world.clock.now().timestamp()
    for kind in ("full", "incremental"):
        assert found["glance_sync_last_scan_timestamp_seconds", kind] == now


def test_requests_are_counted_by_their_route_and_no_id(stage):
    image = stage.publish()
    stage.get(f"/v1/images/{image.image_id}")
    stage.ask("GET", "/v1/nothing")
    found = samples(stage)
    assert found["glance_sync_api_requests_total", "/v1/images/{image_id}", "200"] == 1
    assert found["glance_sync_api_requests_total", "404", "none"] == 1
    assert not [name for name in found if image.image_id in name]


def test_a_database_that_does_not_answer_is_an_error_of_the_scrape(stage):
    stage.world.store.is_down = True
    stage.world.clock.advance(61.0)
    assert stage.ask("GET", "/metrics").status_code == 503


def test_an_agent_counts_what_it_does():
    counted = meters.PrometheusMeters()
    world = worlds.World(retries=0, process={"meters": counted})
    world.three.before = _refuse
    image = world.source.publish(b"0123456789")
    world.changed(image.image_id)
    world.run(seconds=7.0)

    def value(name, **labels):
        return counted.registry.get_sample_value(f"glance_sync_{name}", labels)

    assert value("attempts_total", region=TWO, outcome="success") == 1
    assert value("attempts_total", region=THREE, outcome="failure") == 1
    assert value("failures_total", region=THREE, code="gave_up") == 1
    assert value("transferred_bytes_total", region=TWO, way="memory") == 10
    assert value("transfer_duration_seconds_count", region=TWO, way="memory") == 1
    assert value("completion_seconds_sum", region=TWO) == 7.0
    assert value("completion_seconds_count", region=THREE) is None


def _refuse(name, _image_id):
    if name == "create":
        raise errors.TransientError("refused")


def test_waits_and_cancelled_attempts_are_told_apart():
    counted = meters.PrometheusMeters()
    world = worlds.World(process={"meters": counted})
    world.source.make(name="snapshot", image_type="snapshot")
    image = next(iter(world.source.ids()))
    world.changed(image)
    world.run()
    other = world.source.publish()
    world.changed(other.image_id)
    world.clock.advance(1.0)
    world.worker.dispatch()
    world.stop.set()
    while world.submitted:
        world.submitted.pop(0)()

    def attempts(outcome):
        labels = {"region": TWO, "outcome": outcome}
        return counted.registry.get_sample_value("glance_sync_attempts_total", labels)

    assert (attempts("later"), attempts("cancelled")) == (1, 1)


def test_copies_that_were_read_back_are_counted_by_their_condition():
    counted = meters.PrometheusMeters()
    world = worlds.World(process={"meters": counted})
    image = world.source.publish(b"golden image")
    world.changed(image.image_id)
    world.settle()
    world.two.damage(image.image_id, b"olden g image")
    for region in (TWO, THREE):
        world.verifying.verify(world.task(image, region), lambda *_: None)

    def verifications(region, result):
        labels = {"region": region, "result": result}
        return counted.registry.get_sample_value("glance_sync_verifications_total", labels)

    assert verifications(TWO, "damaged") == 1
    assert verifications(THREE, "ok") == 1


def test_the_page_names_every_metric_with_its_labels():
    page = (paths.ROOT / "doc" / "source" / "monitoring.rst").read_text()
    rows = re.findall(r"^   \* - ``(glance_sync_\w+)(?:{([\w,]+)})?``$", page, re.MULTILINE)
    named = {name: set(filter(None, labels.split(","))) for name, labels in rows}
    assert named == {name: set(labels) for name, labels in exposition.metrics().items()}
