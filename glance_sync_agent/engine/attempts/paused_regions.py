# SPDX-License-Identifier: Apache-2.0
"""The regions that are paused, and the end of their attempts."""

from collections.abc import Collection, Sequence
import logging

from glance_sync_agent.domain import images
from glance_sync_agent.domain import pauses
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.current_pauses import CurrentPauses

LOG = logging.getLogger(__name__)


class PausedRegions:
    """Follows the pauses of regions. For one thread."""

    def __init__(self, outside: ports.Ports, current: CurrentPauses) -> None:
        self._current = current
        self._store = outside.store
        self._clock = outside.clock
        self._known: Sequence[tuple[images.RegionId | None, str]] = []

    def follow(self) -> pauses.Pauses:
        """Return the pauses, and call off the attempts of their regions unless they may finish.

        It calls them off each time, because an agent may claim a task at the moment of the pause.

        :raises ServiceUnavailable: the database does not answer.
        """
        found = self._current.read()
        self._report(found)
        stopping = [region for region, pause in found.each() if not pause.finishes]
        self._call_off(stopping)
        # Nobody claims what a dead agent left.
        finishing = [region for region, pause in found.each() if pause.finishes]
        self._call_off(finishing, only_abandoned=True)
        return found

    def _report(self, found: pauses.Pauses) -> None:
        """Log each pause when it begins and when it has ended."""
        now = {(region, pause.by): pause for region, pause in found.each()}
        for key, pause in now.items():
            if key not in self._known:
                _log_begin(key[0], pause)
        for region, by in self._known:
            if (region, by) not in now:
                LOG.info("%s is not paused by %s any more", _name(region), by)
        self._known = list(now)

    def _call_off(
        self, regions: Collection[images.RegionId | None], *, only_abandoned: bool = False
    ) -> None:
        if not regions:
            return
        named = None if None in regions else [one for one in regions if one is not None]
        now = self._clock.now()
        if count := self._store.call_off(named, now, only_abandoned=only_abandoned):
            LOG.info("Called off %d tasks of paused regions", count)


def _log_begin(region: images.RegionId | None, pause: pauses.Pause) -> None:
    if pause.until is None:
        LOG.warning(
            "%s is paused by %s: %s. Its tasks wait until 'glance-sync resume %s'",
            _name(region), pause.by, pause.reason, region,
        )
    else:
        LOG.info(
            "%s is paused by %s: %s. Its tasks wait until %s",
            _name(region), pause.by, pause.reason, pause.until,
        )


def _name(region: images.RegionId | None) -> str:
    return "Every region" if region is None else f"Region {region}"
