# SPDX-License-Identifier: Apache-2.0
"""The driver of Keystone, with a real one and with scripted answers."""

from collections.abc import Callable, Iterator
from concurrent import futures
import pathlib
import threading
from typing import Any

from keystoneauth1 import token_endpoint
from keystoneauth1.identity import v3
from oslo_config import cfg
import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.drivers.keystone.catalogue import KeystoneCatalogue
from tests.fakes import scripted_http
from tests.fakes.scripted_http import Reply
from tools import cloud as clouds

GROUP = "service_credentials"
EVER = "2999-01-01T00:00:00.000000Z"
TOKEN = Reply.of(
    {
        "token": {
            "methods": ["password"],
            "expires_at": EVER,
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "user": {"id": "u", "name": "agent", "domain": {"id": "d", "name": "D"}},
            "roles": [{"id": "1", "name": "admin"}, {"id": "2", "name": "service"}],
        }
    },
    status=201,
    X_Subject_Token="secret-token",
)
PROJECT_TOKEN = Reply(
    201,
    TOKEN.body.replace(b'"roles"', b'"project": {"id": "own", "name": "services"}, "roles"'),
    TOKEN.headers,
)


def endpoint(region: str | None, url: str, interface: str = "public") -> dict[str, Any]:
    return {"id": url, "interface": interface, "region": region, "region_id": region, "url": url}


def catalogue(*endpoints: dict[str, Any], service: str = "image") -> Reply:
    other = {"type": "compute", "name": "nova", "endpoints": [endpoint("RegionNine", "http://n")]}
    image = {"type": service, "name": "glance", "endpoints": list(endpoints)}
    return Reply.of({"catalog": [other, image]})


TWO_REGIONS = catalogue(
    endpoint("RegionOne", "http://glance.one:9292"),
    endpoint("RegionOne", "http://admin.one:9292", "admin"),
    endpoint("RegionTwo", "http://glance.two:9292/v2/"),
    endpoint(None, "http://nowhere"),
)


