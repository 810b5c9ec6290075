# SPDX-License-Identifier: Apache-2.0
"""The plans of a seed: operations of users and faults, in order; pure.

A user's plan knows the images of that user, so it has only sensible operations. Other plans do not
know the images: their ``pick`` chooses from those that exist at that time.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import random
from typing import TypeVar
import uuid

MIB = 1024 * 1024
REGIONS = ("RegionTwo", "RegionThree", "RegionFour")
#: The regions of snapshots.
SNAPSHOT_REGIONS = ("RegionTwo", "RegionFour")
USERS = ("alice", "bob")
AGENTS = 3

#: Bytes: sizes for the image API, for SSH, and without data.
SIZES: Mapping[int, int] = {
    0: 2, 1: 1, 1000: 3, 64 * 1024: 6, MIB: 4, 3 * MIB: 4, 9 * MIB: 3, 24 * MIB: 1,
}
#: Properties of an image that choose its regions.
CHOICES: Mapping[tuple[tuple[str, str], ...], int] = {
    (): 10,
    (("sync_regions", "*"),): 1,
    (("sync_regions", "none"),): 1,
    (("sync_regions", "RegionTwo"),): 1,
    (("sync_regions", "RegionThree,RegionFour"),): 1,
    (("image_type", "snapshot"),): 2,
}
VISIBILITIES: Mapping[str, int] = {"shared": 6, "private": 2, "community": 1, "public": 1}

#: Images that users make from copies, with all their properties, by weight.
IMAGED: Mapping[str, int] = {
    "snapshot": 4,
    "queue": 2,  # a snapshot that has no data yet
    "fill": 2,  # one of those gets data
    "backup": 1,
    "shelve": 1,
    "volumes": 1,  # a snapshot of a server with volumes only
    "volume": 1,
    "script": 2,
    "forge": 1,  # by a script, and the mark names the image itself
    "replicate": 2,
}
#: Operations by weight; all but the first need an image.
OPERATIONS: Mapping[str, int] = {
    "create": 24,
    "publish": 3,  # with all properties of a copy
    "change": 16,
    "visibility": 6,
    "protect": 4,
    "hide": 3,
    "share": 10,
    "answer": 4,
    "unshare": 4,
    "deactivate": 4,
    "reactivate": 4,
    "delete": 18,
    **IMAGED,
}
_MAKING = frozenset({"create", "publish"})
#: Faults by lane and weight.
FAULTS: Mapping[str, Mapping[str, int]] = {
    "services": {
        "broker stopped": 3,
        "broker killed": 2,
        "keystone stopped": 3,
    },
    "glances": {
        "source glance stopped": 3,
        "target glance stopped": 4,
        "target glance killed": 3,
        "target glance refuses": 6,
        "target glance frozen": 3,
    },
    "database": {
        "database stopped": 3,
        "database connections cut": 3,
        "database crashed": 3,
        "database frozen": 1,
    },
    "agents": {
        "agent killed": 8,
        "agent restarted": 3,
        "agent frozen": 2,
        "agent reloads": 3,
    },
    "hosts": {
        "sshd killed": 4,
        "sshd frozen": 4,
        "sshd restarted": 2,
    },
    "hands": {
        "copy deleted": 4,
        "copy changed": 4,
        "copy deactivated": 1,
        "copy damaged": 3,
    },
}
REFUSALS = (
    "PUT 500", "PUT 503", "PUT 401", "POST 500", "POST 503", "PATCH 500", "PATCH 503",
    "DELETE 500", "GET 500", "GET 503", "GET 401",
)
#: Seconds between two events of a lane, the mean.
PAUSES: Mapping[str, float] = {
    **dict.fromkeys(USERS, 1.0),
    "services": 20.0,
    "glances": 8.0,
    "database": 15.0,
    "agents": 7.0,
    "hosts": 9.0,
    "hands": 4.0,
}
#: The most images of a user.
MOST = 25

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """An image that a user publishes; its bytes follow from its id."""

    image_id: str
    name: str
    size: int  # bytes
    visibility: str
    fields: Mapping[str, str]  # custom properties


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One operation of a user."""

    pause: float  # seconds, before it
    user: str
    kind: str  # of OPERATIONS
    image: Image  # as it was published
    value: str = ""  # a name, a visibility, an answer, the region of a copy
    origin: Image | None = None  # the new image gets the properties of a copy of this one


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One fault."""

    pause: float  # seconds, before it
    kind: str  # of FAULTS
    region: str
    agent: int
    seconds: float  # until its repair
    pick: float  # from 0 to 1: which copy
    value: str  # method and status of a refusal; or a new name


@dataclasses.dataclass
class _Known:
    """The state of an image, as its user knows it."""

    image: Image
    visibility: str
    is_member: bool = False
    is_active: bool = True


def operations(seed: int, user: str) -> Iterator[Operation]:
    """Yield the operations of a user, without an end."""
    chance = random.Random(f"{seed} {user}")  # noqa: S311 - repeatable, not secret
    there: list[_Known] = []
    number = 0
    while True:
        kind = _chosen(chance, OPERATIONS)
        pause = chance.expovariate(1 / PAUSES[user])
        if kind == "create" and len(there) < MOST:
            number += 1
            image = _image(chance, f"{user}-{number:04}")
            there.append(_Known(image, image.visibility))
            yield Operation(pause=pause, user=user, kind=kind, image=image)
        elif kind == "publish" and there and len(there) < MOST:
            number += 1
            origin = chance.choice(there).image
            # The property that chooses the regions is inherited like any other.
            named = _image(chance, f"{user}-{number:04}")
            image = dataclasses.replace(named, fields=origin.fields)
            there.append(_Known(image, image.visibility))
            region = chance.choice(REGIONS)
            yield Operation(
                pause=pause, user=user, kind=kind, image=image, value=region, origin=origin
            )
        elif kind not in _MAKING and (able := [one for one in there if _is_able(kind, one)]):
            known = chance.choice(able)
            value = _apply(kind, known, chance)
            if kind == "delete":
                there.remove(known)
            yield Operation(pause=pause, user=user, kind=kind, image=known.image, value=value)


def faults(seed: int, lane: str) -> Iterator[Fault]:
    """Yield the faults of a lane, without an end."""
    chance = random.Random(f"{seed} {lane}")  # noqa: S311 - repeatable, not secret
    while True:
        kind = _chosen(chance, FAULTS[lane])
        yield Fault(
            pause=chance.expovariate(1 / PAUSES[lane]),
            kind=kind,
            region=chance.choice(REGIONS),
            agent=chance.randrange(AGENTS),
            seconds=_seconds(chance, kind),
            pick=chance.random(),
            value=chance.choice(REFUSALS) if kind == "target glance refuses" else _word(chance),
        )


def regions_of(image: Image) -> frozenset[str]:
    """Return the regions in which an image belongs; they never change."""
    chosen = image.fields.get("sync_regions", "*")
    if chosen == "none":
        return frozenset()
    if image.fields.get("image_type") == "snapshot":
        return frozenset(SNAPSHOT_REGIONS)
    return frozenset(REGIONS if chosen == "*" else chosen.split(","))


def content(image: Image) -> bytes:
    """Return the bytes of an image."""
    return random.Random(image.image_id).randbytes(image.size)  # noqa: S311 - the same


def _image(chance: random.Random, name: str) -> Image:
    fields: tuple[tuple[str, str], ...] = _chosen(chance, CHOICES)
    return Image(
        image_id=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        name=name,
        size=_chosen(chance, SIZES),
        visibility=_chosen(chance, VISIBILITIES),
        fields=dict(fields),
    )


def _is_able(kind: str, known: _Known) -> bool:
    match kind:
        case "share":
            return known.visibility == "shared" and not known.is_member
        case "answer" | "unshare":
            return known.visibility == "shared" and known.is_member
        case "deactivate":
            return known.is_active
        case "reactivate":
            return not known.is_active
        case _:
            return True


def _apply(kind: str, known: _Known, chance: random.Random) -> str:
    """Note the effect of an operation on an image; return the operation's value."""
    if kind in IMAGED:
        return chance.choice(REGIONS)
    match kind:
        case "visibility":
            known.visibility = _chosen(chance, VISIBILITIES)
            return known.visibility
        case "share" | "unshare":
            known.is_member = kind == "share"
        case "deactivate" | "reactivate":
            known.is_active = kind == "reactivate"
        case "protect" | "hide":
            return chance.choice(("true", "false"))
        case "answer":
            return chance.choice(("accepted", "rejected", "pending"))
    return _word(chance)


def _seconds(chance: random.Random, kind: str) -> float:
    if kind == "agent frozen":  # longer than its lease, or shorter
        return chance.uniform(5, 20)
    return 0.5 + min(chance.expovariate(1 / 4), 30)


def _word(chance: random.Random) -> str:
    return f"{chance.getrandbits(32):08x}"


def _chosen(chance: random.Random, weights: Mapping[_T, int]) -> _T:
    known: Sequence[_T] = list(weights)
    return chance.choices(known, weights=list(weights.values()))[0]
