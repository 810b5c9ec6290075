# SPDX-License-Identifier: Apache-2.0
"""The entries of ``[transfer] pause_windows``."""

from collections.abc import Sequence
import datetime
import re
import zoneinfo

from glance_sync_agent.domain import images
from glance_sync_agent.domain import pause_windows

_FORMAT = (
    "write 'REGION: MINUTE HOUR DAY MONTH WEEKDAY DURATION TIMEZONE [finish]', for example "
    "'RegionTwo: 0 8 * * 1-5 10h Europe/Berlin'"
)
_EVERY_REGION = "*"
_FINISH = "finish"
_PATTERN_WORDS = 5
_DURATION = re.compile(r"([1-9][0-9]{0,3})([mhd])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_LONGEST = datetime.timedelta(days=7)


def parse(entries: Sequence[str]) -> tuple[pause_windows.PauseWindow, ...]:
    """Return the windows.

    :raises ValueError: an entry is wrong; the message names it.
    """
    return tuple(map(_window, entries))


def _window(entry: str) -> pause_windows.PauseWindow:
    try:
        return _parse(entry)
    except ValueError as exc:
        raise ValueError(f"[transfer] pause_windows = {entry}: {exc}") from exc


def _parse(entry: str) -> pause_windows.PauseWindow:
    name, _, rest = entry.partition(":")
    words = rest.split()
    finishes = words[-1:] == [_FINISH]
    if finishes:
        del words[-1]
    if not name.strip() or len(words) != _PATTERN_WORDS + 2:
        raise ValueError(_FORMAT)
    *pattern, duration, zone = words
    if pattern[0].startswith("*"):
        raise ValueError(
            "the window would open every minute; begin with the minute at which it opens, for "
            "example 0"
        )
    return pause_windows.PauseWindow(
        region=None if name.strip() == _EVERY_REGION else images.RegionId(name.strip()),
        starts=" ".join(pattern),
        duration=_duration(duration),
        zone=_zone(zone),
        finishes=finishes,
        text=" ".join(words),
    )


def _duration(text: str) -> datetime.timedelta:
    found = _DURATION.fullmatch(text)
    value = datetime.timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    if value is None or value > _LONGEST:
        raise ValueError(
            f"'{text}' is no duration; write minutes, hours or days, at most 7d, for example 90m "
            "or 10h"
        )
    return value


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    # The name of a directory is an OSError, and one that leaves the directory a ValueError.
    except (zoneinfo.ZoneInfoNotFoundError, OSError, ValueError) as exc:
        raise ValueError(
            f"this machine knows no time zone '{name}'; write a name such as Europe/Berlin or "
            "UTC, as 'timedatectl list-timezones' lists them"
        ) from exc
