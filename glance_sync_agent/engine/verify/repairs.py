# SPDX-License-Identifier: Apache-2.0
"""What becomes of copies that were read back: the only part of a verification that writes."""

from collections.abc import Callable
import dataclasses
import logging
import uuid

from glance_sync_agent.domain import images
from glance_sync_agent.domain import verification
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.verify import read_back

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(kw_only=True, slots=True)
class RepairReport:
    """What was done about bad copies."""

    requested: int = 0
    held_back: int = 0


class Repairs:
    """Has bad copies replaced by their tasks, unless a region has too many at once.

    So many look like a store that is not mounted, or a reader that is broken itself.
    """

    def __init__(
        self,
        *,
        store: ports.TaskStore,
        clock: ports.Clock,
        wake: ports.Wake,
        most: Callable[[], float],
    ) -> None:
        """Begin with nothing.

        :param most: bad copies of one region that are replaced.
        """
        self._store = store
        self._clock = clock
        self._wake = wake
        self._most = most
        self._bad: dict[
            images.RegionId, list[tuple[read_back.ReadBackResult, verification.Damage]]
        ] = {}

    def take(self, finding: read_back.ReadBackResult) -> None:
        """Note what was found. A copy that could not be read is as unverified as before."""
        if finding.damage is not None:
            bad = self._bad.setdefault(finding.key.region, [])
            bad.append((finding, finding.damage))
        elif finding.verdict is not verification.Condition.UNREACHABLE:
            self._store.note_verified(finding.key, self._clock.now())

    def request(self) -> RepairReport:
        """Request the tasks of what was bad so far, and forget it."""
        report = RepairReport()
        bad, self._bad = self._bad, {}
        for region, findings in bad.items():
            if len(findings) > self._most():
                report.held_back += len(findings)
                LOG.error(
                    "%d copies in region %s are damaged or have no data, more than [verify] "
                    "max_repairs = %d, so none of them is replaced. Look at the store there. If "
                    "they are to be replaced, run 'glance-sync verify --replace-all --region %s', "
                    "or 'glance-sync verify IMAGE' for each, starting with %s",
                    len(findings), region, self._most(), region, findings[0][0].key.image_id,
                )
            for finding, damage in findings:
                if len(findings) <= self._most():
                    report.requested += self._request(finding, damage)
                self._store.note_verified(finding.key, self._clock.now())
        if report.requested:
            self._wake()
        return report

    def _request(self, finding: read_back.ReadBackResult, damage: verification.Damage) -> bool:
        is_done = self._store.distrust(
            finding.key, damage, now=self._clock.now(), request_id=uuid.uuid4().hex
        )
        what = "it is replaced" if is_done else "there is another one by now"
        LOG.warning(
            "The copy of %s is %s, %s: %s",
            finding.key, finding.verdict.value, finding.detail, what,
        )
        return is_done
