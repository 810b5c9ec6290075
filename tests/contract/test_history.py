# SPDX-License-Identifier: Apache-2.0
"""What the history promises (``engine.ports.EventStore``)."""

from collections.abc import Iterator
import dataclasses
import datetime

import pytest
import sqlalchemy as sa

from glance_sync_agent.domain import history
from glance_sync_agent.domain import images
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from tests.contract import databases
from tests.fakes import history as fake

NOW = datetime.datetime(2026, 3, 29, 1, 59, 59, 987654, tzinfo=datetime.UTC)
TWO, THREE = images.RegionId("RegionTwo"), images.RegionId("regionTwo")
IMAGE = images.ImageId("10000000-0000-4000-8000-000000000001")
OTHER = images.ImageId("20000000-0000-4000-8000-000000000002")
DELETED = history.Event(
    at=NOW,
    kind=history.Kind.DELETED,
    by="host-1",
    image_id=IMAGE,
    region=TWO,
    request_id="req-1",
    code=Code.CONFLICT,
    text="source was deleted: 'quoted'",
    copy_id=OTHER,
    size=2**40,
    seconds=1.25,
    owner="alpha",
    multihash="sha512:ab",
    proof="a task knows it",
)
PAUSED = history.Event(at=NOW, kind=history.Kind.PAUSED, by="alice", region=TWO)


@pytest.fixture(params=["memory", *databases.KINDS, *databases.CLUSTERS])
def kept(request, tmp_path) -> Iterator[ports.EventStore]:
    if request.param == "memory":
        yield fake.MemoryHistory()
        return
    store = databases.opened(request.param, tmp_path, request.getfixturevalue)
    yield store.history()
    store.close()


def events(kept, limit=10, **fields):
    return [one.event for one in kept.newest(limit, history.Filter(**fields))]


def test_at_first_nothing_has_happened(kept):
    assert events(kept) == []


def test_an_event_is_kept_as_it_was(kept):
    kept.add([DELETED])
    kept.add([PAUSED])
    assert events(kept) == [PAUSED, DELETED]


def test_no_event_is_no_change(kept):
    kept.add([])
    assert events(kept) == []


def test_the_newest_come_first_and_the_rest_in_pages(kept):
    made = [dataclasses.replace(PAUSED, text=str(number)) for number in range(5)]
    kept.add(made)
    first = kept.newest(2)
    rest = kept.newest(10, history.Filter(before=first[-1].number))
    assert [one.event.text for one in first] == ["4", "3"]
    assert [one.event.text for one in rest] == ["2", "1", "0"]


def test_events_are_found_by_image_region_and_kind(kept):
    elsewhere = dataclasses.replace(DELETED, image_id=OTHER, region=THREE)
    kept.add([DELETED, PAUSED, elsewhere])
    assert events(kept, image_id=IMAGE) == [DELETED]
    assert events(kept, region=TWO) == [PAUSED, DELETED]
    assert events(kept, kind=history.Kind.DELETED, region=THREE) == [elsewhere]
    assert events(kept, request_id="req-1", image_id=OTHER) == [elsewhere]


def test_old_events_are_removed_a_few_at_a_time(kept):
    times = [NOW + datetime.timedelta(seconds=number) for number in range(5)]
    kept.add([dataclasses.replace(PAUSED, at=at) for at in times])
    assert kept.remove(times[3], 2) == 2
    assert [one.at for one in events(kept)] == [times[4], times[3], times[2]]
    assert kept.remove(times[3], 2) == 1
    assert kept.remove(times[3], 2) == 0
    assert [one.at for one in events(kept)] == [times[4], times[3]]


def test_a_number_is_never_given_twice(kept):
    kept.add([PAUSED])
    (first,) = kept.newest(1)
    kept.remove(NOW + datetime.timedelta(seconds=1), 1)
    kept.add([PAUSED])
    (second,) = kept.newest(1)
    assert second.number > first.number


def test_what_is_too_long_or_no_text_is_cut_and_kept(kept):
    kept.add([dataclasses.replace(PAUSED, by="b" * 300, text="t\0" + "t" * 3000)])
    (event,) = events(kept)
    assert event.by[:255] == "b" * 255
    assert event.text[2:1000] == "t" * 998


def test_a_kind_of_a_newer_agent_reads_as_other(tmp_path):
    store = databases.made(f"sqlite:///{tmp_path / 'tasks.db'}")
    store.history().add([PAUSED])
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'tasks.db'}")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE events SET kind = 'moved', code = 'strange'"))
    engine.dispose()
    (event,) = events(store.history())
    assert (event.kind, event.code) == (history.Kind.OTHER, Code.UNKNOWN)
    store.close()
