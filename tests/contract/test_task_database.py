# SPDX-License-Identifier: Apache-2.0
"""What the SQL task store promises beyond its port: files, schema, errors, processes."""

from collections.abc import Callable, Iterator
from concurrent import futures
import contextlib
import datetime
import logging
import os
import pathlib
import shutil
import sqlite3
import stat
import tempfile
import threading
import traceback
from typing import Any

from alembic import autogenerate
from alembic import command
from alembic import config
from alembic import migration
import pytest
import sqlalchemy as sa

from glance_sync_agent import errors
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.drivers.sql import database
from glance_sync_agent.drivers.sql import schema
from glance_sync_agent.drivers.sql import tables
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.engine import ports
from tests.contract import databases

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
REQUEST = ports.Request(now=NOW, not_before=NOW, request_id="request-1")
IMAGE = images.ImageId("10000000-0000-4000-8000-000000000001")
OTHER = images.ImageId("20000000-0000-4000-8000-000000000002")
REGION = images.RegionId("RegionTwo")
KEY = tasks.TaskKey(image_id=IMAGE, region=REGION)


@pytest.fixture
def path(tmp_path) -> pathlib.Path:
    return tmp_path / "tasks.db"


@pytest.fixture
def store(path) -> Iterator[task_store.SqlTaskStore]:
    """A store on a SQLite file, with the schema."""
    made = task_store.SqlTaskStore(f"sqlite:///{path}", connections=1, timeout_seconds=10)
    made.upgrade()
    yield made
    made.close()


@pytest.fixture(params=databases.KINDS)
def url(request, tmp_path) -> Iterator[str]:
    """The URL of an empty database of each kind."""
    found = databases.url_of(request.param, tmp_path, request.getfixturevalue)
    if request.param in databases.SERVERS:
        databases.empty(found)
    yield found
    if request.param in databases.SERVERS:
        databases.empty(found)


def ask(store: task_store.SqlTaskStore) -> int:
    return store.request(IMAGE, [REGION], REQUEST)


def claim(store: task_store.SqlTaskStore) -> list[tasks.Lease]:
    until = NOW + datetime.timedelta(seconds=60)
    return list(store.claim(REGION, 1, owner="agent-1", now=NOW, until=until))


