# SPDX-License-Identifier: Apache-2.0
"""``glance-sync-manage region`` over a real SQLite file."""

import pytest

from glance_sync_agent.cmd.daemon import state_lock
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from tests.unit import builders
from tests.unit.cmd import test_cli

# Fixtures.
conf_file = test_cli.conf_file
empty_database = test_cli.empty_database
logging_as_before = test_cli.logging_as_before
manage_run = test_cli.manage_run
run = test_cli.run
store = test_cli.store

ONE, TWO, THREE = map(images.RegionId, ("RegionOne", "RegionTwo", "RegionThree"))


@pytest.fixture
def filled(store):
    store.known_regions().remember(ONE, [ONE, TWO, THREE], test_cli.NOW)
    done = tasks.Succeeded(code=Code.IN_SYNC, reason="in sync")
    test_cli.fill(store, builders.IMAGE_ID, TWO, done)
    test_cli.fill(store, builders.IMAGE_ID, THREE, done)
    return store


def test_what_would_be_forgotten_is_shown_first_and_nothing_changes(manage_run, filled):
    before = list(filled.list())
    status, out, err = manage_run("region", "forget", "RegionTwo")
    assert (status, err) == (0, "")
    assert out == (
        "Region RegionTwo would be forgotten: 1 tasks in it, 0 tasks of its images. Nothing was "
        "changed; add --yes to do it\n"
    )
    assert list(filled.list()) == before
    assert filled.known_regions().all() == {ONE, TWO, THREE}


def test_a_region_is_forgotten_with_its_tasks(manage_run, filled):
    assert manage_run("region", "forget", "RegionTwo", "--yes") == (
        0,
        "Forgot region RegionTwo: 1 tasks in it, 0 tasks of its images\n",
        "",
    )
    assert [task.key.region for task in filled.list()] == [THREE]
    assert filled.known_regions().all() == {ONE, THREE}


def test_a_cascading_region_that_is_forgotten_is_called_so(manage_run, filled):
    _status, out, _err = manage_run("region", "forget", "RegionOne", "--yes")
    assert out == (
        "Forgot region RegionOne: it is the cascading region, 0 tasks in it, 2 tasks of its "
        "images\n"
    )
    assert list(filled.list()) == []


COMMANDS = [["forget", "Atlantis"], ["rename", "RegionTwo", "Region2"]]


def test_a_name_that_the_database_does_not_know_is_answered_by_those_that_it_knows(
    manage_run, filled
):
    status, out, err = manage_run("region", "forget", "Atlantis", "--yes")
    assert (status, out) == (1, "")
    assert err == (
        "glance-sync-manage: the database has no region Atlantis; it has RegionOne, RegionThree, "
        "RegionTwo\n"
    )


def test_an_empty_database_knows_none(manage_run, store):
    assert "it has none yet" in manage_run("region", "forget", "RegionTwo")[2]


def test_an_agent_that_runs_here_keeps_both_from_working(manage_run, filled, tmp_path):
    before = list(filled.list())
    with state_lock.held(tmp_path / "state"):
        for words in COMMANDS:
            status, out, err = manage_run("region", *words, "--yes")
            assert (status, out) == (1, "")
            assert "another glance-sync-agent runs there" in err
    assert list(filled.list()) == before


def test_no_region_is_forgotten_while_an_agent_runs_elsewhere(manage_run, filled):
    until = test_cli.LATER
    filled.leader_leases().take("look", owner="other:1", now=test_cli.NOW, until=until)
    status, _out, err = manage_run("region", "forget", "RegionTwo", "--yes")
    assert status == 1
    assert "agents work with this database: other:1; stop all agents first" in err
    assert len(list(filled.list())) == 2


def test_without_keystone_nothing_is_renamed(manage_run, filled):
    before = list(filled.list())
    status, out, err = manage_run("region", "rename", "RegionTwo", "Region2", "--yes")
    assert (status, out) == (1, "")
    assert "catalogue" in err
    assert "Traceback" not in err
    assert list(filled.list()) == before


@pytest.mark.parametrize("words", [[], ["rename", "RegionTwo"], ["forget"]], ids=str)
def test_a_command_without_its_names_is_a_usage_error(manage_run, filled, words):
    assert manage_run("region", *words)[0] == 2
