# SPDX-License-Identifier: Apache-2.0
"""What Keystone says of projects is asked for once, and is never too old."""

import threading

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import owner_facts
from glance_sync_agent.engine.placement import projects
from tests.fakes import clock as clocks
from tests.fakes import locks
from tests.fakes import world as worlds

PROJECT, ROLES, ASSOCIATION = owner_facts.Fact


@pytest.fixture
def identity():
    identity = worlds.FakeIdentity()
    identity.projects["alpha"] = owner_facts.Project(name="alpha")
    identity.roles["alpha"] = frozenset({"member"})
    identity.associated["alpha"] = frozenset({worlds.CASCADED[0]})
    return identity


@pytest.fixture
def clock():
    return clocks.FakeClock()


@pytest.fixture
def known(identity, clock):
    return projects.Projects(identity, clock, lambda: 60.0)


def test_only_what_is_needed_is_asked_for_and_once(known, identity):
    assert known.facts("alpha", ROLES) == owner_facts.OwnerFacts(roles=frozenset({"member"}))
    assert known.facts("alpha", ROLES, PROJECT).project == owner_facts.Project(name="alpha")
    facts = known.facts("alpha", ASSOCIATION)
    assert facts.association.regions == {worlds.CASCADED[0]}
    assert facts.roles == {"member"}
    assert identity.asked == [
        ("roles_on", "alpha"), ("project", "alpha"), ("association", "alpha")
    ]


def test_an_answer_is_asked_for_again_when_it_is_too_old(known, identity, clock):
    known.facts("alpha", ROLES)
    identity.roles["alpha"] = frozenset()
    clock.advance(59.9)
    assert known.facts("alpha", ROLES).roles == {"member"}
    clock.advance(0.1)
    assert known.facts("alpha", ROLES).roles == frozenset()


def test_an_old_answer_is_not_used_while_keystone_is_away(known, identity, clock):
    known.facts("alpha", ASSOCIATION)
    identity.is_down = True
    assert known.facts("alpha", ASSOCIATION).association
    clock.advance(60)
    with pytest.raises(errors.ServiceUnavailable):
        known.facts("alpha", ASSOCIATION)
    identity.is_down = False
    assert known.facts("alpha", ASSOCIATION).association


def test_a_project_that_is_gone_is_known_to_be_gone(known, identity):
    facts = known.facts("gone", *owner_facts.Fact)
    assert facts == owner_facts.NO_OWNER
    assert len(identity.asked) == 3
    known.facts("gone", *owner_facts.Fact)
    assert len(identity.asked) == 3


def test_nobody_is_asked_about_an_image_without_an_owner(known, identity):
    assert known.facts(None, *owner_facts.Fact) == owner_facts.NO_OWNER
    assert not identity.asked


def test_no_more_projects_are_remembered_than_fit(identity, clock, monkeypatch):
    monkeypatch.setattr(projects, "_ENTRIES", 2)
    known = projects.Projects(identity, clock, lambda: 60.0)
    for name in ("alpha", "beta", "gamma", "beta", "alpha"):
        known.facts(name, ROLES)
    assert [name for _what, name in identity.asked] == ["alpha", "beta", "gamma", "alpha"]


def test_of_those_who_ask_at_once_one_asks_keystone(known, identity):
    inside, go_on = threading.Event(), threading.Event()
    original = identity.roles_on

    def slow(project_id):
        inside.set()
        assert go_on.wait(10)
        return original(project_id)

    identity.roles_on = slow
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(known.facts("alpha", ROLES)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    assert inside.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert len(found) == 4
    assert identity.asked == [("roles_on", "alpha")]


def test_threads_that_wait_for_an_answer_share_its_failure(known, identity, clock):
    known._asking._lock = lock = locks.CountedLock()
    all_wait = threading.Event()
    asked = []

    def hang(project_id):
        asked.append(project_id)
        assert all_wait.wait(10)
        clock.advance(60)
        raise errors.ServiceUnavailable("no answer")

    def ask():
        with pytest.raises(errors.ServiceUnavailable, match="no answer"):
            known.facts("alpha", ROLES)
        failed.append(True)

    identity.roles_on = hang
    failed: list[bool] = []
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert lock.was_left(len(threads))
    all_wait.set()
    for thread in threads:
        thread.join()
    assert failed == [True] * 4
    assert asked == ["alpha"]


def test_who_comes_after_a_failure_asks_anew_and_keeps_what_is_known(known, identity, clock):
    known.facts("alpha", ROLES)
    identity.is_down = True
    with pytest.raises(errors.ServiceUnavailable):
        known.facts("alpha", PROJECT)
    identity.is_down = False
    clock.advance(1)
    assert known.facts("alpha", PROJECT, ROLES).project == owner_facts.Project(name="alpha")
    assert identity.asked == [("roles_on", "alpha"), ("project", "alpha")]
