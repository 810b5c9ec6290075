# SPDX-License-Identifier: Apache-2.0
"""An event as it is shown."""

from typing import Any

from glance_sync_agent.domain import history
from glance_sync_agent.engine.reports import times

#: The names of the fields, in the order in which they are shown.
FIELDS = (
    "number",
    "at",
    "kind",
    "by",
    "image_id",
    "region",
    "code",
    "text",
    "bytes",
    "seconds",
    "copy_id",
    "request_id",
    "owner",
    "hash",
    "proof",
)


def fields(recorded: history.Recorded) -> dict[str, Any]:
    """Return the fields of an event; times are ISO 8601, UTC."""
    event = recorded.event
    return {
        "number": recorded.number,
        "at": times.text(event.at),
        "kind": event.kind.value,
        "by": event.by,
        "image_id": event.image_id,
        "region": event.region,
        "code": str(event.code) or None,
        "text": event.text,
        "bytes": event.size,
        "seconds": None if event.seconds is None else round(event.seconds, 3),
        "copy_id": event.copy_id,
        "request_id": event.request_id,
        "owner": event.owner,
        "hash": event.multihash,
        "proof": event.proof,
    }
