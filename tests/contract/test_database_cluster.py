# SPDX-License-Identifier: Apache-2.0
"""What transactions do when others get in their way, and on the nodes of a cluster."""

from collections.abc import Iterator
import contextlib
import datetime
import sqlite3
import time

import pytest
import sqlalchemy as sa

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.drivers.sql import database
from glance_sync_agent.drivers.sql import engines
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.engine import ports
from tests.contract import databases
from tests.contract import lost_commits

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
IMAGE = images.ImageId("10000000-0000-4000-8000-000000000001")
REGION = images.RegionId("RegionTwo")
KEY = tasks.TaskKey(image_id=IMAGE, region=REGION)

COUNTER = "CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY, value INTEGER)"
ADD = sa.text("UPDATE counter SET value = value + 1 WHERE id = 1")
ADD_TO = sa.text("UPDATE counter SET value = value + 1 WHERE value = :seen")


class ServerError(Exception):
    """What a driver raises."""

    def __init__(self, code: object) -> None:
        super().__init__(code, "no")
        self.sqlstate = code if isinstance(code, str) else None


def refusal(code: object) -> sa.exc.OperationalError:
    return sa.exc.OperationalError("UPDATE", {}, ServerError(code))


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def local(tmp_path, pauses) -> Iterator[database.Database]:
    """A database on a file, which is not there until it is asked for."""
    path = tmp_path / "tasks.db"
    path.touch()
    opened = database.Database(
        f"sqlite:///{path}", connections=1, timeout_seconds=60, sleep=pauses.append
    )
    yield opened
    opened.close()


@pytest.fixture
def nodes(galera) -> Iterator[tuple[database.Database, database.Database]]:
    """Two nodes of Galera with a counter that stands at 0."""
    opened = [
        database.Database(url, connections=2, timeout_seconds=30, sleep=lambda _: None)
        for url in galera
    ]
    databases.run(galera[0], sa.text(COUNTER), sa.text("REPLACE INTO counter VALUES (1, 0)"))
    yield opened[0], opened[1]
    for one in opened:
        one.close()
    databases.run(galera[0], sa.text("DROP TABLE IF EXISTS counter"))


@contextlib.contextmanager
def admin(url: str) -> Iterator[sa.Connection]:
    """Give a connection of an operator's, without transactions."""
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection


def value(where: database.Database) -> int:
    query = sa.text("SELECT value FROM counter WHERE id = 1")
    return where.read("read", lambda connection: connection.execute(query).scalar_one())


# Retries


@pytest.mark.parametrize("code", [1213, 1020, 1205, 1047, "40001", "40P01"])
@pytest.mark.parametrize("call", ["read", "write"])
def test_an_error_of_another_transaction_is_retried_after_growing_pauses(
    local, pauses, code, call
):
    runs: list[object] = []

    def work(connection: sa.Connection) -> None:
        runs.append(connection)
        raise refusal(code)

    with pytest.raises(errors.ServiceUnavailable, match="cannot update"):
        getattr(local, call)("update", work)
    assert len(runs) == 20
    most = [min(1.0, 0.01 * 2**number) for number in range(19)]
    assert all(0 <= pause <= limit for pause, limit in zip(pauses, most, strict=True))
    assert len(set(pauses)) == 19
    assert sum(pauses[10:]) > sum(pauses[:7])


@pytest.mark.parametrize("code", [1045, "57014", None])
def test_a_lasting_error_is_not_retried(local, pauses, code):
    def work(connection: sa.Connection) -> None:
        raise refusal(code)

    with pytest.raises(errors.ServiceUnavailable):
        local.write("update", work)
    assert pauses == []


def test_the_next_try_finds_a_row_that_another_transaction_inserted_first(local, pauses):
    def work(connection: sa.Connection) -> str:
        if not pauses:
            raise sa.exc.IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE"))
        return "done"

    assert local.write("insert", work) == "done"


def test_no_try_begins_after_the_timeout(tmp_path):
    (tmp_path / "tasks.db").touch()
    hasty = database.Database(
        f"sqlite:///{tmp_path}/tasks.db", connections=1, timeout_seconds=0.001
    )
    runs: list[int] = []

    def work(connection: sa.Connection) -> None:
        runs.append(1)
        began = time.monotonic()
        while time.monotonic() < began + 0.002:
            connection.exec_driver_sql("SELECT 1")
        raise refusal(1205)

    with pytest.raises(errors.ServiceUnavailable):
        hasty.read("read", work)
    assert len(runs) == 1
    hasty.close()


def test_a_transaction_that_did_not_get_a_lock_is_retried(mariadb):
    with admin(mariadb) as operator, contextlib.ExitStack() as locks:
        operator.exec_driver_sql(COUNTER)
        operator.exec_driver_sql("REPLACE INTO counter VALUES (1, 0)")
        holder = locks.enter_context(
            sa.create_engine(mariadb, poolclass=sa.NullPool).connect()
        )
        holder.execute(ADD)
        patient = database.Database(
            mariadb, connections=1, timeout_seconds=3, sleep=lambda _: holder.commit()
        )
        patient.write("add", lambda connection: connection.execute(ADD))
        assert value(patient) == 2
        patient.close()
        operator.exec_driver_sql("DROP TABLE counter")


