# SPDX-License-Identifier: Apache-2.0
"""What ``check`` says of the regions that the operator's files name."""

import json
import pathlib
import types
from typing import Any

from keystoneauth1 import token_endpoint
import pytest

from glance_sync_agent import errors
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.cmd.check import region_checks
from glance_sync_agent.cmd.check import store_checks
from glance_sync_agent.conf import store_file
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.drivers.glance import access
from glance_sync_agent.drivers.keystone import credentials
from tests.fakes import scripted_http

OK, WARN, SKIP, FAIL = findings.Level
FILE = pathlib.Path("/etc/glance/project_map.yaml")
REGIONS = tuple(map(images.RegionId, ("RegionOne", "RegionTwo")))


def look(project_map, owner=metadata_policy.Owner.MAPPED):
    policy = metadata_policy.MetadataPolicy(owner=owner, project_map=project_map)
    return region_checks.project_map(FILE, policy, REGIONS)


REACH = "start that Glance, restart it if it hangs, or make it reachable from here"


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (0, f"{REACH}: curl {{url}}/versions"),
        (503, f"{REACH}: curl {{url}}/versions"),
        # What a Glance says that may not ask Keystone, or cannot.
        (401, "see the log of that Glance; check its [keystone_authtoken] and its {more}"),
        (403, "see the log of that Glance; check its [keystone_authtoken] and its {more}"),
    ],
)
def test_what_to_do_about_a_glance_depends_on_its_answer(status, remedy):
    with scripted_http.serving() as server:
        server.script = [scripted_http.Reply(status)]
        session = credentials.make_session(token_endpoint.Token(server.url, "token"))
        catalogue: Any = types.SimpleNamespace(endpoint=lambda _region: server.url)
        found = region_checks.glance(REGIONS[0], catalogue, session, takes_copies=True)

        assert found.verdict is FAIL
        assert found.remedy == remedy.format(url=server.url, more="policy.yaml")


def test_a_glance_that_says_nothing_is_to_be_reached():
    with scripted_http.silent() as url:
        auth = token_endpoint.Token(url, "token")
        catalogue: Any = types.SimpleNamespace(endpoint=lambda _region: url)
        session = credentials.make_session(auth, timeout_seconds=0.2)
        found = region_checks.glance(REGIONS[0], catalogue, session, takes_copies=True)

    assert found.remedy == f"{REACH}: curl {url}/versions"


LISTING = scripted_http.Reply.of({"images": []})
VERSIONS = scripted_http.Reply.of({"versions": [{"id": "v2.17", "status": "CURRENT"}]})
TASKS = scripted_http.Reply.of({"tasks": []})
RECORD = scripted_http.Reply.of({"id": "any", "status": "queued"}, 201)
# What Glance 33 says to data for a record without formats.
NO_FORMATS = scripted_http.Reply.html(400, "Properties disk_format, container_format must be set")
FORBIDDEN = scripted_http.Reply.html(403, "Not allowed to upload image data")
GONE = scripted_http.Reply(204)
CUT = {"Content-Length": "9", "Connection": "close"}


@pytest.fixture
def scripted():
    """Return a function that checks a Glance with scripted answers."""
    with scripted_http.serving() as server:
        session = credentials.make_session(
            token_endpoint.Token(server.url, "token"), timeout_seconds=0.5
        )
        catalogue: Any = types.SimpleNamespace(endpoint=lambda _region: server.url)

        def look(*replies, takes_copies=True):
            server.script = [LISTING, VERSIONS, TASKS, *replies]
            found = region_checks.glance(
                REGIONS[1], catalogue, session, takes_copies=takes_copies
            )
            return found, [one for one in server.requests if one.method != "GET"]

        yield look
        session.session.close()


@pytest.mark.parametrize("answer", [NO_FORMATS, scripted_http.Reply(204)], ids=["33", "any"])
def test_a_glance_that_would_take_data_is_ok_and_keeps_nothing(scripted, answer):
    found, (made, filled, removed) = scripted(RECORD, answer, GONE)

    assert found.verdict is OK
    assert found.detail.endswith(", as administrator, uploads allowed")
    record = json.loads(made.body)
    path = f"/v2/images/{record['id']}"
    assert record == {
        "id": record["id"], "name": access.TRIAL_NAME, "visibility": "private",
    }
    assert (filled.method, filled.path, filled.body) == ("PUT", f"{path}/file", b"")
    assert filled.headers["Content-Type"] == "application/octet-stream"
    assert (removed.method, removed.path) == ("DELETE", path)


