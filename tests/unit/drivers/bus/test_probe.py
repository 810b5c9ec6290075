# SPDX-License-Identifier: Apache-2.0
"""The probe of a message bus without a broker; the integration tests have one."""

import contextlib
import socket
import ssl
import threading

from oslo_config import cfg
import oslo_messaging
import pytest

from glance_sync_agent import errors
from glance_sync_agent.drivers.bus import probe


@pytest.fixture
def conf_with(tmp_path):
    """Return a function that creates a configuration."""

    def make(url, **rabbit):
        lines = [] if url is None else [f"transport_url = {url}"]
        lines += ["[oslo_messaging_rabbit]"]
        lines += [f"{name} = {value}" for name, value in rabbit.items()]
        file = tmp_path / "sync.conf"
        file.write_text("\n".join(["[DEFAULT]", *lines, ""]))
        conf = cfg.ConfigOpts()
        conf([f"--config-file={file}"], default_config_files=[], default_config_dirs=[])
        return conf

    return make


@pytest.fixture
def listener():
    """Give a port that accepts a connection, and the first bytes that it received."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        first = bytearray()

        def accept():
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    first.extend(connection.recv(1024))

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1], first
        thread.join(10)


@pytest.fixture
def closed_port():
    """Give a port without a listener."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def ping(conf, timeout_seconds):
    return probe.ping(conf, timeout_seconds, exchange="glance", pool="test")


@pytest.mark.parametrize("url", ["fake://", "fake:///vhost", "kombu+memory://"])
def test_a_bus_without_a_broker_is_reported_as_unchecked(conf_with, url):
    said = ping(conf_with(url), 1)

    assert said == f"{url.partition(':')[0]}://, which cannot be checked"


@pytest.mark.parametrize("url", ["carrier-pigeon://u:hidden@h/", "rabbit://u:hidden@[::1/"])
def test_an_unknown_url_is_refused_without_showing_its_password(conf_with, url):
    with pytest.raises(errors.ConfigurationError, match="transport_url") as caught:
        ping(conf_with(url), 1)

    assert "hidden" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_unreachable_broker_is_named_without_its_password(conf_with, closed_port):
    conf = conf_with(f"rabbit://user:hidden@127.0.0.1:{closed_port}/region")

    with pytest.raises(errors.ServiceUnavailable) as caught:
        ping(conf, 1)

    assert f"127.0.0.1:{closed_port}/region" in str(caught.value)
    assert "refused" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_server_that_is_not_a_broker_is_an_error(conf_with, listener):
    port, first = listener

    with pytest.raises(errors.ServiceUnavailable, match=f"127.0.0.1:{port}/"):
        ping(conf_with(f"rabbit://u:p@127.0.0.1:{port}/"), 1)

    assert bytes(first).startswith(b"AMQP")


def test_the_probe_uses_tls_if_the_options_say_so(conf_with, listener):
    port, first = listener

    with pytest.raises(errors.ServiceUnavailable):
        ping(conf_with(f"rabbit://u:p@127.0.0.1:{port}/", ssl="true"), 1)

    handshake = 0x16
    assert first[0] == handshake


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, False, id="off"),
        pytest.param({"ssl": "true"}, True, id="without files"),
        pytest.param(
            {"ssl": "true", "ssl_cert_file": "/c", "ssl_key_file": "/k"},
            {"certfile": "/c", "keyfile": "/k"},
            id="own certificate",
        ),
        pytest.param(
            {"ssl": "true", "ssl_ca_file": "/a"},
            {
                "ca_certs": "/a",
                "cert_reqs": ssl.CERT_REQUIRED,
                "server_hostname": "broker.example",
            },
            id="authority",
        ),
    ],
)
def test_the_parameters_of_tls_are_those_of_oslo_messaging(conf_with, options, expected):
    conf = conf_with("rabbit://", **options)
    oslo_messaging.get_notification_transport(conf)  # registers them

    assert probe._tls(conf, "broker.example") == expected
