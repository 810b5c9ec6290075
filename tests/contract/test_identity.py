# SPDX-License-Identifier: Apache-2.0
"""What Keystone knows of projects: in memory, and for real with OS-EP-FILTER."""

from collections.abc import Iterator
import contextlib
import dataclasses
from typing import Any
import uuid

from keystoneauth1 import session as sessions
from keystoneauth1 import token_endpoint
import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import owner_facts
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.drivers.keystone import owner_projects
from glance_sync_agent.drivers.keystone.catalogue import KeystoneCatalogue
from glance_sync_agent.engine import ports
from tests.fakes import scripted_http
from tests.fakes import world as worlds
from tools import cloud as clouds

TWO, THREE = worlds.CASCADED


class Administrator:
    """Changes the real Keystone, and reverts that at the end."""

    def __init__(self, session: Any, stack: contextlib.ExitStack) -> None:
        self._session = session
        self._stack = stack

    def send(self, method: str, path: str, **body: Any) -> Any:
        options = {"json": body} if body else {}
        return self._session.request(
            path, method, endpoint_filter={"service_type": "identity"}, **options
        )

    def make(self, kind: str, path: str, **body: Any) -> str:
        made = str(self.send("POST", path, **{kind: body}).json()[kind]["id"])
        self._stack.callback(self.send, "DELETE", f"{path}/{made}")
        return made


@dataclasses.dataclass(frozen=True)
class Case:
    """The port under test; a project of each sort."""

    identity: ports.ProjectDirectory
    alpha: str  # tagged, has a member, associated with RegionTwo by a group
    beta: str  # associated with nothing


@pytest.fixture(params=["memory", pytest.param("keystone", marks=pytest.mark.cloud)])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    if request.param == "memory":
        yield _in_memory()
        return
    with contextlib.ExitStack() as stack:
        yield _for_real(
            request.getfixturevalue("cloud"), request.getfixturevalue("agent_session"), stack
        )


def _in_memory() -> Case:
    identity = worlds.FakeIdentity()
    identity.projects |= {
        "alpha": owner_facts.Project(
            name="alpha", domain_id="default", domain_name="Default", tags=frozenset({"eu"})
        ),
        "beta": owner_facts.Project(name="beta", domain_id="default", domain_name="Default"),
    }
    identity.roles["alpha"] = frozenset({"member"})
    identity.associated["alpha"] = frozenset({TWO})
    return Case(identity=identity, alpha="alpha", beta="beta")


def _for_real(
    cloud: clouds.Cloud, session: sessions.Session, stack: contextlib.ExitStack
) -> Case:
    described = cloud.describe()
    admin = Administrator(cloud.session("admin"), stack)
    unique = uuid.uuid4().hex[:8]
    alpha, beta = (
        admin.make("project", "/projects", name=f"{name}-{unique}", domain_id="default")
        for name in ("alpha", "beta")
    )
    admin.send("PUT", f"/projects/{alpha}/tags/eu")
    (role,) = admin.send("GET", "/roles?name=member").json()["roles"]
    (user,) = admin.send("GET", "/users?name=alice").json()["users"]
    admin.send("PUT", f"/projects/{alpha}/users/{user['id']}/roles/{role['id']}")
    group = admin.make(
        "endpoint_group", "/OS-EP-FILTER/endpoint_groups",
        name=f"two-{unique}", filters={"region_id": TWO, "interface": "internal"},
    )
    admin.send("PUT", f"/OS-EP-FILTER/endpoint_groups/{group}/projects/{alpha}")
    catalogue = KeystoneCatalogue(
        session=session, cascading_endpoint_url=described.region("RegionOne").glance_url
    )
    return Case(
        identity=owner_projects.KeystoneProjects(catalogue, session), alpha=alpha, beta=beta
    )


def test_a_project_is_told_with_its_domain_and_tags(case: Case) -> None:
    found = case.identity.project(case.alpha)
    assert found is not None
    assert found.name is not None
    assert found.name.startswith("alpha")
    assert (found.domain_id, found.domain_name) == ("default", "Default")
    assert found.tags == {"eu"}


def test_roles_are_those_that_somebody_has(case: Case) -> None:
    assert case.identity.roles_on(case.alpha) >= {"member"}  # for real it implies reader
    assert case.identity.roles_on(case.beta) == frozenset()


def test_a_group_associates_its_regions(case: Case) -> None:
    found = case.identity.association(case.alpha)
    assert found.is_filtered
    assert found.regions == {TWO}


def test_a_project_without_associations_is_not_filtered(case: Case) -> None:
    found = case.identity.association(case.beta)
    assert not found.is_filtered
    assert found.regions == frozenset()


@pytest.mark.parametrize("project", ["0" * 32, "../domains/default", "", "a b"])
def test_a_project_that_does_not_exist_has_nothing(case: Case, project: str) -> None:
    assert case.identity.project(project) is None
    assert case.identity.roles_on(project) == frozenset()
    found = case.identity.association(project)
    assert (found.is_filtered, found.regions) == (True, frozenset[images.RegionId]())


def test_an_answer_that_makes_no_sense_is_no_answer() -> None:
    with scripted_http.serving() as server:
        session = credentials.make_session(
            token_endpoint.Token(f"{server.url}/v3", "token"), timeout_seconds=2
        )
        server.script = [scripted_http.Reply.of({"project": []})]
        catalogue = KeystoneCatalogue(session=session, cascading_endpoint_url="http://one")
        identity = owner_projects.KeystoneProjects(catalogue, session)
        with pytest.raises(errors.ServiceUnavailable, match="makes no sense"):
            identity.project("alpha")
        session.session.close()

