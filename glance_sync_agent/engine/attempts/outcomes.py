# SPDX-License-Identifier: Apache-2.0
"""What the row of a task says after an attempt with nothing left to execute."""

import dataclasses
import datetime

from glance_sync_agent.domain import actions
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import remotes
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code

_BUSY_COPY_SECONDS = 5.0
_NOBODYS = frozenset({identity.Whose.FOREIGN, identity.Whose.INHERITED})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What an attempt read last."""

    task: tasks.Task
    placement: strategy.Placement
    source: images.Image | None
    copy: images.Image | None
    identity: identity.Identity | None  # of the copy
    copied_from: images.RegionId | None  # where this attempt read the bytes
    now: datetime.datetime
    snapshot_timeout: float  # seconds


def outcome(action: actions.Conclusion, seen: Seen) -> tasks.Outcome:
    """Return the outcome of an attempt that ends with an action."""
    match action:
        case actions.Wait(code=code, reason=reason, until=until):
            soon = seen.now + datetime.timedelta(seconds=_BUSY_COPY_SECONDS)
            return tasks.RetryAt(when=until or soon, code=code, reason=reason, counts=False)
        case actions.Conflict(code=code, reason=reason):
            return tasks.Failed(code=code, reason=reason)
        case actions.AwaitSource(reason=reason):
            return _awaiting(reason, seen)
    return _settled(action, seen)


def _awaiting(reason: str, seen: Seen) -> tasks.Waiting | tasks.Failed:
    since = seen.task.waiting_since or seen.now
    until = since + datetime.timedelta(seconds=seen.snapshot_timeout)
    if seen.now < until:
        return tasks.Waiting(since=since, until=until, reason=reason)
    return tasks.Failed(
        code=Code.SNAPSHOT_TIMEOUT,
        reason=f"{reason} still, after {seen.snapshot_timeout:g} s (snapshot_timeout); the agent "
        "copies it once Glance reports it active",
    )


def _settled(action: actions.Settled, seen: Seen) -> tasks.Outcome:
    source, copy = seen.source, seen.copy
    if copy is not None and copy.status in images.GONE:
        copy = None
    is_missing = copy is None or copy.size is None  # a record that waits for data is no copy
    if is_missing and source is not None and (missed := _missed(action, seen, source)):
        return missed
    if copy is None and seen.task.waiting_since is not None:
        return _awaited_in_vain(source)
    if copy is None or seen.identity is None or seen.identity.whose in _NOBODYS:
        return _without_copy(action, seen)
    if source is None or not action.is_in_step:
        return tasks.Succeeded(
            code=action.code, reason=action.text, held_id=action.held_id
        )
    copy_seen = tasks.CopySeen(
        copy_id=copy.image_id,
        created_at=copy.created_at,
        image_name=source.metadata.name,
        size=copy.size,
        copied_from=seen.copied_from,
        is_deactivated=copy.status is images.ImageStatus.DEACTIVATED,
    )
    return tasks.Succeeded(
        code=action.code, reason=action.text, copy=copy_seen, held_id=action.held_id
    )


def _without_copy(action: actions.Settled, seen: Seen) -> tasks.Succeeded | tasks.Forgotten:
    if seen.source is not None and seen.task.held_id is not None:
        # Without its row, nothing keeps a copy that was held from being made again.
        return tasks.Succeeded(code=action.code, reason=action.text)
    return tasks.Forgotten()  # a row is about a copy, or about why there should be one


def _missed(
    action: actions.Settled, seen: Seen, source: images.Image
) -> tasks.Outcome | None:
    """Return why an image is not in a region in which its owner may miss it; None: as usual."""
    if seen.placement.step in strategy.UNEXPECTED:
        return tasks.Succeeded(code=action.code, reason=action.text)
    if seen.placement.wanted and (lost := remotes.loss(source)) is not None:
        return tasks.Failed(code=Code.SNAPSHOT_LOST, reason=f"{lost} before it was copied")
    return None


def _awaited_in_vain(source: images.Image | None) -> tasks.Outcome:
    if source is None or source.status is images.ImageStatus.DELETED:
        return tasks.Failed(
            code=Code.SNAPSHOT_LOST, reason="snapshot was deleted before it had data"
        )
    if source.status is images.ImageStatus.KILLED:
        return tasks.Failed(
            code=Code.SNAPSHOT_LOST, reason="snapshot was killed before it had data"
        )
    return tasks.Forgotten()  # the region does not want it any more
