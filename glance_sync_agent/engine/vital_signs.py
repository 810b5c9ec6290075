# SPDX-License-Identifier: Apache-2.0
"""What an agent reports of itself."""

import datetime


class VitalSigns:
    """When an agent heard and scanned last. Threads may share it."""

    def __init__(self) -> None:
        """Begin before anything happened."""
        self.heard_at: datetime.datetime | None = None
        self.scanned_at: datetime.datetime | None = None
        self.scanned_changes_at: datetime.datetime | None = None

    def note_scan(self, now: datetime.datetime, *, is_full: bool) -> None:
        """Note that a scan has ended."""
        self.scanned_changes_at = now
        if is_full:
            self.scanned_at = now
