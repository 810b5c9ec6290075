# SPDX-License-Identifier: Apache-2.0
"""What ``check`` says of the regions that the operator's files name."""

import pathlib
import types
from typing import Any

from keystoneauth1 import token_endpoint
import pytest

from glance_sync_agent import errors
from glance_sync_agent.cmd import findings
from glance_sync_agent.cmd import region_checks
from glance_sync_agent.conf import store_file
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.drivers import keystone
from tests.fakes import scripted_http

OK, WARN, SKIP, FAIL = findings.Verdict
FILE = pathlib.Path("/etc/glance/project_map.yaml")
REGIONS = tuple(map(images.RegionId, ("RegionOne", "RegionTwo")))


def look(project_map, owner=metadata_policy.Owner.MAPPED):
    policy = metadata_policy.Policy(owner=owner, project_map=project_map)
    return region_checks.project_map(FILE, policy, REGIONS)


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (0, "start that Glance, or let us reach it: curl {url}/versions"),
        (503, "start that Glance, or let us reach it: curl {url}/versions"),
        # What a Glance says that may not ask Keystone, or cannot.
        (401, "its log tells why: is [keystone_authtoken] of that Glance right, and its {more}"),
        (403, "its log tells why: is [keystone_authtoken] of that Glance right, and its {more}"),
    ],
)
def test_what_to_do_about_a_glance_depends_on_its_answer(status, remedy):
    with scripted_http.serving() as server:
        server.script = [scripted_http.Reply(status)]
        session = keystone.make_session(token_endpoint.Token(server.url, "token"))
        catalogue: Any = types.SimpleNamespace(endpoint=lambda _region: server.url)
        found = region_checks.glance(REGIONS[0], catalogue, session)

        assert found.verdict is FAIL
        assert found.remedy == remedy.format(url=server.url, more="policy.yaml?")


def test_a_glance_that_says_nothing_is_to_be_reached():
    with scripted_http.silent() as url:
        auth = token_endpoint.Token(url, "token")
        catalogue: Any = types.SimpleNamespace(endpoint=lambda _region: url)
        session = keystone.make_session(auth, timeout_seconds=0.2)
        found = region_checks.glance(REGIONS[0], catalogue, session)

    assert found.remedy == f"start that Glance, or let us reach it: curl {url}/versions"


def test_a_map_of_regions_that_there_are_is_ok():
    found = look({"RegionTwo": {"alpha": "beta", "gamma": "delta"}})

    assert found.verdict is OK
    assert found.detail == f"{FILE}: 2 projects in 1 regions"


def test_regions_that_there_are_not_are_warned_about_with_those_that_there_are():
    found = look({"RegionTwo": {"a": "b"}, "RegionX": {"a": "b"}, "RegionNine": {"a": "b"}})

    assert found.verdict is WARN
    assert found.detail == f"{FILE}: RegionNine, RegionX: no region of the catalogue"
    assert found.remedy.endswith("those that there are: RegionOne, RegionTwo")


@pytest.mark.parametrize("owner", [metadata_policy.Owner.SAME, metadata_policy.Owner.AGENT])
def test_a_map_that_is_not_used_is_skipped_and_says_why(owner):
    found = look({"RegionNine": {"a": "b"}}, owner)

    assert found.verdict is SKIP
    assert f"[metadata] owner = {owner}" in found.detail


class Services:
    """What ``check`` asks of a region whose one way shows, or raises, what it is given."""

    def __init__(self, seen):
        self._seen = seen

    def entry(self, region):
        return store_file.Entry(name=region, service_ip=None, schemes=(self.scheme(region),))

    def scheme(self, _region):
        return store_file.Scheme(name="filesystem", parameters={})

    def scheme_store(self, _region):
        if isinstance(self._seen, errors.ConfigurationError):
            raise self._seen
        return self

    def probe_read(self):
        if isinstance(self._seen, Exception):
            raise self._seen
        return self._seen

    probe_write = probe_read


def look_at_store(seen, *, is_source):
    services: Any = Services(seen)
    file = pathlib.Path("/etc/glance/glance_store.yaml")
    return region_checks.store(REGIONS[0], services, file, is_source=is_source)


@pytest.mark.parametrize(
    "failure",
    [
        errors.ServiceUnavailable("no sshd"),
        errors.TransferInterrupted("cut"),
        errors.Refused("may not be read"),
        errors.HostKeyMismatch("who are you"),
    ],
)
def test_a_way_to_read_that_leads_nowhere_is_a_warning_because_there_is_another(failure):
    found = look_at_store(failure, is_source=True)

    assert found.verdict is WARN
    assert found.detail == f"{failure}; images are read through the image API instead"
    assert found.remedy.endswith(
        "or remove the entry of RegionOne from /etc/glance/glance_store.yaml, so that nothing "
        "else is tried"
    )
    assert look_at_store(failure, is_source=False).verdict is FAIL


def test_a_store_file_that_ends_the_start_is_no_mere_warning():
    failure = errors.ConfigurationError("unknown parameter 'colour'")

    assert look_at_store(failure, is_source=True).verdict is FAIL


def test_a_way_to_read_that_works_is_shown():
    found = look_at_store("/images on this machine", is_source=True)

    assert (found.verdict, found.detail) == (OK, "filesystem: /images on this machine")
