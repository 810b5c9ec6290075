# SPDX-License-Identifier: Apache-2.0
"""Every error that crosses a module border.

::

    SyncError
    ├── ConfigurationError          the operator's files are wrong
    ├── NotificationError           a message that is no image event
    │   └── UnknownEvent            its type is none that Glance has
    ├── LeaseLost                   somebody else owns the task now
    ├── OriginFailed                one of the places that have the bytes does not give them
    ├── TransientError              worth trying again later
    │   ├── ServiceUnavailable      no answer, 5xx, 429, or a refused log-in that may pass
    │   │   └── HandshakeFailed     TLS: we do not trust a server, or it does not trust us
    │   ├── TransferInterrupted     the bytes stopped before the end
    │   │   └── NoData              a record of an image that Glance has no bytes of
    │   ├── UploadRefused           a policy or a quota of a Glance, which may be raised
    │   ├── TransferTimedOut        the bytes were too slow
    │   ├── DigestMismatch          the bytes are not the source's
    │   ├── Undecided               nobody can say now where an image belongs, or to whom
    │   └── Cancelled               the agent is stopping
    └── PermanentError              trying again alone will not help
        ├── Refused                 an answer 4xx, with the service's own reason
        │   └── FormatRefused       a Glance that finds other bytes than the disk format's
        ├── ImageIdTaken            the id is in use or was used once in that region
        ├── ImageConflict           an image that is not ours stands in the way
        ├── UnknownRegion           the catalogue has no such region
        └── HostKeyMismatch         the SSH host is not the one in known_hosts

A message says what was attempted, on what, and what was seen.
"""

import enum


class Fault(enum.Enum):
    """What a failure of a region is about."""

    CONNECTION = enum.auto()  # nobody could be reached: no image would fare better
    REQUEST = enum.auto()  # no answer about one image in time, or the connection broke
    ANSWER = enum.auto()  # 5xx about one image


class SyncError(Exception):
    """Root of the tree."""


class ConfigurationError(SyncError):
    """The operator's files are wrong; the message names file, place and remedy."""


class NotificationError(SyncError):
    """A message that is not an image event this agent understands."""


class UnknownEvent(NotificationError):
    """A message of a type that Glance has not, as other services send them."""


class LeaseLost(SyncError):
    """The task was claimed by somebody else, or removed, since it was leased."""


class OriginFailed(SyncError):
    """The bytes cannot be read in one region; another may have them, too.

    :param reason: what the reader found.
    """

    def __init__(self, reason: SyncError, *, region: str) -> None:
        super().__init__(f"no data from region {region}: {type(reason).__name__}: {reason}")
        self.reason = reason
        self.region = region


class TransientError(SyncError):
    """Worth trying again.

    :param retry_after: seconds that the other side asked us to wait, or None.
    :param region: whose Glance or SSH host gives no answer, or 5xx; None: this says nothing of a
        region.
    :param fault: of that region; all but the first may be the fault of the image alone.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        region: str | None = None,
        fault: Fault = Fault.CONNECTION,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.region = region
        self.fault = fault


class ServiceUnavailable(TransientError):
    """A service gave no answer, or one that says "not now"."""


class HandshakeFailed(ServiceUnavailable):
    """A service is there, and TLS with it fails.

    :param seen: what was attempted, and what was seen.
    :param remedy: what an operator does about it.
    """

    def __init__(self, seen: str, *, remedy: str, region: str | None = None) -> None:
        super().__init__(f"{seen}; {remedy}", region=region)
        self.seen = seen
        self.remedy = remedy


class Unauthorized(ServiceUnavailable):
    """A Glance does not know us, or cannot ask Keystone who we are."""


class TransferInterrupted(TransientError):
    """The bytes stopped before the end."""


class NoData(TransferInterrupted):
    """Glance has a record that tells of bytes, and none behind it."""


class UploadRefused(TransientError):
    """A Glance takes no such data, by a policy or a quota that an operator may raise."""


class TransferTimedOut(TransientError):
    """The bytes took longer than the operator allows."""


class DigestMismatch(TransientError):
    """The bytes are not the source's."""

    def __init__(self, *, what: str, expected: str, actual: str) -> None:
        super().__init__(f"{what}: expected {expected}, got {actual}")
        self.expected = expected
        self.actual = actual


class Undecided(TransientError):
    """Nobody can say now where an image belongs, or to whom; it waits as long as that takes."""


class Cancelled(TransientError):
    """The agent is stopping; the task goes back as it was."""


class PermanentError(SyncError):
    """Trying again alone will not help; an operator or a change of the image will."""


class Refused(PermanentError):
    """A service understood the request and said no."""


class FormatRefused(Refused):
    """Glance does not take an image's bytes for what its ``disk_format`` says, and never will."""


class ImageIdTaken(PermanentError):
    """An image of that id exists in the region, or did once."""


class ImageConflict(PermanentError):
    """An image that is not ours stands where the copy should."""


class UnknownRegion(PermanentError):
    """The catalogue has no image endpoint for that region."""


class HostKeyMismatch(PermanentError):
    """The SSH host showed a key that known_hosts does not list for it."""
