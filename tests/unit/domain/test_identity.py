# SPDX-License-Identifier: Apache-2.0
"""Whose an image is: a test of each row of the table, and what must hold for every image."""

import dataclasses
import datetime
import pathlib
import re

from hypothesis import given
from hypothesis import strategies as st
import pytest

import glance_sync_agent
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from tests.unit import builders
from tests.unit.builders import copy
from tests.unit.builders import known
from tests.unit.builders import queued
from tests.unit.builders import source

Status = images.ImageStatus
OURS = identity.Whose.OURS
INHERITED = identity.Whose.INHERITED
DOUBTFUL = identity.Whose.DOUBTFUL
FOREIGN = identity.Whose.FOREIGN

OTHER = builders.multihash(b"other bytes")
SHA256 = builders.multihash(algo="sha256")
LATER = builders.NOW + datetime.timedelta(seconds=1)
PROBATION = known(on_probation=True)
CHOSEN = known(created_at=None)
IN_SYNC = source()
NO_HASH = source(multihash=None)


def marked(made=None, **fields):
    """Return an image with another mark than that of a copy."""
    image = made or copy()
    assert image.mark is not None
    return dataclasses.replace(image, mark=dataclasses.replace(image.mark, **fields))


def case(
    name, image, answer, reason, *, row=None, there=IN_SYNC, proven_id=None, regions=None, **more
):
    evidence = identity.Evidence(
        key=builders.KEY, source=there, known=row, proven_id=proven_id, regions=regions
    )
    expected = identity.Identity(whose=answer, reason=reason, **more)
    return pytest.param(image, evidence, expected, id=name)


NOT_MADE = "this agent did not make it"
ANOTHER = builders.COPY_ID
LOST_MARK = "its task knows it, but its mark was removed or changed"
NO_TASK = "no task knows it"
BY_TASK = "its task knows it"
BY_DATA = "it holds the data of its source"
OTHER_DATA = "it holds other data than its source"
UNREAD = "no hash shows whether it holds the data of its source"
UNTOLD = "nothing shows which data it should hold"
EMPTY = f"{NO_TASK}, but it has no data and belongs to the right project"
GONE = f"{NO_TASK}, and its source is gone"
HASHLESS = f"{NO_TASK}, and its source has no hash"
MALLORYS = (
    f"{NO_TASK}, and it belongs to project mallory, but a copy would belong to alpha"
)
ELSEWHERE = images.SourceKey(image_id=builders.IMAGE_ID, region="RegionNine")
REGIONS = frozenset(map(images.RegionId, ("RegionOne", "RegionTwo", "RegionThree")))
NEW_NAME = (
    "its mark names region OldTwo, which is not in Keystone's catalogue. If RegionTwo is the new "
    "name of OldTwo, stop all agents and run 'glance-sync-manage region rename OldTwo RegionTwo'"
)
OLD_MARK = f"it inherited the mark of image {builders.IMAGE_ID} of region OldTwo"

