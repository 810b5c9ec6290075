# SPDX-License-Identifier: Apache-2.0
"""Ways to and from the bytes of a region's images: one module for each scheme.

A scheme of ``glance_store.yaml`` is an entry point of that name in the namespace
``glance_sync_agent.stores``. It names a class as :class:`Factory` shows, whose objects are
:class:`glance_sync_agent.engine.ports.ImageStore`. Drivers do not know each other.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
import contextlib
import dataclasses
import pathlib
from typing import Protocol

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.ssh import hosts
from glance_sync_agent.drivers.transport import streams
from glance_sync_agent.drivers.transport.trust import Trust
from glance_sync_agent.engine import ports

#: Errors of one way to the data of an image after which another way may work. HostKeyMismatch is
#: one of them, because another way sends nothing to the wrong host.
NO_WAY = (
    errors.ServiceUnavailable,
    errors.TransferInterrupted,
    errors.Refused,
    errors.HostKeyMismatch,
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StoreContext:
    """What every driver gets, whatever its parameters are."""

    region: images.RegionId
    endpoint: str  # of the region's Glance, as in the catalogue
    token: Callable[[], str]  # returns one that is valid now
    ssh: hosts.SshHosts
    known_hosts: str  # file name, if the parameters have none
    trust: Trust = dataclasses.field(default_factory=Trust)
    timeouts: streams.Timeouts = dataclasses.field(default_factory=streams.Timeouts)
    #: Called after Glance refused a token, so that the next one is new.
    forget_token: Callable[[], None] = lambda: None


@contextlib.contextmanager
def blaming(region: images.RegionId) -> Iterator[None]:
    """Name the region in the errors of opening a way, because its hosts are unreachable."""
    try:
        yield
    except errors.HandshakeFailed as exc:
        raise errors.HandshakeFailed(exc.seen, remedy=exc.remedy, region=region) from exc
    except errors.ServiceUnavailable as exc:
        raise errors.ServiceUnavailable(
            str(exc), retry_after=exc.retry_after, region=region
        ) from exc


class Factory(Protocol):
    """The class that an entry point names."""

    def from_parameters(
        self, parameters: Mapping[str, str], context: StoreContext
    ) -> ports.ImageStore:
        """Make a store; nothing connects yet.

        :param parameters: of the scheme, in the store file.
        :raises ConfigurationError: one is unknown, missing or wrong.
        """


def check_parameters(
    parameters: Mapping[str, str],
    context: StoreContext,
    *,
    scheme: str,
    known: Collection[str],
    required: Collection[str] = (),
) -> None:
    """Check the names of ``parameters``, for a driver's ``from_parameters``.

    :raises ConfigurationError: some are unknown or missing; the message names all of them.
    """
    unknown = sorted(set(parameters) - set(known))
    missing = sorted(name for name in required if not parameters.get(name))
    problems = [f"unknown parameter {name!r}" for name in unknown]
    problems += [f"parameter {name!r} is missing" for name in missing]
    if problems:
        raise errors.ConfigurationError(
            f"region {context.region}, scheme {scheme}: {', '.join(problems)};"
            f" known are {', '.join(sorted(known)) or 'none'}"
        )


def tcp_port(text: str, where: str) -> int:
    """Read the port of a parameter.

    :raises ConfigurationError: this is no TCP port.
    """
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise errors.ConfigurationError(f"{where}: port {text!r} is not a TCP port")
    return int(text)


def absolute_path(text: str | None, where: str) -> pathlib.Path | None:
    """Read the directory of a parameter; None if it has none.

    :raises ConfigurationError: the path is relative, or has "..".
    """
    if not text:
        return None
    path = pathlib.Path(text)
    if not path.is_absolute() or ".." in path.parts:
        raise errors.ConfigurationError(f"{where}: datadir {text!r} is not an absolute path")
    return path
