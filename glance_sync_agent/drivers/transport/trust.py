# SPDX-License-Identifier: Apache-2.0
"""Which certificates the agent trusts, and which one it shows."""

import dataclasses
import functools
import os
import ssl

from glance_sync_agent import errors


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """The files and the option that TLS depends on."""

    cafile: str | None = None  # None: the certificates of the system
    insecure: bool = False  # the operator trusts any certificate
    certfile: str | None = None  # for servers that want a client certificate
    keyfile: str | None = None  # None: certfile has the key, too

    def context(self) -> ssl.SSLContext:
        """Return a context for one or more connections.

        :raises ServiceUnavailable: a file cannot be read, or holds no certificates.
        """
        files = (self.cafile, self.certfile, self.keyfile)
        return _context(self, tuple(map(_changed_at, files)))


def _changed_at(file: str | None) -> int | None:
    """Return when a file changed last, because certificates are renewed while we run."""
    try:
        return os.stat(file).st_mtime_ns if file else None  # noqa: PTH116 (it may be no path)
    except OSError:
        return None  # reading it raises the error that says why


@functools.lru_cache(maxsize=8)
def _context(trust: Trust, _changed: tuple[int | None, ...]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=trust.cafile)
    except OSError as exc:
        raise errors.ServiceUnavailable(f"certificates of cafile {trust.cafile}: {exc}") from exc
    if trust.certfile:
        _load_ours(context, trust.certfile, trust.keyfile)
    if trust.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load_ours(context: ssl.SSLContext, certfile: str, keyfile: str | None) -> None:
    try:
        # Without a password, OpenSSL would ask the terminal for that of an encrypted key.
        context.load_cert_chain(certfile, keyfile, password="")
    except OSError as exc:
        raise errors.ServiceUnavailable(
            f"client certificate of certfile {certfile}, keyfile {keyfile or certfile}: {exc}"
        ) from exc