TABLE = [
    # no mark at all
    case("no mark", builders.stranger(), FOREIGN, NOT_MADE),
    case("no mark, though the row knew it", builders.stranger(), DOUBTFUL, LOST_MARK,
         row=known()),
    case("no mark, at an id that was only chosen", builders.stranger(), FOREIGN, NOT_MADE,
         row=CHOSEN),
    case("no mark, at an id that was used before", builders.stranger(created_at=LATER), FOREIGN,
         NOT_MADE, row=known()),
    case("no mark, beside the one that the row knows",
         builders.stranger(image_id=ANOTHER), FOREIGN, NOT_MADE, row=known()),
    # the mark of another image
    case("another id", marked(copy_id=ANOTHER), INHERITED,
         f"it inherited the mark of image {ANOTHER} of region RegionTwo"),
    case("same id of another region", marked(copy_region="RegionThree"), INHERITED,
         f"it inherited the mark of image {builders.IMAGE_ID} of region RegionThree"),
    case("a source in its own region",
         marked(source=images.SourceKey(image_id="another", region="RegionTwo")), INHERITED,
         "its mark names a source in its own region, image another"),
    case("inherited, though the row knew it", marked(copy_id=ANOTHER), DOUBTFUL, LOST_MARK,
         row=known()),
    case("inherited, queued", marked(queued(), copy_id=ANOTHER), INHERITED,
         f"it inherited the mark of image {ANOTHER} of region RegionTwo"),
    # the mark of a region that left the catalogue, or has a new name
    case("old name", marked(copy_region="OldTwo"), DOUBTFUL, NEW_NAME, regions=REGIONS),
    case("old name, an id of its own", marked(copy(image_id=ANOTHER), copy_region="OldTwo"),
         DOUBTFUL, NEW_NAME, regions=REGIONS),
    case("old name, source gone", marked(copy_region="OldTwo"), DOUBTFUL, NEW_NAME, there=None,
         regions=REGIONS),
    case("old name, another one than the row knows",
         marked(copy(image_id=ANOTHER), copy_region="OldTwo"), DOUBTFUL, NEW_NAME, row=known(),
         regions=REGIONS),
    case("old name, though the row knew it", marked(copy_region="OldTwo"), DOUBTFUL, LOST_MARK,
         row=known(), regions=REGIONS),
    case("old name, and the catalogue is not known", marked(copy_region="OldTwo"), INHERITED,
         OLD_MARK),
    case("old name, another id", marked(copy_id=ANOTHER, copy_region="OldTwo"), INHERITED,
         f"it inherited the mark of image {ANOTHER} of region OldTwo", regions=REGIONS),
    case("old name, another source", marked(copy_region="OldTwo", source=ELSEWHERE), INHERITED,
         OLD_MARK, regions=REGIONS),
    case("replicated from a region of the catalogue", marked(copy_region="RegionThree"),
         INHERITED, f"it inherited the mark of image {builders.IMAGE_ID} of region RegionThree",
         regions=REGIONS),
    case("a region that is not in the catalogue", copy(), OURS, BY_DATA,
         regions=frozenset({"RegionOne"})),
    # the mark of another source
    case("another source", marked(source=dataclasses.replace(builders.KEY, image_id=ANOTHER)),
         DOUBTFUL, f"its mark names another source, image {ANOTHER} of region RegionOne",
         row=known()),
    case("a source of another region", marked(source=ELSEWHERE), DOUBTFUL,
         f"its mark names another source, {ELSEWHERE}"),
    # known by the row
    case("known", copy(), OURS, BY_TASK, row=known(), is_known=True),
    case("known, other bytes", copy(multihash=OTHER), OURS, BY_TASK, row=known(), is_known=True),
    case("known, another project", copy(owner="mallory"), OURS, BY_TASK, row=known(),
         is_known=True),
    case("known, source without hash", copy(), OURS, BY_TASK, row=known(), there=NO_HASH,
         is_known=True),
    case("known, source gone", copy(), OURS, BY_TASK, row=known(), there=None, is_known=True),
    case("known, queued", queued(), OURS, BY_TASK, row=known(), is_known=True),
    case("reused id", copy(created_at=LATER), DOUBTFUL,
         f"its task knows an image with this id that was created at {builders.NOW}, but this one "
         f"was created at {LATER}", row=known()),
    case("no creation time", copy(created_at=None), DOUBTFUL,
         f"its task knows an image with this id that was created at {builders.NOW}, but this one "
         "was created at None", row=known()),
    case("another one than the row knows", copy(image_id=ANOTHER), DOUBTFUL,
         f"its task knows another copy, image {builders.IMAGE_ID}", row=known()),
    # on probation
    case("on probation, queued", queued(), OURS, BY_TASK, row=PROBATION, is_known=True,
         on_probation=True),
    case("on probation, saving", queued(status=Status.SAVING), OURS, BY_TASK, row=PROBATION,
         is_known=True, on_probation=True),
    case("on probation, killed", queued(status=Status.KILLED), OURS, BY_TASK, row=PROBATION,
         is_known=True, on_probation=True),
    case("on probation, queued, source gone", queued(), OURS, BY_TASK, row=PROBATION, there=None,
         is_known=True, on_probation=True),
    case("on probation, the source's bytes", copy(), OURS, BY_DATA, row=PROBATION),
    case("on probation, the source's bytes, deactivated", copy(status=Status.DEACTIVATED), OURS,
         BY_DATA, row=PROBATION),
    case("on probation, other bytes", copy(multihash=OTHER), DOUBTFUL, OTHER_DATA, row=PROBATION),
    case("on probation, source gone", copy(), DOUBTFUL, UNTOLD, row=PROBATION, there=None),
    case("on probation, source without hash", copy(), DOUBTFUL, UNTOLD, row=PROBATION,
         there=NO_HASH),
    case("on probation, another algorithm", copy(multihash=SHA256), DOUBTFUL, UNREAD,
         row=PROBATION, needs_reading=True),
    # no row
    *[
        test
        for name, row in (("no row", None), ("a row that only chose an id", CHOSEN))
        for test in (
            case(f"{name}, the source's bytes", copy(), OURS, BY_DATA, row=row),
            case(f"{name}, deactivated", copy(status=Status.DEACTIVATED), OURS, BY_DATA, row=row),
            case(f"{name}, queued", queued(), OURS, EMPTY, row=row, on_probation=True),
            case(f"{name}, source gone", copy(), DOUBTFUL, GONE, row=row, there=None),
            case(f"{name}, queued, source gone", queued(), DOUBTFUL, GONE, row=row, there=None),
            case(f"{name}, another project", copy(owner="mallory"), DOUBTFUL, MALLORYS, row=row),
            case(f"{name}, queued, another project", queued(owner="mallory"), DOUBTFUL, MALLORYS,
                 row=row),
            case(f"{name}, source without hash", copy(), DOUBTFUL, HASHLESS, row=row,
                 there=NO_HASH),
            case(f"{name}, queued, source without hash", queued(), DOUBTFUL, HASHLESS, row=row,
                 there=NO_HASH),
            case(f"{name}, other bytes", copy(multihash=OTHER), DOUBTFUL, OTHER_DATA, row=row),
            case(f"{name}, another algorithm", copy(multihash=SHA256), DOUBTFUL, UNREAD, row=row,
                 needs_reading=True),
            case(f"{name}, no hash", copy(multihash=None), DOUBTFUL, UNREAD, row=row,
                 needs_reading=True),
            case(f"{name}, another algorithm and size", copy(multihash=SHA256, size=3), DOUBTFUL,
                 OTHER_DATA, row=row),
            case(f"{name}, another algorithm, read back", copy(multihash=SHA256), OURS, BY_DATA,
                 row=row, proven_id=builders.IMAGE_ID),
            case(f"{name}, another image read back", copy(multihash=SHA256), DOUBTFUL, UNREAD,
                 row=row, proven_id=ANOTHER, needs_reading=True),
            case(f"{name}, queued with data", queued(size=3), DOUBTFUL,
                 f"{NO_TASK}, and it is queued", row=row),
            *[
                case(f"{name}, {status}", copy(status=status), DOUBTFUL,
                     f"{NO_TASK}, and it is {status}", row=row)
                for status in (Status.SAVING, Status.UPLOADING, Status.IMPORTING, Status.KILLED)
            ],
        )
    ],
]


