# SPDX-License-Identifier: Apache-2.0
"""Whether a source can be copied, now or later."""

from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import remotes
from glance_sync_agent.domain import snapshots
from glance_sync_agent.domain.actions import AwaitSource
from glance_sync_agent.domain.actions import Conflict
from glance_sync_agent.domain.images import Image
from glance_sync_agent.domain.images import ImageStatus

IN_UPLOAD = frozenset({ImageStatus.SAVING, ImageStatus.UPLOADING, ImageStatus.IMPORTING})
_UNFINISHED = IN_UPLOAD | {ImageStatus.QUEUED}


def is_awaited(source: Image) -> bool:
    """Tell whether an image is a snapshot that has no data yet and may still get it."""
    return (
        snapshots.is_snapshot(source)
        and not identity.names_itself(source)
        and source.status in _UNFINISHED
        and remotes.fault(source) is None
    )


def obstacle(source: Image) -> str | None:
    """Return why an image cannot be copied to any region at all; None: it can."""
    if identity.names_itself(source):
        return "source is itself a copy"
    if (lost := remotes.loss(source)) is not None:
        return lost
    if source.status not in images.WITH_DATA:
        return f"source is {source.status}"
    return None


def before_data(source: Image) -> AwaitSource | Conflict | None:
    """Return what keeps the data of a source out of reach for now; None: nothing does."""
    if (why := remotes.fault(source)) is not None:
        return Conflict(reason=why)
    if not is_awaited(source):
        return None
    region = f" in region {source.remote.region}" if source.remote is not None else ""
    return AwaitSource(reason=f"snapshot is {source.status}{region}")
