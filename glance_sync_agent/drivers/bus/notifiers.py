# SPDX-License-Identifier: Apache-2.0
"""Settings for what sends notifications itself, such as the middleware of the API."""

import logging

from oslo_config import cfg
from oslo_messaging import opts

from glance_sync_agent.drivers.bus import probe

_SECTION = "oslo_messaging_notifications"
_SENDER = "oslo_messaging.notify.messaging"  # logs the notifications that it cannot send


def prepare(conf: cfg.ConfigOpts, url: str | None, name: str) -> None:
    """Let a notifier give up at once if the bus is away, unless ``sync.conf`` says otherwise.

    The default of oslo.messaging is to try without end, and the caller would wait for that.

    :param url: of the bus; None: the ``transport_url`` of ``conf``.
    :param name: the option with the URL.
    :raises ConfigurationError: it is not a URL of a message bus.
    """
    for group, options in opts.list_opts():
        if group == _SECTION:
            conf.register_opts(options, group=group)
    conf.set_default("retry", 0, group=_SECTION)
    probe.check(conf, url, name=name)
    logging.getLogger(_SENDER).addFilter(_shorten)


def _shorten(record: logging.LogRecord) -> bool:
    """Replace the traceback of a failure by its message, which says enough of a bus."""
    if record.exc_info:
        record.msg = f"{record.getMessage()}: {record.exc_info[1]}"
        record.args = ()
        record.exc_info = None
    return True


def drivers(conf: cfg.ConfigOpts, chosen: str | None) -> list[str]:
    """Return what a notifier sends with; needs ``prepare``.

    :param chosen: of the notifier's own options; None: ``[oslo_messaging_notifications]`` says it.
    """
    return [chosen] if chosen else list(conf[_SECTION].driver)
