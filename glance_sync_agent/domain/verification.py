# SPDX-License-Identifier: Apache-2.0
"""Verdicts on copies that were read back.

Glance hashes bytes only when they arrive. Later it serves a swapped or cut file with the hash of
the old one, and a lost file as an empty answer.
"""

import dataclasses
import enum

from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images

#: Found if Glance has a record without data.
NO_DATA = "no data"


class Condition(enum.StrEnum):
    """The condition of a copy, as an operator reads it."""

    OK = "ok"
    DAMAGED = "damaged"  # it has other bytes than its source
    MISSING = "missing"  # an active record has no data
    UNREACHABLE = "unreachable"  # it could not be read to the end, so nothing is known
    SKIPPED = "skipped"  # there is nothing to read, or nothing to compare with


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """What is wrong with a copy. It stays wrong, because an image's data never changes."""

    copy_id: images.ImageId
    found: str  # a multihash, a length in bytes, or NO_DATA


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The result of reading a copy once."""

    size: int  # bytes that came
    multihash: images.Multihash | None  # of all bytes; None: the reading broke off
    failure: str = ""  # why it broke off
    has_data: bool = True  # False: the record has no data

    def __str__(self) -> str:
        if not self.has_data:
            return NO_DATA
        return self.failure if self.multihash is None else str(self.multihash)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """A verdict with its reason."""

    verdict: Condition
    detail: str = ""
    damage: Damage | None = None  # None: the copy is not bad


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A copy to read, and the hash that its bytes should have."""

    copy: images.Image
    expected: images.Multihash


def comparison_of(
    source: images.Image | None, copy: images.Image | None, found: identity.Identity | None
) -> Comparison | str:
    """Return what to compare, or why reading the copy would prove nothing.

    :param found: whose ``copy`` is, by :func:`identity.whose`.
    """
    # Both are there, or neither.
    if copy is None or found is None:  # pragma: no mutate
        return "there is no copy"
    if source is None:
        return "the source is gone"
    if not found.is_ours:
        return f"the image there is not the agent's copy: {found.reason}"
    if source.status not in images.WITH_DATA:
        return f"source is {source.status}"
    if copy.status not in images.WITH_DATA:
        return f"copy is {copy.status}"
    if (multihash := expected(source, copy)) is None:
        return "neither source nor copy has a hash to compare with"
    return Comparison(copy=copy, expected=multihash)


def expected(source: images.Image, copy: images.Image) -> images.Multihash | None:
    """Return the hash that the bytes of a copy should have.

    If the source has none, it is the hash that the region's Glance computed when the bytes
    arrived. The agent compared that with the bytes that it sent.
    """
    return source.multihash or copy.multihash


def judge(comparison: Comparison, stored: Reading, served: Reading) -> Judgement:
    """Return the verdict on a copy whose first reading was wrong.

    A copy is bad only if users get bad bytes. The first reading may be of another file than
    Glance's. A reading that broke off proves nothing, unless the next one ends at the same byte.

    :param stored: the first reading, perhaps of a file.
    :param served: the second reading, through the region's Glance only.
    """
    if served.multihash == comparison.expected:
        detail = f"only the second reading was good; first: {stored}"
        return Judgement(verdict=Condition.OK, detail=detail)
    if not served.has_data:
        return _bad(comparison, Condition.MISSING, NO_DATA)
    if served.multihash is not None:
        return _bad(comparison, Condition.DAMAGED, str(served.multihash))
    if _ends_alike(stored, served):
        return _bad(comparison, Condition.DAMAGED, f"only the first {served.size} bytes")
    return Judgement(verdict=Condition.UNREACHABLE, detail=str(served))


def _bad(comparison: Comparison, verdict: Condition, found: str) -> Judgement:
    return Judgement(
        verdict=verdict,
        detail=f"expected {comparison.expected}, got {found}",
        damage=Damage(copy_id=comparison.copy.image_id, found=found),
    )


def _ends_alike(stored: Reading, served: Reading) -> bool:
    """Tell whether the data itself ends where both readings stopped."""
    if stored.size != served.size or not stored.has_data:
        return False
    # A server that is down gives no byte either.
    return stored.multihash is not None or stored.size > 0
