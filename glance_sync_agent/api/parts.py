# SPDX-License-Identifier: Apache-2.0
"""What the API asks for its answers."""

from collections.abc import Callable
import dataclasses

import prometheus_client

from glance_sync_agent.api.shared_counts import SharedCounts
from glance_sync_agent.domain import images
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.assembly import engine as engines
from glance_sync_agent.engine.assembly.settings import Settings


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """The database and the cloud behind the API."""

    outside: ports.Ports
    engine: engines.Engine
    settings: Callable[[], Settings]
    #: Tells whether a token may see an image in the cascading Glance.
    may_see: Callable[[str, images.ImageId], bool]
    #: Shared by requests, so that many at once count no more than one.
    counts: SharedCounts
    version: str
    meters: prometheus_client.CollectorRegistry | None = None  # of an agent in this process
