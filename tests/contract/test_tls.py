# SPDX-License-Identifier: Apache-2.0
"""Glances behind TLS: whom the agent trusts, what it shows them, what a failure says."""

from collections.abc import Callable, Iterator
import pathlib
import socket
import ssl
import threading
import types
from typing import Any

from keystoneauth1 import loading
from keystoneauth1 import token_endpoint
from oslo_config import cfg
import pytest

from glance_sync_agent import errors
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.cmd.check import region_checks
from glance_sync_agent.domain import images
from glance_sync_agent.drivers import stores
from glance_sync_agent.drivers.glance import calls
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.drivers.keystone.catalogue import KeystoneCatalogue
from glance_sync_agent.drivers.ssh import hosts
from glance_sync_agent.drivers.stores import api
from glance_sync_agent.drivers.transport import connections
from glance_sync_agent.drivers.transport import image_endpoints
from glance_sync_agent.drivers.transport import streams
from glance_sync_agent.drivers.transport.trust import Trust
from tests.fakes import certificates
from tests.fakes import scripted_http
from tests.fakes.scripted_http import Reply
from tests.unit import builders

TIMEOUTS = streams.Timeouts(connect_seconds=5.0, idle_seconds=5.0)
REGION = builders.REGION
WRONG_CA = "set cafile in [service_credentials] to the file of the CA"
NO_CERTIFICATE = "set certfile and keyfile in [service_credentials]"
NGINX = Reply.html(400, "No required SSL certificate was sent")


@pytest.fixture
def make(tmp_path: pathlib.Path) -> Callable[..., pathlib.Path]:
    """Return what makes a directory with a certificate."""

    def made(name: str, **options: Any) -> pathlib.Path:
        directory = tmp_path / name
        directory.mkdir()
        certificates.write(directory, **options)
        return directory

    return made


@pytest.fixture
def theirs(make: Callable[..., pathlib.Path]) -> pathlib.Path:
    return make("server")


@pytest.fixture
def ours(make: Callable[..., pathlib.Path]) -> pathlib.Path:
    return make("client")


@pytest.fixture
def demanding(
    theirs: pathlib.Path, ours: pathlib.Path
) -> Iterator[scripted_http.Server]:
    """Give a Glance that takes no client without our certificate."""
    with scripted_http.serving(certificates.server_context(theirs, clients=ours)) as server:
        yield server


def trust_in(theirs: pathlib.Path, ours: pathlib.Path | None = None) -> Trust:
    return Trust(
        cafile=str(theirs / "certificate.pem"),
        certfile=str(ours / "certificate.pem") if ours else None,
        keyfile=str(ours / "key.pem") if ours else None,
    )


def store_at(url: str, trust: Trust) -> api.ApiStore:
    return api.ApiStore(
        stores.StoreContext(
            region=REGION,
            endpoint=url,
            token=lambda: "secret",
            ssh=hosts.SshHosts(),
            known_hosts="/nowhere",
            trust=trust,
            timeouts=TIMEOUTS,
        )
    )


def session_with(trust: Trust, url: str) -> Any:
    return loading.session.Session().load_from_options(
        cacert=trust.cafile,
        cert=trust.certfile,
        key=trust.keyfile,
        auth=token_endpoint.Token(url, "token"),
    )


def calls_at(url: str, session: Any) -> calls.Calls:
    return calls.Calls(
        region=REGION,
        session=session,
        endpoint=url,
        retries=calls.Retries(attempts=1),
        stop=threading.Event(),
    )


def read_all(store: api.ApiStore, image: images.Image) -> bytes:
    with store.read(image) as chunks:
        return b"".join(chunks)


def test_a_transfer_shows_the_client_certificate(
    demanding: scripted_http.Server, theirs: pathlib.Path, ours: pathlib.Path
) -> None:
    store = store_at(demanding.url, trust_in(theirs, ours))
    demanding.script = [Reply(204)]
    store.write(builders.IMAGE_ID, 5, [b"bytes"])
    assert demanding.requests[-1].body == b"bytes"

    demanding.script = [Reply(200, b"bytes")]
    assert read_all(store, builders.source(size=5)) == b"bytes"
    store.close()


def test_a_file_may_hold_both_certificate_and_key(
    demanding: scripted_http.Server, theirs: pathlib.Path, ours: pathlib.Path
) -> None:
    both = ours / "both.pem"
    both.write_bytes((ours / "certificate.pem").read_bytes() + (ours / "key.pem").read_bytes())
    trust = Trust(cafile=str(theirs / "certificate.pem"), certfile=str(both))
    store = store_at(demanding.url, trust)
    demanding.script = [Reply(204)]
    store.write(builders.IMAGE_ID, 5, [b"bytes"])
    store.close()


