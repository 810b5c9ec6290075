# SPDX-License-Identifier: Apache-2.0
"""Asks the REST API in the same process, with the token of a user."""

from collections.abc import Callable, Iterable, Mapping
import io
import json
import sys
from typing import Any
import urllib.parse

from glance_sync_agent import errors

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class ApiFailure(errors.SyncError):
    """The API answered with an error.

    :param status: of HTTP.
    :param request_id: under which the log of the API has more.
    """

    def __init__(self, status: int, message: str, request_id: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id


class ApiClient:
    """The API as one user may use it."""

    def __init__(self, application: Wsgi, token: str, browser: Mapping[str, str]) -> None:
        """Keep the parts.

        :param application: the API behind its middleware, which checks the token.
        :param browser: what audit events say of it: REMOTE_ADDR, HTTP_USER_AGENT.
        """
        self._application = application
        self._token = token
        self._browser = browser

    def get(self, *path: str, **query: str | int | None) -> Any:
        """Return what the API answers about a thing.

        :param path: segments below ``/v1``, as they are.
        :param query: None: the parameter is left out.
        :raises ApiFailure: it answers with an error.
        """
        return self._ask("GET", path, {k: v for k, v in query.items() if v is not None}, None)

    def change(self, method: str, *path: str, body: Mapping[str, Any]) -> Any:
        """Change something.

        :raises ApiFailure: it answers with an error.
        """
        return self._ask(method, path, {}, body)

    def _ask(
        self,
        method: str,
        path: tuple[str, ...],
        query: Mapping[str, str | int],
        body: Mapping[str, Any] | None,
    ) -> Any:
        if any("/" in one for one in path):  # no route has one within a segment
            raise ApiFailure(404, "there is no such thing")
        sent = b"" if body is None else json.dumps(body).encode()
        environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            # WSGI has the bytes of a path as latin-1.
            "PATH_INFO": "/".join(("/v1", *path)).encode(errors="replace").decode("latin-1"),
            "QUERY_STRING": urllib.parse.urlencode(query, errors="replace"),
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "localhost",
            "HTTP_X_AUTH_TOKEN": self._token,
            **self._browser,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(sent),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        if body is not None:
            environ |= {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(sent))}
        return self._answer(environ)

    def _answer(self, environ: dict[str, Any]) -> Any:
        statuses: list[str] = []

        def start_response(status: str, _headers: Any, _failure: Any = None) -> None:
            statuses.append(status)

        parts = self._application(environ, start_response)
        try:
            text = b"".join(parts)
        finally:
            if (close := getattr(parts, "close", None)) is not None:
                close()
        status = int(statuses[-1].split()[0])
        found = json.loads(text) if text else {}
        if status >= 400:
            error = found.get("error", {})
            raise ApiFailure(
                status, str(error.get("message", "")), str(error.get("request_id", ""))
            )
        return found
