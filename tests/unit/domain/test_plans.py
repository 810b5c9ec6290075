# SPDX-License-Identifier: Apache-2.0
"""The decision table of :func:`plans.decide`, and what must hold for every pair."""

import dataclasses
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_sync_agent.domain import actions
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import narrowing
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import remotes
from glance_sync_agent.domain import situations
from glance_sync_agent.domain import verification
from glance_sync_agent.domain.codes import Code
from tests.unit import builders
from tests.unit.builders import copy
from tests.unit.builders import queued
from tests.unit.builders import source
from tests.unit.builders import stranger

Status = images.ImageStatus
Member = images.MemberStatus


def whose(copy, source, *, known=True, on_probation=False):
    """Return whose a copy is; by default, its row knows it."""
    if copy is None:
        return None
    row = builders.known(copy_id=copy.image_id, on_probation=on_probation)
    evidence = identity.Evidence(
        key=builders.KEY, source=source, known=row if known or on_probation else None
    )
    return identity.whose(copy, evidence)


def decide(
    source,
    copy,
    *,
    wanted=True,
    known=True,
    on_probation=False,
    delete_unwanted=False,
    **rare,
):
    return plans.decide(
        situations.Situation(
            source=source,
            copy=copy,
            identity=whose(copy, source, known=known, on_probation=on_probation),
            unwanted=None if wanted else "rule 3 does not name it",
            deletes_unwanted=delete_unwanted,
            **rare,
        )
    )


def case(name, action, source, copy, **flags):
    return pytest.param(source, copy, flags, action, id=name)


ITSELF_A_COPY = builders.ITSELF_A_COPY
OF_OWN_ID = images.Mark(
    source=builders.KEY, copy_id=builders.COPY_ID, copy_region=builders.REGION
)
INHERITED = images.Mark(source=builders.KEY, copy_id="another", copy_region=builders.REGION)
ADOPT = (
    f"If it is a copy, run 'glance-sync adopt {builders.IMAGE_ID} --region RegionTwo', "
    "otherwise 'glance-sync disown' with the same arguments"
)


def doubt(why):
    return (
        f"image {builders.IMAGE_ID} of region RegionTwo stays untouched, because nothing proves "
        f"that it is our copy: {why}. {ADOPT}"
    )


def taken(image_id):
    return actions.Conflict(
        reason=f"image {image_id} of region RegionTwo has the id that the copy needs, and this "
        "agent did not make it; delete it there, publish the source again with another id, or "
        "take the region out of the strategy"
    )


TAKEN = taken(builders.IMAGE_ID)


def left_alone(why):
    return (
        f"image {builders.IMAGE_ID} of region RegionTwo stays, although {why}: the agent adopted "
        "it without data, so it may belong to somebody else; delete it there if it does not"
    )


WAIT_FOR_SAVING = actions.Wait(code=Code.COPY_BUSY, reason="copy is saving")
NO_TASK = "no task knows it, and its source is gone"
OTHER_DATA = "it holds other data than its source"
OTHER = builders.multihash(b"damaged")
SHA256 = builders.multihash(algo="sha256")
UNWANTED = "not wanted here: rule 3 does not name it"



def elsewhere(there=None, *, region=builders.REGION, **overrides):
    """Return a snapshot that has its data in another region."""
    return remotes.with_remote_data(builders.elsewhere(**overrides), region, there)


def stays(seen):
    """Return what is said of a copy that is not wanted any more."""
    return (
        f"{UNWANTED}; the copy stays, and only what narrows access to its source follows: it is "
        f"{seen}"
    )


def unwanted(text, **fields):
    """Return what is decided where the image does not belong."""
    return actions.Settled(code=Code.OUT_OF_STRATEGY, text=text, **fields)


def change_of(copy, **fields):
    """Return a change of some fields and nothing else."""
    nothing: dict[str, Any] = {"attributes": {}, "tags": None, "properties": {}, "members": {}}
    return actions.UpdateMetadata(copy=copy, **{**nothing, **fields})


def uncopyable(text):
    """Return what is decided of a source that no region can have."""
    return actions.Settled(code=Code.NOT_COPYABLE, text=text)


IN_SYNC = actions.Settled(code=Code.IN_SYNC, text="in sync")
ABSENT = actions.Settled(code=Code.ABSENT, text="absent from both regions")
SOURCE_MISSING = actions.Settled(
    code=Code.SOURCE_MISSING,
    text="source is not found, and nothing proves that it was deleted",
)
NOT_OURS = actions.Settled(
    code=Code.NOT_OURS, text="source is gone; the image in its place is not ours"
)
SIZE_DIFFERS = actions.Conflict(
    reason=f"image {builders.IMAGE_ID} of region RegionTwo has 3 bytes, and its source 21. The "
    "source has no hash, so nothing proves which bytes are right. If the data of the source is "
    "in another region, allow the agent to see its locations in region RegionOne, and keep the "
    "copy. Otherwise delete the copy there to have it made again"
)
SOURCE_RESTS = actions.Settled(code=Code.SOURCE_DEACTIVATED, text="source is deactivated")
HELD = actions.Settled(
    code=Code.HELD,
    text=f"in sync, but somebody else deactivated image {builders.IMAGE_ID} of region RegionTwo; "
    f"it stays deactivated until you run 'glance-sync sync --release {builders.IMAGE_ID} "
    "--region RegionTwo'",
    held_id=builders.IMAGE_ID,
)
UNWANTED_AND_HELD = unwanted(
    stays("shared and deactivated by somebody else"), held_id=builders.IMAGE_ID
)
HELD_AND_GONE = actions.Settled(
    code=Code.HELD,
    text=f"somebody else deactivated image {builders.COPY_ID}, which is gone now; this region "
    f"gets no new copy until you run 'glance-sync sync --release {builders.IMAGE_ID}' with "
    "--region",
)
DAMAGE = verification.Damage(copy_id=builders.IMAGE_ID, found="no data")
THERE = builders.snapshot()
STRANGERS = builders.snapshot(owner="mallory")
FAULT = remotes.fault(elsewhere(STRANGERS))
NOWHERE = remotes.fault(elsewhere(region=None))

