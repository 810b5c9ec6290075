# SPDX-License-Identifier: Apache-2.0
"""The page before an API on a cloud in memory, and a browser that looks at it."""

import dataclasses
import datetime
import html.parser
from typing import Any
import urllib.parse

import falcon.testing

from glance_sync_agent import errors
from glance_sync_agent.ui import application
from glance_sync_agent.ui.parts import PageParts
from glance_sync_agent.ui.rendering import Templates
from glance_sync_agent.ui.sessions import BrowserSession
from glance_sync_agent.ui.sessions import Sealer
from glance_sync_agent.ui.throttle import Throttle
from tests.unit.api import test_application

HOST = "sync.example"
ORIGIN = f"http://{HOST}"
COOKIE = "glance_sync_session"
START = datetime.datetime(2026, 11, 30, tzinfo=datetime.UTC).timestamp()
#: What Keystone would say of these tokens.
ROLES = {"token-admin": "admin", "token-member": "member", "token-reader": "reader"}


@dataclasses.dataclass(frozen=True)
class Issued:
    """``ui.parts.Issued``."""

    token: str
    expires_at: datetime.datetime
    user: str
    scope: str


class FakeLogIns:
    """``ui.parts.LogIns``: the password of everybody is ``secret``."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.revoked: list[str] = []
        self.is_down = False

    def log_in(self, user: str, password: str, **scope: str) -> Issued:
        if self.is_down:
            raise errors.ServiceUnavailable("http://keystone.internal does not answer")
        self.asked.append({"user": user, **scope})
        if password != "secret" or f"token-{user}" not in ROLES:
            raise errors.Refused("no")
        ends = datetime.datetime.fromtimestamp(START + 3600, datetime.UTC)
        return Issued(f"token-{user}", ends, user, scope["project"] or "the whole deployment")

    def log_out(self, token: str) -> None:
        if self.is_down:
            raise errors.ServiceUnavailable("down")
        self.revoked.append(token)


class Form(html.parser.HTMLParser):
    """Finds the secret of the forms of a page."""

    csrf = ""

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        found = dict(attributes)
        if tag == "input" and found.get("name") == "csrf":
            self.csrf = found["value"]


class Stage:
    """The page, and all that is behind it."""

    def __init__(self) -> None:
        self.api = test_application.Stage()
        self.world = self.api.world
        self.log_ins = FakeLogIns()
        self.time = START
        self.clock = 0.0
        self.sealer = Sealer(None, lambda: self.time)
        self.calls: list[tuple[str, str]] = []
        self.broken: Exception | None = None
        self.page = application.build(
            PageParts(
                api=self._api,
                log_ins=self.log_ins,
                sealer=self.sealer,
                throttle=Throttle(lambda: self.clock),
                templates=Templates(),
                now=lambda: self.time,
            )
        )
        self.cookie: str | None = None

    def _api(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Confirm tokens as the middleware does."""
        self.calls.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        if self.broken is not None:
            raise self.broken
        role = ROLES.get(environ.get("HTTP_X_AUTH_TOKEN", ""))
        environ["HTTP_X_IDENTITY_STATUS"] = "Invalid" if role is None else "Confirmed"
        environ["HTTP_X_ROLES"] = role or ""
        if role == "reader":
            environ["HTTP_OPENSTACK_SYSTEM_SCOPE"] = "all"
        environ["HTTP_X_USER_ID"] = environ["HTTP_X_USER_NAME"] = "alice"
        return self.api.application(environ, start_response)

    def ask(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **details: Any
    ) -> falcon.testing.Result:
        """Send a request with the cookie, and keep the one that comes."""
        sent = {**(headers or {})}
        if self.cookie is not None:
            sent["Cookie"] = f"{COOKIE}={self.cookie}"

        def call(environ, start_response):  # the client looks at the signature
            return self.page(environ, start_response)

        client = falcon.testing.TestClient(call)
        details.setdefault("host", HOST)
        details.setdefault("protocol", "http")
        answer = client.simulate_request(method, path, headers=sent, **details)
        if COOKIE in answer.cookies:
            self.cookie = answer.cookies[COOKIE].value or None
        return answer

    def get(self, path: str, **details: Any) -> falcon.testing.Result:
        """Look at a page."""
        return self.ask("GET", path, **details)

    def post(self, path: str, form: dict[str, str], **details: Any) -> falcon.testing.Result:
        """Send a form from the page itself, with its secret unless the form has one."""
        session = self.session()
        csrf = {} if session is None else {"csrf": session.csrf}
        headers = {"Origin": ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}
        return self.ask(
            "POST",
            path,
            body=urllib.parse.urlencode({**csrf, **form}),
            headers={**headers, **details.pop("headers", {})},
            **details,
        )

    def session(self) -> BrowserSession | None:
        """Return what the cookie of the browser holds."""
        return None if self.cookie is None else self.sealer.unseal(self.cookie)

    def log_in(self, user: str = "admin", **form: str) -> falcon.testing.Result:
        """Open the form and send it."""
        self.get("/ui/log-in")
        return self.post("/ui/log-in", {"user": user, "password": "secret", **form})
