# SPDX-License-Identifier: Apache-2.0
"""``glance-sync-status upgrade check`` over real files."""

import json

import pytest
import sqlalchemy as sa

from glance_sync_agent.cmd.status import command
from tests.unit.cmd import test_cli

# Fixtures.
conf_file = test_cli.conf_file
empty_database = test_cli.empty_database
store = test_cli.store

SUCCESS, WARNING, FAILURE = range(3)


@pytest.fixture
def check(conf_file, capsys):
    """Return a function that returns the exit status and each check's result and details."""

    def run():
        status = command.main(["--config-file", str(conf_file), "upgrade", "check", "--json"])
        out, err = capsys.readouterr()
        assert err == ""
        assert "hidden-of" not in out
        found = json.loads(out)["checks"]
        return status, {one["check"]: (one["result"], one["details"]) for one in found}

    return run


def set_revision(tmp_path, revision):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/state/sync.sqlite")
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE alembic_version SET version_num = :one"), {"one": revision}
        )
    engine.dispose()


def test_all_is_well(check, store):
    revision = store.revision()
    assert check() == (
        SUCCESS,
        {
            "Configuration files": (SUCCESS, None),
            "Database": (SUCCESS, f"Revision {revision}."),
            "Policy file in JSON": (SUCCESS, None),
        },
    )


def test_an_older_database_and_none_are_to_be_upgraded(check, store, tmp_path):
    set_revision(tmp_path, "0017")
    status, found = check()
    result, details = found["Database"]
    assert (status, result) == (WARNING, WARNING)
    assert details.startswith("The schema has revision 0017. Save the database")
    assert "'glance-sync-manage db upgrade'" in details
    store.close()
    (tmp_path / "state" / "sync.sqlite").unlink()
    assert check()[1]["Database"][1].startswith("The schema has no tables. ")
    assert not (tmp_path / "state" / "sync.sqlite").exists()


def test_the_database_of_a_newer_agent_stops_an_upgrade(check, store, tmp_path):
    set_revision(tmp_path, "9999")
    status, found = check()
    assert (status, found["Database"][0]) == (FAILURE, FAILURE)
    assert found["Database"][1].startswith("Revision 9999 was made by a newer agent. Install")


def test_a_database_that_does_not_answer_stops_an_upgrade(check, conf_file):
    with conf_file.open("a") as file:
        file.write("[database]\nconnection = postgresql+psycopg://u:hidden-of@127.0.0.1:1/d\n")
    status, found = check()
    assert status == FAILURE
    assert "Start the database server, or correct [database] connection" in found["Database"][1]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("sync_strategy.yaml", "rules: 7\n", "sync_strategy.yaml:1"),
        ("glance_store.yaml", "- 7\n", "glance_store.yaml"),
        ("sync.conf", "[transfer]\nlease_seconds = 1\n", "lease_seconds"),
    ],
)
def test_a_file_that_the_agent_refuses_stops_an_upgrade(check, conf_file, name, text, said):
    with (conf_file.parent / name).open("a") as file:
        file.write(text)
    status, found = check()
    assert (status, found["Configuration files"][0]) == (FAILURE, FAILURE)
    assert said in found["Configuration files"][1]
    assert found["Database"][1].startswith("Not checked")
    assert found["Policy file in JSON"][1].startswith("Not checked")


def test_a_policy_file_in_json_stops_an_upgrade(check, store, conf_file):
    (conf_file.parent / "sync_policy.yaml").write_text('{"image_sync:images:read": "role:x"}')
    status, found = check()
    assert (status, found["Policy file in JSON"][0]) == (FAILURE, FAILURE)
    assert "oslopolicy-convert-json-to-yaml" in found["Policy file in JSON"][1]


# oslo.upgradecheck uses an old name of prettytable.
@pytest.mark.filterwarnings("ignore:the 'ALL' constant is deprecated")
def test_a_table_is_for_people(conf_file, store, capsys):
    assert command.main(["--config-file", str(conf_file), "upgrade", "check"]) == SUCCESS
    assert "Check: Database" in capsys.readouterr().out


def test_nothing_is_checked_without_the_file_that_was_named(capsys):
    assert command.main(["--config-file", "/absent", "upgrade", "check"]) == 255
    assert "glance-sync-status: could not read the configuration: " in capsys.readouterr().err
