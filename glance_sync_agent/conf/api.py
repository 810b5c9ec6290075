# SPDX-License-Identifier: Apache-2.0
"""The options of the REST API."""

import dataclasses

from oslo_config import cfg

_KEY_LENGTH = 32

OPTIONS = {
    None: [
        cfg.HostAddressOpt(
            "sync_server_host", default="127.0.0.1",
            help="Address on which the REST API listens. Put a TLS proxy before it if it should "
            "be reachable from outside of the host.",
        ),
        cfg.PortOpt(
            "sync_server_port", default=9595,
            help="Port on which the REST API listens. If it is taken, the agent copies without "
            "an API.",
        ),
    ],
    "api": [
        cfg.BoolOpt(
            "enabled", default=True,
            help="Serve the REST API from within the agent. Set it to false if glance-sync-api "
            "serves it in a process of its own.",
        ),
        cfg.BoolOpt(
            "page", default=True,
            help="Serve a page for operators at /ui/ beside the REST API. It shows and changes "
            "what the API does, for users who log in with Keystone. Set it to false if nobody "
            "uses it. Browsers should reach it through a TLS proxy only.",
        ),
        cfg.StrOpt(
            "session_key", secret=True,
            help="Encrypts the cookies of the page; at least 32 characters, such as the output "
            "of 'openssl rand -hex 32'. Set the same key for all processes that serve the page "
            "behind one address. The default is a random key for each process: a restart ends "
            "all sessions of the page.",
        ),
    ],
    # The names of Ironic.
    "audit": [
        cfg.BoolOpt(
            "enabled", default=False,
            help="Send an audit event (CADF) to the message bus before and after each request to "
            "the REST API that has a valid token. Choose the driver and the topics in "
            "[audit_middleware_notifications]; without a driver nothing is sent.",
        ),
        cfg.StrOpt(
            "audit_map_file", default="/etc/glance/api_audit_map.conf",
            help="File that names the actions and the resources of the REST API for audit events.",
        ),
        cfg.ListOpt(
            "ignore_req_list", default=["GET", "HEAD"],
            help="HTTP methods of requests without audit events. The page reads every few "
            "seconds, so an empty list means many events.",
        ),
    ],
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AuditSettings:
    """Which requests to the API cause audit events, and the file that names them."""

    is_enabled: bool
    map_file: str
    ignored_methods: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ApiSettings:
    """Whether the agent serves the API, where it listens, and whether it has a page."""

    is_enabled: bool
    host: str
    port: int
    has_page: bool
    session_key: str | None = dataclasses.field(repr=False)  # None: a random one
    audit: AuditSettings


def api_settings(conf: cfg.ConfigOpts) -> ApiSettings:
    """Return the settings of the API.

    :raises ValueError: the key is short enough to be guessed.
    """
    key = conf.api.session_key
    if key is not None and len(key) < _KEY_LENGTH:
        raise ValueError(
            f"[api] session_key has {len(key)} characters, but needs at least {_KEY_LENGTH}; "
            "'openssl rand -hex 32' makes one"
        )
    return ApiSettings(
        is_enabled=conf.api.enabled,
        host=str(conf.sync_server_host),
        port=conf.sync_server_port,
        has_page=conf.api.page,
        session_key=key,
        audit=AuditSettings(
            is_enabled=conf.audit.enabled,
            map_file=conf.audit.audit_map_file,
            ignored_methods=tuple(conf.audit.ignore_req_list),
        ),
    )
