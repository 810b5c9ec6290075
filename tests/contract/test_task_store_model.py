# SPDX-License-Identifier: Apache-2.0
"""The SQL task store behaves like the one in memory, whatever the calls."""

from collections.abc import Callable
import datetime
import functools
from typing import Any

import hypothesis
from hypothesis import stateful
from hypothesis import strategies as st
import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from tests.contract import databases
from tests.fakes import task_store as fake

START = datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
IDS = [images.ImageId(f"{n}0000000-0000-4000-8000-000000000000") for n in range(2)]
REGIONS = [images.RegionId(name) for name in ("A", "B", "é")]

times = st.integers(0, 6).map(lambda seconds: START + datetime.timedelta(seconds=seconds))
image_ids = st.sampled_from(IDS)
regions = st.sampled_from(REGIONS)
kinds = st.none() | st.booleans()
projects = st.sampled_from(["", "one", "Two"])
owners = st.sampled_from(["agent-1", "agent-2"])
outcomes = st.one_of(
    st.builds(
        tasks.Succeeded,
        code=st.sampled_from([Code.IN_SYNC, Code.HELD]),
        reason=st.just("in sync"),
        copy=st.none()
        | st.builds(
            tasks.CopySeen,
            copy_id=image_ids,
            created_at=st.none() | times,
            image_name=st.sampled_from([None, "name"]),
            size=st.sampled_from([None, 0, 9]),
            copied_from=st.none() | regions,
            is_deactivated=st.booleans(),
        ),
    ),
    st.builds(tasks.Forgotten),
    st.builds(
        tasks.Failed,
        code=st.sampled_from([Code.REFUSED, Code.GAVE_UP]),
        reason=st.just("refused"),
    ),
    st.builds(
        tasks.RetryAt,
        when=times,
        code=st.just(Code.ATTEMPT_FAILED),
        reason=st.just("no answer"),
        counts=st.booleans(),
    ),
)


