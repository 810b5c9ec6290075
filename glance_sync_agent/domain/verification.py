# SPDX-License-Identifier: Apache-2.0
"""What reading a copy back says of it.

Glance looks at bytes when they come, and never again: a file that was swapped or cut under an
active image is served with the hash of the old one, and one that is gone as an empty answer.
"""

import dataclasses
import enum

from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain.images import ImageStatus

#: What is found where Glance has a record and no data.
NO_DATA = "no data"

_WITH_DATA = frozenset({ImageStatus.ACTIVE, ImageStatus.DEACTIVATED})


class Condition(enum.StrEnum):
    """What became of the look at a copy, as an operator reads it."""

    OK = "ok"
    DAMAGED = "damaged"  # other bytes than the source's
    MISSING = "missing"  # no data behind an active record
    UNREACHABLE = "unreachable"  # it could not be read to the end, so nothing is known
    SKIPPED = "skipped"  # there is nothing to read, or nothing to compare with


#: Verdicts by which a copy is to be replaced.
IS_BAD = frozenset({Condition.DAMAGED, Condition.MISSING})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """What is wrong with a copy. It stays true: nobody can put other bytes into an image."""

    copy_id: images.ImageId
    found: str  # a multihash, a length in bytes, or NO_DATA


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What one reading of a copy came to."""

    size: int  # bytes that came
    multihash: images.Multihash | None  # of all of them; None: it did not come to an end
    failure: str = ""  # why it did not
    has_data: bool = True  # False: there is a record, and nothing behind it

    def __str__(self) -> str:
        if not self.has_data:
            return NO_DATA
        return self.failure if self.multihash is None else str(self.multihash)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """A verdict with its reason."""

    verdict: Condition
    detail: str = ""
    found: str | None = None  # of a bad copy: what is there instead of the source's bytes


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What is to be read, and the hash that it should have."""

    copy: images.Image
    wanted: images.Multihash


def comparison(
    source: images.Image | None, copy: images.Image | None, found: identity.Identity | None
) -> Comparison | str:
    """Return what to compare with what, or else why reading the copy would tell nothing.

    :param found: whose ``copy`` is, by :func:`identity.whose`.
    """
    # Both are there, or neither.
    if copy is None or found is None:  # pragma: no mutate
        return "there is no copy"
    if source is None:
        return "the source is gone"
    if not found.is_ours:
        return f"the image there is not our copy of it: {found.reason}"
    if source.status not in _WITH_DATA:
        return f"source is {source.status}"
    if copy.status not in _WITH_DATA:
        return f"copy is {copy.status}"
    if (wanted := expected(source, copy)) is None:
        return "neither source nor copy has a hash to compare with"
    return Comparison(copy=copy, wanted=wanted)


def expected(source: images.Image, copy: images.Image) -> images.Multihash | None:
    """Return the hash that the bytes of a copy should have.

    That of the source. Where it has none, what the region's Glance made of the bytes when they
    came, which were compared with those that were sent.
    """
    return source.multihash or copy.multihash


def judge(wanted: images.Multihash, stored: Reading, served: Reading) -> Judgement:
    """Return what is to be said of a copy whose first reading was not the right one.

    A copy is bad only if its users get bad bytes. The file that was read may be another one
    than Glance's, and a reading that broke off says nothing, unless the next one ends at the
    same byte.

    :param stored: the first reading, which may be that of a file.
    :param served: the second one, through the region's Glance alone.
    """
    if served.multihash == wanted:
        detail = f"only at the second reading; first: {stored}"
        return Judgement(verdict=Condition.OK, detail=detail)
    if not served.has_data:
        return _bad(Condition.MISSING, wanted, NO_DATA)
    if served.multihash is not None:
        return _bad(Condition.DAMAGED, wanted, str(served.multihash))
    if _ends_alike(stored, served):
        return _bad(Condition.DAMAGED, wanted, f"the first {served.size} bytes only")
    return Judgement(verdict=Condition.UNREACHABLE, detail=str(served))


def _bad(verdict: Condition, wanted: images.Multihash, found: str) -> Judgement:
    return Judgement(verdict=verdict, detail=f"expected {wanted}, got {found}", found=found)


def _ends_alike(stored: Reading, served: Reading) -> bool:
    """Tell whether two readings stop at one place, so that the data ends there."""
    if stored.size != served.size or not stored.has_data:
        return False
    # No byte at all is also what a server that is away gives.
    return stored.multihash is not None or stored.size > 0
