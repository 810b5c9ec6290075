# SPDX-License-Identifier: Apache-2.0
"""Notifiers of libraries, which must not wait for a bus that is away."""

import logging

from oslo_config import cfg
import oslo_messaging
import pytest

from glance_sync_agent.drivers.bus import notifiers


@pytest.fixture
def conf_with(tmp_path):
    """Return a function that creates a configuration."""

    def make(text=""):
        file = tmp_path / "sync.conf"
        file.write_text(f"[oslo_messaging_notifications]\n{text}\n")
        conf = cfg.ConfigOpts()
        conf([f"--config-file={file}"], default_config_files=[], default_config_dirs=[])
        notifiers.prepare(conf, "fake://", "transport_url")
        return conf

    return make


@pytest.mark.parametrize(("text", "retries"), [("", 0), ("retry = 3", 3)])
def test_a_notifier_gives_up_at_once_unless_the_operator_wants_it_to_go_on(
    conf_with, text, retries
):
    conf = conf_with(text)
    transport = oslo_messaging.get_notification_transport(conf, url="fake://")
    assert oslo_messaging.Notifier(transport, "p").retry == retries


def test_a_notification_that_was_not_sent_is_logged_on_one_line(conf_with, caplog):
    conf_with()
    logger = logging.getLogger("oslo_messaging.notify.messaging")
    try:
        raise ConnectionRefusedError("nobody listens")
    except OSError:
        logger.exception("Could not send notification to %(topic)s", {"topic": "audit"})
    logger.error("Something else: %s", "no exception")
    first, second = caplog.records
    assert first.getMessage() == "Could not send notification to audit: nobody listens"
    assert first.exc_info is None
    assert second.getMessage() == "Something else: no exception"


def test_the_drivers_of_a_notifier_are_its_own_or_those_of_all(conf_with):
    assert notifiers.drivers(conf_with(), None) == []
    both = conf_with("driver = log\ndriver = noop")
    assert notifiers.drivers(both, None) == ["log", "noop"]
    assert notifiers.drivers(both, "messagingv2") == ["messagingv2"]