# Galera


def test_a_transaction_that_loses_to_another_node_is_retried_after_its_commit(nodes):
    first, second = nodes
    counts: list[int] = []

    def work(connection: sa.Connection) -> None:
        counts.append(connection.execute(ADD).rowcount)
        if len(counts) == 1:
            second.write("add", lambda other: other.execute(ADD))

    first.write("add", work)
    assert counts == [1, 1]
    assert value(first) == value(second) == 2


def test_a_statement_reads_what_another_node_just_committed(nodes):
    changed = []
    for number in range(100):
        step = ADD_TO.bindparams(seen=number)
        changed.append(
            nodes[number % 2].write("step", lambda one, step=step: one.execute(step).rowcount)
        )
        assert value(nodes[(number + 1) % 2]) == number + 1
    assert changed == [1] * 100


def test_a_node_that_takes_no_statements_loses_its_connection_and_is_retried(galera, nodes):
    with admin(galera[0]) as operator:

        def admit(_seconds: float) -> None:
            operator.exec_driver_sql("SET GLOBAL wsrep_reject_queries = NONE")

        agent = database.Database(galera[0], connections=1, timeout_seconds=30, sleep=admit)

        def number() -> int:
            ask = sa.text("SELECT connection_id()")
            return agent.read("ask", lambda connection: connection.execute(ask).scalar_one())

        before = number()
        operator.exec_driver_sql("SET GLOBAL wsrep_reject_queries = ALL")
        assert number() != before
        agent.close()


def test_a_node_that_takes_no_statements_for_long_is_unavailable(galera, nodes):
    with admin(galera[0]) as operator:
        operator.exec_driver_sql("SET GLOBAL wsrep_reject_queries = ALL")
        try:
            with pytest.raises(errors.ServiceUnavailable, match=r"cannot read .*1047"):
                value(nodes[0])
        finally:
            operator.exec_driver_sql("SET GLOBAL wsrep_reject_queries = NONE")
    assert value(nodes[0]) == 0


def test_a_server_without_galera_does_not_wait_for_other_nodes():
    class Cursor:
        statements: list[str] = []  # noqa: RUF012 (one test)

        def __enter__(self):
            return self

        def __exit__(self, *_error):
            return None

        def execute(self, statement):
            self.statements.append(statement)
            return 0

    class Connection:
        cursor = Cursor

    engines._wait_for_other_nodes(Connection(), None)
    assert Cursor.statements == ["SHOW SESSION VARIABLES LIKE 'wsrep_sync_wait'"]


# A COMMIT whose answer is lost


@pytest.fixture(params=databases.SERVERS)
def way(request) -> Iterator[lost_commits.Way]:
    """A connection that can lose answers, to a database without tasks."""
    url = request.getfixturevalue(request.param)
    databases.made(url).close()
    with lost_commits.way(url) as opened:
        yield opened


@pytest.fixture
def store(way) -> Iterator[task_store.SqlTaskStore]:
    """A store that uses this connection."""
    opened = task_store.SqlTaskStore(way.url)
    yield opened
    opened.close()


def ask(store: task_store.SqlTaskStore) -> None:
    store.request(IMAGE, [REGION], ports.Request(now=NOW, not_before=NOW, request_id="request-1"))


def claim(store: task_store.SqlTaskStore, seconds: float = 0) -> list[tasks.Lease]:
    now = NOW + datetime.timedelta(seconds=seconds)
    until = now + datetime.timedelta(seconds=60)
    return list(store.claim(REGION, 1, owner="agent-1", now=now, until=until))


NOT_KNOWN = r"no answer to COMMIT .* it is not known whether that was written"


def test_a_commit_without_an_answer_is_not_reported_as_rolled_back(way, store):
    store.ping()
    way.lose_the_next()
    with pytest.raises(errors.ServiceUnavailable, match=NOT_KNOWN):
        ask(store)
    assert store.get(KEY).generation == 1


def test_a_repeated_request_only_adds_a_generation(way, store):
    store.ping()
    way.lose_the_next()
    with pytest.raises(errors.ServiceUnavailable):
        ask(store)
    ask(store)
    (task,) = store.list()
    assert (task.status, task.generation) == (tasks.TaskStatus.PENDING, 2)


def test_an_outcome_whose_commit_succeeded_is_written_once(way, store):
    ask(store)
    (lease,) = claim(store)
    outcome = tasks.RetryAt(when=NOW, code=Code.ATTEMPT_FAILED, reason="no answer")
    way.lose_the_next()
    with pytest.raises(errors.ServiceUnavailable, match=NOT_KNOWN):
        store.finish(lease, outcome, NOW)
    with pytest.raises(errors.LeaseLost):
        store.finish(lease, outcome, NOW)
    assert store.get(KEY).attempts == 1


def test_a_claim_whose_commit_succeeded_ends_with_its_lease(way, store):
    ask(store)
    way.lose_the_next()
    with pytest.raises(errors.ServiceUnavailable, match=NOT_KNOWN):
        claim(store)
    assert claim(store) == []
    assert len(claim(store, seconds=60)) == 1
