# SPDX-License-Identifier: Apache-2.0
"""What the engine needs of Keystone."""

from typing import Protocol

from glance_sync_agent.domain import images
from glance_sync_agent.domain import rules
from glance_sync_agent.domain import strategy


class Catalogue(Protocol):
    """Keystone's catalogue."""

    def regions(self) -> frozenset[images.RegionId]:
        """Return every region with an image endpoint, the cascading one included.

        :raises ServiceUnavailable: Keystone does not answer.
        """

    @property
    def cascading(self) -> images.RegionId:
        """The region where images are published."""

    def own_project(self) -> str:
        """Return the id of the project that our token is of.

        :raises ServiceUnavailable: Keystone does not answer.
        :raises Refused: Keystone does not let us in, or the token is of no project.
        """

    def region_of(self, url: str) -> images.RegionId | None:
        """Return the region whose Glance ``url`` leads to, by an endpoint of any interface.

        None: it leads to none of the catalogue, or several regions share that endpoint.

        :raises ServiceUnavailable: Keystone does not answer.
        """


class ProjectDirectory(Protocol):
    """What Keystone knows of projects."""

    def project(self, project_id: str) -> rules.Project | None:
        """Read a project; None if there is none.

        :raises ServiceUnavailable: Keystone does not answer.
        :raises Refused: Keystone says no.
        """

    def roles_on(self, project_id: str) -> frozenset[str]:
        """Return the names of the roles that anybody has on a project.

        Those that are inherited or implied are among them.

        Empty if there is no such project.
        """

    def association(self, project_id: str) -> strategy.Association:
        """Return what the endpoint filter says of a project.

        One that does not exist is filtered, and associated with nothing.
        """
