# SPDX-License-Identifier: Apache-2.0
"""What the hashes and sizes of a source and its copy prove about the bytes."""

from glance_sync_agent.domain import conflicts
from glance_sync_agent.domain.actions import Conflict
from glance_sync_agent.domain.actions import DeleteCopy
from glance_sync_agent.domain.actions import ReadBack
from glance_sync_agent.domain.images import Image


def step(source: Image, copy: Image) -> DeleteCopy | ReadBack | Conflict | None:
    """Return what the bytes of a copy need; None: they are the source's, as far as it shows.

    :param copy: active or deactivated.
    """
    expected, found = source.multihash, copy.multihash
    if expected is not None and found is not None and found.algo == expected.algo:
        if found != expected:
            return DeleteCopy(
                copy=copy,
                reason="copy holds other bytes",
                mismatch=(str(expected), str(found)),
            )
    elif expected is not None and copy.size == source.size:
        theirs = "does not hash" if found is None else f"hashes with {found.algo}"
        return ReadBack(
            copy=copy,
            expected=expected,
            reason=f"region {copy.region} {theirs}, and the source with {expected.algo}",
        )
    if copy.size != source.size and expected is None:
        # Glance hides the locations of remote data from an agent that lost a right, or shows
        # none any more. The source then has a size that means nothing.
        return conflicts.size_differs(source, copy)
    if copy.size != source.size:
        return DeleteCopy(
            copy=copy,
            reason="copy has another size",
            mismatch=(f"{source.size} bytes", f"{copy.size} bytes"),
        )
    return None