def lock(path: pathlib.Path) -> sqlite3.Connection:
    """Begin a transaction that keeps other writers out."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


# The schema


def test_an_upgrade_makes_the_schema_and_a_second_one_changes_nothing(url):
    store = task_store.SqlTaskStore(url)
    assert (store.is_current(), store.revision()) == (False, None)
    store.upgrade()
    assert (store.is_current(), store.revision()) == (True, "0021")
    ask(store)
    store.upgrade()
    assert store.get(KEY) is not None
    store.close()


def test_the_migrations_make_the_tables_that_the_statements_are_written_for(url):
    store = task_store.SqlTaskStore(url)
    store.upgrade()
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        context = migration.MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert autogenerate.compare_metadata(context, tables.METADATA) == []
        columns = sa.inspect(connection).get_pk_constraint("tasks")["constrained_columns"]
        assert columns == ["image_id", "region"]
    engine.dispose()
    store.close()


class Killer:
    """Ends an upgrade after each statement that changes the schema, once each."""

    def __init__(self):
        self.survived: set[str] = set()

    def after(self, _connection, _cursor, statement, *_details):
        if statement not in self.survived and not statement.lstrip().startswith("SELECT"):
            self.survived.add(statement)
            raise Killed

    def __enter__(self):
        sa.event.listen(sa.Engine, "after_cursor_execute", self.after)
        return self

    def __exit__(self, *_details):
        sa.event.remove(sa.Engine, "after_cursor_execute", self.after)


class Killed(Exception):
    """The process is no more."""


def test_an_upgrade_that_is_killed_at_any_statement_goes_on(mariadb):
    """MariaDB commits each statement, so the version may be older than the tables."""
    databases.empty(mariadb)
    store = task_store.SqlTaskStore(mariadb)
    with Killer() as killer:
        while True:
            try:
                store.upgrade()
            except Killed:
                continue
            break
    assert len([one for one in killer.survived if "ADD COLUMN" in one]) > 20
    engine = sa.create_engine(mariadb)
    with engine.connect() as connection:
        context = migration.MigrationContext.configure(connection)
        assert autogenerate.compare_metadata(context, tables.METADATA) == []
    engine.dispose()
    store.close()
    databases.empty(mariadb)


def of_revision(path, revision, rows):
    """Make a database of an older agent, with tasks."""
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        settings = config.Config()
        settings.set_main_option("script_location", str(schema._MIGRATIONS))
        settings.attributes["connection"] = connection
        command.upgrade(settings, revision)
        common = {
            "region": REGION, "status": "pending", "generation": 1, "request_id": "r",
            "may_delete": False, "attempts": 0, "not_before": str(NOW)[:26], "reason": "",
            "bytes_done": 0, "created_at": str(NOW)[:26], "updated_at": str(NOW)[:26],
        }
        for row in rows:
            values = common | row
            table = sa.table("tasks", *map(sa.column, values))
            connection.execute(sa.insert(table).values(values))
    engine.dispose()
    return task_store.SqlTaskStore(f"sqlite:///{path}")


def test_an_upgrade_finds_out_which_copies_have_their_data(path):
    held = {"code": "held", "status": "success", "copy_created_at": str(NOW)[:26]}
    store = of_revision(
        path,
        "0012",
        [
            {"image_id": "brought", "copied_from": "RegionOne", "copy_id": "1"},
            {"image_id": "found", "code": "in_sync", "copy_id": "2"},
            {"image_id": "absent", "code": "in_sync"},
            {"image_id": "waiting", "code": "requested", "copy_id": "3"},
            {"image_id": "held", "copy_id": "4", **held},
            {"image_id": "chosen", "copy_id": "5", **held, "copy_created_at": None},
            {"image_id": "failed", "copy_id": "6", **held, "status": "failure"},
        ],
    )
    store.upgrade()
    assert [(task.key.image_id, task.has_data) for task in store.list()] == [
        ("absent", False), ("brought", True), ("chosen", False), ("failed", False),
        ("found", True), ("held", True), ("waiting", False),
    ]
    store.close()


def test_an_upgrade_finds_out_which_copies_are_held(path):
    store = of_revision(
        path,
        "0013",
        [
            {"image_id": "held", "code": "held", "copy_id": "copy"},
            {"image_id": "in_sync", "code": "in_sync", "copy_id": "copy"},
        ],
    )
    store.upgrade()
    assert [(task.key.image_id, task.held_id) for task in store.list()] == [
        ("held", "copy"), ("in_sync", None)
    ]
    store.close()


def test_what_an_older_agent_wrote_is_read_and_counted(path):
    """It may run beside a newer one, and writes none of the newer columns."""
    store = of_revision(path, "0018", [{"image_id": "old", "code": "requested"}])
    store.upgrade()
    (task,) = store.list()
    assert (task.asked_at, task.done_at, task.cancelled_by) == (None, None, None)
    assert (task.proven_hash, task.may_delete_unwanted) == (None, False)
    counts = store.count(NOW + datetime.timedelta(seconds=1))[REGION]
    assert (counts.oldest_asked_at, counts.late) == (NOW, 1)
    store.close()


def test_upgrades_at_once_make_one_schema(url):
    barrier = threading.Barrier(4)

    def upgrade(number: int) -> None:
        store = task_store.SqlTaskStore(url)
        barrier.wait()
        store.upgrade()
        store.close()

    with futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(upgrade, range(4)))

    store = task_store.SqlTaskStore(url)
    assert store.is_current()
    ask(store)
    store.close()


def test_the_package_may_be_installed_anywhere(path, tmp_path, monkeypatch):
    odd = tmp_path / "100%(here)s"
    shutil.copytree(schema._MIGRATIONS, odd)
    monkeypatch.setattr(schema, "_MIGRATIONS", odd)
    store = task_store.SqlTaskStore(f"sqlite:///{path}")
    store.upgrade()
    assert store.is_current()
    store.close()


def test_an_older_agent_leaves_the_schema_of_a_newer_one_alone(store, path):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'future'")
    connection.close()
    assert (store.is_current(), store.revision()) == (False, "future")
    with pytest.raises(errors.ConfigurationError, match=r"future.*newer agent"):
        store.upgrade()


def test_the_path_can_contain_a_percent_sign_and_a_question_mark(tmp_path):
    odd = tmp_path / "100% odd? #1 é.db"
    store = task_store.SqlTaskStore(sa.URL.create("sqlite", database=str(odd)).render_as_string())
    store.upgrade()
    ask(store)
    store.close()
    assert odd.exists()


def calls(store: task_store.SqlTaskStore) -> dict[str, Any]:
    """Return one call of every kind of transaction."""
    return {
        "ping": store.ping,
        "request": lambda: ask(store),
        "due_regions": lambda: store.due_regions(NOW),
        "claim": lambda: claim(store),
        "release_owned": lambda: store.release_owned("agent-1", NOW),
        "get": lambda: store.get(KEY),
        "list": lambda: list(store.list()),
    }


CALLS = ["ping", "request", "due_regions", "claim", "release_owned", "get", "list"]


@pytest.mark.parametrize("call", CALLS)
def test_a_database_without_tables_asks_for_an_upgrade(url, call):
    if url.startswith("sqlite"):
        pathlib.Path(sa.make_url(url).database or "").touch()
    store = task_store.SqlTaskStore(url)
    with pytest.raises(errors.ConfigurationError, match="glance-sync-manage db upgrade"):
        calls(store)[call]()
    store.close()


@pytest.mark.parametrize("call", CALLS)
def test_a_table_without_a_column_asks_for_an_upgrade(url, call):
    store = task_store.SqlTaskStore(url)
    store.upgrade()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for column in ("reason", "lease_owner", "lease_expires_at"):
            connection.execute(sa.text(f"ALTER TABLE tasks DROP COLUMN {column}"))
    engine.dispose()
    with pytest.raises(errors.ConfigurationError, match="glance-sync-manage db upgrade"):
        calls(store)[call]()
    store.close()


@pytest.mark.parametrize("call", CALLS)
def test_a_missing_file_asks_for_an_upgrade_and_is_not_created(path, call):
    store = task_store.SqlTaskStore(f"sqlite:///{path}")
    with pytest.raises(errors.ConfigurationError, match="glance-sync-manage db upgrade"):
        calls(store)[call]()
    assert (store.is_current(), store.revision()) == (False, None)
    assert not path.exists()


def test_a_missing_directory_is_named(tmp_path):
    store = task_store.SqlTaskStore(f"sqlite:///{tmp_path}/missing/tasks.db")
    with pytest.raises(
        errors.ConfigurationError, match=r"cannot create .*/missing/tasks.db: No such file"
    ):
        store.upgrade()


# The SQLite file


@pytest.mark.parametrize("umask", [0o000, 0o022], ids=oct)
def test_only_owner_and_group_can_read_the_files(path, umask):
    old = os.umask(umask)
    try:
        store = task_store.SqlTaskStore(f"sqlite:///{path}")
        store.upgrade()
        ask(store)
    finally:
        os.umask(old)
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["tasks.db", "tasks.db-shm", "tasks.db-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o640}
    store.close()


def test_only_a_new_file_is_logged(path, caplog):
    caplog.set_level(logging.INFO, logger=schema.__name__)
    store = task_store.SqlTaskStore(f"sqlite:///{path}")
    store.upgrade()
    store.upgrade()
    assert [record.getMessage() for record in caplog.records] == [f"Created the database {path}"]
    store.close()


def test_a_file_that_the_operator_created_keeps_its_mode(path):
    path.touch(0o600)
    store = task_store.SqlTaskStore(f"sqlite:///{path}")
    store.upgrade()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    store.close()


def pragma(store: task_store.SqlTaskStore, name: str) -> object:
    """Read a setting of the only connection."""
    return store._database.read(
        "read", lambda connection: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
    )


def test_readers_do_not_wait_for_a_writer(store, path):
    ask(store)
    writer = lock(path)
    assert [task.key for task in store.list()] == [KEY]
    assert pragma(store, "journal_mode") == "wal"
    writer.close()


def test_a_file_that_is_locked_gets_its_journal_mode_later(store, path):
    store.close()
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode=DELETE")
    writer.execute("BEGIN IMMEDIATE")
    impatient = task_store.SqlTaskStore(f"sqlite:///{path}", connections=1, timeout_seconds=0.05)
    impatient.ping()
    assert pragma(impatient, "journal_mode") == "delete"
    writer.close()
    impatient.close()
    impatient.ping()
    assert pragma(impatient, "journal_mode") == "wal"
    impatient.close()


def test_a_request_is_on_the_disk_before_its_message_is_acknowledged(store):
    full, normal = 2, 1
    ask(store)
    assert pragma(store, "synchronous") == full
    claim(store)
    assert pragma(store, "synchronous") == normal
    ask(store)
    assert pragma(store, "synchronous") == full


def test_a_locked_file_is_unavailable_and_usable_again_afterwards(store, path):
    impatient = task_store.SqlTaskStore(f"sqlite:///{path}", connections=1, timeout_seconds=0.05)
    writer = lock(path)
    with pytest.raises(errors.ServiceUnavailable, match="database is locked") as caught:
        ask(impatient)
    assert f"request tasks for image {IMAGE}" in str(caught.value)
    assert str(path) in str(caught.value)
    writer.close()
    assert ask(impatient) == 1
    impatient.close()


def test_a_writer_waits_until_the_file_is_unlocked(store, path):
    writer = lock(path)
    with futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, store)
        with pytest.raises(futures.TimeoutError):
            waiting.result(timeout=0.2)
        writer.close()
        assert waiting.result(timeout=10) == 1


def test_a_file_that_is_not_a_database_is_unavailable(path):
    path.write_bytes(b"no database" * 1000)
    store = task_store.SqlTaskStore(f"sqlite:///{path}")
    with pytest.raises(errors.ServiceUnavailable, match="not a database"):
        store.ping()
    store.close()


def test_more_threads_than_connections_wait_for_each_other(store):
    with futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ask(store), range(40)))
    assert [task.generation for task in store.list()] == [40]


def test_waiting_too_long_for_a_connection_is_unavailable(path, store):
    patient = threading.Event()
    entered = threading.Event()
    busy = database.Database(f"sqlite:///{path}", connections=1, timeout_seconds=0.05)

    def occupy(connection: sa.Connection) -> None:
        entered.set()
        patient.wait(10)

    with futures.ThreadPoolExecutor(1) as pool:
        occupying = pool.submit(busy.read, "wait", occupy)
        assert entered.wait(10)
        with pytest.raises(errors.ServiceUnavailable, match="cannot read"):
            busy.read("read", lambda connection: None)
        patient.set()
        occupying.result(10)
    busy.close()


# Races and processes


def integrity_error() -> sa.exc.IntegrityError:
    return sa.exc.IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE constraint failed"))


def test_a_transaction_that_lost_a_race_is_run_again_from_its_start(store, path):
    runs: list[int] = []

    def work(connection: sa.Connection) -> str:
        connection.execute(
            sa.text("INSERT INTO alembic_version VALUES (:number)"), {"number": str(len(runs))}
        )
        runs.append(1)
        if len(runs) < 4:
            raise integrity_error()
        return "done"

    assert store._database.write("insert", work) == "done"
    with sqlite3.connect(path) as connection:
        versions = {version for (version,) in connection.execute("SELECT * FROM alembic_version")}
    connection.close()
    assert versions == {"0021", "3"}


def test_a_forked_process_has_connections_of_its_own(url):
    store = task_store.SqlTaskStore(url, connections=1)
    store.upgrade()
    ask(store)

    def connection_id() -> int:
        return store._database.read("look", lambda used: id(used.connection.dbapi_connection))

    reading, writing = os.pipe()
    mine = connection_id()
    child = os.fork()
    if child == 0:
        try:
            ask(store)
            os.write(writing, b"shared" if connection_id() == mine else b"own")
            store.close()
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"own"
    assert os.waitpid(child, 0)[1] == 0
    assert connection_id() == mine
    ask(store)
    assert [task.generation for task in store.list()] == [3]
    store.close()


def after_first_select(store: task_store.SqlTaskStore, act: Callable[[Any], None]) -> None:
    """Call ``act`` once, with the cursor, between a transaction's SELECT and what follows it."""
    acts = [act]

    def listener(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if statement.startswith("SELECT tasks") and acts:
            acts.pop()(cursor)

    sa.event.listen(store._database._engines[os.getpid()], "after_cursor_execute", listener)


def blocked_or_done(pool: futures.Executor, call: Callable[[], Any]) -> futures.Future[Any]:
    """Start a call and give it time to do harm."""
    future = pool.submit(call)
    futures.wait([future], timeout=0.3)
    return future


def test_a_request_that_meets_the_end_of_the_task_is_not_lost(url):
    store, other = databases.made(url), task_store.SqlTaskStore(url)
    ask(store)
    (lease,) = claim(other)
    ended: list[futures.Future[bool]] = []
    with futures.ThreadPoolExecutor(1) as pool:
        after_first_select(
            store,
            lambda _: ended.append(
                blocked_or_done(pool, lambda: other.finish(lease, tasks.Forgotten(), NOW))
            ),
        )
        ask(store)
    assert ended[0].result() is False
    task = store.get(KEY)
    assert task is not None
    assert (task.status, task.generation) == (tasks.TaskStatus.PENDING, 2)
    store.close()
    other.close()


def test_a_claim_checks_a_task_again_when_it_takes_it(store):
    ask(store)
    after_first_select(
        store,
        lambda cursor: cursor.connection.execute(
            "UPDATE tasks SET status = 'processing', lease_expires_at = '2999-01-01 00:00:00.0'"
        ),
    )
    assert claim(store) == []


@pytest.mark.parametrize("url", databases.SERVERS, indirect=True)
def test_claims_on_a_server_do_not_wait_for_each_other(url):
    store, other = databases.made(url), task_store.SqlTaskStore(url)
    for image_id in (IMAGE, OTHER):
        store.request(image_id, [REGION], REQUEST)
    won: list[tasks.Lease] = []
    with futures.ThreadPoolExecutor(1) as pool:
        after_first_select(
            store, lambda _: won.extend(pool.submit(claim, other).result(timeout=5))
        )
        won += claim(store)
    assert [lease.task.key.image_id for lease in won] == [OTHER, IMAGE]
    store.close()
    other.close()


def test_a_closed_store_opens_again_when_used(store):
    ask(store)
    store.close()
    store.close()
    assert ask(store) == 1


# Values


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("nul\0here", "nul\N{REPLACEMENT CHARACTER}here"),
        ("half \ud800 pair", "half ? pair"),
        ("x" * 256, "x" * 255),
        ("", ""),
    ],
    ids=["nul", "surrogate", "long", "empty"],
)
def test_a_name_that_no_database_takes_is_made_to_fit(url, name, kept):
    store = databases.made(url)
    ask(store)
    (lease,) = claim(store)
    store.note_copy(lease, None, name)
    store.finish(lease, tasks.Failed(code=Code.REFUSED, reason=name), NOW)
    (task,) = store.list()
    assert task.image_name == kept
    assert task.reason[:255] == kept
    store.close()


