# SPDX-License-Identifier: Apache-2.0
"""Audit events of the requests to the API, by the middleware of OpenStack."""

from collections.abc import Sequence
import configparser
from typing import Any

from keystonemiddleware import audit
from oslo_config import cfg

from glance_sync_agent import errors

#: The section of the middleware, which registers its options with the global configuration only.
SECTION = audit.AUDIT_MIDDLEWARE_GROUP


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options of the middleware."""
    for group, options in audit.list_opts():
        conf.register_opts(options, group=group)


def build(
    application: Any, *, conf: cfg.ConfigOpts, map_file: str, ignored_methods: Sequence[str]
) -> Any:
    """Return an application that sends an event before and after each request.

    The events have the token of the caller, which pycadf masks.

    :raises ConfigurationError: the file cannot be read.
    """
    try:
        return audit.AuditMiddleware(
            application,
            oslo_config_config=conf,
            audit_map_file=map_file,
            ignore_req_list=",".join(ignored_methods),
        )
    except (OSError, ValueError, configparser.Error, audit.PycadfAuditApiConfigError) as exc:
        raise errors.ConfigurationError(
            f"[audit] audit_map_file {map_file} cannot be read: {exc}; copy "
            "etc/glance/api_audit_map.conf to it, or set [audit] enabled = false"
        ) from exc