def test_a_client_certificate_that_was_renewed_is_used_at_once(
    demanding: scripted_http.Server,
    theirs: pathlib.Path,
    ours: pathlib.Path,
    make: Callable[..., pathlib.Path],
) -> None:
    old = make("old")
    store = store_at(demanding.url, trust_in(theirs, old))
    demanding.script = [Reply(204)]
    with pytest.raises(errors.HandshakeFailed):
        store.write(builders.IMAGE_ID, 5, [b"bytes"])

    for name in ("certificate.pem", "key.pem"):
        (old / name).write_bytes((ours / name).read_bytes())
    store.write(builders.IMAGE_ID, 5, [b"bytes"])
    store.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("size", [5, 3 * 1024 * 1024])
def test_a_transfer_without_the_certificate_that_is_wanted_says_so_and_names_the_region(
    theirs: pathlib.Path, ours: pathlib.Path, version: ssl.TLSVersion, size: int
) -> None:
    context = certificates.server_context(theirs, clients=ours)
    context.minimum_version = context.maximum_version = version
    with scripted_http.serving(context) as server:
        server.script = [Reply(204)]
        store = store_at(server.url, trust_in(theirs))
        with pytest.raises(errors.HandshakeFailed) as written:
            store.write(builders.IMAGE_ID, size, [bytes(size)])
        with pytest.raises(errors.HandshakeFailed) as read:
            read_all(store, builders.source(size=size))
    for caught in (written, read):
        assert NO_CERTIFICATE in str(caught.value)
        assert caught.value.region == REGION
    assert server.requests == []


def test_what_nginx_says_without_a_certificate_is_a_failed_handshake(
    theirs: pathlib.Path,
) -> None:
    with scripted_http.serving(certificates.server_context(theirs)) as server:
        server.script = [NGINX]
        trust = trust_in(theirs)
        with pytest.raises(errors.HandshakeFailed, match="certfile and keyfile") as caught:
            store_at(server.url, trust).write(builders.IMAGE_ID, 5, [b"bytes"])
        assert caught.value.region == REGION
        with pytest.raises(errors.HandshakeFailed, match="certfile and keyfile") as caught:
            calls_at(server.url, session_with(trust, server.url)).ask("GET", "/images")
        assert caught.value.region == REGION


def test_another_bad_request_is_no_failed_handshake(theirs: pathlib.Path) -> None:
    with scripted_http.serving(certificates.server_context(theirs)) as server:
        server.script = [Reply.html(400, "Invalid image")]
        with pytest.raises(errors.Refused, match="Invalid image"):
            store_at(server.url, trust_in(theirs)).write(builders.IMAGE_ID, 5, [b"bytes"])


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        pytest.param({"address": "127.0.0.9"}, "has another name", id="name"),
        pytest.param({"days": 0}, "renew the certificate", id="expired"),
    ],
)
def test_a_certificate_that_is_not_good_any_more_or_for_another_name_is_told_as_such(
    make: Callable[..., pathlib.Path], options: dict[str, Any], remedy: str
) -> None:
    theirs = make("bad", **options)
    with scripted_http.serving(certificates.server_context(theirs)) as server:
        endpoint = image_endpoints.parse(server.url)
        with pytest.raises(errors.HandshakeFailed) as caught:
            connections.connect(endpoint, trust_in(theirs), TIMEOUTS)
        assert remedy in caught.value.remedy
        with pytest.raises(errors.HandshakeFailed) as caught:
            calls_at(server.url, session_with(trust_in(theirs), server.url)).ask("GET", "/images")
        assert remedy in caught.value.remedy


def test_a_port_without_tls_is_told_as_such() -> None:
    with scripted_http.serving() as server:
        url = server.url.replace("http:", "https:")
        with pytest.raises(errors.HandshakeFailed, match="does not use TLS"):
            connections.connect(image_endpoints.parse(url), Trust(), TIMEOUTS)


def test_a_server_that_hangs_up_in_the_handshake_was_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: listener.accept()[0].close())
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(errors.HandshakeFailed, match="read the log of the TLS server"):
            connections.connect(image_endpoints.parse(url), Trust(), TIMEOUTS)
        thread.join()


def test_glance_sees_the_client_certificate_with_each_request(
    demanding: scripted_http.Server, theirs: pathlib.Path, ours: pathlib.Path
) -> None:
    demanding.script = [Reply.of({"images": []})]
    session = session_with(trust_in(theirs, ours), demanding.url)
    assert calls_at(demanding.url, session).ask("GET", "/images").status == 200


