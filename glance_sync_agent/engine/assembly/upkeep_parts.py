# SPDX-License-Identifier: Apache-2.0
"""The parts that agents need beside their tasks."""

import functools

from glance_sync_agent.engine.assembly.attempt_parts import AttemptParts
from glance_sync_agent.engine.assembly.shared_parts import SharedParts
from glance_sync_agent.engine.upkeep import upkeep


class UpkeepParts:
    """The parts that agents need beside their tasks."""

    def __init__(self, shared: SharedParts, attempts: AttemptParts) -> None:
        self._shared = shared
        self._attempts = attempts

    @functools.cached_property
    def upkeep(self) -> upkeep.Upkeep:
        """Reports and counts."""
        return upkeep.Upkeep(
            self._shared.outside,
            self._shared.lease("upkeep"),
            self._shared.runtime,
            self._shared.vital_signs,
            lambda: self._shared.settings().upkeep,
            self._attempts.worker.running,
        )