def test_a_reason_is_cut_before_it_fills_the_table(url):
    store = databases.made(url)
    ask(store)
    store.finish(
        claim(store)[0], tasks.Failed(code=Code.REFUSED, reason="\N{PILE OF POO}" * 100_000), NOW
    )
    (task,) = store.list()
    assert task.reason == "\N{PILE OF POO}" * 2000
    store.close()


def test_a_time_without_a_zone_is_a_bug_and_is_refused(store):
    naive = NOW.replace(tzinfo=None)
    with pytest.raises(errors.SyncError, match="no time zone"):
        store.request(IMAGE, [REGION], ports.Request(now=naive, not_before=naive, request_id="r"))
    assert store.get(KEY) is None


# The URL


@pytest.mark.parametrize(
    "url", ["", "/var/lib/tasks.db", "sqlite", "postgresql//me:hunter2@host/db"]
)
def test_a_text_that_is_not_a_url_is_refused_without_showing_it(url):
    with pytest.raises(errors.ConfigurationError, match="not a URL") as caught:
        task_store.SqlTaskStore(url)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url):
    with pytest.raises(errors.ConfigurationError, match="in memory"):
        task_store.SqlTaskStore(url)


@pytest.mark.parametrize("url", ["oracle://host/db", "nonsense://host/db"])
def test_an_unknown_kind_of_database_is_refused(url):
    with pytest.raises(errors.ConfigurationError, match="is not supported"):
        task_store.SqlTaskStore(url)


