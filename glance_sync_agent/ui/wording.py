# SPDX-License-Identifier: Apache-2.0
"""Values of the API as people read them."""

from typing import Final

_STEPS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def duration(seconds: int | None) -> str:
    """Return a time in its largest unit, so that it seldom changes."""
    if seconds is None:
        return ""
    size, unit = next((one for one in _STEPS if seconds >= one[0]), _STEPS[-1])
    return f"{seconds // size} {unit}"


def size(count: int | None) -> str:
    """Return a number of bytes."""
    if count is None:
        return ""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def time(text: str | None) -> str:
    """Return a time of the API, which is ISO 8601 in UTC, to the second."""
    return "" if text is None else f"{text[:10]} {text[11:19]} UTC"


def words(code: str) -> str:
    """Return a code without its underscores."""
    return code.replace("_", " ")
