# SPDX-License-Identifier: Apache-2.0
"""The style sheet, the module and the icon."""

from collections.abc import Mapping
from importlib import resources
from typing import Final

import falcon

from glance_sync_agent.ui import answers

_TYPES: Final[Mapping[str, str]] = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


class Files:
    """``/ui/static/{name}``; the same for everybody."""

    def __init__(self) -> None:
        folder = resources.files("glance_sync_agent.ui") / "static"
        self._contents = {name: (folder / name).read_bytes() for name in _TYPES}

    def on_get(self, request: falcon.Request, response: falcon.Response, name: str) -> None:
        """Answer with a file, or with 304 if the browser has it already."""
        if name not in self._contents:
            raise falcon.HTTPNotFound(description="There is no such file.")
        # Kept, but asked about each time: an upgrade shows at once.
        response.cache_control = ["no-cache"]
        answers.respond(request, response, self._contents[name], _TYPES[name])
