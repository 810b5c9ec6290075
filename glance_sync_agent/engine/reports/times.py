# SPDX-License-Identifier: Apache-2.0
"""Times as people and programs are shown them."""

import datetime


def text(moment: datetime.datetime) -> str:
    """Return a time in ISO 8601, UTC, to the second."""
    # The first 19 characters, because a page has ten thousand times.
    return f"{moment.astimezone(datetime.UTC).isoformat()[:19]}Z"


def off(ahead: datetime.timedelta) -> str:
    """Return how far a clock is off, for a sentence that goes on with the other clock."""
    side = "ahead of" if ahead > datetime.timedelta() else "behind"
    return f"{abs(ahead).total_seconds():.0f} s {side}"


def text_or_none(moment: datetime.datetime | None) -> str | None:
    """Return a time as :func:`text` does; None: there is none."""
    return None if moment is None else text(moment)