TABLE = [
    # no source
    case("neither", ABSENT, None, None),
    case(
        "neither, deletion proven", ABSENT,
        None, None, may_delete=True,
    ),
    case(
        "source gone, proven",
        actions.DeleteCopy(copy=copy(), reason="source was deleted"),
        None, copy(), may_delete=True,
    ),
    case(
        "source gone, proven, region unwanted",
        actions.DeleteCopy(copy=copy(), reason="source was deleted"),
        None, copy(), may_delete=True, wanted=False,
    ),
    case(
        "source gone, not proven",
        SOURCE_MISSING,
        None, copy(),
    ),
    case(
        "source gone, image there not ours",
        NOT_OURS,
        None, stranger(), may_delete=True, known=False,
    ),
    case("source gone, inherited mark there", ABSENT,
         None, copy(mark=INHERITED), may_delete=True, known=False),
    case("source gone, no task knows the copy",
         actions.Conflict(reason=f"source was deleted; {doubt(NO_TASK)}"),
         None, copy(), may_delete=True, known=False),
    case("source gone, no task knows the copy, not proven",
         SOURCE_MISSING,
         None, copy(), known=False),
    case("source gone, on probation",
         actions.Conflict(reason=left_alone("its source was deleted")),
         None, queued(), may_delete=True, on_probation=True),
    case("unwanted, on probation", unwanted(stays("shared")),
         source(), queued(), wanted=False, delete_unwanted=True, on_probation=True),
    case(
        "source pending_delete",
        actions.DeleteCopy(copy=copy(), reason="source was deleted"),
        source(status=Status.PENDING_DELETE), copy(), may_delete=True,
    ),
    case(
        "source deleted, queued copy",
        actions.DeleteCopy(copy=queued(), reason="source was deleted"),
        source(status=Status.DELETED), queued(), may_delete=True,
    ),
    # sources that are none
    case(
        "source is a copy",
        uncopyable("source is itself a copy"),
        source(mark=ITSELF_A_COPY), None,
    ),
    *[
        case(f"source {status}", uncopyable(f"source is {status}"),
             source(status=status), existing)
        for status in (Status.QUEUED, Status.SAVING, Status.UPLOADING, Status.IMPORTING,
                       Status.KILLED)
        for existing in (None, copy())
    ],
    # snapshots that were announced before their data
    *[
        case(f"snapshot {status}", actions.AwaitSource(reason=f"snapshot is {status}"),
             source(status=status, properties={"image_type": "snapshot"}), existing)
        for status in (Status.QUEUED, Status.SAVING, Status.UPLOADING, Status.IMPORTING)
        for existing in (None, queued())
    ],
    case("snapshot queued, unwanted", uncopyable("source is queued"),
         source(status=Status.QUEUED, properties={"image_type": "snapshot"}), None, wanted=False),
    case("snapshot killed", uncopyable("source is killed"),
         source(status=Status.KILLED, properties={"image_type": "snapshot"}), None),
    case(
        "snapshot that is a copy",
        uncopyable("source is itself a copy"),
        source(status=Status.QUEUED, properties={"image_type": "snapshot"},
               mark=ITSELF_A_COPY), None,
    ),
    case(
        "snapshot with data",
        actions.CopyData(source=source(properties={"image_type": "snapshot"}), into=None),
        source(properties={"image_type": "snapshot"}), None,
    ),
    # snapshots whose data is in another region
    case("data elsewhere", actions.CopyData(source=elsewhere(THERE), into=None),
         elsewhere(THERE), None),
    case("data elsewhere, in sync", IN_SYNC, elsewhere(THERE), copy()),
    case("data elsewhere, unwanted", unwanted(UNWANTED),
         elsewhere(THERE), None, wanted=False),
    case(
        "data elsewhere, copy with other bytes",
        actions.DeleteCopy(
            copy=copy(multihash=OTHER), reason="copy holds other bytes",
            mismatch=(str(builders.multihash()), str(OTHER)),
        ),
        elsewhere(THERE), copy(multihash=OTHER),
    ),
    *[
        case(f"data elsewhere {status}",
             actions.AwaitSource(reason=f"snapshot is {status} in region RegionTwo"),
             elsewhere(builders.snapshot(status=status)), existing)
        for status in (Status.QUEUED, Status.SAVING, Status.UPLOADING, Status.IMPORTING)
        for existing in (None, queued())
    ],
    case("data elsewhere queued, unwanted", uncopyable("source is queued"),
         elsewhere(builders.snapshot(status=Status.QUEUED)), None, wanted=False),
    *[
        case(f"data elsewhere {what}",
             uncopyable(f"snapshot was {what} in region RegionTwo"),
             elsewhere(there), existing)
        for what, there in (
            ("deleted", None), ("killed", builders.snapshot(status=Status.KILLED)),
        )
        for existing in (None, copy(), queued(), stranger())
    ],
    case("data elsewhere deleted, deactivated here", actions.SetActive(copy=copy(), active=False),
         elsewhere(status=Status.DEACTIVATED), copy()),
    case("data elsewhere deleted, deactivated here and there",
         uncopyable("snapshot was deleted in region RegionTwo"),
         elsewhere(status=Status.DEACTIVATED), copy(status=Status.DEACTIVATED)),
    case("data elsewhere queued, deactivated here",
         actions.SetActive(copy=copy(), active=False),
         elsewhere(builders.snapshot(status=Status.QUEUED), status=Status.DEACTIVATED), copy()),
    case("data elsewhere, deactivated there", actions.SetActive(copy=copy(), active=False),
         elsewhere(builders.snapshot(status=Status.DEACTIVATED)), copy()),
    case("data elsewhere, record deleted",
         actions.DeleteCopy(copy=copy(), reason="source was deleted"),
         elsewhere(THERE, status=Status.DELETED), copy(), may_delete=True),
    *[
        case(f"data {name}", actions.Conflict(reason=str(reason)), source_, existing)
        for name, reason, source_ in (
            ("of a stranger", FAULT, elsewhere(STRANGERS)),
            ("of a stranger, queued", FAULT,
             elsewhere(builders.snapshot(owner="mallory", status=Status.QUEUED))),
            ("nowhere", NOWHERE, elsewhere(region=None)),
            ("that nobody looked at", remotes.fault(builders.elsewhere()), builders.elsewhere()),
        )
        for existing in (None, copy(), stranger())
    ],
    case("data of a stranger, unwanted", unwanted(UNWANTED),
         elsewhere(STRANGERS), None, wanted=False),
    case("data of a stranger, queued, unwanted", uncopyable("source is queued"),
         elsewhere(builders.snapshot(owner="mallory", status=Status.QUEUED)), None, wanted=False),
    case(
        "data elsewhere of what is itself a copy",
        uncopyable("source is itself a copy"),
        builders.elsewhere(mark=ITSELF_A_COPY), None,
    ),
    # strangers
    case(
        "stranger on the id",
        TAKEN,
        source(), stranger(), known=False,
    ),
    case("the source itself, in a Glance that two regions share",
         actions.Conflict(
             reason=f"image {builders.IMAGE_ID} of region RegionTwo is the source itself: id, "
             "creation time and data agree, so regions RegionOne and RegionTwo have one Glance; "
             "do not delete it, and take region RegionTwo out of the strategy"
         ),
         source(created_at=builders.NOW), stranger(), known=False),
    case("stranger on the id, of the same time, with other bytes", TAKEN,
         source(created_at=builders.NOW), stranger(multihash=OTHER), known=False),
    case("stranger on the id, of the same time, with another size", TAKEN,
         source(created_at=builders.NOW), stranger(size=3), known=False),
    case("stranger on the id, from another time", TAKEN,
         source(created_at=builders.LONG_AGO), stranger(), known=False),
    case("stranger with an id of his own", taken(builders.COPY_ID),
         source(created_at=builders.NOW), stranger(image_id=builders.COPY_ID), known=False),
    case("stranger and source that do not say when they were created", TAKEN,
         source(), stranger(created_at=None), known=False),
    case("known, without its mark",
         actions.Conflict(
             reason=doubt("its task knows it, but its mark was removed or changed")
         ),
         source(), stranger()),
    case("stranger, unwanted", unwanted(UNWANTED), source(), stranger(), wanted=False),
    # strategy
    case("unwanted, none there", unwanted(UNWANTED), source(), None, wanted=False),
    case("unwanted keeps its copy",
         unwanted(stays("shared")), source(name="new"), copy(), wanted=False),
    case("unwanted keeps who sees it", unwanted(stays("private")),
         source(visibility="public"), copy(visibility="private"), wanted=False),
    case("unwanted, and made private",
         change_of(copy(visibility="public"), attributes={"visibility": "private"}),
         source(name="new", visibility="private"), copy(visibility="public"), wanted=False),
    case("unwanted, and a member removed",
         change_of(copy(members={"beta": Member.ACCEPTED}), members={"beta": None}),
         source(members={"gamma": Member.ACCEPTED}), copy(members={"beta": Member.ACCEPTED}),
         wanted=False),
    case("unwanted, and given to another project",
         change_of(copy(), attributes={"owner": "beta"}),
         source(name="new", owner="beta", visibility="public"), copy(), wanted=False),
    case("unwanted, made private, and given to another project",
         change_of(copy(visibility="public"),
                   attributes={"owner": "beta", "visibility": "private"}),
         source(owner="beta", visibility="private"), copy(visibility="public"), wanted=False),
    case("unwanted, and deactivated", actions.SetActive(copy=copy(), active=False),
         source(status=Status.DEACTIVATED), copy(), wanted=False),
    case("unwanted, and both deactivated", unwanted(stays("shared and deactivated")),
         source(status=Status.DEACTIVATED), copy(status=Status.DEACTIVATED), wanted=False),
    case("unwanted, and reactivated", unwanted(stays("shared and deactivated")),
         source(), copy(status=Status.DEACTIVATED), wanted=False,
         deactivated_id=builders.IMAGE_ID),
    case("unwanted, and deactivated by somebody else", UNWANTED_AND_HELD,
         source(), copy(status=Status.DEACTIVATED), wanted=False),
    case("unwanted, deactivated by somebody else, and deleted if it were not",
         UNWANTED_AND_HELD,
         source(), copy(status=Status.DEACTIVATED), wanted=False, delete_unwanted=True),
    case("unwanted, released, and goes",
         actions.DeleteCopy(copy=copy(status=Status.DEACTIVATED), reason=UNWANTED),
         source(), copy(status=Status.DEACTIVATED), wanted=False, delete_unwanted=True,
         deactivated_id=builders.IMAGE_ID),
    case("unwanted, deactivated by somebody else, and made private",
         change_of(copy(status=Status.DEACTIVATED, visibility="public"),
                   attributes={"visibility": "private"}),
         source(visibility="private"),
         copy(status=Status.DEACTIVATED, visibility="public"), wanted=False,
         delete_unwanted=True),
    case("unwanted, and a copy that was held is gone", unwanted(UNWANTED), source(), None,
         wanted=False, held_id=builders.COPY_ID),
    case("unwanted, made private, and queued",
         change_of(queued(visibility="public"), attributes={"visibility": "private"}),
         source(visibility="private"), queued(visibility="public"), wanted=False),
    case("unwanted, made private, and killed", unwanted(stays("public")),
         source(visibility="private"), copy(visibility="public", status=Status.KILLED),
         wanted=False),
    case("unwanted, made private, and goes",
         actions.DeleteCopy(
             copy=copy(visibility="public"), reason=UNWANTED,
             first=change_of(copy(visibility="public"), attributes={"visibility": "private"}),
         ),
         source(visibility="private"), copy(visibility="public"), wanted=False,
         delete_unwanted=True),
    case("unwanted, made private, and not ours", unwanted(UNWANTED),
         source(visibility="private"), stranger(visibility="public"), wanted=False),
    case("made private while its data is a stranger's",
         change_of(copy(visibility="public"), attributes={"visibility": "private"}),
         elsewhere(STRANGERS, visibility="private"), copy(visibility="public")),
    case("made private without data",
         change_of(copy(visibility="public"), attributes={"visibility": "private"}),
         source(status=Status.QUEUED, visibility="private"), copy(visibility="public")),
    case("marked as a copy by its owner, and made private",
         change_of(copy(visibility="public"), attributes={"visibility": "private"}),
         source(visibility="private", mark=ITSELF_A_COPY), copy(visibility="public")),
    case("itself a copy, and made private, without a row",
         uncopyable("source is itself a copy"),
         source(visibility="private", mark=ITSELF_A_COPY), copy(visibility="public"),
         known=False),
    case("unwanted loses its copy", actions.DeleteCopy(copy=copy(), reason=UNWANTED),
         source(name="new"), copy(), wanted=False, delete_unwanted=True),
    case("unwanted, a stranger's", unwanted(UNWANTED),
         source(), stranger(), wanted=False, delete_unwanted=True),
    case("unwanted, none to lose", unwanted(UNWANTED),
         source(), None, wanted=False, delete_unwanted=True),
    case("unwanted, source without data", uncopyable("source is queued"),
         source(status=Status.QUEUED), copy(), wanted=False, delete_unwanted=True),
    case("wanted stays, whatever is deleted", IN_SYNC,
         source(), copy(), delete_unwanted=True),
    # data
    case("no copy", actions.CopyData(source=source(), into=None), source(), None),
    case("copy was deleted", actions.CopyData(source=source(), into=None),
         source(), copy(status=Status.DELETED)),
    case("copy is pending_delete", actions.CopyData(source=source(), into=None),
         source(), copy(status=Status.PENDING_DELETE)),
    case("record without data", actions.CopyData(source=source(), into=queued()),
         source(), queued()),
    *[
        case(f"private record of a {visibility} image",
             actions.CopyData(source=source(visibility=visibility),
                            into=queued(visibility="private")),
             source(visibility=visibility), queued(visibility="private"))
        for visibility in ("public", "community", "private")
    ],
    case("record of an image with members",
         actions.CopyData(source=source(members={"beta": Member.ACCEPTED}), into=queued()),
         source(members={"beta": Member.ACCEPTED}), queued()),
    case("record whose member rejected it meanwhile",
         actions.CopyData(source=source(members={"beta": Member.REJECTED}),
                        into=queued(members={"beta": Member.ACCEPTED})),
         source(members={"beta": Member.REJECTED}), queued(members={"beta": Member.ACCEPTED})),
    case("public record without data",
         change_of(queued(visibility="public"), attributes={"visibility": "private"}),
         source(visibility="public"), queued(visibility="public")),
    case(
        "record without data of another owner",
        actions.UpdateMetadata(
            copy=queued(owner="mallory"), attributes={"owner": "alpha"},
            tags=None, properties={}, members={},
        ),
        source(), queued(owner="mallory"),
    ),
    case(
        "record without data that is out of date",
        actions.UpdateMetadata(
            copy=queued(visibility="public"), attributes={"visibility": "shared"},
            tags=None, properties={}, members={},
        ),
        source(), queued(visibility="public"),
    ),
    case(
        "record without data that a former member sees",
        actions.UpdateMetadata(
            copy=queued(members={"beta": Member.PENDING}), attributes={},
            tags=None, properties={}, members={"beta": None},
        ),
        source(), queued(members={"beta": Member.PENDING}),
    ),
    *[
        case(f"copy {status}", actions.Wait(code=Code.COPY_BUSY, reason=f"copy is {status}"),
             source(), copy(status=status))
        for status in (Status.SAVING, Status.UPLOADING, Status.IMPORTING)
    ],
    case("copy killed",
         actions.DeleteCopy(copy=copy(status=Status.KILLED), reason="copy is killed"),
         source(), copy(status=Status.KILLED)),
    case(
        "wrong bytes",
        actions.DeleteCopy(
            copy=copy(multihash=OTHER),
            reason="copy holds other bytes",
            mismatch=(str(builders.multihash()), str(OTHER)),
        ),
        source(), copy(multihash=OTHER),
    ),
    case(
        "no hash",
        actions.ReadBack(
            copy=copy(multihash=None),
            expected=builders.multihash(),
            reason="region RegionTwo does not hash, and the source with sha512",
        ),
        source(), copy(multihash=None),
    ),
    case(
        "another algorithm",
        actions.ReadBack(
            copy=copy(multihash=SHA256),
            expected=builders.multihash(),
            reason="region RegionTwo hashes with sha256, and the source with sha512",
        ),
        source(), copy(multihash=SHA256),
    ),
    case("another algorithm, another copy read back",
        actions.ReadBack(
            copy=copy(multihash=SHA256),
            expected=builders.multihash(),
            reason="region RegionTwo hashes with sha256, and the source with sha512",
        ),
        source(), copy(multihash=SHA256), proven_id="another",
    ),
    case("another algorithm, source deactivated",
        actions.SetActive(copy=copy(multihash=SHA256), active=False),
        source(status=Status.DEACTIVATED), copy(multihash=SHA256),
    ),
    case("another algorithm, another name",
        actions.UpdateMetadata(
            copy=copy(multihash=SHA256),
            attributes={"name": "new"},
            tags=None,
            properties={},
            members={},
        ),
        source(name="new"), copy(multihash=SHA256),
    ),
    case("another algorithm, read back", IN_SYNC,
         source(), copy(multihash=SHA256), proven_id=builders.IMAGE_ID),
    case("no hash, read back", IN_SYNC,
         source(), copy(multihash=None), proven_id=builders.IMAGE_ID),
    case(
        "another algorithm and size",
        actions.DeleteCopy(
            copy=copy(size=3, multihash=SHA256),
            reason="copy has another size",
            mismatch=("21 bytes", "3 bytes"),
        ),
        source(), copy(size=3, multihash=SHA256),
    ),
    case(
        "wrong bytes, whatever was read",
        actions.DeleteCopy(
            copy=copy(multihash=OTHER),
            reason="copy holds other bytes",
            mismatch=(str(builders.multihash()), str(OTHER)),
        ),
        source(), copy(multihash=OTHER), proven_id=builders.IMAGE_ID,
    ),
    case("another size, and the source has no hash", SIZE_DIFFERS,
         source(multihash=None), copy(size=3)),
    case("another size, and the source is public and has no hash", SIZE_DIFFERS,
         source(multihash=None, visibility="public"), copy(size=3, visibility="private")),
    case("another size, deactivated by us, and the source has no hash", SIZE_DIFFERS,
         source(multihash=None), copy(size=3, status=Status.DEACTIVATED),
         deactivated_id=builders.IMAGE_ID),
    case("another size, made private, and the source has no hash",
         change_of(copy(size=3, visibility="public"), attributes={"visibility": "private"}),
         source(multihash=None, visibility="private"), copy(size=3, visibility="public")),
    case("source without hash", IN_SYNC,
         source(multihash=None), copy()),
    # copies that no row knows
    case("found by its mark", IN_SYNC, source(), copy(), known=False),
    case("found by its mark, without data", actions.CopyData(source=source(), into=queued()),
         source(), queued(), known=False),
    *[
        case(
            f"{name}, of another owner",
            actions.Conflict(reason=doubt(
                "no task knows it, and it belongs to project mallory, but a copy would belong "
                "to alpha"
            )),
            source(), there, known=False,
        )
        for name, there in (
            ("found by its mark", copy(owner="mallory", status=Status.DEACTIVATED)),
            ("found without data", queued(owner="mallory")),
        )
    ],
    case("doubtful, unwanted", unwanted(UNWANTED),
         source(), copy(multihash=OTHER), known=False, wanted=False, delete_unwanted=True),
    case("no row, other bytes", actions.Conflict(reason=doubt(OTHER_DATA)),
         source(), copy(multihash=OTHER), known=False),
    case("on probation, other bytes", actions.Conflict(reason=doubt(OTHER_DATA)),
         source(), copy(multihash=OTHER), on_probation=True),
    case("on probation, right bytes", IN_SYNC,
         source(), copy(), on_probation=True),
    case("on probation, saving", WAIT_FOR_SAVING,
         source(), queued(status=Status.SAVING), on_probation=True),
    case("on probation, killed",
         actions.Conflict(reason=left_alone("it is killed")),
         source(), queued(status=Status.KILLED), on_probation=True),
    *[
        case(f"no row, {status}",
             actions.Wait(code=Code.COPY_BUSY,
                          reason=f"an image that may be our copy is {status}"),
             source(), copy(status=status), known=False)
        for status in (Status.SAVING, Status.UPLOADING, Status.IMPORTING)
    ],
    case("no row, another algorithm",
         actions.ReadBack(copy=copy(multihash=SHA256), expected=builders.multihash(),
                        reason="no hash shows whether it holds the data of its source"),
         source(), copy(multihash=SHA256), known=False),
    # marks that were handed on
    *[
        case(f"inherited {name}", actions.CopyData(source=source(), into=None, under_own_id=True),
             source(), there, known=False)
        for name, there in (
            ("mark", copy(mark=INHERITED)),
            ("mark, other bytes", copy(mark=INHERITED, multihash=OTHER)),
            ("mark, queued", queued(mark=INHERITED)),
            ("mark, saving", queued(mark=INHERITED, status=Status.SAVING)),
        )
    ],
    case("inherited mark, unwanted", unwanted(UNWANTED),
         source(), copy(mark=INHERITED), wanted=False, delete_unwanted=True, known=False),
    case("inherited mark, source deactivated", SOURCE_RESTS,
         source(status=Status.DEACTIVATED), copy(mark=INHERITED), known=False),
    case("source with an inherited mark",
         actions.CopyData(source=source(mark=INHERITED), into=None),
         source(mark=INHERITED), None),
    case("source with an inherited mark, in sync", IN_SYNC,
         source(mark=INHERITED), copy()),
    # keys of encrypted images
    *[
        case(f"{policy} of the source", IN_SYNC,
             source(properties={"hw_disk_bus": "virtio", policy: "on_image_deletion"}), copy())
        for policy in mark_properties.KEY_POLICIES
    ],
    *[
        case(f"{policy} of the copy",
             actions.UpdateMetadata(
                 copy=copy(properties={"hw_disk_bus": "virtio", policy: "on_image_deletion"}),
                 attributes={}, tags=None, properties={policy: None}, members={},
             ),
             source(), copy(properties={"hw_disk_bus": "virtio", policy: "on_image_deletion"}))
        for policy in mark_properties.KEY_POLICIES
    ],
    # what narrows, and something else that may be refused
    case("made private, and changed",
         change_of(copy(visibility="public"), attributes={"visibility": "private"}),
         source(visibility="private", name="new", properties={}, tags=frozenset()),
         copy(visibility="public")),
    case("made private, changed, and without data",
         change_of(queued(visibility="public"), attributes={"visibility": "private"}),
         source(visibility="private", name="new"), queued(visibility="public")),
    case("shared with another one, and changed",
         change_of(copy(members={"beta": Member.ACCEPTED}), members={"beta": None}),
         source(members={"gamma": Member.ACCEPTED}, name="new"),
         copy(members={"beta": Member.ACCEPTED})),
    case("given to another project, made public, and changed",
         change_of(copy(), attributes={"owner": "beta"}),
         source(owner="beta", visibility="public", name="new"), copy()),
    case("deactivated by somebody else, made private, and changed",
         change_of(copy(status=Status.DEACTIVATED, visibility="public"),
                   attributes={"visibility": "private"}),
         source(visibility="private", name="new"),
         copy(status=Status.DEACTIVATED, visibility="public")),
    # status
    case("deactivated", actions.SetActive(copy=copy(), active=False),
         source(status=Status.DEACTIVATED), copy()),
    case("reactivated", actions.SetActive(copy=copy(status=Status.DEACTIVATED), active=True),
         source(), copy(status=Status.DEACTIVATED), deactivated_id=builders.IMAGE_ID),
    case("deactivated by somebody else", HELD, source(), copy(status=Status.DEACTIVATED)),
    case("deactivated by somebody else, and an earlier copy by us", HELD,
         source(), copy(status=Status.DEACTIVATED), deactivated_id=builders.COPY_ID),
    case("deactivated by somebody else, and damaged", HELD,
         source(), copy(status=Status.DEACTIVATED),
         damage=verification.Damage(copy_id=builders.IMAGE_ID, found="x")),
    case("deactivated by somebody else, and renamed",
         change_of(copy(status=Status.DEACTIVATED), attributes={"name": "new"}),
         source(name="new"), copy(status=Status.DEACTIVATED)),
    case("reactivated and made private at once",
         change_of(copy(status=Status.DEACTIVATED, visibility="public"),
                attributes={"visibility": "private"}),
         source(visibility="private"), copy(status=Status.DEACTIVATED, visibility="public"),
         deactivated_id=builders.IMAGE_ID),
    case("deactivated and made public at once", actions.SetActive(copy=copy(), active=False),
         source(status=Status.DEACTIVATED, visibility="public"), copy()),
    case("deactivated there as well, damaged",
         actions.DeleteCopy(copy=copy(status=Status.DEACTIVATED), reason="copy is damaged",
                          mismatch=(str(builders.multihash()), "x")),
         source(status=Status.DEACTIVATED), copy(status=Status.DEACTIVATED),
         damage=verification.Damage(copy_id=builders.IMAGE_ID, found="x")),
    case("both deactivated", IN_SYNC,
         source(status=Status.DEACTIVATED), copy(status=Status.DEACTIVATED)),
    case("deactivated, no copy", SOURCE_RESTS,
         source(status=Status.DEACTIVATED), None),
    case("deactivated, record without data", SOURCE_RESTS,
         source(status=Status.DEACTIVATED), queued()),
    # what somebody else deactivated before
    case("deactivated by somebody else, and then at the source", HELD,
         source(status=Status.DEACTIVATED), copy(status=Status.DEACTIVATED),
         held_id=builders.IMAGE_ID),
    case("deactivated by somebody else, then at the source, and damaged", HELD,
         source(status=Status.DEACTIVATED), copy(status=Status.DEACTIVATED),
         held_id=builders.IMAGE_ID,
         damage=verification.Damage(copy_id=builders.IMAGE_ID, found="x")),
    case("deactivated by somebody else, then at the source, and released", IN_SYNC,
         source(status=Status.DEACTIVATED), copy(status=Status.DEACTIVATED),
         held_id=builders.IMAGE_ID, deactivated_id=builders.IMAGE_ID),
    case("both deactivated, and an earlier copy by somebody else", IN_SYNC,
         source(status=Status.DEACTIVATED), copy(status=Status.DEACTIVATED),
         held_id=builders.COPY_ID),
    case("deactivated and activated by somebody else", IN_SYNC, source(), copy(),
         held_id=builders.IMAGE_ID),
    case("a copy that was held is gone", HELD_AND_GONE, source(), None,
         held_id=builders.COPY_ID),
    case("a copy that was held is gone, and its source rests", SOURCE_RESTS,
         source(status=Status.DEACTIVATED), None, held_id=builders.COPY_ID),
    # all well
    case("in sync", IN_SYNC, source(), copy()),
    case("in sync under an id of its own", IN_SYNC,
         source(), copy(image_id=builders.COPY_ID)),
]


