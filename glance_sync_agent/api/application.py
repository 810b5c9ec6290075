# SPDX-License-Identifier: Apache-2.0
"""The WSGI application: routes, and answers as JSON."""

from collections import defaultdict
import contextlib
import hashlib
import json
import logging
import threading
from typing import Any, Final

import falcon
from falcon import media
import prometheus_client

from glance_sync_agent import errors
from glance_sync_agent.api import callers
from glance_sync_agent.api import metrics
from glance_sync_agent.api import openapi
from glance_sync_agent.api import operations
from glance_sync_agent.api import parameters
from glance_sync_agent.api.calls import Call
from glance_sync_agent.api.operation import Operation
from glance_sync_agent.api.parts import Parts
from glance_sync_agent.api.policies import Policies

LOG = logging.getLogger(__name__)

_SLOW_AT_ONCE: Final = 8  # fewer than the threads of the server
_SLOT_SECONDS: Final = 1.0
_RETRY_AFTER: Final = 10  # seconds, if a service does not answer


def build(parts: Parts, policies: Policies) -> falcon.App[Any, Any]:
    """Return the application, without the middleware that confirms tokens."""
    registry = prometheus_client.CollectorRegistry()
    registry.register(metrics.Fleet(parts))
    requests = metrics.Requests(registry)
    app = falcon.App(media_type=falcon.MEDIA_JSON, middleware=[requests])
    app.set_error_serializer(_serialize)
    app.add_error_handler(errors.ImageConflict, _conflicting)
    app.add_error_handler(errors.UnknownRegion, _conflicting)
    app.add_error_handler(errors.Refused, _refused)
    app.add_error_handler(errors.SyncError, _unavailable)
    app.add_error_handler(Exception, _crashed)
    app.req_options.strip_url_path_trailing_slash = True
    handler = media.JSONHandler(loads=_loads)
    app.req_options.media_handlers = media.Handlers({falcon.MEDIA_JSON: handler})
    by_path: dict[str, dict[str, Operation]] = defaultdict(dict)
    for operation in operations.ALL:
        by_path[operation.path][operation.method] = operation
    slow = _Slots(_SLOW_AT_ONCE)
    for path, by_method in by_path.items():
        app.add_route(path, _Resource(parts, policies, by_method, slow))
    of_agent = [] if parts.meters is None else [parts.meters]
    app.add_route("/metrics", metrics.Metrics(registry, *of_agent))
    app.add_route("/", _Document(_versions(parts)))
    app.add_route("/v1", _Document({"version": _version()}))
    app.add_route("/v1/openapi.json", _Document(openapi.document(parts.version)))
    return app


def _versions(parts: Parts) -> dict[str, Any]:
    return {"versions": [_version()], "agent_version": parts.version}


def _version() -> dict[str, Any]:
    return {
        "id": "v1.0",
        "status": "CURRENT",
        "links": [{"rel": "self", "href": "/v1/"}],
    }


class _Slots:
    """Lets a few requests at once ask Glances, which may hang; others are told to come again."""

    def __init__(self, count: int) -> None:
        self._free = threading.BoundedSemaphore(count)

    def __enter__(self) -> None:
        if not self._free.acquire(timeout=_SLOT_SECONDS):
            raise errors.ServiceUnavailable("too many requests wait for Glances")

    def __exit__(self, *_failure: object) -> None:
        self._free.release()


class _Document:
    """Answers the same to everybody."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._text = json.dumps(document)

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer GET."""
        _respond(request, response, self._text)


class _Resource:
    """Answers the requests for one path, by their methods."""

    def __init__(
        self,
        parts: Parts,
        policies: Policies,
        by_method: dict[str, Operation],
        slow: "_Slots",
    ) -> None:
        self._parts = parts
        self._policies = policies
        self._slow = slow
        for method, operation in by_method.items():
            setattr(self, f"on_{method.lower()}", self._responder(operation))

    def _responder(self, operation: Operation) -> Any:
        def respond(
            request: falcon.Request, response: falcon.Response, **path: str
        ) -> None:
            call = self._call(operation, request, path)
            with self._slow if operation.asks_regions else contextlib.nullcontext():
                answer = operation.handler(call)
            response.status = operation.status
            _respond(request, response, json.dumps(answer))

        return respond

    def _call(
        self, operation: Operation, request: falcon.Request, path: dict[str, str]
    ) -> Call:
        caller = callers.caller(request.env)
        if caller is None:
            raise falcon.HTTPUnauthorized(
                description="send a valid token of Keystone in X-Auth-Token",
                challenges=["Keystone"],
            )
        if operation.rule is not None and not self._policies.allows(caller, operation.rule):
            raise falcon.HTTPForbidden(
                description=f"the rule {operation.rule} does not allow this to your roles"
            )
        return Call(
            parts=self._parts,
            policies=self._policies,
            caller=caller,
            path=parameters.path(path),
            query=parameters.query(request.query_string, operation.inputs),
            body=parameters.body(request, operation.inputs),
        )


def _respond(request: falcon.Request, response: falcon.Response, text: str) -> None:
    """Answer with a text, or with 304 if the caller has it already."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    response.etag = digest
    response.cache_control = ["private", "no-cache"]
    known = request.if_none_match or []
    if request.method == "GET" and any(one in {"*", digest} for one in known):
        response.status = falcon.HTTP_304
    else:
        response.text = text


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc


def _serialize(
    request: falcon.Request, response: falcon.Response, failure: falcon.HTTPError
) -> None:
    error = {
        "code": failure.status_code,
        "title": failure.title,
        "message": failure.description or failure.title,
        "request_id": _id_of(request),
    }
    response.content_type = falcon.MEDIA_JSON
    response.text = json.dumps({"error": error})


def _id_of(request: falcon.Request) -> str:
    return str(request.env.get("openstack.request_id", ""))


def _unavailable(
    request: falcon.Request, _response: falcon.Response, failure: Exception, _params: Any
) -> None:
    # The message may name hosts, which are for operators.
    LOG.warning("Could not answer request %s: %s", _id_of(request), failure)
    raise falcon.HTTPServiceUnavailable(
        description="a service that is needed for the answer does not answer; the log of the API "
        "says which",
        retry_after=_RETRY_AFTER,
    )


def _conflicting(
    _request: falcon.Request, _response: falcon.Response, failure: Exception, _params: Any
) -> None:
    raise falcon.HTTPConflict(description=str(failure))


def _refused(
    request: falcon.Request, _response: falcon.Response, failure: Exception, _params: Any
) -> None:
    LOG.warning("Could not answer request %s: %s", _id_of(request), failure)
    raise falcon.HTTPBadGateway(
        description="a service refuses what the agent's user asks; the log of the API says which"
    )


def _crashed(
    request: falcon.Request, _response: falcon.Response, failure: Exception, _params: Any
) -> None:
    if isinstance(failure, falcon.HTTPError | falcon.HTTPStatus):
        raise failure
    LOG.error("Request %s failed", _id_of(request), exc_info=failure)
    raise falcon.HTTPInternalServerError(
        description="the request failed; the log of the API has more under its request id"
    )