@pytest.mark.parametrize("url", ["postgresql+nonsense://host/db", "mysql+nonsense://host/db"])
def test_a_missing_driver_is_named(url):
    said = r"nonsense://host/db: cannot load .*; install the extra postgresql .* or mysql"
    with pytest.raises(errors.ConfigurationError, match=said):
        task_store.SqlTaskStore(url)


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "mysql+pymysql", "postgresql+nonsense"])
def test_a_password_is_in_no_message(scheme):
    with pytest.raises(errors.SyncError) as caught:
        task_store.SqlTaskStore(
            f"{scheme}://me:hunter2@127.0.0.1:1/db?password=hunter2", timeout_seconds=1
        ).ping()
    assert f"{scheme}://127.0.0.1:1/db" in str(caught.value)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_a_transaction_that_has_ended_is_not_ended_again(mariadb):
    # The server may be away by then: a traceback, and a round trip where it is not.
    found = database.Database(mariadb, connections=1, timeout_seconds=10)

    def rollbacks(connection: sa.Connection) -> int:
        told = connection.execute(sa.text("SHOW SESSION STATUS LIKE 'Com_rollback'"))
        return int(told.one().Value)

    before = found.read("count", rollbacks)
    for _ in range(3):
        found.write("count", rollbacks)
    assert found.read("count", rollbacks) == before
    found.close()


