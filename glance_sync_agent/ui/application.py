# SPDX-License-Identifier: Apache-2.0
"""The WSGI application of the page, before that of the API."""

from collections.abc import Callable, Iterable
import logging
import re
from typing import Any, Final

import falcon
from falcon import media

from glance_sync_agent import errors
from glance_sync_agent.ui import files
from glance_sync_agent.ui import log_in
from glance_sync_agent.ui import reads
from glance_sync_agent.ui import requests
from glance_sync_agent.ui import writes
from glance_sync_agent.ui.api_client import ApiFailure
from glance_sync_agent.ui.api_client import Wsgi
from glance_sync_agent.ui.parts import PageParts

LOG = logging.getLogger(__name__)

_PREFIX: Final = "/ui"
_RETRY_AFTER: Final = 10  # seconds
_LOG_IN_AGAIN: Final = 401
_FORBIDDEN: Final = 403
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # With no-referrer, the Origin of forms would be null.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Split:
    """Gives the page what is below ``/ui/``, and all else to the API."""

    def __init__(self, page: Wsgi, api: Wsgi) -> None:
        self._page = page
        self._api = api

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request."""
        path = environ.get("PATH_INFO", "")
        is_page = path == _PREFIX or path.startswith(f"{_PREFIX}/")
        return (self._page if is_page else self._api)(environ, start_response)


def build(parts: PageParts) -> Wsgi:
    """Return the API of these parts, with the page before it."""
    failures = _Failures(parts)
    app = falcon.App(media_type=falcon.MEDIA_HTML, middleware=[_Headers()])
    app.req_options.media_handlers = media.Handlers(
        {falcon.MEDIA_URLENCODED: media.URLEncodedFormHandler()}
    )
    app.set_error_serializer(failures.show)
    app.add_error_handler(requests.NotLoggedIn, failures.not_logged_in)
    app.add_error_handler(ApiFailure, failures.of_api)
    app.add_error_handler(errors.SyncError, failures.unavailable)
    app.add_error_handler(Exception, failures.crashed)
    app.add_route(_PREFIX, _Home())
    app.add_route(f"{_PREFIX}/static/{{name}}", files.Files())
    app.add_route(f"{_PREFIX}/log-in", log_in.LogIn(parts))
    app.add_route(f"{_PREFIX}/log-out", log_in.LogOut(parts))
    app.add_route(f"{_PREFIX}/images/find", reads.Find())
    for view in reads.ALL:
        app.add_route(f"{_PREFIX}{view.path}", reads.Reading(parts, view))
        if view.every is not None:
            app.add_route(f"{_PREFIX}/data{view.path}", reads.Data(parts, view))
    for write in writes.ALL:
        path = re.sub(r"{(\w+)}", r"{\1:uuid}", write.path)
        app.add_route(f"{_PREFIX}{path}", writes.Writing(parts, write))
    return Split(app, parts.api)


class _Home:
    """``/ui``."""

    def on_get(self, request: falcon.Request, _response: falcon.Response) -> None:
        """Lead to the address with a slash, below which the cookie is sent."""
        raise falcon.HTTPSeeOther(f"{requests.root(request)}/")


class _Headers:
    """Adds what protects a page to every answer."""

    def process_response(
        self,
        _request: falcon.Request,
        response: falcon.Response,
        _resource: object,
        _succeeded: bool,  # noqa: FBT001 - the signature of falcon
    ) -> None:
        response.set_headers(_HEADERS)
        if response.get_header("Cache-Control") is None:
            response.cache_control = ["no-store"]


class _Failures:
    """Answers what fails."""

    def __init__(self, parts: PageParts) -> None:
        self._parts = parts

    def show(
        self, request: falcon.Request, response: falcon.Response, failure: falcon.HTTPError
    ) -> None:
        """Show an error as a page."""
        response.content_type = falcon.MEDIA_HTML
        response.text = self._parts.templates.render(
            "failure.html",
            root=requests.root(request),
            session=requests.session(request, self._parts.sealer),
            title=failure.title,
            message=failure.description or failure.title,
            # Without a role for the whole cloud, users may see single images, but change none.
            may_look_up=failure.status_code == _FORBIDDEN and request.method == "GET",
        )

    def not_logged_in(
        self,
        request: falcon.Request,
        response: falcon.Response,
        _failure: Exception,
        _params: Any,
    ) -> None:
        """Let the user log in, unless the browser only kept its cookie back.

        It does so if a link on another site leads here, because the cookie is SameSite=Strict.
        """
        if request.path.startswith(f"{_PREFIX}/data/"):
            raise falcon.HTTPUnauthorized(description="Log in again.")
        if request.method != "GET" or request.get_header("Sec-Fetch-Site") != "cross-site":
            raise falcon.HTTPSeeOther(log_in.address(request))
        root = requests.root(request)
        response.text = self._parts.templates.render("again.html", root=root)

    def of_api(
        self,
        request: falcon.Request,
        response: falcon.Response,
        failure: ApiFailure,
        params: Any,
    ) -> None:
        """Show what the API answered; whose token it does not take has to log in."""
        if failure.status == _LOG_IN_AGAIN:
            requests.forget(request, response)
            return self.not_logged_in(request, response, failure, params)
        description = f"{failure}."
        if failure.request_id:
            description = f"{description} The id of the request is {failure.request_id}."
        raise falcon.HTTPError(failure.status, description=description)

    def unavailable(
        self,
        _request: falcon.Request,
        _response: falcon.Response,
        failure: Exception,
        _params: Any,
    ) -> None:
        """Say that Keystone does not answer; why is for the log, because it names hosts."""
        LOG.warning("Could not answer a request for the page: %s", failure)
        raise falcon.HTTPServiceUnavailable(
            description="Keystone does not answer. The log of the API says more.",
            retry_after=_RETRY_AFTER,
        )

    def crashed(
        self,
        _request: falcon.Request,
        _response: falcon.Response,
        failure: Exception,
        _params: Any,
    ) -> None:
        """Log a bug."""
        if isinstance(failure, falcon.HTTPError | falcon.HTTPStatus):
            raise failure
        LOG.error("A request for the page failed", exc_info=failure)
        raise falcon.HTTPInternalServerError(
            description="The request failed. The log of the API says more."
        )
