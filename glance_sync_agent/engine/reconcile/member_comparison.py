# SPDX-License-Identifier: Apache-2.0
"""Compares the members of a source with those of its copy."""

from collections.abc import Callable, Mapping
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import narrowing
from glance_sync_agent.domain import steps
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.reconcile.member_scans import Share
from glance_sync_agent.engine.reconcile.pairs import Pair

LOG = logging.getLogger(__name__)


_Members = Mapping[str, images.MemberStatus]
_STEP = steps.Step(what=steps.StepKind.UPDATE, why="members")


class MemberComparison:
    """Compares the members of shared images, if the agent changes them at all.

    The methods raise SyncError if the region of the source or of the copy does not answer.
    """

    def __init__(self, are_ours: Callable[[], bool]) -> None:
        """Take no members for ours unless ``are_ours`` says so."""
        self._are_ours = are_ours

    def step(
        self, service: ports.ImageService, pair: Pair, copy: images.Image | None, share: Share
    ) -> steps.Step | None:
        """Return the step for members that differ; None: they are the same or not compared."""
        if copy is None or not self._is_due(pair, copy, share):
            return None
        theirs, ours = _members(service, pair, copy)
        return _STEP if theirs != ours else None

    def narrowing(
        self, service: ports.ImageService, pair: Pair, copy: images.Image | None, share: Share
    ) -> steps.Step | None:
        """Return the step for members that only the copy of a task has, and loses."""
        if copy is None or not pair.has_copy(service.region):
            return None
        if not self._is_due(pair, copy, share):
            return None
        if narrowing.is_narrower(copy.metadata.visibility, pair.source.metadata.visibility):
            return None  # everybody may use the source
        theirs, ours = _members(service, pair, copy)
        return _STEP if ours.keys() - theirs.keys() else None

    def _is_due(self, pair: Pair, copy: images.Image, share: Share) -> bool:
        if copy.metadata.visibility != "shared" or not self._are_ours():
            return False
        return share.has(pair.source.image_id)


def _members(
    service: ports.ImageService, pair: Pair, copy: images.Image
) -> tuple[_Members, _Members]:
    """Request the members: neither a listing nor a record shows a change of them.

    If they cannot be read for one image, the others must not wait for it.

    :returns: of the source and of the copy; none of both if they cannot be read.
    """
    try:
        return pair.members(), service.members(copy)
    except errors.Refused as exc:
        _warn(service, pair, exc)
    except errors.TransientError as exc:
        if exc.fault is not errors.Fault.ANSWER:
            raise
        _warn(service, pair, exc)
    return {}, {}


def _warn(service: ports.ImageService, pair: Pair, exc: errors.SyncError) -> None:
    LOG.warning(
        "Could not compare the members of image %s with those in region %s: %s. A later scan "
        "compares them",
        pair.source.image_id, service.region, exc,
    )