def test_an_upgrade_is_committed_before_the_next_agent_may_upgrade(mariadb):
    databases.empty(mariadb)
    store, other = task_store.SqlTaskStore(mariadb), task_store.SqlTaskStore(mariadb)
    seen: list[bool] = []

    def look(_connection, _cursor, statement, *_rest):
        if "release_lock" in statement:
            seen.append(other.is_current())

    sa.event.listen(store._database._engines[os.getpid()], "before_cursor_execute", look)
    store.upgrade()
    assert seen == [True]
    store.close()
    other.close()
    databases.empty(mariadb)


# Names of images and regions


def name(store: task_store.SqlTaskStore, image_id: images.ImageId, region: str, text: str) -> None:
    """Make a task of an image with a name."""
    where = images.RegionId(region)
    store.request(image_id, [where], REQUEST, elsewhere=False)
    until = NOW + datetime.timedelta(seconds=60)
    (lease,) = store.claim(where, 1, owner="agent-1", now=NOW, until=until)
    known = identity.KnownCopy(copy_id=image_id, created_at=NOW)
    store.note_copy(lease, known, text)


def test_images_are_found_by_the_whole_name_and_regions_by_their_tasks(url):
    store = task_store.SqlTaskStore(url)
    store.upgrade()
    assert (list(store.named("golden")), list(store.regions())) == ([], [])
    for region in ("RegionTwo", "RegionThree"):
        name(store, OTHER, region, "golden")
    name(store, IMAGE, "RegionTwo", "golden")

    assert list(store.named("golden")) == [IMAGE, OTHER]
    for other in ("Golden", "golden ", "gold", "", "%", "golden\0"):
        assert list(store.named(other)) == []
    assert list(store.regions()) == ["RegionThree", "RegionTwo"]
    store.close()