@pytest.mark.parametrize(("source", "copy", "flags", "action"), TABLE)
def test_every_pair_has_its_one_answer(source, copy, flags, action):
    assert decide(source, copy, **flags) == action




def removal(expected=None):
    return actions.DeleteCopy(
        copy=copy(),
        reason="copy is damaged",
        mismatch=(str(expected or builders.multihash()), "no data"),
    )


@pytest.mark.parametrize(
    "there",
    [
        pytest.param(source(), id="in sync"),
        pytest.param(source(name="another"), id="other metadata"),
        pytest.param(source(visibility="public"), id="wider"),
    ],
)
def test_a_damaged_copy_goes_before_it_gains_anything(there):
    assert decide(there, copy(), damage=DAMAGE) == removal()


@pytest.mark.parametrize("made", [copy(visibility="public"), copy(visibility="community")])
def test_a_copy_of_a_deleted_source_is_hidden_before_it_goes(made):
    """Because Glance refuses to delete an image from whose data a server runs."""
    hidden = change_of(made, attributes={"visibility": "private"})
    gone = actions.DeleteCopy(copy=made, reason="source was deleted", first=hidden)
    assert decide(None, made, may_delete=True) == gone


def _hashes_otherwise(**more):
    return copy(multihash=SHA256, **more)


