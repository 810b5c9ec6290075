# SPDX-License-Identifier: Apache-2.0
"""The judge of ``tools/soak.sh`` is a sharp one, and its mistakes are told in sentences."""

from collections.abc import Iterator
import io
import subprocess
from typing import Any
import uuid

import pytest

from tests import marks
from tests import paths
from tests.functional import people as users
from tools import cloud as clouds
from tools import databases
from tools.soak import judging
from tools.soak import operations
from tools.soak import plans
from tools.soak import stage as stages
from tools.soak import weights

TWO, THREE = weights.REGIONS[:2]
_SOAK = str(paths.ROOT / "tools" / "soak.sh")


@pytest.fixture(scope="module")
def stage(
    cloud: clouds.Cloud,
    postgresql_server: databases.Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> stages.Stage:
    """Give a stage whose agents do not run."""
    return stages.Stage(cloud, postgresql_server, tmp_path_factory.mktemp("soak"))


@pytest.fixture(scope="module")
def judge(stage: stages.Stage) -> Iterator[judging.Judge]:
    """Give a judge who has put images of somebody else everywhere."""
    people = stage.visitor()
    before = {region: set(ids(people, region)) for region in (people.cascading, *weights.REGIONS)}
    made = judging.Judge(stage)
    made.prepare()
    yield made
    for region, known in before.items():
        for image_id in ids(people, region) - known:
            client = people.client(region, "admin")
            client.images.update(image_id, protected=False)
            client.images.delete(image_id)


@pytest.fixture
def said(stage: stages.Stage, judge: judging.Judge) -> list[str]:
    """Give what the judge says, which is nothing so far."""
    stage.events.violations.clear()
    judge.check(TWO)
    assert stage.events.violations == []
    return stage.events.violations


def ids(people: users.People, region: str) -> set[str]:
    return {image["id"] for image in people.listed(region)}


def announced(stage: stages.Stage, **fields: str) -> plans.Image:
    """Return a source that the judge knows of."""
    image = plans.Image(
        image_id=str(uuid.uuid4()), name="source", size=100, visibility="shared", fields=fields
    )
    stage.announce(image)
    return image


def copy(stage: stages.Stage, source_id: str, content: bytes) -> str:
    """Make what looks like a copy in RegionTwo; return its id."""
    glance: Any = stage.visitor().client(TWO, "admin").images
    image_id = str(uuid.uuid4())
    record = glance.create(
        name="copy", disk_format="raw", container_format="bare", id=image_id,
        **{
            marks.SOURCE_ID: source_id,
            marks.SOURCE_REGION: "RegionOne",
            marks.COPY_ID: image_id,
            marks.COPY_REGION: TWO,
        },
    )
    glance.upload(record.id, io.BytesIO(content))
    return str(record.id)


@pytest.fixture
def gone(stage: stages.Stage) -> Iterator[list[str]]:
    """Give a list of images of RegionTwo that go after the test."""
    made: list[str] = []
    yield made
    for image_id in made:
        stage.visitor().delete(image_id, TWO, "admin")


def test_the_judge_finds_nothing_wrong_with_a_right_copy(stage, judge, said, gone):
    image = announced(stage)
    gone.append(copy(stage, image.image_id, plans.content(image)))
    judge.check(TWO)
    assert said == []


def test_the_judge_finds_an_active_copy_that_has_other_bytes(stage, judge, said, gone):
    gone.append(copy(stage, announced(stage).image_id, b"other"))
    judge.check(TWO)
    judge.check(TWO)
    assert [f"{gone[0]} in {TWO} is active and has other bytes" in one for one in said] == [True]


def test_the_judge_passes_over_a_copy_that_the_soak_damaged(stage, judge, said, gone):
    image = announced(stage)
    gone.append(copy(stage, image.image_id, b"other"))
    stage.damaged[TWO, gone[0]] = image.image_id
    judge.check(TWO)
    assert said == []


def test_the_judge_passes_over_a_copy_whose_deletion_a_killed_glance_left_half_done(
    stage, judge, said, gone
):
    image = announced(stage)  # its source is gone
    gone.append(copy(stage, image.image_id, plans.content(image)))
    stage.file(TWO, gone[0]).unlink()
    judge.check(TWO)
    assert said == []


def test_the_judge_finds_an_active_copy_that_has_no_data(stage, judge, said, gone):
    image = announced(stage)
    operations.User(stage, "alice").create(image)
    gone.append(copy(stage, image.image_id, plans.content(image)))
    stage.file(TWO, gone[0]).unlink()
    judge.check(TWO)
    assert said == [f"{gone[0]} in {TWO} is an active copy and has no data"]


def test_the_judge_finds_a_copy_outside_the_strategy(stage, judge, said, gone):
    image = announced(stage, sync_regions=THREE)
    gone.append(copy(stage, image.image_id, plans.content(image)))
    judge.check(TWO)
    told = f"{gone[0]} in {TWO} is a copy of {image.image_id}"
    assert [one.startswith(told) for one in said] == [True]


def test_the_judge_finds_a_copy_of_what_nobody_made(stage, judge, said, gone):
    gone.append(copy(stage, str(uuid.uuid4()), b""))
    judge.check(TWO)
    assert [one.endswith("which no user made") for one in said] == [True]


def test_the_judge_finds_an_image_of_somebody_else_whose_bytes_are_others(stage, judge, said):
    (image,) = (
        image for image in stage.visitor().listed(TWO)
        if image["name"].endswith("-theirs") and image["size"] == 100_000
    )
    path = stage.file(TWO, image["id"])
    content = path.read_bytes()
    path.write_bytes(content[::-1])
    try:
        judge.check(TWO)
        judge.check_foreign()
    finally:
        path.write_bytes(content)
    assert [image["id"] in one and "other bytes" in one for one in said] == [True, True]


def test_the_judge_finds_an_image_of_somebody_else_that_was_changed(stage, judge, said):
    people = stage.visitor()
    (image,) = (one for one in people.listed(THREE) if one["name"].endswith("-theirs-empty"))
    # It stays changed, for its time of change does; so the other tests look elsewhere.
    people.client(THREE, "admin").images.update(image["id"], min_ram=1)
    judge.check(THREE)
    assert [one.startswith(f"{image['id']} of {THREE} is not ours") for one in said] == [True]


def operation(image: plans.Image, kind: str) -> plans.Operation:
    """Return something that a user does with the copy of an image in RegionTwo."""
    return plans.Operation(pause=0, user="alice", kind=kind, image=image, value=TWO)


@pytest.fixture
def theirs(stage: stages.Stage, gone: list[str]) -> Iterator[None]:
    """Forget what users made in a test, which goes then."""
    yield
    gone += [image_id for region, image_id in stage.theirs if region == TWO]
    for region, image_id in stage.theirs:
        client = stage.visitor().client(region, "admin").images
        client.update(image_id, protected=False)
    stage.theirs.clear()


@pytest.mark.usefixtures("theirs")
@pytest.mark.parametrize("kind", sorted(set(weights.IMAGED) - {"fill", "replicate"}))
def test_the_judge_knows_what_users_made_of_a_copy_and_sees_who_touches_it(
    stage, judge, said, gone, kind
):
    image = announced(stage)
    gone.append(copy(stage, image.image_id, plans.content(image)))
    user = operations.User(stage, "alice")
    assert user.do(operation(image, kind)) == "done"
    if kind == "queue":
        assert user.do(operation(image, "fill")) == "done"
    ((region, image_id),) = stage.theirs
    judge.check(TWO)
    assert said == []
    assert judge.check_theirs() == (1, 0)
    stage.visitor().client(region, "admin").images.update(image_id, min_ram=1)
    judge.check(TWO)
    assert [f"{image_id} of {TWO} is a user's" in one for one in said] == [True]
    assert judge.check_theirs()[1] == 1
    judge._touched.clear()


@pytest.mark.usefixtures("theirs")
def test_what_glance_replicator_brought_is_a_user_s(stage, judge, said, gone):
    image = announced(stage)
    gone.append(copy(stage, image.image_id, plans.content(image)))
    user = operations.User(stage, "alice")
    assert user.do(operation(image, "replicate")) == "done"
    assert list(stage.theirs) == [(THREE, gone[0])]
    judge.check(THREE)
    assert not any(gone[0] in one for one in said)


def test_without_a_copy_nobody_makes_an_image_of_it(stage):
    user = operations.User(stage, "alice")
    for kind in weights.IMAGED:
        assert user.do(operation(announced(stage), kind)).startswith("skipped")
    assert stage.theirs == {}


def test_an_image_that_is_published_has_the_mark_of_a_copy(stage, gone):
    origin, image = announced(stage), announced(stage)
    gone.append(copy(stage, origin.image_id, plans.content(origin)))
    one = plans.Operation(
        pause=0, user="alice", kind="publish", image=image, value=TWO, origin=origin
    )
    assert operations.User(stage, "alice").do(one) == "done"
    people = stage.visitor()
    record = people.record(people.cascading, image.image_id)
    assert record[marks.COPY_ID] == gone[0]
    assert marks.source_of(record, people.cascading) is None
    people.delete(image.image_id, user="admin")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["0"], "'0' is not a number greater than 0", id="minutes"),
        pytest.param(["--seed", "x"], "argument --seed: invalid int value: 'x'", id="seed"),
        pytest.param(["--fast"], "unrecognized arguments: --fast", id="unknown"),
    ],
)
def test_a_mistake_in_the_options_is_told_in_a_sentence(arguments: list[str], told: str):
    done = subprocess.run([_SOAK, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