@pytest.mark.parametrize(("image", "evidence", "answer"), TABLE)
def test_every_image_has_its_one_answer(image, evidence, answer):
    assert identity.whose(image, evidence) == answer


@pytest.mark.parametrize(
    ("answer", "is_ours", "may_be_replaced"),
    [
        (identity.Identity(whose=OURS, reason="", is_known=True), True, True),
        (identity.Identity(whose=OURS, reason="", is_known=True, on_probation=True), True, False),
        (identity.Identity(whose=OURS, reason=""), True, False),
        (identity.Identity(whose=DOUBTFUL, reason="", is_known=True), False, False),
        (identity.Identity(whose=INHERITED, reason=""), False, False),
        (identity.Identity(whose=FOREIGN, reason=""), False, False),
    ],
)
def test_only_a_known_copy_of_ours_is_replaced(answer, is_ours, may_be_replaced):
    assert (answer.is_ours, answer.may_be_replaced) == (is_ours, may_be_replaced)


@pytest.mark.parametrize(
    ("image", "answer"),
    [
        (copy(), True),
        (copy(image_id=ANOTHER), True),
        (marked(source=ELSEWHERE), True),
        (builders.stranger(), False),
        (marked(copy_id=ANOTHER), False),
        (marked(copy_region="RegionThree"), False),
    ],
)
def test_only_a_mark_with_its_own_id_and_region_names_the_image_itself(image, answer):
    assert identity.names_itself(image) is answer


