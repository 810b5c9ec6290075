# SPDX-License-Identifier: Apache-2.0
"""Logs users in and out. Their passwords go to Keystone and are kept nowhere."""

from collections.abc import Mapping
import contextlib
import logging
import re
import threading
from typing import Final
import urllib.parse

import falcon

from glance_sync_agent import errors
from glance_sync_agent.ui import requests
from glance_sync_agent.ui import throttle
from glance_sync_agent.ui.parts import Issued
from glance_sync_agent.ui.parts import PageParts
from glance_sync_agent.ui.sessions import BrowserSession

LOG = logging.getLogger(__name__)

_FORM_SECONDS: Final = 3600
_AT_ONCE: Final = 4  # each holds a thread of the server until Keystone answers
_DOMAIN: Final = "Default"
#: A path of this page, and nothing that leads elsewhere.
_LOCAL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9/_.?=&%+:-]*")
_ADDRESS_LENGTH: Final = 64
_REFUSED: Final = "Keystone refused this. Check the names, the password and the project."


def address(request: falcon.Request) -> str:
    """Return where to log in, and then to come back to the page that was asked for."""
    if request.method != "GET":  # nobody can look at the address of a form
        return f"{requests.root(request)}/log-in"
    wanted = request.path.removeprefix("/ui/")
    if request.query_string:
        wanted = f"{wanted}?{request.query_string}"
    query = urllib.parse.urlencode({"next": wanted}) if _LOCAL.fullmatch(wanted) else ""
    return f"{requests.root(request)}/log-in" + (f"?{query}" if query else "")


class LogIn:
    """``/ui/log-in``."""

    def __init__(self, parts: PageParts) -> None:
        self._parts = parts
        self._slots = threading.BoundedSemaphore(_AT_ONCE)

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show the form, in a session that nobody has logged in to yet."""
        found = requests.session(request, self._parts.sealer)
        if found is not None and found.token is not None:
            raise falcon.HTTPSeeOther(f"{requests.root(request)}/")
        if found is None and request.get_header("Sec-Fetch-Site") == "cross-site":
            # A new session would replace the one whose cookie the browser kept back.
            root = requests.root(request)
            response.text = self._parts.templates.render("again.html", root=root)
            return
        form = {"next": request.get_param("next") or ""}
        self._show(request, response, form, session=found)

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Log in."""
        found = requests.session(request, self._parts.sealer)
        form = requests.form(request, found)
        user = throttle.one_name((form.get("user", ""), form.get("domain") or _DOMAIN))
        # The last address is what the nearest proxy saw; anybody may write those before it.
        client = request.remote_addr.rpartition(",")[2].strip()[:_ADDRESS_LENGTH]
        if seconds := self._parts.throttle.begin(client, user):
            LOG.warning("Refused a log-in to the page from %s: too many tries", client)
            response.set_header("Retry-After", str(seconds))
            return self._refuse(
                request, response, form, falcon.HTTP_429,
                f"Too many tries. The next one is allowed in {seconds} seconds.",
            )
        try:
            issued = self._ask(form)
        except errors.ServiceUnavailable:
            self._parts.throttle.give_back(client, user)
            raise
        except errors.Refused:
            LOG.info("Keystone refused a log-in to the page from %s", client)
            return self._refuse(request, response, form, falcon.HTTP_403, _REFUSED)
        self._parts.throttle.succeeded(client, user)
        self._keep(request, response, issued)
        following = form.get("next", "")
        if not _LOCAL.fullmatch(following):
            following = ""
        raise falcon.HTTPSeeOther(f"{requests.root(request)}/{following}")

    def _ask(self, form: Mapping[str, str]) -> Issued:
        if not self._slots.acquire(timeout=1.0):
            raise errors.ServiceUnavailable("too many log-ins wait for Keystone")
        try:
            domain = form.get("domain") or _DOMAIN
            return self._parts.log_ins.log_in(
                form.get("user", ""),
                form.get("password", ""),
                domain=domain,
                project=form.get("project", ""),
                project_domain=form.get("project_domain") or domain,
            )
        finally:
            self._slots.release()

    def _keep(
        self, request: falcon.Request, response: falcon.Response, issued: Issued
    ) -> None:
        ends = issued.expires_at.timestamp()
        session = BrowserSession.begin(
            expires_at=ends, token=issued.token, user=issued.user, scope=issued.scope
        )
        seconds = max(int(ends - self._parts.now()), 0)
        requests.keep(request, response, self._parts.sealer.seal(session), seconds=seconds)

    def _refuse(
        self,
        request: falcon.Request,
        response: falcon.Response,
        form: Mapping[str, str],
        status: str,
        message: str,
    ) -> None:
        response.status = status
        self._show(request, response, form, message)

    def _show(
        self,
        request: falcon.Request,
        response: falcon.Response,
        form: Mapping[str, str],
        message: str = "",
        session: BrowserSession | None = None,
    ) -> None:
        """Show the form, perhaps with what was typed before, but without the password.

        :param session: stays, so that forms in other windows stay good; None: a new one begins.
        """
        ends = self._parts.now() + _FORM_SECONDS
        session = session or BrowserSession.begin(expires_at=ends)
        requests.keep(
            request, response, self._parts.sealer.seal(session), seconds=_FORM_SECONDS
        )
        names = ("user", "domain", "project", "project_domain", "next")
        response.text = self._parts.templates.render(
            "log-in.html",
            root=requests.root(request),
            session=session,
            message=message,
            form={**dict.fromkeys(names, ""), **form},
        )


class LogOut:
    """``/ui/log-out``."""

    def __init__(self, parts: PageParts) -> None:
        self._parts = parts

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Revoke the token, if Keystone answers, and forget it in any case."""
        found = requests.session(request, self._parts.sealer)
        requests.form(request, found)
        if found is not None and found.token is not None:
            self._parts.sealer.end(found)
            with contextlib.suppress(errors.SyncError):
                self._parts.log_ins.log_out(found.token)
        requests.forget(request, response)
        raise falcon.HTTPSeeOther(f"{requests.root(request)}/log-in")

