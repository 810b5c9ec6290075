# SPDX-License-Identifier: Apache-2.0
"""Joins the parts of the engine, for the agent, the commands, the benchmarks and the tests."""

from collections.abc import Callable

from glance_sync_agent.engine import ports
from glance_sync_agent.engine.assembly.attempt_parts import AttemptParts
from glance_sync_agent.engine.assembly.job_parts import JobParts
from glance_sync_agent.engine.assembly.scan_parts import ScanParts
from glance_sync_agent.engine.assembly.settings import Settings
from glance_sync_agent.engine.assembly.shared_parts import SharedParts
from glance_sync_agent.engine.assembly.upkeep_parts import UpkeepParts
from glance_sync_agent.engine.assembly.verify_parts import VerifyParts


class Engine:
    """The parts by room. Each is made when it is first used, so a command makes only its own.

    One thread makes them. Afterwards many threads may use them.
    """

    def __init__(
        self, outside: ports.Ports, settings: Callable[[], Settings], runtime: ports.Runtime
    ) -> None:
        self.outside = outside
        self.settings = settings
        self.runtime = runtime
        self.shared = SharedParts(outside, settings, runtime)
        self.attempts = AttemptParts(self.shared)
        self.scans = ScanParts(self.shared, self.attempts)
        self.verification = VerifyParts(self.shared)
        self.upkeep = UpkeepParts(self.shared, self.attempts)
        self.jobs = JobParts(self.shared, self.scans, self.verification)

    def make_all(self) -> None:
        """Make the parts that the threads of an agent share, before there are threads.

        :raises SyncError: Keystone does not answer.
        """
        _ = (self.attempts.worker, self.attempts.snapshots)
        _ = (self.scans.scan_schedule, self.verification.verify_schedule, self.upkeep.upkeep)
        _ = (self.jobs.scan_runner, self.jobs.verification_runner)


def assemble(
    outside: ports.Ports, settings: Callable[[], Settings], runtime: ports.Runtime | None = None
) -> Engine:
    """Return an engine; sends no request yet.

    :param settings: returns the current ones; most are read each time they are needed.
    :param runtime: None: that of a command.
    """
    return Engine(outside, settings, runtime or ports.Runtime())