@pytest.mark.parametrize(
    ("image", "answer"),
    [
        (marked(copy_region="OldTwo"), builders.KEY),
        (marked(copy_region="OldTwo", source=ELSEWHERE), ELSEWHERE),
        (marked(copy(image_id=ANOTHER), copy_region="OldTwo"), builders.KEY),
        (marked(copy(region="RegionOne"), copy_region="OldTwo"), None),
        (marked(copy_id=ANOTHER, copy_region="OldTwo"), None),
        (marked(copy_region="RegionThree"), None),
        (copy(), None),
        (builders.stranger(), None),
    ],
    ids=["old name", "of another source", "id of its own", "back in the region of its source",
         "a snapshot of its servers", "replicated", "a copy", "no mark"],
)
def test_an_image_may_be_a_copy_from_before_its_region_was_renamed(image, answer):
    assert identity.former_source(image, REGIONS) == answer


@pytest.mark.parametrize(
    ("image", "answer"),
    [
        (copy(), True),
        (marked(source=ELSEWHERE), False),
        (builders.stranger(), False),
        (marked(copy_id=ANOTHER), False),
    ],
)
def test_an_image_names_one_source(image, answer):
    assert identity.names(image, builders.KEY) is answer


_ids = st.sampled_from([builders.IMAGE_ID, builders.COPY_ID, "another"])
_regions = st.sampled_from(["RegionOne", "RegionTwo", "RegionThree"])
_marks = st.builds(
    images.Mark,
    source=st.builds(images.SourceKey, image_id=_ids, region=_regions),
    copy_id=_ids,
    copy_region=_regions,
)
_hashes = st.sampled_from([None, builders.multihash(), OTHER, SHA256])
_images = st.builds(
    copy,
    image_id=st.sampled_from([builders.IMAGE_ID, builders.COPY_ID]),
    status=st.sampled_from(list(Status)),
    multihash=_hashes,
    size=st.sampled_from([None, len(builders.DATA), 3]),
    owner=st.sampled_from(["alpha", "mallory"]),
    created_at=st.sampled_from([None, builders.NOW, LATER]),
    mark=st.none() | _marks,
)
_evidence = st.builds(
    identity.Evidence,
    key=st.just(builders.KEY),
    source=st.none() | st.builds(source, multihash=_hashes),
    known=st.none()
    | st.builds(
        known,
        copy_id=st.sampled_from([builders.IMAGE_ID, builders.COPY_ID]),
        created_at=st.sampled_from([None, builders.NOW]),
        on_probation=st.booleans(),
    ),
    regions=st.none() | st.frozensets(_regions),
)


@given(image=_images, evidence=_evidence)
def test_an_image_is_never_ours_without_its_own_name_and_exactly_this_source(image, evidence):
    found = identity.whose(image, evidence)
    if found.is_ours:
        mark = image.mark
        assert (mark.copy_id, mark.copy_region) == (image.image_id, image.region)
        assert mark.source == evidence.key
        if not found.is_known:
            assert evidence.source is not None
            assert evidence.source.metadata.owner == image.metadata.owner
            assert evidence.source.multihash is not None
            has_no_data = image.status is Status.QUEUED and image.size is None
            assert has_no_data or image.multihash == evidence.source.multihash
        else:
            row = evidence.known
            assert (row.copy_id, row.created_at) == (image.image_id, image.created_at)


def test_no_other_module_reads_marks():
    package = pathlib.Path(glance_sync_agent.__file__).parent
    looking = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"\.mark\b(?!\()", path.read_text(encoding="utf-8"))
    }
    # The second one asks whether the image of an event names itself, and the last one has the
    # mark of a copy from the row that knows it.
    assert looking == {"domain/identity.py", "engine/requests.py", "engine/transfer/origins.py"}
