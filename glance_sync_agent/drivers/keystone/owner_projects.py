# SPDX-License-Identifier: Apache-2.0
"""Reads from Keystone the projects that own images."""

from collections.abc import Callable
import re
from typing import Any, Final, TypeVar
import urllib.parse

from keystoneauth1 import exceptions
from keystoneauth1 import plugin

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import owner_facts
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.drivers.keystone.catalogue import KeystoneCatalogue

# Glance accepts any text as an owner; this keeps it from leading a request to another resource.
_PROJECT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_IDENTITY: Final = {"interface": plugin.AUTH_INTERFACE, "version": (3,)}

T = TypeVar("T")


class KeystoneProjects:
    """Implements ``engine.ports.ProjectDirectory``; asks Keystone each time. Thread safe.

    The agent's user must see all projects: it needs the role ``admin``, or ``reader`` on the
    system. Every method raises ``ServiceUnavailable`` if Keystone does not answer, and
    ``Refused`` if it refuses.
    """

    def __init__(self, catalogue: KeystoneCatalogue, session: credentials.Session) -> None:
        self._catalogue = catalogue
        self._session = session

    def project(self, project_id: str) -> owner_facts.Project | None:
        """Read a project; None if there is none."""

        def read(body: Any) -> owner_facts.Project:
            found = body["project"]
            return owner_facts.Project(
                name=found["name"],
                domain_id=found["domain_id"],
                domain_name=self._domain_name(found["domain_id"]),
                tags=frozenset(found.get("tags", ())),
            )

        if not _PROJECT_ID.fullmatch(project_id):
            return None
        return self._read(f"/projects/{project_id}", read, absent=None)

    def roles_on(self, project_id: str) -> frozenset[str]:
        """Return the names of all roles on a project, inherited and implied ones included."""
        if not _PROJECT_ID.fullmatch(project_id):
            return frozenset()
        return self._read(
            f"/role_assignments?scope.project.id={project_id}&effective&include_names=true",
            lambda body: frozenset(one["role"]["name"] for one in body["role_assignments"]),
            absent=frozenset(),
        )

    def association(self, project_id: str) -> owner_facts.Association:
        """Return the regions of a project by Keystone's endpoint filter.

        A project without any association is not filtered, as in Keystone itself
        (keystone/catalog/backends/sql.py: CatalogApi.get_v3_catalog).
        """
        if not _PROJECT_ID.fullmatch(project_id):
            return _NONE
        regions = self._catalogue.image_endpoints()

        def read(body: Any) -> owner_facts.Association:
            ids = {endpoint["id"] for endpoint in body["endpoints"]}
            found = frozenset(region for one, region in regions.items() if one in ids)
            return owner_facts.Association(is_filtered=bool(ids), regions=found)

        return self._read(f"/OS-EP-FILTER/projects/{project_id}/endpoints", read, absent=_NONE)

    def _domain_name(self, domain_id: str) -> str | None:
        quoted = urllib.parse.quote(domain_id, safe="")
        return self._read(
            f"/domains/{quoted}", lambda body: str(body["domain"]["name"]), absent=None
        )

    def _read(self, path: str, read: Callable[[Any], T], *, absent: T) -> T:
        with credentials.translated(f"read {path} of Keystone"):
            try:
                answer = self._session.get(path, endpoint_filter=_IDENTITY)
            except exceptions.NotFound:
                return absent
            try:
                return read(answer.json())
            except (ValueError, KeyError, TypeError) as exc:
                raise errors.ServiceUnavailable(
                    f"read {path} of Keystone: the answer makes no sense ({exc!r})"
                ) from exc


_NONE: Final = owner_facts.Association(
    is_filtered=True, regions=frozenset[images.RegionId]()
)
