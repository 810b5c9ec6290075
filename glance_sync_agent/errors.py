# SPDX-License-Identifier: Apache-2.0
"""Every error that crosses a module border.

::

    SyncError
    ├── ConfigurationError          the operator's files are wrong
    ├── NotificationError           a message is not an image event
    │   └── UnknownEvent            Glance has no events of its type
    ├── LeaseLost                   another agent owns the task now
    ├── OriginFailed                one of several regions cannot provide the bytes
    ├── TransientError              a retry may succeed
    │   ├── ServiceUnavailable      no answer, 5xx, 429, or a log-in refused for now
    │   │   ├── HandshakeFailed     TLS: the agent or the server distrusts the other
    │   │   ├── StorageFull         the store of a region has no room for the bytes
    │   │   └── Unauthorized        a Glance did not recognize the agent's token
    │   ├── TransferInterrupted     the bytes ended early
    │   │   └── NoData              Glance has the record of an image without its bytes
    │   ├── UploadRefused           a policy or a quota of Glance refused the bytes
    │   ├── TransferTimedOut        the bytes were too slow
    │   ├── DigestMismatch          the bytes differ from the source's
    │   ├── Undecided               the region or the owner of an image is unknown for now
    │   └── Cancelled               the agent is stopping, or the source is gone
    └── PermanentError              a retry alone cannot succeed
        ├── Refused                 an answer 4xx, with the service's reason
        │   └── FormatRefused       the bytes do not fit the image's disk format
        ├── ImageIdTaken            an image in that region has the id, or had it
        ├── ImageConflict           an image that is not the agent's is in the way
        ├── UnknownRegion           the catalogue has no such region
        └── HostKeyMismatch         the SSH host's key is not in known_hosts

A message names the attempt, its object and the finding.
"""

import enum


class Fault(enum.Enum):
    """The kind of a region's failure."""

    CONNECTION = enum.auto()  # the region was unreachable, for any image
    REQUEST = enum.auto()  # a request about one image got no answer, or the connection broke
    ANSWER = enum.auto()  # a request about one image got 5xx


class SyncError(Exception):
    """Root of the tree."""


class ConfigurationError(SyncError):
    """The operator's files are wrong. The message names file, line and remedy."""


class NotificationError(SyncError):
    """A message is not a valid image event."""


class UnknownEvent(NotificationError):
    """A message has a type that Glance does not send. Other services do."""


class LeaseLost(SyncError):
    """Another agent claimed the task, or an operator removed it."""


class OriginFailed(SyncError):
    """One region cannot provide the bytes, but another region may.

    :param reason: why it cannot.
    """

    def __init__(self, reason: SyncError, *, region: str) -> None:
        super().__init__(f"no data from region {region}: {type(reason).__name__}: {reason}")
        self.reason = reason
        self.region = region


class TransientError(SyncError):
    """A retry may succeed.

    :param retry_after: seconds that the service asked for, or None.
    :param region: the region whose Glance or SSH host failed; None: no region failed.
    :param fault: how it failed. Only ``CONNECTION`` excludes that the image is the cause.
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
    """A service gave no answer, or cannot serve the request now."""


class HandshakeFailed(ServiceUnavailable):
    """A service answers, but TLS with it fails.

    :param seen: the attempt and the finding.
    :param remedy: what an operator should do.
    """

    def __init__(self, seen: str, *, remedy: str, region: str | None = None) -> None:
        super().__init__(f"{seen}; {remedy}", region=region)
        self.seen = seen
        self.remedy = remedy


class StorageFull(ServiceUnavailable):
    """The store of a region has no room for the data. An operator will make room."""


class Unauthorized(ServiceUnavailable):
    """A Glance did not recognize the agent's token, or could not reach Keystone."""


class TransferInterrupted(TransientError):
    """The bytes ended early."""


class NoData(TransferInterrupted):
    """Glance has the record of an image with data, but not the data."""


class UploadRefused(TransientError):
    """A policy or a quota of Glance refused the data. An operator may raise it."""


class TransferTimedOut(TransientError):
    """The bytes took longer than ``scp_copy_timeout`` allows."""


class DigestMismatch(TransientError):
    """The bytes differ from the source's."""

    def __init__(self, *, what: str, expected: str, actual: str) -> None:
        super().__init__(f"{what}: expected {expected}, got {actual}")
        self.expected = expected
        self.actual = actual


class Undecided(TransientError):
    """Keystone cannot say now where an image belongs, or who owns it. The task waits."""


class Cancelled(TransientError):
    """The agent is stopping, or the source is gone. The task stays as it was."""


class PermanentError(SyncError):
    """A retry alone cannot succeed. An operator or a change of the image can help."""


class Refused(PermanentError):
    """A service understood the request and refused it."""


class FormatRefused(Refused):
    """Glance found that an image's bytes do not fit its ``disk_format``."""


class ImageIdTaken(PermanentError):
    """An image in the region has that id, or had it."""


class ImageConflict(PermanentError):
    """An image that is not the agent's is where the copy should be."""


class UnknownRegion(PermanentError):
    """The catalogue has no image endpoint for that region."""


class HostKeyMismatch(PermanentError):
    """The SSH host has a key that known_hosts does not list."""
