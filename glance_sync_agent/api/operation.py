# SPDX-License-Identifier: Apache-2.0
"""One kind of request that the API answers."""

from collections.abc import Callable
import dataclasses

from glance_sync_agent.api.calls import Answer
from glance_sync_agent.api.calls import Call
from glance_sync_agent.api.calls import Inputs
from glance_sync_agent.api.calls import NO_INPUTS


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """A request: where it is sent, what it brings, and what it gets."""

    name: str
    method: str
    path: str  # variables in braces
    handler: Callable[[Call], Answer]
    rule: str | None  # of policies; None: every valid token, or those that Glance allows
    answer: str  # of schemas.COMPONENTS
    status: int = 200
    inputs: Inputs = NO_INPUTS
    asks_regions: bool = False  # it may take long, so only a few run at once

    @property
    def summary(self) -> str:
        """Return what it does, in one sentence."""
        return (self.handler.__doc__ or "").partition("\n")[0]
