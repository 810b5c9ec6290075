# SPDX-License-Identifier: Apache-2.0
"""The operator's choices for reading copies back."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class VerifySettings:
    """How often copies are read back, how fast, and how many are replaced."""

    interval: float  # seconds in which every copy is read once; 0: never
    max_bytes_per_second: int  # 0: no limit
    max_repairs: int  # in one region at once
