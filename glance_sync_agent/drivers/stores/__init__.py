# SPDX-License-Identifier: Apache-2.0
"""Ways to and from the bytes of a region's images: one module a scheme.

A scheme of ``glance_store.yaml`` is an entry point of that name in the namespace
``glance_sync_agent.stores``: a class with the constructor that :class:`Factory` shows, whose
objects are :class:`glance_sync_agent.engine.ports.ImageStore`. Drivers do not know each other.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
import contextlib
import dataclasses
from typing import Protocol

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.ssh import hosts
from glance_sync_agent.drivers.transport import streams
from glance_sync_agent.engine import ports

#: What says that one way does not lead to the data of an image, while another may.
#: HostKeyMismatch is among them: whoever reads elsewhere tells the wrong host nothing.
NO_WAY = (
    errors.ServiceUnavailable,
    errors.TransferInterrupted,
    errors.Refused,
    errors.HostKeyMismatch,
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StoreContext:
    """What is there for every driver, whatever its parameters."""

    region: images.RegionId
    endpoint: str  # of the region's Glance, as in the catalogue
    token: Callable[[], str]  # a valid one, for this moment
    ssh: hosts.SshHosts
    known_hosts: str  # file name, where the parameters have none
    trust: streams.Trust = dataclasses.field(default_factory=streams.Trust)
    timeouts: streams.Timeouts = dataclasses.field(default_factory=streams.Timeouts)
    #: Called when Glance did not take the token, so that the next one is new.
    forget_token: Callable[[], None] = lambda: None


@contextlib.contextmanager
def blaming(region: images.RegionId) -> Iterator[None]:
    """Name the region whose hosts do not answer, where its way is opened."""
    try:
        yield
    except errors.HandshakeFailed as exc:
        raise errors.HandshakeFailed(exc.seen, remedy=exc.remedy, region=region) from exc
    except errors.ServiceUnavailable as exc:
        raise errors.ServiceUnavailable(
            str(exc), retry_after=exc.retry_after, region=region
        ) from exc


class Factory(Protocol):
    """What an entry point names."""

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

    :raises ConfigurationError: names all that are unknown or missing.
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
