# SPDX-License-Identifier: Apache-2.0
"""The engine as a command gets it."""

import pytest

from glance_sync_agent.engine.assembly import engine as engines
from glance_sync_agent.engine.reconcile import differences
from glance_sync_agent.engine.reconcile import member_scans
from glance_sync_agent.engine.reconcile import scan as scans
from tests.fakes import world as worlds


@pytest.fixture
def world():
    return worlds.World()


@pytest.fixture
def engine(world):
    return engines.assemble(world.engine.outside, world.settings)


def scan(engine, found, *, is_dry):
    def keep(some):
        found.extend(some)
        return len(some)

    kind = scans.ScanKind(
        members=member_scans.FixedShare(member_scans.ALL),
        max_deletes=lambda: 10,
        is_dry=is_dry,
    )
    return engine.scans.make_scan(kind, keep).run()


def test_a_command_works_in_its_own_thread(world, engine):
    image = world.source.publish()
    world.changed(image.image_id)
    world.clock.advance(1.0)
    engine.make_all()
    assert engine.attempts.worker.dispatch() == 2
    assert image.image_id in world.two.ids()
    assert engine.attempts.worker.running() == 0


def test_a_dry_scan_remembers_nothing(world, engine):
    world.source.publish()
    facts = world.engine.outside.facts
    before = dict(facts._kept)
    found: list[differences.Difference] = []
    scan(engine, found, is_dry=True)
    assert {one.region for one in found} == set(worlds.CASCADED)
    assert dict(facts._kept) == before
    scan(engine, [], is_dry=False)
    assert dict(facts._kept) != before


def test_a_dry_scan_notes_no_missing_source(world, engine):
    image = world.source.publish()
    world.changed(image.image_id)
    world.settle()
    world.gone_grace = 60.0
    world.source.publish()
    world.source.delete(image)
    scan(engine, [], is_dry=True)
    assert world.task(image).missing_since is None


def test_a_command_settles_images_of_its_own_cloud(world, engine):
    assert engine.scans.settling is engine.scans.settling
    assert engine.scans.census is engine.scans.census
