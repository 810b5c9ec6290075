# SPDX-License-Identifier: Apache-2.0
"""Whether an image belongs in the region of an attempt."""

from glance_sync_agent import errors
from glance_sync_agent.domain import actions
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import narrowing
from glance_sync_agent.domain import strategy
from glance_sync_agent.engine.attempts.sources import Source
from glance_sync_agent.engine.placement.targets import Targets

_UNASKED = strategy.Placement(wanted=True, step=strategy.DecidedBy.STRATEGY, why="")
_UNDECIDED = strategy.Placement(
    wanted=False, step=strategy.DecidedBy.STRATEGY, why="nobody can tell"
)
_NO_REGION = strategy.Placement(
    wanted=False,
    step=strategy.DecidedBy.STRATEGY,
    why="it has no image endpoint in the catalogue",
)


def of(
    targets: Targets, seen: Source, region: images.RegionId
) -> tuple[strategy.Placement, errors.SyncError | None]:
    """Return whether the copy should be there.

    The strategy is not asked about a missing source, or about a source that is a copy. Both
    count as wanted here: the plan decides about them by other facts.

    If Keystone cannot tell, or the source's data is in a region that failed, the copy counts as
    unwanted. So it still follows its source in what takes access away. The error is returned, too.
    """
    source = seen.image
    if seen.failure is not None:
        return _UNDECIDED, seen.failure
    if source is None or identity.names_itself(source):
        return _UNASKED, None
    try:
        placements = targets.placements(source)
    except errors.Undecided as exc:
        return _UNDECIDED, exc
    return placements.get(region, _NO_REGION), None


def allowed(action: actions.Action, undecided: errors.SyncError) -> actions.Action:
    """Return what an action takes away, for a copy that may or may not belong where it is.

    :raises SyncError: it does more than that.
    """
    if isinstance(action, actions.DeleteCopy):
        action = action.first or action
    if not narrowing.only_narrows(action):
        raise undecided
    return action