def test_a_glance_whose_policy_forbids_uploads_fails(scripted):
    found, requests = scripted(RECORD, FORBIDDEN, GONE)

    assert found.verdict is FAIL
    assert "does not let the agent's user upload the data of an image" in found.detail
    assert "upload_image" in found.remedy
    assert requests[-1].method == "DELETE"


def test_a_glance_that_takes_no_copies_is_not_tried(scripted):
    found, requests = scripted(takes_copies=False)

    assert (found.verdict, requests) == (OK, [])


@pytest.mark.parametrize(
    ("replies", "said"),
    [
        pytest.param([FORBIDDEN, GONE], "Not allowed", id="no record may be made"),
        pytest.param([scripted_http.Reply(0), GONE], "no answer", id="the record is unknown"),
        pytest.param([RECORD, scripted_http.Reply(500), GONE], "HTTP 500", id="5xx"),
        pytest.param([RECORD, scripted_http.Reply(0), GONE], "no answer", id="cut"),
        pytest.param(
            [RECORD, scripted_http.Reply(400, b"x", CUT), GONE],
            "Connection broken",
            id="cut in the middle",
        ),
    ],
)
def test_whatever_becomes_of_a_trial_its_record_is_removed(scripted, replies, said):
    found, requests = scripted(*replies)

    assert found.verdict is FAIL
    assert said in found.detail
    removed = requests[-1]
    assert (removed.method, removed.path) == (
        "DELETE", f"/v2/images/{json.loads(requests[0].body)['id']}",
    )


@pytest.mark.parametrize("status", [403, 500])
def test_a_record_that_cannot_be_removed_is_named(scripted, status):
    found, requests = scripted(RECORD, NO_FORMATS, scripted_http.Reply(status))

    image_id = json.loads(requests[0].body)["id"]
    assert found.verdict is FAIL
    assert found.detail.startswith(
        f"image {image_id}, '{access.TRIAL_NAME}', may be left in region RegionTwo"
    )


def test_a_record_that_is_gone_by_itself_is_no_failure(scripted):
    assert scripted(RECORD, NO_FORMATS, scripted_http.Reply(404))[0].verdict is OK


def test_a_map_of_regions_that_there_are_is_ok():
    found = look({"RegionTwo": {"alpha": "beta", "gamma": "delta"}})

    assert found.verdict is OK
    assert found.detail == f"{FILE}: 2 projects in 1 regions"


def test_regions_that_there_are_not_are_warned_about_with_those_that_there_are():
    found = look({"RegionTwo": {"a": "b"}, "RegionX": {"a": "b"}, "RegionNine": {"a": "b"}})

    assert found.verdict is WARN
    assert found.detail == f"{FILE}: RegionNine, RegionX: no region of the catalogue"
    assert found.remedy.endswith("the regions are RegionOne, RegionTwo")


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
    return store_checks.store(REGIONS[0], services, file, is_source=is_source)


@pytest.mark.parametrize(
    "failure",
    [
        errors.ServiceUnavailable("no sshd"),
        errors.TransferInterrupted("cut"),
        errors.Refused("may not be read"),
        errors.HostKeyMismatch("who are you"),
    ],
)
def test_a_source_store_that_cannot_be_read_is_a_warning_because_the_image_api_remains(failure):
    found = look_at_store(failure, is_source=True)

    assert found.verdict is WARN
    assert found.detail == f"{failure}; images are read through the image API instead"
    assert found.remedy.endswith(
        "or remove the entry of RegionOne from /etc/glance/glance_store.yaml, so that the agent "
        "only uses the image API"
    )
    assert look_at_store(failure, is_source=False).verdict is FAIL


def test_a_store_file_that_ends_the_start_is_no_mere_warning():
    failure = errors.ConfigurationError("unknown parameter 'colour'")

    assert look_at_store(failure, is_source=True).verdict is FAIL


def test_a_way_to_read_that_works_is_shown():
    found = look_at_store("/images on this machine", is_source=True)

    assert (found.verdict, found.detail) == (OK, "filesystem: /images on this machine")
