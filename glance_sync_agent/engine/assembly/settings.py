# SPDX-License-Identifier: Apache-2.0
"""What an operator chose, for the whole engine."""

from collections.abc import Sequence
import dataclasses

from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import pause_windows
from glance_sync_agent.domain import strategy
from glance_sync_agent.engine.attempts import attempt_settings
from glance_sync_agent.engine.attempts import large_slots
from glance_sync_agent.engine.attempts import worker
from glance_sync_agent.engine.reconcile import scan_settings
from glance_sync_agent.engine.transfer import origins
from glance_sync_agent.engine.upkeep import upkeep_settings
from glance_sync_agent.engine.verify import verify_settings


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What an operator chose, in groups as the parts of the engine need them."""

    placement: strategy.PlacementPolicy
    metadata: metadata_policy.MetadataPolicy
    project_seconds: float  # for which an answer of Keystone about a project is good
    attempts: attempt_settings.AttemptSettings
    worker: worker.WorkerSettings
    pause_windows: Sequence[pause_windows.PauseWindow]
    slots: large_slots.SlotSettings
    origins: origins.OriginSettings
    breakers: breakers.BreakerPolicy
    scans: scan_settings.ScanSettings
    verify: verify_settings.VerifySettings
    upkeep: upkeep_settings.UpkeepSettings
