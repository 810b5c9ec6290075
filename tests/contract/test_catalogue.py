# SPDX-License-Identifier: Apache-2.0
"""``engine.ports.Catalogue``: one suite over the fake and the real Keystone."""

from collections.abc import Iterator, Mapping
import dataclasses

import pytest

from glance_sync_agent.domain import images
from glance_sync_agent.drivers.keystone.catalogue import KeystoneCatalogue
from glance_sync_agent.engine import ports
from tests.contract.conftest import new_id
from tests.fakes import glance as fake_glance
from tests.fakes import world


@dataclasses.dataclass(frozen=True)
class Regions:
    """A catalogue, and what is in it."""

    catalogue: ports.Catalogue
    endpoints: Mapping[images.RegionId, str]


@pytest.fixture(params=["memory", pytest.param("keystone", marks=pytest.mark.cloud)])
def regions(request: pytest.FixtureRequest) -> Iterator[Regions]:
    if request.param == "memory":
        fake = world.FakeCatalogue()
        yield Regions(
            catalogue=fake, endpoints={name: fake_glance.endpoint(name) for name in fake.names}
        )
        return
    described = request.getfixturevalue("cloud").describe()
    real = KeystoneCatalogue(
        session=request.getfixturevalue("agent_session"),
        cascading_endpoint_url=described.region(described.cascading_region).glance_url,
    )
    at = {images.RegionId(one.name): one.glance_url for one in described.regions}
    yield Regions(catalogue=real, endpoints=at)


def test_it_has_every_region_with_an_image_endpoint(regions: Regions) -> None:
    assert regions.catalogue.regions() == set(regions.endpoints)
    assert regions.catalogue.cascading == "RegionOne"


def test_the_url_of_an_image_tells_its_region(regions: Regions) -> None:
    for region, endpoint in regions.endpoints.items():
        assert regions.catalogue.region_of(f"{endpoint}/v2/images/{new_id()}") == region


def test_a_url_that_leads_elsewhere_is_of_no_region(regions: Regions) -> None:
    for url in (f"http://192.0.2.1/v2/images/{new_id()}", "file:///x", "http://[", ""):
        assert regions.catalogue.region_of(url) is None
