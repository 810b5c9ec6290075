# SPDX-License-Identifier: Apache-2.0
"""What an operator chose about attempts."""

import dataclasses

from glance_sync_agent.engine.transfer import progress


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AttemptSettings:
    """How long things may take, and what an operator lets an attempt do."""

    limits: progress.Limits
    delete_out_of_strategy: bool = False  # a copy goes if its image does not belong there
    record_locations: bool = False  # a source lists the URLs of its copies
