# SPDX-License-Identifier: Apache-2.0
"""Keystone's endpoint filter, with a group of public endpoints for each region."""

import contextlib
from typing import Any

from keystoneauth1 import exceptions

from tools import cloud as clouds


class EndpointFilter:
    """What the administrator of a cloud does in its Keystone; it is undone by the stack."""

    def __init__(self, cloud: clouds.Cloud, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._session: Any = cloud.session("admin")
        self._groups: dict[str, str] = {}
        for region in cloud.describe().regions:
            filters = {"region_id": region.name, "interface": "public"}
            group = {"name": f"functional-{region.name}", "filters": filters}
            made = self.send("POST", "/OS-EP-FILTER/endpoint_groups", endpoint_group=group)
            path = f"/OS-EP-FILTER/endpoint_groups/{made['endpoint_group']['id']}"
            self._groups[region.name] = path
            stack.callback(self.send, "DELETE", path)

    def associate(self, project_id: str, region: str, *, method: str = "PUT") -> None:
        """Associate a project with the endpoints of a region, or take that back."""
        path = f"{self._groups[region]}/projects/{project_id}"
        self.send(method, path)
        if method == "PUT":
            # Keystone keeps the catalogues of users for ten minutes, and the deletion of a group
            # makes it forget none.
            self._stack.callback(self._take_back, path)

    def _take_back(self, path: str) -> None:
        with contextlib.suppress(exceptions.NotFound):
            self.send("DELETE", path)

    def send(self, method: str, path: str, **body: Any) -> Any:
        """Send a request to Keystone; return what it answers."""
        options = {"json": body} if body else {}
        answer = self._session.request(
            path, method, endpoint_filter={"service_type": "identity"}, **options
        )
        return answer.json() if answer.content else None
