# SPDX-License-Identifier: Apache-2.0
"""The image that a user names, and the service that is asked about it."""

import re
from typing import Any

from glancesyncclient.sdk import proxy

_ID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def sync(app: Any) -> proxy.Proxy:
    """Return the service of an application of cliff."""
    found: proxy.Proxy = app.client_manager.image_sync
    return found


def image_id(app: Any, name: str) -> str:
    """Return the id of an image by id or name; an id needs no request.

    :raises openstack.exceptions.NotFoundException: Glance has no image with that name.
    """
    if _ID.fullmatch(name):
        return name.lower()
    found = app.client_manager.sdk_connection.image.find_image(name, ignore_missing=False)
    return str(found.id)
