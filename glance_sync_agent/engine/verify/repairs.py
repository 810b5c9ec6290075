# SPDX-License-Identifier: Apache-2.0
"""Requests the replacement of bad copies. No other part of a verification writes."""

from collections.abc import Callable
import dataclasses
import logging

from glance_sync_agent import request_ids
from glance_sync_agent.domain import images
from glance_sync_agent.domain import pauses
from glance_sync_agent.domain import verification
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.current_pauses import CurrentPauses
from glance_sync_agent.engine.verify.read_back import ReadBackResult

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(kw_only=True, slots=True)
class RepairReport:
    """How many bad copies will be replaced, and how many will not."""

    requested: int = 0
    held_back: int = 0


class Repairs:
    """Requests repairs, unless too many copies of a region are bad at once.

    In that case the store may not be mounted, or the reader itself may be broken.
    """

    def __init__(
        self,
        *,
        store: ports.TaskStore,
        clock: ports.Clock,
        wake: ports.Wake,
        limit: Callable[[], float],
        current_pauses: CurrentPauses,
    ) -> None:
        """Begin with nothing.

        :param limit: the bad copies of one region that are replaced at once.
        """
        self._store = store
        self._clock = clock
        self._wake = wake
        self._limit = limit
        self._current_pauses = current_pauses
        self._bad: dict[images.RegionId, list[tuple[ReadBackResult, verification.Damage]]] = {}

    def take(self, result: ReadBackResult) -> None:
        """Note a result. A copy that could not be read stays unverified."""
        if result.damage is not None:
            bad = self._bad.setdefault(result.key.region, [])
            bad.append((result, result.damage))
        elif result.verdict is not verification.Condition.UNREACHABLE:
            self._store.note_verified(result.key, self._clock.now())

    def request(self) -> RepairReport:
        """Request the tasks of the bad copies that were noted, and forget them."""
        report = RepairReport()
        noted, self._bad = self._bad, {}
        paused = self._current_pauses.read() if noted else pauses.Pauses()
        for region, bad in noted.items():
            if paused.of(region) is not None:
                report.held_back += len(bad)
                LOG.warning(
                    "%d copies in region %s look damaged. The region is paused, so that means "
                    "nothing; verify them after the pause",
                    len(bad), region,
                )
                continue
            is_allowed = len(bad) <= self._limit()
            if not is_allowed:
                report.held_back += len(bad)
                LOG.error(
                    "%d copies in region %s are damaged or have no data. That is more than "
                    "[verify] max_repairs = %d, so none is replaced. Check the store there, which "
                    "may not be mounted. To replace them, run 'glance-sync verify --replace-all "
                    "--region %s', or 'glance-sync verify IMAGE' for each, starting with %s",
                    len(bad), region, self._limit(), region, bad[0][0].key.image_id,
                )
            for result, damage in bad:
                if is_allowed:
                    report.requested += self._request(result, damage)
                self._store.note_verified(result.key, self._clock.now())
        if report.requested:
            self._wake()
        return report

    def _request(self, result: ReadBackResult, damage: verification.Damage) -> bool:
        is_done = self._store.distrust(
            result.key, damage, now=self._clock.now(), request_id=request_ids.new()
        )
        LOG.warning(
            "The copy of %s is %s: %s. %s",
            result.key, result.verdict.value, result.detail,
            "The agent replaces it" if is_done else "Its task already has another copy",
        )
        return is_done
