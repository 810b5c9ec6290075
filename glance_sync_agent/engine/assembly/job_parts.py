# SPDX-License-Identifier: Apache-2.0
"""The parts that run what people ask for."""

import functools

from glance_sync_agent.domain import jobs
from glance_sync_agent.engine.assembly.scan_parts import ScanParts
from glance_sync_agent.engine.assembly.shared_parts import SharedParts
from glance_sync_agent.engine.assembly.verify_parts import VerifyParts
from glance_sync_agent.engine.jobs import asked_scans
from glance_sync_agent.engine.jobs import asked_verifications
from glance_sync_agent.engine.jobs import job_orders
from glance_sync_agent.engine.jobs import runner


class JobParts:
    """The parts that run what people ask for."""

    def __init__(
        self, shared: SharedParts, scans: ScanParts, verification: VerifyParts
    ) -> None:
        self._shared = shared
        self._scans = scans
        self._verification = verification

    @functools.cached_property
    def orders(self) -> job_orders.JobOrders:
        """Takes orders."""
        return job_orders.JobOrders(self._shared.outside)

    @functools.cached_property
    def scans(self) -> asked_scans.AskedScans:
        """Runs scans."""
        return asked_scans.AskedScans(
            self._scans.make_scan,
            lambda: self._shared.requests,
            lambda: self._shared.settings().scans.max_deletes,
        )

    @functools.cached_property
    def verifications(self) -> asked_verifications.AskedVerifications:
        """Runs verifications."""
        return asked_verifications.AskedVerifications(
            self._shared.outside.store,
            self._shared.current_pauses,
            self._verification.make_verifier,
            lambda has_limit: self._verification.make_repairs(has_limit=has_limit),
        )

    @functools.cached_property
    def scan_runner(self) -> runner.JobRunner:
        """Runs scans that people ask for."""
        return self._runner(jobs.JobKind.SCAN, self.scans.work)

    @functools.cached_property
    def verification_runner(self) -> runner.JobRunner:
        """Runs verifications that people ask for, which may take days."""
        return self._runner(jobs.JobKind.VERIFICATION, self.verifications.work)

    def _runner(self, kind: jobs.JobKind, work: runner.Work) -> runner.JobRunner:
        return runner.JobRunner(self._shared.outside, self._shared.runtime, kind, work)