def _read(image):
    return actions.ReadBack(
        copy=image,
        expected=builders.multihash(),
        reason="region RegionTwo hashes with sha256, and the source with sha512",
    )


def _hide(image):
    return change_of(image, attributes={"visibility": "private"})


def _betas(image):
    return change_of(image, attributes={"owner": "beta"})


BETAS = source(owner="beta")
#: Somebody took the id of a source that is gone, and has not uploaded data yet.
TAKEN = source(owner="beta", status=Status.QUEUED, multihash=None, size=None)
NO_HASH_OF_BETA = source(owner="beta", multihash=None)
QUEUED_SOURCE = actions.Settled(code=Code.NOT_COPYABLE, text="source is queued")


@pytest.mark.parametrize(
    ("source", "copy", "flags", "action"),
    [
        case("the same bytes", _betas(copy()), BETAS, copy()),
        case("unproven", _read(_hashes_otherwise()), BETAS, _hashes_otherwise()),
        case("unproven and public", _hide(_hashes_otherwise(visibility="public")),
             BETAS, _hashes_otherwise(visibility="public")),
        case("read back", _betas(_hashes_otherwise()),
             BETAS, _hashes_otherwise(), proven_id=builders.IMAGE_ID),
        case("another copy read back", _read(_hashes_otherwise()),
             BETAS, _hashes_otherwise(), proven_id="another"),
        case("unproven and unwanted", actions.Settled(
            code=Code.OUT_OF_STRATEGY,
            text=f"{UNWANTED}; the copy stays, and only what narrows access to its "
            "source follows: it is private"),
             BETAS, _hashes_otherwise(visibility="private"), wanted=False),
        case("read back and unwanted", _betas(_hashes_otherwise()),
             BETAS, _hashes_otherwise(), wanted=False, proven_id=builders.IMAGE_ID),
        case("no hash and the same size", _betas(copy()), NO_HASH_OF_BETA, copy(), wanted=False),
        case("no hash and another size", _hide(copy(size=3, visibility="public")),
             NO_HASH_OF_BETA, copy(size=3, visibility="public")),
        case("the id was taken", QUEUED_SOURCE, TAKEN, copy()),
        case("the id was taken of a public copy", _hide(copy(visibility="public")),
             TAKEN, copy(visibility="public")),
        case("the id was taken of a copy of the same size", QUEUED_SOURCE,
             TAKEN, copy(size=None)),
        case("without data", _betas(queued()), TAKEN, queued()),
        *[
            case(f"read back and deactivated, wanted: {wanted}",
                 actions.SetActive(copy=_hashes_otherwise(), active=False,
                                   and_also=_betas(_hashes_otherwise())),
                 source(owner="beta", status=Status.DEACTIVATED), _hashes_otherwise(),
                 proven_id=builders.IMAGE_ID, wanted=wanted)
            for wanted in (True, False)
        ],
        case("read back and cancelled", _betas(_hashes_otherwise()),
             BETAS, _hashes_otherwise(), proven_id=builders.IMAGE_ID, cancelled_by="alice"),
        case("read back, and marked as a copy by its owner", _betas(_hashes_otherwise()),
             source(owner="beta", mark=ITSELF_A_COPY), _hashes_otherwise(),
             proven_id=builders.IMAGE_ID),
        case("unproven and deactivated",
             actions.SetActive(copy=_hashes_otherwise(visibility="public"), active=False,
                               and_also=_hide(_hashes_otherwise(visibility="public"))),
             source(owner="beta", status=Status.DEACTIVATED),
             _hashes_otherwise(visibility="public")),
    ],
)
def test_a_new_owner_gets_only_bytes_that_are_the_source_s(source, copy, flags, action):
    assert decide(source, copy, **flags) == action