@pytest.mark.parametrize("text", ["x" * 300, "a\0b", "ends with a space ", "\ud800"])
def test_a_name_that_the_table_cannot_hold_as_it_is_is_found(url, text):
    store = task_store.SqlTaskStore(url)
    store.upgrade()
    name(store, IMAGE, "RegionTwo", text)

    assert list(store.named(text)) == [IMAGE]
    store.close()


# Test of writing


def test_a_test_of_writing_leaves_nothing_and_disturbs_no_agent(url):
    store = task_store.SqlTaskStore(url)
    store.upgrade()
    ask(store)
    before = list(store.list())

    store.try_write()
    store.try_write()

    assert list(store.list()) == before
    assert ask(store) == 1
    store.close()


def test_a_test_of_writing_in_a_database_without_tables_names_the_command(url, path):
    store = task_store.SqlTaskStore(url)
    if url.startswith("sqlite"):
        sqlite3.connect(url.removeprefix("sqlite:///")).close()

    with pytest.raises(errors.ConfigurationError, match="glance-sync-manage db upgrade"):
        store.try_write()
    store.close()


@pytest.fixture
def readers(url) -> Iterator[str]:
    """The URL of a database with a task, for a user with the right to read only."""
    store = task_store.SqlTaskStore(url)
    store.upgrade()
    ask(store)
    store.close()
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    given = sa.make_url(url)
    with engine.connect() as connection:
        match given.get_backend_name():
            case "sqlite":
                refuse, end = "BEGIN SELECT RAISE(ABORT, 'no right to write'); END", []
                connection.exec_driver_sql(f"CREATE TRIGGER no BEFORE INSERT ON tasks {refuse}")
            case "postgresql":
                end = ["DROP OWNED BY reader", "DROP ROLE reader"]
                for text in (
                    f"CREATE ROLE reader LOGIN PASSWORD '{given.password}'",
                    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
                ):
                    connection.exec_driver_sql(text)
                given = given.set(username="reader")
            case _:
                refuse, end = "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no right to write'", []
                connection.exec_driver_sql(
                    f"CREATE TRIGGER no BEFORE INSERT ON tasks FOR EACH ROW {refuse}"
                )
        yield given.render_as_string(hide_password=False)
        for text in end:
            connection.exec_driver_sql(text)
    engine.dispose()


