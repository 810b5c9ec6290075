# SPDX-License-Identifier: Apache-2.0
"""Clients for people and tests: sessions, image clients, openrc files."""

import pathlib
import shlex
from typing import TYPE_CHECKING

from tools.cloud import model

if TYPE_CHECKING:
    from glanceclient.v2.client import Client
    from keystoneauth1.session import Session

_TIMEOUT_SECONDS = 600.0


def session(cloud: model.Description, user_name: str) -> "Session":
    """Return a keystoneauth1 session scoped to the user's project.

    :raises CloudError: there is no such user.
    """
    # Imported here, because the cloud starts with the standard library alone.
    from keystoneauth1 import session as keystone_session
    from keystoneauth1.identity import v3

    user = cloud.user(user_name)
    password = v3.Password(
        auth_url=cloud.auth_url,
        username=user.name,
        password=user.password,
        user_domain_name=user.domain,
        project_name=user.project,
        project_domain_name=user.domain,
    )
    return keystone_session.Session(auth=password, timeout=_TIMEOUT_SECONDS)


def glance(cloud: model.Description, region: str, user_name: str) -> "Client":
    """Return an image API client of that user in that region.

    :raises CloudError: there is no such region or user.
    """
    import glanceclient

    return glanceclient.Client(
        "2",
        session=session(cloud, user_name),
        region_name=cloud.region(region).name,
        interface="public",
    )


def write_openrc_files(cloud: model.Description) -> None:
    """Write ``openrc`` (the administrator's), ``openrc-alice``, ``openrc-agent`` and so on."""
    suffixes = {"admin": "", "alice": "-alice", "bob": "-bob", "glance-sync": "-agent"}
    for user in cloud.users:
        if user.name not in suffixes:
            continue
        path = pathlib.Path(cloud.state_dir) / f"openrc{suffixes[user.name]}"
        path.touch(mode=0o600)
        path.write_text(_openrc(cloud, user))


def _openrc(cloud: model.Description, user: model.User) -> str:
    variables = {
        "OS_AUTH_TYPE": "password",
        "OS_AUTH_URL": cloud.auth_url,
        "OS_IDENTITY_API_VERSION": "3",
        "OS_IMAGE_API_VERSION": "2",
        "OS_USERNAME": user.name,
        "OS_PASSWORD": user.password,
        "OS_USER_DOMAIN_NAME": user.domain,
        "OS_PROJECT_NAME": user.project,
        "OS_PROJECT_DOMAIN_NAME": user.domain,
        "OS_REGION_NAME": cloud.cascading_region,
        "OS_INTERFACE": "public",
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
