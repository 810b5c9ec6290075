# SPDX-License-Identifier: Apache-2.0
"""The log-in of ``[service_credentials]``, and the sessions made with it."""

from collections.abc import Iterator
import contextlib
import re
from typing import Any, Final, TypeAlias

from keystoneauth1 import exceptions
from keystoneauth1 import loading
from keystoneauth1 import plugin
from keystoneauth1 import session as sessions
from oslo_config import cfg

from glance_sync_agent import errors
from glance_sync_agent import request_ids
from glance_sync_agent.drivers.transport import tls_failures
from glance_sync_agent.drivers.transport.trust import Trust

#: Our log-in and the open connections: all that a driver needs for a service.
Session: TypeAlias = sessions.Session

#: What a request through a session may raise if there is no answer.
FAILURES: Final = (exceptions.ClientException,)
#: Those of them that TLS causes.
TLS_FAILURES: Final = (exceptions.SSLError,)

_SECTION: Final = "service_credentials"
_USER_AGENT: Final = "glance-sync-agent"
_TIMEOUT_SECONDS: Final = 60.0
_CONNECT_RETRIES: Final = 1
#: requests quotes urllib3, which quotes the system.
_LAYERS: Final = re.compile(r": HTTPS?ConnectionPool\(.*(\[Errno -?\d+\] [^'\")]+).*$", re.DOTALL)
_POOL_SIZE: Final = 64  # connections kept to one host, and hosts to which any are kept


def options() -> list[Any]:
    """Return the oslo.config options of ``[service_credentials]`` that every log-in has.

    :func:`load` registers those of the ``auth_type``, in the section that ``auth_section``
    names, because an option may differ between plugins.
    """
    found: list[Any] = [
        *loading.get_auth_common_conf_options(),
        *loading.get_session_conf_options(),
        cfg.StrOpt(
            "interface",
            default="public",
            choices=["public", "internal", "admin"],
            help="Interface of the endpoints in the catalogue that the agent uses; "
            "cascading_endpoint_url must be one of them. Change it if the agent's host cannot "
            "reach the public endpoints.",
        ),
    ]
    for option in found:
        if option.dest == "auth_type":
            option.default = "password"
        elif option.dest == "timeout":
            option.default = _TIMEOUT_SECONDS
    return found


def list_opts() -> list[tuple[str, list[Any]]]:
    """Return these options and those of the ``password`` plugin, for oslo-config-generator."""
    return [(_SECTION, [*options(), *loading.get_auth_plugin_conf_options("password")])]


def load(conf: Any, group: str) -> Session:
    """Make the session that the options of ``group`` describe; sends nothing yet.

    :param conf: an ``oslo_config.cfg.ConfigOpts`` with :func:`options` registered in ``group``.
    :raises ConfigurationError: an option is missing or wrong.
    """
    trust(conf, group)
    try:
        if conf[group].auth_section:
            loading.register_auth_conf_options(conf, group)  # auth_type, over there
        auth = loading.load_auth_from_conf_options(conf, group)
        if auth is None:
            raise errors.ConfigurationError(f"auth_type is empty for section [{group}]")
        session = loading.load_session_from_conf_options(
            conf,
            group,
            auth=auth,
            timeout=conf[group].timeout or _TIMEOUT_SECONDS,
            user_agent=_USER_AGENT,
            connect_retries=_CONNECT_RETRIES,
        )
        return _pooled(session)
    except (*FAILURES, TypeError, ValueError) as exc:
        raise errors.ConfigurationError(f"section [{group}] gives no log-in: {exc}") from exc


def trust(conf: Any, group: str) -> Trust:
    """Return what TLS connections trust, the same as the session's.

    :raises ConfigurationError: a file cannot be read, or holds no certificates or no key.
    """
    section = conf[group]
    if section.keyfile and not section.certfile:
        raise errors.ConfigurationError(
            f"section [{group}]: keyfile = {section.keyfile} also needs certfile"
        )
    found = Trust(
        cafile=section.cafile,
        insecure=section.insecure,
        certfile=section.certfile,
        keyfile=section.keyfile,
    )
    try:
        found.context()  # requests would raise something unexpected at the first request
    except errors.ServiceUnavailable as exc:
        raise errors.ConfigurationError(f"section [{group}]: {exc}") from exc
    return found


def make_session(
    auth: plugin.BaseAuthPlugin, *, timeout_seconds: float = _TIMEOUT_SECONDS
) -> Session:
    """Make a session that many threads may share."""
    session = sessions.Session(
        auth=auth,
        timeout=timeout_seconds,
        user_agent=_USER_AGENT,
        connect_retries=_CONNECT_RETRIES,
    )
    return _pooled(session)


class _Adapter(sessions.TCPKeepAliveAdapter):
    """Sends the id of the request that the thread works on, with each request to any service."""

    def add_headers(self, request: Any, **_kwargs: Any) -> None:
        """Add the id; ``requests`` calls this for its subclasses."""
        if (served := request_ids.current()) is not None:
            request.headers[request_ids.HEADER] = served.global_id


def _pooled(session: Session) -> Session:
    for scheme in ("http://", "https://"):
        adapter = _Adapter(
            pool_connections=_POOL_SIZE,
            pool_maxsize=_POOL_SIZE,
            tls_ciphers=session.tls_ciphers,
            tls_min_version=session.tls_min_version,
        )
        session.mount(scheme, adapter)
    return session


def described(failure: BaseException) -> str:
    """Return the text of a failure, without the layers of the libraries below."""
    return _LAYERS.sub(r": \1", str(failure))


@contextlib.contextmanager
def translated(attempt: str) -> Iterator[None]:
    """Turn what keystoneauth1 raises into our errors."""
    try:
        yield
    except (exceptions.HttpServerError, exceptions.TooManyRequests) as exc:
        raise errors.ServiceUnavailable(f"cannot {attempt}: {described(exc)}") from exc
    except (exceptions.HTTPClientError, exceptions.AuthPluginException) as exc:
        raise errors.Refused(
            f"cannot {attempt}: {exc}; check section [service_credentials]"
        ) from exc
    except TLS_FAILURES as exc:
        raise tls_failures.failed(f"cannot {attempt}", exc) from exc
    except (*FAILURES, OSError) as exc:  # requests cannot read a file of certificates
        raise errors.ServiceUnavailable(f"cannot {attempt}: {described(exc)}") from exc
