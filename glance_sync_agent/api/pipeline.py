# SPDX-License-Identifier: Apache-2.0
"""The middleware of OpenStack around the application."""

from collections.abc import Callable, Iterable
import json
import logging
import threading
from typing import Any, Final

from keystoneauth1 import exceptions
from keystonemiddleware import auth_token
from oslo_config import cfg
from oslo_middleware import base
from oslo_middleware import cors
from oslo_middleware import healthcheck
from oslo_middleware import http_proxy_to_wsgi
from oslo_middleware import request_id
from oslo_middleware import sizelimit
import webob

from glance_sync_agent import request_ids

LOG = logging.getLogger(__name__)

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

#: Answers for everybody.
_PUBLIC: Final = frozenset({"/", "/v1", "/v1/openapi.json", "/metrics"})
_HEALTH: Final = "/healthcheck"
_AUTH_TOKEN: Final = "keystone_authtoken"  # noqa: S105 - the name of a section
_KEYSTONE_SECONDS: Final = 5  # for one answer of Keystone; the middleware asks four times
#: Requests with a token that are worked on at once; fewer than the threads of the server.
_CONFIRMED_AT_ONCE: Final = 12
_SLOT_SECONDS: Final = 1.0  # that others wait
_TLS: Final = ("cafile", "certfile", "keyfile", "insecure", "interface")


def build(
    application: Wsgi,
    conf: cfg.ConfigOpts,
    credentials: str,
    with_page: Callable[[Wsgi], Wsgi] = lambda api: api,
    audited: Callable[[Wsgi], Wsgi] = lambda api: api,
) -> Wsgi:
    """Return an application behind the middleware.

    :param credentials: the section with the log-in of the agent, which checks tokens unless
        ``[keystone_authtoken]`` has one of its own.
    :param with_page: puts a page for browsers before the API.
    :param audited: sends audit events of requests with a valid token.
    """
    found: Any = _ByPath(
        public=application,
        health=healthcheck.Healthcheck(None, conf),
        confirmed=_Few(_confirming(audited(application), conf, credentials)),
    )
    found = sizelimit.RequestBodySizeLimiter(found, conf)
    found = _JsonErrors(found, conf)
    found = cors.CORS(found, conf)
    found = _Serving(found)
    found = with_page(request_id.RequestId(found, conf))
    return http_proxy_to_wsgi.HTTPProxyToWSGI(found, conf)


def _confirming(application: Wsgi, conf: cfg.ConfigOpts, credentials: str) -> Any:
    """Return the application behind auth_token."""
    # It would take the global configuration of oslo.config.
    local: dict[str, Any] = {"oslo_config_config": conf}
    conf.register_opts(
        [one for group, found in auth_token.list_opts() if group == _AUTH_TOKEN for one in found],
        group=_AUTH_TOKEN,
    )
    section = conf[_AUTH_TOKEN]
    if section.http_connect_timeout is None:  # the middleware would wait for ever
        local["http_connect_timeout"] = _KEYSTONE_SECONDS
    if not section.auth_type and not section.auth_section:
        log_in = conf[credentials]
        local["auth_section"] = log_in.auth_section or credentials
        local |= {name: log_in[name] for name in _TLS if log_in[name] is not None}
        if (address := getattr(log_in, "auth_url", None)) is not None:
            local["www_authenticate_uri"] = address
    return auth_token.AuthProtocol(application, local)


class _Serving:
    """Gives log lines, and requests to other services, the id of the request."""

    def __init__(self, application: Wsgi) -> None:
        self._application = application

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        own = environ["openstack.request_id"]
        with request_ids.serving(own, environ.get("openstack.global_request_id")):
            return self._application(environ, start_response)


class _Few:
    """Leaves threads for what everybody may ask, also if Keystone or a Glance hangs."""

    def __init__(self, application: Wsgi) -> None:
        self._application = application
        self._free = threading.BoundedSemaphore(_CONFIRMED_AT_ONCE)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if not self._free.acquire(timeout=_SLOT_SECONDS):
            LOG.warning("%d requests already wait for Keystone or a Glance", _CONFIRMED_AT_ONCE)
            return _unavailable(start_response)
        try:
            # The application has made its whole answer when it returns.
            return self._application(environ, start_response)
        except exceptions.ConnectTimeout as exc:  # the middleware answers other failures itself
            LOG.warning("Could not check a token: %s", exc)
            return _unavailable(start_response)
        finally:
            self._free.release()


def _unavailable(start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("503 Service Unavailable", [("Content-Length", "0")])
    return []


class _ByPath:
    """Lets everybody have some answers, and asks for a token for all others."""

    def __init__(self, *, public: Wsgi, health: Wsgi, confirmed: Wsgi) -> None:
        self._public = public
        self._health = health
        self._confirmed = confirmed

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "").removesuffix("/") or "/"
        if path == _HEALTH:
            return self._health(environ, start_response)
        chosen = self._public if path in _PUBLIC else self._confirmed
        return chosen(environ, start_response)


class _JsonErrors(base.ConfigurableMiddleware):
    """Answers errors of the other middleware as JSON, like those of the application."""

    def process_response(
        self, response: webob.Response, request: webob.Request | None = None
    ) -> webob.Response:
        """Replace the body of an error that is no JSON; add the id of the request to others."""
        if response.status_int < 400:
            return response
        body = response.json if response.content_type == "application/json" else None
        error = (body or {}).get("error") or {
            "code": response.status_int,
            "title": response.status,
            "message": _MESSAGES.get(response.status_int, response.status),
        }
        if request is not None:
            error.setdefault(
                "request_id", str(request.environ.get("openstack.request_id", ""))
            )
        response.content_type = "application/json"
        response.charset = "utf-8"
        response.text = json.dumps({"error": error})
        return response


_MESSAGES: Final = {
    401: "send a valid token of Keystone in X-Auth-Token",
    413: "the body is larger than [oslo_middleware] max_request_body_size",
    503: "a service that is needed for the answer does not answer; the log of the API says which",
}