class SetClock:
    """Seconds that a test decides."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[scripted_http.Server]:
    with scripted_http.serving() as server:
        yield server


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def make(
    server: scripted_http.Server, clock: SetClock
) -> Iterator[Callable[..., KeystoneCatalogue]]:
    sessions = []

    def make(auth_url: str | None = None, **options: Any) -> KeystoneCatalogue:
        auth = v3.Password(
            auth_url=auth_url or f"{server.url}/v3", user_id="u", password="p", project_id="x"
        )
        session = credentials.make_session(auth, timeout_seconds=2)
        session._connect_retries = 0  # they wait half a second
        sessions.append(session)
        defaults: dict[str, Any] = {"cascading_endpoint_url": "http://glance.one:9292/"}
        return KeystoneCatalogue(session=session, monotonic=clock, **(defaults | options))

    yield make
    for session in sessions:
        session.session.close()


def asked(server: scripted_http.Server) -> list[str]:
    return [f"{request.method} {request.path}" for request in server.requests]


# The real one


@pytest.fixture
def real(cloud: clouds.Cloud) -> Iterator[KeystoneCatalogue]:
    description = cloud.describe()
    auth = cloud.session("glance-sync").auth
    assert auth is not None
    session = credentials.make_session(auth)
    yield KeystoneCatalogue(
        session=session, cascading_endpoint_url=description.region("RegionOne").glance_url
    )
    session.session.close()


@pytest.mark.cloud
def test_a_real_cloud_has_its_regions(cloud: clouds.Cloud, real: KeystoneCatalogue) -> None:
    described = cloud.describe().regions
    assert real.regions() == {region.name for region in described}
    assert real.cascading == "RegionOne"
    for region in described:
        assert real.endpoint(images.RegionId(region.name)) == region.glance_url
        assert real.region_of(f"{region.glance_url}/v2/images/x") == region.name


@pytest.mark.cloud
def test_a_real_cloud_lets_the_agent_in(real: KeystoneCatalogue) -> None:
    assert len(real.token()) > 100
    assert {"admin", "service"} <= real.roles()


@pytest.mark.cloud
def test_a_real_cloud_names_our_project(
    cloud: clouds.Cloud, real: KeystoneCatalogue
) -> None:
    assert real.own_project() == cloud.describe().user("glance-sync").project_id


@pytest.mark.cloud
def test_a_wrong_password_is_a_refusal_that_names_the_section(cloud: clouds.Cloud) -> None:
    auth = v3.Password(
        auth_url=cloud.describe().auth_url,
        username="glance-sync",
        password="wrong",
        user_domain_name="Default",
    )
    session = credentials.make_session(auth)
    service = KeystoneCatalogue(session=session, cascading_endpoint_url="http://x")
    for question in (service.regions, service.token):
        with pytest.raises(errors.Refused, match=r"section \[service_credentials\]"):
            question()
    session.session.close()


# The catalogue


def test_only_image_endpoints_of_the_interface_with_a_region_count(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue]
) -> None:
    server.script = [TOKEN, TWO_REGIONS]
    assert make().regions() == {"RegionOne", "RegionTwo"}
    admin = make(interface="admin", cascading_endpoint_url="http://admin.one:9292")
    server.script = [TOKEN, TWO_REGIONS]
    assert admin.regions() == {"RegionOne"}
    assert admin.endpoint(admin.cascading) == "http://admin.one:9292"


def test_the_first_of_several_endpoints_of_a_region_counts(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue]
) -> None:
    server.script = [TOKEN, catalogue(endpoint("R", "http://a"), endpoint("R", "http://b"))]
    assert make().endpoint(images.RegionId("R")) == "http://a"


def test_a_region_that_is_not_there_is_unknown(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue]
) -> None:
    server.script = [TOKEN, TWO_REGIONS]
    with pytest.raises(errors.UnknownRegion, match=r"RegionNine .* RegionOne, RegionTwo"):
        make().endpoint(images.RegionId("RegionNine"))


@pytest.mark.parametrize(
    ("configured", "listed"),
    [
        ("http://glance.one:9292/", "http://glance.one:9292"),
        ("http://glance.one:9292", "http://glance.one:9292/v2"),
        ("http://glance.one:9292/v2/", "http://glance.one:9292/"),
        ("HTTP://Glance.ONE:9292", "http://glance.one:9292"),
        ("http://glance.one", "http://glance.one:80/"),
        ("https://glance.one:443/image", "https://glance.one/image/v2.9"),
        ("http://[::1]:9292", "http://[::1]:9292/"),
    ],
)
def test_the_cascading_region_is_found_however_its_url_is_written(
    server: scripted_http.Server,
    make: Callable[..., KeystoneCatalogue],
    configured: str,
    listed: str,
) -> None:
    server.script = [TOKEN, catalogue(endpoint("Here", listed), endpoint("There", "http://x"))]
    assert make(cascading_endpoint_url=configured).cascading == "Here"


@pytest.mark.parametrize(
    "configured",
    [
        "http://glance.one:9293",
        "https://glance.one:9292",
        "http://glance.two.example:9292",
        "http://glance.one:9292/v2/images",
        "http://glance.one:9292/image",
        "http://glance.one:99999",
        "glance.one:9292",
        "",
    ],
)
def test_an_unknown_cascading_url_is_an_error_that_lists_the_known(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue], configured: str
) -> None:
    server.script = [TOKEN, TWO_REGIONS]
    with pytest.raises(errors.ConfigurationError) as caught:
        _ = make(cascading_endpoint_url=configured).cascading
    message = str(caught.value)
    assert "of no regions" in message
    assert "RegionOne: http://glance.one:9292, RegionTwo: http://glance.two:9292/v2/" in message


def test_a_cascading_url_of_two_regions_is_an_error(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue]
) -> None:
    url = "http://glance.one:9292"
    server.script = [TOKEN, catalogue(endpoint("A", url), endpoint("B", f"{url}/v2"))]
    with pytest.raises(errors.ConfigurationError, match="of 2 regions"):
        _ = make().cascading


def test_an_empty_catalogue_has_no_regions(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue]
) -> None:
    server.script = [TOKEN, Reply.of({"catalog": []})]
    service = make()
    assert service.regions() == frozenset()
    with pytest.raises(errors.ConfigurationError, match="none that this user may see"):
        _ = service.cascading


def test_a_url_is_of_the_region_that_has_an_endpoint_there_of_any_interface(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue]
) -> None:
    server.script = [TOKEN, TWO_REGIONS]
    service = make(interface="admin")
    assert service.region_of("http://glance.two:9292/v2/images/x") == "RegionTwo"
    assert service.region_of("http://admin.one:9292/v2/images/x") == "RegionOne"
    assert service.region_of("http://nowhere/v2/images/x") is None  # an endpoint of no region
    assert service.region_of("http://n/v2/images/x") is None  # Nova's


# What is remembered


def test_an_answer_is_good_for_a_minute(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue], clock: SetClock
) -> None:
    service = make()
    server.script = [TOKEN, TWO_REGIONS]
    for clock.now in (0.0, 59.9):
        assert service.regions() == {"RegionOne", "RegionTwo"}
    server.script = [catalogue(endpoint("RegionOne", "http://glance.one:9292"))]
    clock.now = 60.0
    assert service.regions() == {"RegionOne"}
    assert asked(server) == ["POST /v3/auth/tokens", *["GET /v3/auth/catalog"] * 2]


def test_an_error_is_not_remembered(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue]
) -> None:
    service = make()
    server.script = [TOKEN, Reply(503), TWO_REGIONS]
    with pytest.raises(errors.ServiceUnavailable):
        service.regions()
    assert service.regions() == {"RegionOne", "RegionTwo"}


@pytest.mark.parametrize("status", [503, 401])
def test_a_keystone_that_fails_later_leaves_what_was_known(
    server: scripted_http.Server,
    make: Callable[..., KeystoneCatalogue],
    clock: SetClock,
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    service = make()
    server.script = [TOKEN, TWO_REGIONS]
    service.regions()
    server.script = [Reply(status)]
    clock.now = 60.0
    assert service.regions() == {"RegionOne", "RegionTwo"}
    assert "keeping the last one" in caplog.text
    new = catalogue(endpoint("New", "http://new"))
    server.script = [TOKEN, new] if status == 401 else [new]  # the token was good or was not
    clock.now = 120.0
    assert service.regions() == {"New"}


def test_a_keystone_that_hangs_holds_up_one_thread_and_no_other(
    server: scripted_http.Server,
    make: Callable[..., KeystoneCatalogue],
    clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hang(_request: object) -> Reply:
        asked.set()
        answer.wait(30)
        return TWO_REGIONS

    asked, answer = threading.Event(), threading.Event()
    service = make()
    server.script = [TOKEN, TWO_REGIONS]
    service.regions()
    clock.now = 60.0
    monkeypatch.setattr(server, "next_reply", hang)
    with futures.ThreadPoolExecutor(2) as pool:
        first = pool.submit(service.regions)
        try:
            assert asked.wait(10)
            # The session gives up after 2 s.
            assert pool.submit(service.regions).result(1) == {"RegionOne", "RegionTwo"}
        finally:
            answer.set()
        assert first.result(10) == {"RegionOne", "RegionTwo"}


def test_many_threads_ask_once(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue]
) -> None:
    service = make()
    server.script = [TOKEN, TWO_REGIONS]
    together = threading.Barrier(8)

    def ask(_: int) -> object:
        together.wait()
        return service.regions()

    with futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {frozenset({"RegionOne", "RegionTwo"})}
    assert len(server.requests) == 2


def test_a_token_is_kept(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue]
) -> None:
    service = make()
    server.script = [TOKEN]
    assert [service.token(), service.token()] == ["secret-token"] * 2
    assert service.roles() == {"admin", "service"}
    assert len(server.requests) == 1


def test_our_project_is_that_of_the_token_which_is_there(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue]
) -> None:
    service = make()
    server.script = [PROJECT_TOKEN]
    service.token()
    assert [service.own_project(), service.own_project()] == ["own", "own"]
    assert len(server.requests) == 1


def test_a_token_of_no_project_is_refused_with_what_to_do(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue]
) -> None:
    server.script = [TOKEN]
    with pytest.raises(errors.Refused, match=r"\[service_credentials\] a project_name"):
        make().own_project()


def test_a_token_that_ends_soon_is_replaced(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue]
) -> None:
    service = make()
    ended = TOKEN.body.replace(EVER.encode(), b"2026-01-01T01:00:00.000000Z")
    server.script = [Reply(201, ended, {**TOKEN.headers, "X-Subject-Token": "old"}), TOKEN]
    assert [service.token(), service.token()] == ["old", "secret-token"]


def test_a_token_that_a_service_refused_is_replaced(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue]
) -> None:
    service = make()
    revoked = {**TOKEN.headers, "X-Subject-Token": "revoked"}
    server.script = [Reply(201, TOKEN.body, revoked), TOKEN]
    assert service.token() == "revoked"
    service.forget_token()
    assert service.token() == "secret-token"


# Errors


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_a_keystone_in_trouble_is_unavailable(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue], status: int
) -> None:
    for script in ([Reply(status)], [TOKEN, Reply(status)]):
        server.script = script
        with pytest.raises(errors.ServiceUnavailable, match="cannot read the catalogue"):
            make().regions()
    for question in (make().token, make().roles, make().own_project):
        server.script = [Reply(status)]
        with pytest.raises(errors.ServiceUnavailable, match="cannot get a token"):
            question()


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_keystone_that_refuses_is_a_refusal(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue], status: int
) -> None:
    server.script = [Reply.of({"error": {"message": "not you", "code": status}}, status)]
    for question in (make().regions, make().token, make().roles, make().own_project):
        with pytest.raises(errors.Refused, match=r"\[service_credentials\]"):
            question()


def test_a_keystone_that_is_not_there_is_unavailable(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue]
) -> None:
    server.script = [Reply(0)]
    for url in (None, "http://127.0.0.1:1/v3"):
        with pytest.raises(errors.ServiceUnavailable):
            make(url).regions()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"catalog": 5}',
        b'{"catalog": [5]}',
        b'{"catalog": [{"type": "image", "endpoints": 5}]}',
        b'{"catalog": [{"type": "image", "endpoints": [{"interface": "public"}]}]}',
        b'{"catalog": [{"type": "image", "endpoints": [{"region_id": "R"}]}]}',
    ],
)
def test_an_answer_that_is_no_catalogue_gives_no_regions(
    server: scripted_http.Server, make: Callable[..., KeystoneCatalogue], body: bytes
) -> None:
    server.script = [TOKEN, Reply(200, body, {"Content-Type": "application/json"})]
    try:
        found = make().regions()
    except errors.ServiceUnavailable as exc:
        assert "not a catalogue" in str(exc)  # noqa: PT017
    else:
        assert found == frozenset()


def test_a_log_in_without_keystone_gives_neither_roles_nor_token() -> None:
    session = credentials.make_session(token_endpoint.Token("http://127.0.0.1:1", None))
    service = KeystoneCatalogue(session=session, cascading_endpoint_url="http://x")
    with pytest.raises(errors.Refused, match="log-in"):
        service.token()
    for question in (service.roles, service.own_project):
        with pytest.raises(errors.Refused, match="auth_type"):
            question()


# Options


def conf_of(tmp_path: pathlib.Path, text: str) -> cfg.ConfigOpts:
    path = tmp_path / "sync.conf"
    path.write_text(text)
    conf = cfg.ConfigOpts()
    conf.register_opts(credentials.options(), group=GROUP)
    conf(["--config-file", str(path)])
    return conf


LOG_IN = "auth_url = {url}/v3\nusername = agent\npassword = p\nuser_domain_id = default\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"[{GROUP}]\n{LOG_IN}", id="our section"),
        pytest.param(f"[{GROUP}]\nauth_type = v3password\n{LOG_IN}", id="another plugin"),
        pytest.param(
            f"[{GROUP}]\nauth_section = other\n[other]\nauth_type = password\n{LOG_IN}",
            id="another section",
        ),
    ],
)
def test_a_session_is_made_of_the_options(
    server: scripted_http.Server, tmp_path: pathlib.Path, text: str
) -> None:
    conf = conf_of(tmp_path, text.format(url=server.url))
    credentials.load(conf, GROUP).session.close()  # it may be made more than once
    session = credentials.load(conf, GROUP)
    server.script = [TOKEN]
    assert session.get_token() == "secret-token"
    assert server.requests[-1].headers["User-Agent"].startswith("glance-sync-agent ")
    assert session.timeout == 60
    session.session.close()


def test_a_session_gives_up_after_the_configured_time(tmp_path: pathlib.Path) -> None:
    conf = conf_of(tmp_path, f"[{GROUP}]\nauth_url = http://x\ntimeout = 7\n")
    assert credentials.load(conf, GROUP).timeout == 7


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param("", id="nothing"),
        pytest.param("auth_type = unheard-of\nauth_url = http://x", id="type"),
        pytest.param("auth_type =\nauth_url = http://x", id="no type"),
    ],
)
def test_a_log_in_that_cannot_be_is_a_configuration_error(
    tmp_path: pathlib.Path, lines: str
) -> None:
    conf = conf_of(tmp_path, f"[{GROUP}]\n{lines}\n")
    with pytest.raises(errors.ConfigurationError, match=r"\[service_credentials\]"):
        credentials.load(conf, GROUP)


def test_the_sample_file_tells_of_the_log_in_with_a_password() -> None:
    ((section, found),) = credentials.list_opts()
    assert section == GROUP
    by_name = {option.dest: option for option in found}
    assert by_name["password"].secret
    assert by_name["auth_type"].default == "password"
    assert {"auth_url", "timeout", "cafile"} < set(by_name)
