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

from tools import raw_data
from tools.soak import weights

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
    kind: str  # of weights.OPERATIONS
    image: Image  # as it was published
    value: str = ""  # a name, a visibility, an answer, the region of a copy
    origin: Image | None = None  # the new image gets the properties of a copy of this one


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One fault."""

    pause: float  # seconds, before it
    kind: str  # of weights.FAULTS
    region: str
    agent: int
    seconds: float  # until its repair
    pick: float  # from 0 to 1: which copy
    value: str  # method and status of a refusal; or a new name


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request of an operator."""

    pause: float  # seconds, before it
    kind: str  # of weights.OPERATORS
    region: str
    agent: int  # the one that is asked first
    pick: float  # from 0 to 1: which task
    request_id: str


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
        kind = _chosen(chance, weights.OPERATIONS)
        pause = chance.expovariate(1 / weights.PAUSES[user])
        if kind == "create" and len(there) < weights.MOST:
            number += 1
            image = _image(chance, f"{user}-{number:04}")
            there.append(_Known(image, image.visibility))
            yield Operation(pause=pause, user=user, kind=kind, image=image)
        elif kind == "publish" and there and len(there) < weights.MOST:
            number += 1
            origin = chance.choice(there).image
            # The property that chooses the regions is inherited like any other.
            named = _image(chance, f"{user}-{number:04}")
            image = dataclasses.replace(named, fields=origin.fields)
            there.append(_Known(image, image.visibility))
            region = chance.choice(weights.REGIONS)
            yield Operation(
                pause=pause, user=user, kind=kind, image=image, value=region, origin=origin
            )
        elif able := [one for one in there if _is_able(kind, one)]:
            known = chance.choice(able)
            value = _apply(kind, known, chance)
            if kind == "delete":
                there.remove(known)
            yield Operation(pause=pause, user=user, kind=kind, image=known.image, value=value)


def faults(seed: int, lane: str) -> Iterator[Fault]:
    """Yield the faults of a lane, without an end."""
    chance = random.Random(f"{seed} {lane}")  # noqa: S311 - repeatable, not secret
    while True:
        kind = _chosen(chance, weights.FAULTS[lane])
        yield Fault(
            pause=chance.expovariate(1 / weights.PAUSES[lane]),
            kind=kind,
            region=chance.choice(weights.REGIONS),
            agent=chance.randrange(weights.AGENTS),
            seconds=_seconds(chance, kind),
            pick=chance.random(),
            value=_value(chance, kind),
        )


def requests(seed: int, lane: str) -> Iterator[Request]:
    """Yield the requests of an operator, without an end."""
    chance = random.Random(f"{seed} {lane}")  # noqa: S311 - repeatable, not secret
    while True:
        yield Request(
            pause=chance.expovariate(1 / weights.PAUSES[lane]),
            kind=_chosen(chance, weights.OPERATORS[lane]),
            region=chance.choice(weights.REGIONS),
            agent=chance.randrange(weights.AGENTS),
            pick=chance.random(),
            request_id=request_id(chance.getrandbits(120)),
        )


def request_id(number: int) -> str:
    """Return the id of a request that is sent again if nobody answers."""
    return f"req-{uuid.UUID(int=number, version=4)}"


def regions_of(image: Image) -> frozenset[str]:
    """Return the regions in which an image belongs; they never change."""
    chosen = image.fields.get("sync_regions", "*")
    if chosen == "none":
        return frozenset()
    if image.fields.get("image_type") == "snapshot":
        return frozenset(weights.SNAPSHOT_REGIONS)
    return frozenset(weights.REGIONS if chosen == "*" else chosen.split(","))


def content(image: Image) -> bytes:
    """Return the bytes of an image."""
    chance = random.Random(image.image_id)  # noqa: S311 - the same
    return raw_data.random_data(image.size, chance.randbytes)


def _image(chance: random.Random, name: str) -> Image:
    fields: tuple[tuple[str, str], ...] = _chosen(chance, weights.CHOICES)
    return Image(
        image_id=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        name=name,
        size=_chosen(chance, weights.SIZES),
        visibility=_chosen(chance, weights.VISIBILITIES),
        fields=dict(fields),
    )


def _is_able(kind: str, known: _Known) -> bool:
    match kind:
        case "create" | "publish":  # makes another one
            return False
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
    if kind in weights.IMAGED:
        return chance.choice(weights.REGIONS)
    match kind:
        case "visibility":
            known.visibility = _chosen(chance, weights.VISIBILITIES)
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


def _value(chance: random.Random, kind: str) -> str:
    return chance.choice(weights.REFUSALS) if kind == "target glance refuses" else _word(chance)


def _word(chance: random.Random) -> str:
    return f"{chance.getrandbits(32):08x}"


def _chosen(chance: random.Random, weights: Mapping[_T, int]) -> _T:
    known: Sequence[_T] = list(weights)
    return chance.choices(known, weights=list(weights.values()))[0]
