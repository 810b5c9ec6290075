# SPDX-License-Identifier: Apache-2.0
"""Fills Keystone: regions, endpoints, projects, users and their roles."""

import dataclasses
import http.client
import json
from typing import Any

from tools.cloud import errors
from tools.cloud import model

_INTERFACES = ("public", "internal", "admin")
_TIMEOUT_SECONDS = 60.0


class Identity:
    """A minimal client of the identity API, logged in as a user."""

    def __init__(self, port: int, user: model.User) -> None:
        self._port = port
        scope = {"project": {"name": user.project, "domain": {"name": user.domain}}}
        who = {"name": user.name, "password": user.password, "domain": {"name": user.domain}}
        body = {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": who}},
                "scope": scope,
            }
        }
        self._token = ""
        self._token = self._send("POST", "/auth/tokens", body).headers["X-Subject-Token"]

    def find(self, kind: str, query: str) -> list[dict[str, Any]]:
        """List the resources of ``kind`` (plural) that fit ``query``."""
        return self._json("GET", f"/{kind}?{query}")[kind]

    def ensure(self, kind: str, name: str, **attributes: Any) -> str:
        """Return the id of the resource ``name``; make it if it is missing."""
        if found := self.find(kind, f"name={name}"):
            return found[0]["id"]
        return self.create(kind, {"name": name, **attributes})

    def create(self, kind: str, attributes: dict[str, Any]) -> str:
        """Make a resource of ``kind`` and return its id."""
        singular = kind.removesuffix("s")
        return self._json("POST", f"/{kind}", {singular: attributes})[singular]["id"]

    def change(self, kind: str, identifier: str, attributes: dict[str, Any]) -> None:
        """Set attributes of a resource."""
        self._json("PATCH", f"/{kind}/{identifier}", {kind.removesuffix("s"): attributes})

    def grant(self, project: str, user: str, role: str) -> None:
        """Give a user a role on a project; all three are ids."""
        self._send("PUT", f"/projects/{project}/users/{user}/roles/{role}")

    def _json(self, method: str, path: str, body: object = None) -> Any:
        return json.loads(self._send(method, path, body).body)

    def _send(self, method: str, path: str, body: object = None) -> "_Response":
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(
                method,
                f"/v3{path}",
                body=None if body is None else json.dumps(body),
                headers={"Content-Type": "application/json", "X-Auth-Token": self._token},
            )
            answer = connection.getresponse()
            response = _Response(answer.status, dict(answer.getheaders()), answer.read())
        except (OSError, http.client.HTTPException) as exc:
            raise errors.CloudError(f"keystone: {method} {path}: {exc}") from exc
        finally:
            connection.close()
        if response.status >= http.HTTPStatus.BAD_REQUEST:
            raise errors.CloudError(
                f"keystone: {method} {path}: {response.status} {response.body.decode()}"
            )
        return response


@dataclasses.dataclass(frozen=True)
class _Response:
    status: int
    headers: dict[str, str]
    body: bytes


def fill(cloud: model.Description) -> model.Description:
    """Fill Keystone with the content of the description; idempotent.

    :returns: the description, now with the project ids.
    :raises CloudError: Keystone refuses or does not answer.
    """
    identity = Identity(cloud.keystone_port, cloud.user("admin"))
    _ensure_regions(identity, cloud)
    _ensure_endpoints(identity, cloud)
    roles = {role["name"]: role["id"] for role in identity.find("roles", "")}
    users = [_ensure_user(identity, user, roles) for user in cloud.users]
    return dataclasses.replace(cloud, users=users)


def log_everybody_in(cloud: model.Description) -> None:
    """Log each user in once, one after the other.

    At the first log-in of a day Keystone notes the day. On SQLite, simultaneous log-ins of one
    user then fail, and Glances refuse their callers.

    :raises CloudError: Keystone refuses or does not answer.
    """
    for user in cloud.users:
        Identity(cloud.keystone_port, user)


def _ensure_regions(identity: Identity, cloud: model.Description) -> None:
    there = {region["id"] for region in identity.find("regions", "")}
    for region in cloud.regions:
        if region.name not in there:
            identity.create("regions", {"id": region.name})


def _ensure_endpoints(identity: Identity, cloud: model.Description) -> None:
    image = identity.ensure("services", "glance", type="image")
    keystone = identity.ensure("services", "keystone", type="identity")
    there = {
        (found["service_id"], found["region_id"], found["interface"]): found
        for found in identity.find("endpoints", "")
    }
    wanted = {}
    for region in cloud.regions:
        for interface in _INTERFACES:
            wanted[image, region.name, interface] = region.glance_url
            wanted[keystone, region.name, interface] = cloud.auth_url
    for key, url in wanted.items():
        service, region_id, interface = key
        if key not in there:
            identity.create(
                "endpoints",
                {
                    "service_id": service,
                    "region_id": region_id,
                    "interface": interface,
                    "url": url,
                },
            )
        elif there[key]["url"] != url:
            identity.change("endpoints", there[key]["id"], {"url": url})


def _ensure_user(identity: Identity, user: model.User, roles: dict[str, str]) -> model.User:
    project = identity.ensure("projects", user.project, domain_id="default")
    person = identity.ensure("users", user.name, domain_id="default", password=user.password)
    for role in user.roles:
        identity.grant(project, person, roles[role])
    return dataclasses.replace(user, project_id=project)
