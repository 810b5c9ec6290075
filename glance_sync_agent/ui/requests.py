# SPDX-License-Identifier: Apache-2.0
"""What a browser sends: its session, and forms that are really from the page."""

from collections.abc import Mapping
from typing import Final
import uuid

import falcon

from glance_sync_agent.ui.api_client import ApiClient
from glance_sync_agent.ui.parts import PageParts
from glance_sync_agent.ui.sessions import BrowserSession
from glance_sync_agent.ui.sessions import Sealer

COOKIE: Final = "glance_sync_session"
_FORM_BYTES: Final = 16 * 1024
_TEXT_LENGTH: Final = 4096
_LISTS: Final = frozenset({"region"})  # as many as the form holds


class NotLoggedIn(Exception):
    """A request needs a user, and its browser has none."""


def root(request: falcon.Request) -> str:
    """Return the address of the page, below that of a proxy."""
    return f"{request.root_path}/ui"


def session(request: falcon.Request, sealer: Sealer) -> BrowserSession | None:
    """Return the session of a browser; None: it has none that is valid."""
    found = request.get_cookie_values(COOKIE)
    return sealer.unseal(found[0]) if found else None


def logged_in(
    request: falcon.Request, parts: PageParts
) -> tuple[BrowserSession, ApiClient]:
    """Return the session of a browser, and the API as its user may use it.

    :raises NotLoggedIn: nobody has logged in, or the session is over.
    """
    found = session(request, parts.sealer)
    if found is None or found.token is None:
        raise NotLoggedIn
    browser = {"REMOTE_ADDR": request.remote_addr, "HTTP_USER_AGENT": request.user_agent or ""}
    return found, parts.client(found.token, browser)


def keep(
    request: falcon.Request, response: falcon.Response, value: str, *, seconds: int
) -> None:
    """Let the browser keep a sealed session."""
    response.set_cookie(
        COOKIE,
        value,
        max_age=seconds,
        path=f"{root(request)}/",
        secure=request.scheme == "https",
        http_only=True,
        same_site="Strict",
    )


def forget(request: falcon.Request, response: falcon.Response) -> None:
    """Let the browser forget its session."""
    keep(request, response, "", seconds=0)


def form(request: falcon.Request, session: BrowserSession | None) -> Mapping[str, str]:
    """Return the fields of a form, which the page itself must have sent in this session.

    Values of a field that occurs more than once are joined by line ends.

    :raises HTTPForbidden: another site may have sent it, or the session is over.
    :raises HTTPContentTooLarge: it is larger than any form of the page.
    :raises HTTPBadRequest: a value is longer than any of the page.
    """
    _check_origin(request)
    if (request.content_length or 0) > _FORM_BYTES:
        raise falcon.HTTPContentTooLarge(description="This form is too large.")
    found = request.get_media(default_when_empty={})
    if session is None or not session.sent(found.get("csrf")):
        raise falcon.HTTPForbidden(
            description="This form is too old, or another site sent it. Open the page again."
        )
    found = {
        name: "\n".join(value) if isinstance(value, list) else value
        for name, value in found.items()
    }
    for name, value in found.items():
        if name not in _LISTS and len(value) > _TEXT_LENGTH:
            raise falcon.HTTPBadRequest(description="A value of this form is too long.")
    return {
        name: value.strip() if name != "password" else value for name, value in found.items()
    }


def image_id(text: str) -> uuid.UUID:
    """Return the id that somebody typed.

    :raises HTTPBadRequest: it is none.
    """
    try:
        return uuid.UUID(text.strip())
    except ValueError as exc:
        raise falcon.HTTPBadRequest(
            description="An id of an image looks like 3f2c1c1e-6d53-4b0e-9c5a-1f0d2e3c4b5a."
        ) from exc


def _check_origin(request: falcon.Request) -> None:
    own = f"{request.scheme}://{request.netloc}"
    origin = request.get_header("Origin")
    if origin != own:
        raise falcon.HTTPForbidden(
            description=f"The form comes from {origin or 'an unknown address'}, but this service "
            f"has the address {own}. If a proxy is between them, it must set X-Forwarded-Proto "
            "and X-Forwarded-Host, and [oslo_middleware] enable_proxy_headers_parsing must be "
            "true."
        )