@pytest.mark.parametrize(
    "made",
    [
        copy(visibility="private"),
        copy(),
        queued(visibility="public"),
        copy(visibility="public", status=Status.KILLED),
    ],
)
def test_a_copy_that_only_its_owner_sees_goes_at_once(made):
    gone = actions.DeleteCopy(copy=made, reason="source was deleted")
    assert decide(None, made, may_delete=True) == gone


def test_a_shared_copy_with_members_is_hidden_before_it_goes():
    made = copy(members={"beta": Member.ACCEPTED})
    hidden = change_of(made, attributes={"visibility": "private"})
    gone = actions.DeleteCopy(copy=made, reason="source was deleted", first=hidden)
    assert decide(None, made, may_delete=True) == gone


@pytest.mark.parametrize(
    ("fields", "flags"),
    [
        ({}, {"damage": DAMAGE}),
        ({"multihash": OTHER}, {}),
        ({}, {"wanted": False, "delete_unwanted": True}),
        ({"multihash": SHA256}, {"misread": situations.Misread(
            copy_id=builders.IMAGE_ID, expected=builders.multihash(), found=OTHER)}),
    ],
    ids=["damaged", "other bytes", "unwanted", "misread"],
)
@pytest.mark.parametrize("how", ["private", "deactivated"])
def test_a_copy_loses_what_its_source_lost_before_it_goes(fields, flags, how):
    made = copy(visibility="public", **fields)
    if how == "private":
        first: Any = change_of(made, attributes={"visibility": "private"})
        action = decide(source(visibility="private"), made, **flags)
    else:
        first = actions.SetActive(copy=made, active=False)
        action = decide(source(visibility="public", status=Status.DEACTIVATED), made, **flags)
    assert isinstance(action, actions.DeleteCopy)
    assert action.first == first


