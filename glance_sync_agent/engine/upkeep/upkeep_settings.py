# SPDX-License-Identifier: Apache-2.0
"""What an operator chose for reports and the history."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class UpkeepSettings:
    """The history, and what counts as late."""

    history_days: float
    completion_target: float  # seconds; a task that waits longer is late
