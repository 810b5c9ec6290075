# SPDX-License-Identifier: Apache-2.0
"""The check of the port of the REST API."""

import contextlib
import http.client
import json

from glance_sync_agent import errors
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.conf.api import ApiSettings

_SECONDS = 5.0


def port(settings: ApiSettings) -> findings.Finding:
    """Check that the API has its port, or can have it."""
    link, where = "API", f"{settings.host}:{settings.port}"
    if _is_ours(settings):
        return findings.ok(link, f"answers on {where}")
    # Loaded only here, because the libraries of the API are slow to load.
    from glance_sync_agent.api import server

    try:
        server.listen(settings.host, settings.port).close()
    except errors.SyncError as exc:
        return findings.warning(
            link,
            f"{exc}. If the address is in use, it is by another program",
            f"set sync_server_port in sync.conf, or end what 'ss -tlnp sport = :{settings.port}' "
            "shows; until then the agent copies without an API",
        )
    return findings.ok(link, f"{where} is free; the agent listens there when it runs")


def _is_ours(settings: ApiSettings) -> bool:
    connection = http.client.HTTPConnection(settings.host, settings.port, timeout=_SECONDS)
    with contextlib.closing(connection), contextlib.suppress(
        OSError, http.client.HTTPException, ValueError
    ):
        connection.request("GET", "/")
        found = json.load(connection.getresponse())
        return isinstance(found, dict) and "agent_version" in found
    return False
