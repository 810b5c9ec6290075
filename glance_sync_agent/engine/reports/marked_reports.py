# SPDX-License-Identifier: Apache-2.0
"""A marked image as it is shown."""

from typing import Any

from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images

#: The names of the fields, in the order in which they are shown.
FIELDS = ("image_id", "image_name", "region", "kind", "project", "bytes", "source", "reason")


def fields(image: images.Image, kind: str, reason: str) -> dict[str, Any]:
    """Return the fields of an image that an operator should settle.

    :param kind: what it is.
    :param reason: why.
    """
    return {
        "image_id": image.image_id,
        "image_name": image.metadata.name,
        "region": image.region,
        "kind": kind,
        "project": image.metadata.owner,
        "bytes": image.size,
        "source": str(identity.source_of(image) or "") or None,
        "reason": reason,
    }