def test_a_user_who_can_only_read_is_not_asked_to_upgrade(readers):
    store = task_store.SqlTaskStore(readers)
    store.ping()

    with pytest.raises(
        errors.ServiceUnavailable, match=r"cannot write tasks in the database .*(no right|denied)"
    ) as caught:
        store.try_write()

    assert "db upgrade" not in str(caught.value)
    assert len(list(store.list())) == 1
    store.close()


@pytest.mark.parametrize("operation", ["INSERT", "UPDATE", "DELETE"])
def test_insert_update_and_delete_are_tested(store, path, operation):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(
            f"CREATE TRIGGER no BEFORE {operation} ON tasks "
            "BEGIN SELECT RAISE(ABORT, 'no right to write'); END"
        )

    with pytest.raises(errors.ServiceUnavailable, match="no right to write"):
        store.try_write()


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Run the block as a user without rights, if root runs the tests."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_a_file_of_another_user_can_be_read_and_not_written():
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "tasks.db")
        agent = task_store.SqlTaskStore(f"sqlite:///{path}", connections=1)
        agent.upgrade()
        agent.ping()  # and keeps the file open
        for file in path.parent.iterdir():
            file.chmod(0o444)
        path.parent.chmod(0o755)
        other = task_store.SqlTaskStore(f"sqlite:///{path}", connections=1)
        with as_nobody():
            other.ping()
            with pytest.raises(errors.ServiceUnavailable, match="readonly database"):
                other.try_write()
            other.close()
        agent.close()


def test_a_forbidden_directory_is_reported_in_one_sentence():
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "tasks.db")
        agent = task_store.SqlTaskStore(f"sqlite:///{path}", connections=1)
        agent.upgrade()
        agent.close()
        path.parent.chmod(0)
        other = task_store.SqlTaskStore(f"sqlite:///{path}", connections=1)
        with (
            as_nobody(),
            pytest.raises(errors.ServiceUnavailable, match="unable to open database file"),
        ):
            other.ping()
        path.parent.chmod(0o700)
