# SPDX-License-Identifier: Apache-2.0
"""What an operator reads if an image cannot be touched, and what to do about it."""

from glance_sync_agent.domain.actions import Conflict
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.domain.identity import Identity
from glance_sync_agent.domain.images import Image
from glance_sync_agent.domain.images import Multihash


def foreign(source: Image, other: Image) -> Conflict:
    """Return the conflict with an image that has the id of the copy."""
    if _is_the_same(source, other):
        return Conflict(
            reason=f"{_name(other)} is the source itself: id, creation time and data agree, so "
            f"regions {source.region} and {other.region} have one Glance; do not delete it, "
            f"and take region {other.region} out of the strategy"
        )
    return Conflict(
        reason=f"{_name(other)} has the id that the copy needs, and this agent did not make it; "
        "delete it there, publish the source again with another id, or take the region out of "
        "the strategy"
    )


def doubtful(copy: Image, found: Identity, *, why: str = "") -> Conflict:
    """Return the conflict over an image that may be our copy.

    :param why: what would have happened to it.
    """
    return Conflict(
        reason=f"{why}{_name(copy)} stays untouched, because nothing proves that it is our "
        f"copy: {found.reason}. If it is a copy, run 'glance-sync adopt {copy.image_id} "
        f"--region {copy.region}', otherwise 'glance-sync disown' with the same arguments"
    )


def on_probation(copy: Image, why: str) -> Conflict:
    """Return the conflict over a copy that was adopted without data, and should go."""
    return Conflict(
        reason=f"{_name(copy)} stays, although {why}: the agent adopted it without data, so it "
        "may belong to somebody else; delete it there if it does not"
    )


def stuck(copy: Image, found: Identity, why: str) -> Conflict:
    """Return the conflict over a dead upload into an image that may be our copy."""
    return Conflict(
        reason=f"{_name(copy)}: {why}. It stays untouched, because nothing proves that it is "
        f"our copy: {found.reason}; delete it there"
    )


def misread(copy: Image, expected: Multihash, found: Multihash) -> Conflict:
    """Return the conflict over an image that claims to be our copy, and holds other data."""
    return Conflict(
        reason=f"{_name(copy)} claims to be our copy, but holds other data than its source: "
        f"expected {expected}, got {found}. It stays untouched; run 'glance-sync disown "
        f"{copy.image_id} --region {copy.region}'"
    )


def size_differs(source: Image, copy: Image) -> Conflict:
    """Return the conflict over a copy of another size whose source has no hash."""
    return Conflict(
        reason=f"{_name(copy)} has {copy.size} bytes, and its source {source.size}. The source "
        "has no hash, so nothing proves which bytes are right. If the data of the source is in "
        f"another region, allow the agent to see its locations in region {source.region}, and "
        "keep the copy. Otherwise delete the copy there to have it made again"
    )


def cancelled(by: str) -> Conflict:
    """Return that a task does nothing, because a person cancelled it."""
    return Conflict(code=Code.CANCELLED, reason=cancelled_text(by))


def cancelled_text(by: str) -> str:
    """Return why a cancelled task does nothing, for its row."""
    return f"cancelled by {by}; 'glance-sync retry' continues it"


def refused(why: str) -> Conflict:
    """Return the conflict with a Glance that does not take these bytes.

    :param why: its own words.
    """
    return Conflict(code=Code.FORMAT_REFUSED, reason=why)


def _name(image: Image) -> str:
    return f"image {image.image_id} of region {image.region}"


def _is_the_same(source: Image, other: Image) -> bool:
    """Tell whether two regions of the catalogue show one image of one Glance."""
    same = [(one.image_id, one.created_at, one.size, one.multihash) for one in (source, other)]
    return source.created_at is not None and same[0] == same[1]