@pytest.mark.parametrize("wanted", [True, False])
def test_a_deactivation_that_fails_does_not_keep_the_rest(wanted):
    made = copy(visibility="public")
    change = change_of(made, attributes={"visibility": "private"})
    there = source(status=Status.DEACTIVATED, visibility="private")
    rest = actions.SetActive(copy=made, active=False, and_also=change)
    assert decide(there, made, wanted=wanted) == rest


@pytest.mark.parametrize("keeps", [True, False])
def test_a_damaged_copy_goes_where_nobody_wants_it_either(keeps):
    found = decide(source(), copy(), wanted=False, delete_unwanted=not keeps, damage=DAMAGE)
    assert found == (
        removal() if keeps else actions.DeleteCopy(copy=copy(), reason=UNWANTED)
    )
    assert decide(source(), stranger(), wanted=False, damage=DAMAGE) == unwanted(UNWANTED)


def test_where_the_source_has_no_hash_a_damaged_copy_is_told_with_the_one_that_it_had():
    theirs = builders.multihash(algo="sha256")
    damaged = copy(multihash=theirs)
    found = decide(source(multihash=None), damaged, damage=DAMAGE)
    assert found == dataclasses.replace(removal(theirs), copy=damaged)


@pytest.mark.parametrize(
    ("there", "here", "flags"),
    [
        pytest.param(source(), None, {}, id="no copy"),
        pytest.param(source(), copy(image_id=builders.COPY_ID), {}, id="another copy by now"),
        pytest.param(source(), stranger(), {}, id="not ours"),
        pytest.param(source(owner="beta"), copy(), {"known": False}, id="doubtful"),
        pytest.param(source(), copy(), {"known": False}, id="adopted just now"),
        pytest.param(source(), copy(status=Status.IMPORTING), {}, id="busy"),
        pytest.param(source(), copy(multihash=OTHER), {}, id="other bytes from the beginning"),
        pytest.param(None, copy(), {}, id="source not found"),
        pytest.param(None, copy(), {"may_delete": True}, id="source gone"),
    ],
)
def test_what_would_be_done_anyway_is_done_to_a_damaged_copy(there, here, flags):
    assert decide(there, here, damage=DAMAGE, **flags) == decide(there, here, **flags)


def test_a_mark_that_names_another_source_or_region_makes_no_copy_of_ours():
    for other in ({"image_id": builders.COPY_ID}, {"region": "RegionNine"}):
        key = dataclasses.replace(builders.KEY, **other)
        mark = dataclasses.replace(builders.MARK, source=key)
        told = doubt(f"its mark names another source, {key}")
        assert decide(source(), copy(mark=mark)) == actions.Conflict(reason=told)
        assert decide(None, copy(mark=mark), may_delete=True) == actions.Conflict(
            reason=f"source was deleted; {told}"
        )
    assert decide(None, stranger(), may_delete=True, known=False) == NOT_OURS


def update(source_image, copy_image):
    action = decide(source_image, copy_image)
    assert isinstance(action, actions.UpdateMetadata)
    assert action.copy == copy_image
    return action


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("name", "cirros", ""),
        ("name", "cirros", None),
        ("disk_format", "qcow2", "raw"),
        ("container_format", "bare", "ovf"),
        ("min_disk", 1, 0),
        ("min_ram", 64, 0),
        ("visibility", "shared", "public"),
        ("protected", True, False),
        ("os_hidden", False, True),
        ("owner", "alpha", "beta"),
    ],
)
def test_an_attribute_that_differs_is_the_only_thing_updated(name, old, new):
    action = update(source(**{name: new}), copy(**{name: old}))
    assert action.attributes == {name: new}
    assert (action.tags, action.properties, action.members) == (None, {}, {})


def test_tags_are_taken_over_whole():
    action = update(source(tags=frozenset()), copy(tags=frozenset({"a", "b"})))
    assert action.tags == frozenset()
    assert (action.attributes, action.properties, action.members) == ({}, {}, {})
    assert update(source(tags=frozenset({"x"})), copy(tags=frozenset())).tags == {"x"}


def test_a_property_that_changed_is_updated_and_nothing_else():
    action = update(source(properties={"hw_disk_bus": ""}), copy())
    assert action.properties == {"hw_disk_bus": ""}
    assert (action.attributes, action.tags, action.members) == ({}, None, {})


def test_a_new_property_is_added_and_listed_as_ours():
    action = update(source(properties={"hw_disk_bus": "virtio", "os_type": "linux"}), copy())
    assert action.properties == {
        "os_type": "linux",
        mark_properties.SYNCED: json.dumps(["hw_disk_bus", "os_type"]),
    }


def test_a_property_removed_from_the_source_is_removed_from_the_copy():
    action = update(source(properties={}), copy())
    assert action.properties == {"hw_disk_bus": None, mark_properties.SYNCED: "[]"}


