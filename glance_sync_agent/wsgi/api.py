# SPDX-License-Identifier: Apache-2.0
"""The REST API: ``glance_sync_agent.wsgi.api:application``.

Reads ``sync.conf`` in the usual places, or the file that ``OS_GLANCE_SYNC_CONFIG_FILE`` names.
"""

from collections.abc import Callable, Iterable
import contextlib
import json
import logging
import os
import threading
from typing import Any

from glance_sync_agent import errors
from glance_sync_agent.wiring import api
from glance_sync_agent.wiring import cloud
from glance_sync_agent.wiring import configuration

LOG = logging.getLogger(__name__)

_FILE = os.environ.get("OS_GLANCE_SYNC_CONFIG_FILE")


class _Application:
    """Opens the cloud at the first request, because its database may be away before."""

    def __init__(self) -> None:
        self._configuration = configuration.configure(
            [] if _FILE is None else [f"--config-file={_FILE}"],
            prog="glance-sync-api",
            description="Serves the REST API.",
        )
        self._lock = threading.Lock()
        self._built: Any = None

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        try:
            built = self._build()
        except errors.SyncError as exc:
            LOG.warning("The API cannot start yet: %s", exc)
            start_response("503 Service Unavailable", [("Content-Type", "application/json")])
            message = "the API cannot start yet; its log says why"
            error = {"code": 503, "title": "503", "message": message}
            return [json.dumps({"error": error}).encode()]
        answer: Iterable[bytes] = built(environ, start_response)
        return answer

    def _build(self) -> Any:
        with self._lock:
            if self._built is None:
                with contextlib.ExitStack() as stack:
                    opened = stack.enter_context(cloud.Cloud(self._configuration))
                    self._built = api.build(opened)
                    stack.enter_context(api.followed_clock(opened))
                    stack.pop_all()  # it stays open
            return self._built


application = _Application()
