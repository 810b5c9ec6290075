# SPDX-License-Identifier: Apache-2.0
"""Windows in which regions are paused by the clock.

A window has no state: whether it is open is a function of the time, so all agents and commands
with the same sync.conf agree.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import datetime
import itertools

# croniter does the same, but has many more features, and calls that depend on the time zone of
# the process. cronsim follows Debian's cron, also when the clocks change.
import cronsim

from glance_sync_agent.domain import images
from glance_sync_agent.domain import pauses

#: Who pauses a region while a window is open.
BY = "pause_windows"

_ANY_TIME = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PauseWindow:
    """A window that opens again and again.

    If the clocks skip a start, the window opens when they have changed. If they repeat it, the
    window opens the first time. A window is as long as its duration, also on such a day.

    :raises ValueError: the pattern is none of cron.
    """

    region: images.RegionId | None  # None: every region
    starts: str  # a pattern of cron, in the time zone
    zone: datetime.tzinfo
    duration: datetime.timedelta
    finishes: bool = False  # running attempts may finish
    text: str = ""  # as the operator wrote it

    def __post_init__(self) -> None:
        try:
            cronsim.CronSim(self.starts, _ANY_TIME)
        except cronsim.CronSimError as exc:
            raise ValueError(f"'{self.starts}' is no pattern of cron: {exc}") from exc

    def pause_at(self, now: datetime.datetime) -> pauses.Pause | None:
        """Return the pause if the window is open."""
        pause = None
        # The start of an open window is later than this.
        closed = (now - self.duration).astimezone(self.zone)
        starts = (one.astimezone(datetime.UTC) for one in cronsim.CronSim(self.starts, closed))
        for start in itertools.takewhile(lambda one: one <= now, starts):
            end = start + self.duration
            # In the hour that the clocks repeat, the first start has closed already. It is
            # never equal, because the next start is later than the one that closes now.
            if end > now:  # pragma: no mutate
                pause = self._pause(start, end)
        return pause

    def _pause(self, start: datetime.datetime, end: datetime.datetime) -> pauses.Pause:
        return pauses.Pause(
            since=start, until=end, by=BY, reason=self.text, finishes=self.finishes
        )


def pauses_at(
    now: datetime.datetime,
    by_people: Mapping[images.RegionId, pauses.Pause],
    windows: Sequence[PauseWindow],
) -> pauses.Pauses:
    """Return the pauses at a time: those of people, and those of the open windows."""
    regions = {region: [pause] for region, pause in by_people.items()}
    everywhere = []
    for window in windows:
        pause = window.pause_at(now)
        if pause is None:
            continue
        if window.region is None:
            everywhere.append(pause)
        else:
            regions.setdefault(window.region, []).append(pause)
    return pauses.Pauses(regions=regions, everywhere=everywhere)