def test_a_property_that_somebody_gave_the_copy_stays():
    local = copy(properties={"hw_disk_bus": "virtio", "local": "1"})
    assert decide(source(), local) == IN_SYNC
    action = update(source(properties={}), local)
    assert "local" not in action.properties


def test_a_copy_whose_list_of_ours_is_lost_gets_it_back():
    action = update(source(), copy(synced_properties=frozenset()))
    assert action.properties == {mark_properties.SYNCED: '["hw_disk_bus"]'}


def test_members_are_removed_and_then_added_and_changed():
    wanted = {"beta": Member.ACCEPTED, "gamma": Member.PENDING, "same": Member.PENDING}
    there = copy(
        members={"beta": Member.REJECTED, "delta": Member.ACCEPTED, "same": Member.PENDING}
    )
    removal = update(source(members=wanted), there)
    assert removal.members == {"delta": None}
    rest = update(source(members=wanted), _updated(there, removal))
    assert rest.members == {"beta": Member.ACCEPTED, "gamma": Member.PENDING}
    for action in (removal, rest):
        assert (action.attributes, action.tags, action.properties) == ({}, None, {})


def test_members_go_in_the_change_that_shows_the_copy_to_everybody():
    action = update(source(visibility="public"), copy(members={"beta": Member.ACCEPTED}))
    assert (action.attributes, action.members) == ({"visibility": "public"}, {"beta": None})


# What must hold for every pair.

_ids = st.sampled_from([builders.IMAGE_ID, builders.COPY_ID])
_names = st.sampled_from(["a", "b", "c"])
_metadata = st.builds(
    images.Metadata,
    name=st.sampled_from([None, "", "n"]),
    visibility=st.sampled_from(["public", "shared", "private"]),
    protected=st.booleans(),
    owner=st.sampled_from(["alpha", "beta"]),
    tags=st.frozensets(_names),
    properties=st.dictionaries(_names, st.sampled_from(["", "1"])),
)
_members = st.dictionaries(_names, st.sampled_from(Member))
_hashes = st.sampled_from([None, builders.multihash(), OTHER])


def _images(**fixed):
    strategies = {
        "status": st.sampled_from(Status),
        "size": st.sampled_from([None, 3, 21]),
        "multihash": _hashes,
        "metadata": _metadata,
        "members": _members,
    } | fixed
    return st.builds(images.Image, **strategies)


_sources = _images(
    image_id=st.just(builders.IMAGE_ID),
    region=st.just(builders.SOURCE_REGION),
    mark=st.sampled_from([None, INHERITED, ITSELF_A_COPY]),
)
_copies = _images(
    image_id=_ids,
    region=st.just(builders.REGION),
    mark=st.sampled_from([builders.MARK, OF_OWN_ID, INHERITED, None]),
    created_at=st.just(builders.NOW),
    synced_properties=st.frozensets(_names),
)
_pairs = {
    "source_image": st.none() | _sources,
    "copy_image": st.none() | _copies,
    "wanted": st.booleans(),
    "may_delete": st.booleans(),
}


def perform(action, source_image, copy_image):
    """Do an action flawlessly."""
    match action:
        case actions.CopyData(source=original, into=into):
            if into is None:
                into = copy(
                    metadata=original.metadata,
                    synced_properties=frozenset(original.metadata.properties),
                )
            return dataclasses.replace(
                into, status=Status.ACTIVE, size=original.size,
                multihash=original.multihash or builders.multihash(),
            )
        case actions.SetActive(active=active):
            status = Status.ACTIVE if active else Status.DEACTIVATED
            return dataclasses.replace(copy_image, status=status)
        case actions.DeleteCopy():
            return None
        case actions.ReadBack(expected=expected):
            # That the bytes are right is noted, which is as good as a hash of the Glance.
            return dataclasses.replace(copy_image, multihash=expected)
        case actions.UpdateMetadata():
            return _updated(copy_image, action)
    return copy_image


def _updated(copy_image, action):
    properties = {**copy_image.metadata.properties, **action.properties}
    synced = properties.pop(mark_properties.SYNCED, None)
    metadata = dataclasses.replace(
        copy_image.metadata,
        **action.attributes,
        tags=copy_image.metadata.tags if action.tags is None else action.tags,
        properties={k: v for k, v in properties.items() if v is not None},
    )
    members = {**copy_image.members, **action.members}
    return dataclasses.replace(
        copy_image,
        metadata=metadata,
        members={k: v for k, v in members.items() if v is not None},
        synced_properties=(
            copy_image.synced_properties if synced is None else frozenset(json.loads(synced))
        ),
    )


@given(**_pairs)
def test_doing_what_is_said_ends_within_four_steps(source_image, copy_image, wanted, may_delete):
    seen = []
    for _ in range(5):
        action = decide(source_image, copy_image, wanted=wanted, may_delete=may_delete)
        seen.append(action)
        if isinstance(action, actions.Settled | actions.Wait | actions.Conflict):
            return
        copy_image = perform(action, source_image, copy_image)
    raise AssertionError(seen)


@given(**_pairs)
def test_an_image_that_is_not_ours_is_never_touched(
    source_image, copy_image, wanted, may_delete
):
    found = whose(copy_image, source_image)
    if found is None or found.is_ours:
        return
    if copy_image.status in (Status.DELETED, Status.PENDING_DELETE):
        return
    action = decide(source_image, copy_image, wanted=wanted, may_delete=may_delete)
    may_be = actions.Settled | actions.Conflict | actions.Wait
    if found.whose is identity.Whose.INHERITED:
        may_be |= actions.CopyData
        assert not isinstance(action, actions.CopyData) or action.under_own_id
    assert isinstance(action, may_be)


@given(**_pairs)
def test_nothing_is_deleted_for_a_missing_source_without_proof(
    source_image, copy_image, wanted, may_delete
):
    del source_image, may_delete
    action = decide(None, copy_image, wanted=wanted, may_delete=False)
    assert isinstance(action, actions.Settled)


@given(**_pairs)
def test_data_is_only_ever_copied_from_an_active_original(
    source_image, copy_image, wanted, may_delete
):
    action = decide(source_image, copy_image, wanted=wanted, may_delete=may_delete)
    if isinstance(action, actions.CopyData):
        assert wanted
        assert source_image.status is Status.ACTIVE
        assert not identity.names_itself(source_image)
        if action.into is not None:
            assert action.into.metadata.owner == source_image.metadata.owner
            shared = source_image.metadata.visibility == "shared"
            assert action.into.metadata.visibility == ("shared" if shared else "private")
            assert action.into.members.keys() <= source_image.members.keys()


@given(**_pairs)
def test_in_sync_means_same_bytes_same_status_same_metadata(
    source_image, copy_image, wanted, may_delete
):
    action = decide(source_image, copy_image, wanted=wanted, may_delete=may_delete)
    if action == IN_SYNC:
        assert copy_image.status is source_image.status
        assert copy_image.size == source_image.size
        assert source_image.multihash in (None, copy_image.multihash)
        assert copy_image.members == source_image.members
        assert source_image.metadata.properties.items() <= copy_image.metadata.properties.items()
        assert copy_image.metadata.tags == source_image.metadata.tags


