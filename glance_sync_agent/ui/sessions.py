# SPDX-License-Identifier: Apache-2.0
"""What the cookie of a browser holds, and its encryption."""

import base64
from collections.abc import Callable
import dataclasses
import hashlib
import hmac
import json
import secrets
import threading
import time
from typing import Final, Self

import cachetools
from cryptography import fernet

_REMEMBERED: Final = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BrowserSession:
    """A browser, with the user who logged in there."""

    csrf: str  # each form that changes something repeats it
    expires_at: float  # seconds since the epoch
    token: str | None = dataclasses.field(default=None, repr=False)  # None: nobody logged in
    user: str = ""
    scope: str = ""  # the project of the token

    @classmethod
    def begin(cls, *, expires_at: float, token: str | None = None, **names: str) -> Self:
        """Return a session with a new secret for its forms."""
        return cls(
            csrf=secrets.token_urlsafe(24), expires_at=expires_at, token=token, **names
        )

    def sent(self, csrf: object) -> bool:
        """Tell whether a form that brings this text is one of this session."""
        return isinstance(csrf, str) and hmac.compare_digest(self.csrf.encode(), csrf.encode())


class Sealer:
    """Turns sessions into cookies that only this service can read or make. Thread safe."""

    def __init__(self, key: str | None, now: Callable[[], float] = time.time) -> None:
        """Keep the key.

        :param key: shared by all processes that serve the page; None: a random one, so a
            restart ends all sessions.
        """
        raw = secrets.token_bytes(32) if key is None else hashlib.sha256(key.encode()).digest()
        self._fernet = fernet.Fernet(base64.urlsafe_b64encode(raw))
        self._now = now
        # auth_token takes a revoked token for some minutes more, as it keeps its answers.
        self._ended: cachetools.LRUCache[str, None] = cachetools.LRUCache(_REMEMBERED)
        self._lock = threading.Lock()

    def end(self, session: BrowserSession) -> None:
        """Take a session no more in this process, whoever has its cookie."""
        with self._lock:
            self._ended[session.csrf] = None

    def seal(self, session: BrowserSession) -> str:
        """Return the value of the cookie."""
        return self._fernet.encrypt(json.dumps(dataclasses.asdict(session)).encode()).decode()

    def unseal(self, cookie: str) -> BrowserSession | None:
        """Return the session of a cookie; None: it expired, or this service did not make it."""
        try:
            session = BrowserSession(**json.loads(self._fernet.decrypt(cookie.encode())))
        except (fernet.InvalidToken, ValueError, TypeError):
            return None  # TypeError: another version of the service made it
        with self._lock:
            is_over = session.csrf in self._ended
        return None if is_over or session.expires_at <= self._now() else session
