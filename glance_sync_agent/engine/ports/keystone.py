# SPDX-License-Identifier: Apache-2.0
"""The engine's ports to Keystone.

Every method raises ``ServiceUnavailable`` if Keystone does not answer, and ``Refused`` if it
refuses.
"""

from typing import Protocol

from glance_sync_agent.domain import images
from glance_sync_agent.domain import owner_facts


class Catalogue(Protocol):
    """Keystone's catalogue."""

    def regions(self) -> frozenset[images.RegionId]:
        """Return every region with an image endpoint, the cascading one included."""

    @property
    def cascading(self) -> images.RegionId:
        """The region where users publish images."""

    def own_project(self) -> str:
        """Return the id of the project of our token.

        :raises Refused: the token has no project, or Keystone refuses the log-in.
        """

    def region_of(self, url: str) -> images.RegionId | None:
        """Return the region whose Glance ``url`` leads to, by an endpoint of any interface.

        None: no endpoint matches, or several regions share the endpoint.
        """


class ProjectDirectory(Protocol):
    """The projects, their roles and their regions, by Keystone."""

    def project(self, project_id: str) -> owner_facts.Project | None:
        """Read a project; None if there is none."""

    def roles_on(self, project_id: str) -> frozenset[str]:
        """Return the names of all roles on a project, inherited and implied ones included.

        Empty if there is no such project.
        """

    def association(self, project_id: str) -> owner_facts.Association:
        """Return the regions of a project by Keystone's endpoint filter.

        A project that does not exist is filtered, and has no regions.
        """