class TaskStores(stateful.RuleBasedStateMachine):
    """Makes the same calls to both stores and compares answers and tables."""

    leases = stateful.Bundle("leases")

    def __init__(self, opened: Callable[[], Any]) -> None:
        super().__init__()
        self._sql = opened()
        self._memory = fake.MemoryTaskStore()

    def teardown(self) -> None:
        self._sql.close()

    def _both(self, call: Callable[[ports.TaskStore], Any]) -> Any:
        answers = [call(store) for store in (self._memory, self._sql)]
        assert answers[0] == answers[1]
        return answers[0]

    def _under(
        self,
        leases: tuple[tasks.Lease, tasks.Lease],
        call: Callable[[ports.TaskStore, tasks.Lease], Any],
    ) -> None:
        answers = []
        stores: tuple[ports.TaskStore, ports.TaskStore] = (self._memory, self._sql)
        for store, lease in zip(stores, leases, strict=True):
            try:
                answers.append(call(store, lease))
            except errors.LeaseLost:
                answers.append("lost")
        assert answers[0] == answers[1]

    @stateful.rule(
        image_id=image_ids,
        to=st.lists(regions, max_size=3),
        now=times,
        not_before=times,
        may_delete=st.booleans(),
        may_delete_unwanted=st.booleans(),
        elsewhere=st.booleans(),
        project=st.none() | projects,
    )
    def request(self, image_id, to, now, not_before, may_delete, may_delete_unwanted, **arguments):
        request = ports.Request(
            request_id=str(to), now=now, not_before=not_before, may_delete=may_delete,
            may_delete_unwanted=may_delete_unwanted,
        )
        self._both(lambda store: store.request(image_id, to, request, **arguments))

    @stateful.rule(
        region=regions,
        of=st.lists(image_ids, max_size=3),
        now=times,
        not_before=times,
        may_delete=st.booleans(),
        may_delete_unwanted=st.booleans(),
        source_region=st.none() | regions,
        by_person=st.booleans(),
        projects=st.dictionaries(image_ids, projects, max_size=2),
    )
    def request_in(self, region, of, projects, **asked):
        request = ports.Request(request_id=str(of), **asked)
        self._both(lambda store: store.request_in(region, of, request, projects=projects))

    @stateful.rule(
        target=leases,
        region=regions,
        limit=st.integers(1, 2),
        owner=owners,
        now=times,
        seconds=st.integers(1, 3),
        turns=st.lists(projects, max_size=3, unique=True),
        with_data=kinds,
    )
    def claim(self, region, limit, owner, now, seconds, turns, with_data):
        until = now + datetime.timedelta(seconds=seconds)
        memory, sql = (
            store.claim(
                region,
                limit,
                owner=owner,
                now=now,
                until=until,
                claim_filter=ports.ClaimFilter(projects=turns, with_data=with_data),
            )
            for store in (self._memory, self._sql)
        )
        assert [lease.task for lease in memory] == [lease.task for lease in sql]
        return stateful.multiple(*zip(memory, sql, strict=True))

    @stateful.rule(pair=leases, outcome=outcomes, now=times)
    def finish(self, pair, outcome, now):
        self._under(pair, lambda store, lease: store.finish(lease, outcome, now))

    @stateful.rule(pair=leases, now=times, until=times, done=st.integers(0, 2**50))
    def renew(self, pair, now, until, done):
        self._under(
            pair,
            lambda store, lease: store.renew(
                lease, now=now, until=until, bytes_done=done, bytes_total=done or None
            ),
        )

    @stateful.rule(
        pair=leases, copy_id=st.none() | image_ids, name=st.none() | st.sampled_from(["", "é"])
    )
    def note_copy(self, pair, copy_id, name):
        known = copy_id and identity.KnownCopy(copy_id=copy_id, created_at=START)
        self._under(pair, lambda store, lease: store.note_copy(lease, known, name))

    @stateful.rule(pair=leases)
    def note_without_data(self, pair):
        self._under(pair, lambda store, lease: store.note_without_data(lease))

    @stateful.rule(pair=leases, times=st.integers(1, 3), last_at=times)
    def note_vanished(self, pair, times, last_at):
        vanished = backoff.Vanishings(times=times, last_at=last_at)
        self._under(pair, lambda store, lease: store.note_vanished(lease, vanished))

    @stateful.rule(pair=leases, copy_id=image_ids)
    def note_deactivated(self, pair, copy_id):
        self._under(pair, lambda store, lease: store.note_deactivated(lease, copy_id))

    @stateful.rule(pair=leases, copy_id=image_ids)
    def note_active(self, pair, copy_id):
        self._under(pair, lambda store, lease: store.note_active(lease, copy_id))

    @stateful.rule(image_id=image_ids, region=regions, now=times)
    def permit_activation(self, image_id, region, now):
        key = tasks.TaskKey(image_id=image_id, region=region)
        self._both(lambda store: store.permit_activation(key, now=now, request_id="operator"))

    @stateful.rule(pair=leases, now=times)
    def release(self, pair, now):
        self._under(pair, lambda store, lease: store.release(lease, now))

    @stateful.rule(owner=owners, now=times)
    def release_owned(self, owner, now):
        self._both(lambda store: store.release_owned(owner, now))

    @stateful.rule(
        region=regions,
        now=times,
        after=st.none() | projects,
        most=st.integers(1, 3),
        with_data=kinds,
    )
    def look_whose_tasks_are_due(self, region, now, **wanted):
        self._both(lambda store: store.due_projects(region, now, **wanted))

    @stateful.rule(now=times, with_data=kinds)
    def look_for_what_is_due(self, now, with_data):
        self._both(lambda store: list(store.due_regions(now, with_data=with_data)))
        self._both(lambda store: store.next_due())

    @stateful.rule(
        image_id=st.none() | image_ids,
        region=st.none() | regions,
        status=st.none() | st.sampled_from(tasks.TaskStatus),
    )
    def walk(self, **wanted):
        self._both(lambda store: list(store.list(**wanted)))
        self._both(lambda store: list(store.image_ids()))

    @stateful.invariant()
    def the_tables_are_equal(self):
        self._both(lambda store: list(store.list()))


@pytest.mark.parametrize("kind", [*databases.KINDS, *databases.CLUSTERS])
def test_a_database_behaves_like_the_store_in_memory(kind, request, tmp_path):
    opened = functools.partial(databases.opened, kind, tmp_path, request.getfixturevalue)
    stateful.run_state_machine_as_test(
        functools.partial(TaskStores, opened),  # type: ignore[arg-type] # a factory will do
        # A cluster takes as many times longer.
        settings=hypothesis.settings(
            max_examples=10 if kind in databases.CLUSTERS else 40, stateful_step_count=25
        ),
    )