def test_a_request_whose_handshake_fails_names_the_option_and_the_region(
    demanding: scripted_http.Server, theirs: pathlib.Path
) -> None:
    url = demanding.url
    for trust, option in [(Trust(), WRONG_CA), (trust_in(theirs), NO_CERTIFICATE)]:
        with pytest.raises(errors.HandshakeFailed) as caught:
            calls_at(url, session_with(trust, url)).ask("GET", "/images")
        assert option in str(caught.value)
        assert "GET /v2/images of region RegionTwo: the TLS handshake failed" in str(caught.value)
        assert caught.value.region == REGION


def test_a_handshake_with_keystone_is_not_counted_against_a_region(
    theirs: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    text = "[c]\nauth_url = {url}/v3\nusername = agent\npassword = p\nuser_domain_id = default\n"
    with (
        scripted_http.serving(certificates.server_context(theirs)) as identity,
        scripted_http.serving() as glance,
    ):
        conf = conf_of(tmp_path, text.format(url=identity.url))
        session = credentials.load(conf, "c")
        with pytest.raises(errors.HandshakeFailed, match="Keystone: the TLS") as caught:
            calls_at(glance.url, session).ask("GET", "/images")
        assert caught.value.region is None
        catalogue = KeystoneCatalogue(session=session, cascading_endpoint_url=glance.url)
        with pytest.raises(errors.HandshakeFailed, match="cafile") as caught:
            catalogue.token()
        assert caught.value.region is None


@pytest.mark.parametrize("with_ca", [True, False])
def test_check_never_says_of_a_failed_handshake_that_glance_be_started(
    demanding: scripted_http.Server, theirs: pathlib.Path, with_ca: bool
) -> None:
    trust = trust_in(theirs) if with_ca else Trust()
    url = demanding.url
    catalogue: Any = types.SimpleNamespace(endpoint=lambda _region: url)
    found = region_checks.glance(
        REGION, catalogue, session_with(trust, url), takes_copies=False
    )

    assert found.verdict is findings.Level.FAIL
    assert "the TLS handshake failed" in found.detail
    assert (NO_CERTIFICATE if with_ca else WRONG_CA) in found.remedy
    assert "start" not in findings.text(found)


# Options


def conf_of(tmp_path: pathlib.Path, text: str) -> Any:
    path = tmp_path / "sync.conf"
    path.write_text(text)
    conf = cfg.ConfigOpts()
    conf.register_opts(credentials.options(), group="c")
    conf(["--config-file", str(path)])
    return conf


def test_the_options_of_the_log_in_are_those_of_the_transfers(
    theirs: pathlib.Path, ours: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    wanted = trust_in(theirs, ours)
    conf = conf_of(
        tmp_path,
        f"[c]\ncafile = {wanted.cafile}\ncertfile = {wanted.certfile}\n"
        f"keyfile = {wanted.keyfile}\ninsecure = true\n",
    )
    found = credentials.trust(conf, "c")
    assert (found.cafile, found.certfile, found.keyfile) == (
        wanted.cafile, wanted.certfile, wanted.keyfile,
    )
    assert found.insecure


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("cafile = /nowhere.pem", "certificates of cafile /nowhere.pem: .*No such file"),
        ("certfile = /nowhere.pem", "client certificate of certfile /nowhere.pem.*No such file"),
        ("keyfile = {ours}/key.pem", "key.pem also needs certfile"),
        ("certfile = {ours}/certificate.pem", "client certificate of certfile .*certificate.pem"),
        ("certfile = {ours}/certificate.pem\nkeyfile = {theirs}/key.pem", "mismatch"),
        ("certfile = {locked}/certificate.pem\nkeyfile = {locked}/key.pem", "client certificate"),
    ],
)
def test_a_file_of_certificates_that_does_not_do_ends_the_start_with_its_name(
    make: Callable[..., pathlib.Path],
    theirs: pathlib.Path,
    ours: pathlib.Path,
    tmp_path: pathlib.Path,
    lines: str,
    told: str,
) -> None:
    locked = make("locked", password=b"s3cret")
    given = lines.format(ours=ours, theirs=theirs, locked=locked)
    conf = conf_of(tmp_path, f"[c]\nauth_url = http://x\n{given}\n")
    with pytest.raises(errors.ConfigurationError, match=told) as caught:
        credentials.load(conf, "c")
    assert "section [c]" in str(caught.value)


def test_a_file_of_certificates_that_goes_away_is_told_and_may_come_back(
    theirs: pathlib.Path,
) -> None:
    with scripted_http.serving(certificates.server_context(theirs)) as server:
        session = session_with(trust_in(theirs), server.url)
        (theirs / "certificate.pem").unlink()
        with pytest.raises(errors.ServiceUnavailable, match=r"certificate\.pem") as caught:
            calls_at(server.url, session).ask("GET", "/images")
    assert caught.value.region is None