@given(**_pairs)
def test_whatever_is_unwanted_loses_who_may_not_see_its_source(
    source_image, copy_image, wanted, may_delete
):
    del wanted
    found = whose(copy_image, source_image)
    for _ in range(3):
        action = decide(source_image, copy_image, wanted=False, may_delete=may_delete)
        if not isinstance(action, actions.UpdateMetadata | actions.SetActive):
            break
        assert found is not None
        assert found.is_ours
        if not (isinstance(action, actions.UpdateMetadata) and "owner" in action.attributes):
            assert not narrowing.widens(action)
        copy_image = perform(action, source_image, copy_image)
    if source_image is None or found is None or not found.is_ours:
        return
    is_over = {source_image.status, copy_image.status} & {
        Status.KILLED, Status.DELETED, Status.PENDING_DELETE
    }
    if is_over or identity.names_itself(source_image):
        return
    theirs, ours = source_image.metadata.visibility, copy_image.metadata.visibility
    assert not narrowing.is_narrower(theirs, ours)
    if source_image.metadata.owner != copy_image.metadata.owner:
        # Its bytes may be those of a former source, which had another owner.
        assert source_image.multihash is None or source_image.multihash != copy_image.multihash
        assert narrowing.hidden(copy_image) is None
        return
    assert theirs != ours or copy_image.members.keys() <= source_image.members.keys()
    assert (source_image.status, copy_image.status) != (Status.DEACTIVATED, Status.ACTIVE)


@given(
    st.sampled_from([copy, queued]), _metadata, _metadata, _members, _members, st.booleans()
)
def test_what_narrows_goes_alone(make, theirs, ours, their_members, our_members, wanted):
    """So that nothing else, which may be refused, keeps it back."""
    action = decide(
        source(metadata=theirs, members=their_members),
        make(metadata=ours, members=our_members),
        wanted=wanted,
    )
    if isinstance(action, actions.UpdateMetadata):
        assert narrowing.narrowed(action) in (None, action)


@given(_sources, _copies)
def test_an_active_copy_is_never_given_to_more_than_its_source(source_image, copy_image):
    """However the steps follow each other."""
    found = whose(copy_image, source_image)
    if not found.is_ours or copy_image.status is Status.ACTIVE:
        return
    for _ in range(5):
        action = decide(source_image, copy_image, deactivated_id=copy_image.image_id)
        if not isinstance(action, actions.UpdateMetadata | actions.SetActive | actions.CopyData):
            return
        copy_image = perform(action, source_image, copy_image)
        if copy_image.status is Status.ACTIVE:
            assert copy_image.metadata.visibility in {
                source_image.metadata.visibility, "private", "shared"
            }
            assert copy_image.members.keys() <= source_image.members.keys()


# What an attempt found out.

FOUND = builders.multihash(b"damaged")
MISREAD = situations.Misread(
    copy_id=builders.IMAGE_ID, expected=builders.multihash(), found=FOUND
)
WRONG_FORMAT = "415 Unsupported Media Type"
REFUSED = actions.Conflict(code=Code.FORMAT_REFUSED, reason=WRONG_FORMAT)
LATER = actions.Wait(code=Code.COPY_VANISHED, reason="deleted twice", until=builders.NOW)
NO_HASH = source(multihash=None)


def died(status, seconds):
    return f"it was {status} for {seconds} s, so the upload into it has died"


@pytest.mark.parametrize(
    ("source", "copy", "flags", "action"),
    [
        case("refused bytes", actions.DeleteCopy(copy=queued(), reason=WRONG_FORMAT),
             source(), queued(), refusal=WRONG_FORMAT),
        case("refused bytes, busy record",
             actions.DeleteCopy(copy=copy(status=Status.SAVING), reason=WRONG_FORMAT),
             source(), copy(status=Status.SAVING), refusal=WRONG_FORMAT),
        case("refused bytes, unwanted", actions.DeleteCopy(copy=queued(), reason=WRONG_FORMAT),
             source(), queued(), refusal=WRONG_FORMAT, wanted=False),
        case("refused bytes, on probation", REFUSED,
             source(), queued(), refusal=WRONG_FORMAT, on_probation=True),
        case("refused bytes, record gone", REFUSED, source(), None, refusal=WRONG_FORMAT),
        case("refused bytes, somebody else's image", REFUSED,
             source(), stranger(), refusal=WRONG_FORMAT, known=False),
        case("refused bytes, source deleted",
             actions.DeleteCopy(copy=queued(), reason="source was deleted"),
             None, queued(), refusal=WRONG_FORMAT, may_delete=True),
        case("read back, wrong",
             actions.DeleteCopy(copy=copy(multihash=SHA256), reason="copy holds other bytes",
                                mismatch=(str(builders.multihash()), str(FOUND))),
             source(), copy(multihash=SHA256), misread=MISREAD),
        case("read back, wrong, and not ours",
             actions.Conflict(
                 reason=f"image {builders.IMAGE_ID} of region RegionTwo claims to be our copy, "
                 f"but holds other data than its source: expected {builders.multihash()}, got "
                 f"{FOUND}. It stays untouched; run 'glance-sync disown {builders.IMAGE_ID} "
                 "--region RegionTwo'"
             ),
             source(), copy(multihash=SHA256), misread=MISREAD, known=False),
        case("read back, wrong, then gone", actions.CopyData(source=source(), into=None),
             source(), None, misread=MISREAD),
        case("sent without a hash of the source", IN_SYNC,
             NO_HASH, copy(), sent=builders.multihash()),
        case("sent, and something else arrived",
             actions.DeleteCopy(copy=copy(multihash=OTHER), reason="copy holds other bytes",
                                mismatch=(str(builders.multihash()), str(OTHER))),
             NO_HASH, copy(multihash=OTHER), sent=builders.multihash()),
        case("sent, and the region hashes otherwise",
             actions.ReadBack(copy=copy(multihash=SHA256, name="old"),
                              expected=builders.multihash(),
                              reason="region RegionTwo hashes with sha256, and the source with "
                              "sha512"),
             NO_HASH, copy(multihash=SHA256, name="old"), sent=builders.multihash()),
        case("sent, read back", IN_SYNC,
             NO_HASH, copy(multihash=SHA256), sent=builders.multihash(),
             proven_id=builders.IMAGE_ID),
        case("sent, but the source has a hash", IN_SYNC, source(), copy(), sent=OTHER),
        case("busy for as long as may be", WAIT_FOR_SAVING,
             source(), copy(status=Status.SAVING), busy_seconds=60.0, most_busy_seconds=60.0),
        case("busy for too long",
             actions.DeleteCopy(copy=copy(status=Status.SAVING), reason=died("saving", 61)),
             source(), copy(status=Status.SAVING), busy_seconds=61.2, most_busy_seconds=60.0),
        case("busy for too long, on probation",
             actions.Conflict(
                 reason=f"image {builders.IMAGE_ID} of region RegionTwo: {died('saving', 61)}. It "
                 "stays untouched, because nothing proves that it is our copy: "
                 f"{whose(copy(status=Status.SAVING), source(), on_probation=True).reason}; "
                 "delete it there"
             ),
             source(), copy(status=Status.SAVING), busy_seconds=61.2, most_busy_seconds=60.0,
             on_probation=True),
        case("vanished", LATER, source(), None, wait=LATER),
        case("vanished, its id inherited", LATER,
             source(), copy(mark=INHERITED), wait=LATER, known=False),
        case("vanished, source deactivated", SOURCE_RESTS,
             source(status=Status.DEACTIVATED), None, wait=LATER),
        case("vanished, and a record is there",
             actions.CopyData(source=source(), into=queued()), source(), queued(), wait=LATER),
    ],
)
def test_what_an_attempt_found_out_decides(source, copy, flags, action):
    assert decide(source, copy, **flags) == action
