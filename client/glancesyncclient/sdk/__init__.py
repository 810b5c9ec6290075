# SPDX-License-Identifier: Apache-2.0
"""The service ``image-sync`` for openstacksdk."""

from typing import Any

from openstack import service_description

from glancesyncclient.sdk import proxy

SERVICE_TYPE = "image-sync"


class ImageSyncService(service_description.ServiceDescription[proxy.Proxy]):
    """What openstacksdk has to know of the service."""

    supported_versions = {"1": proxy.Proxy}  # noqa: RUF012 - the base has it as this one


def add_to(connection: Any) -> proxy.Proxy:
    """Add the service to a connection, unless it is there; return its proxy.

    :param connection: an ``openstack.connection.Connection``.
    """
    if not connection.config.has_service(SERVICE_TYPE):
        connection.add_service(ImageSyncService(SERVICE_TYPE))
    found: proxy.Proxy = connection.image_sync
    return found
