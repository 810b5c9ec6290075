# SPDX-License-Identifier: Apache-2.0
"""The parts that read copies back."""

import functools

from glance_sync_agent.engine.assembly.shared_parts import SharedParts
from glance_sync_agent.engine.verify import pacing
from glance_sync_agent.engine.verify import repairs
from glance_sync_agent.engine.verify import verify_schedule
from glance_sync_agent.engine.verify.read_back import Verifier


class VerifyParts:
    """The parts that read copies back."""

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared
        self._outside = shared.outside
        self._settings = shared.settings
        self._runtime = shared.runtime

    @functools.cached_property
    def read_back(self) -> Verifier:
        """Reads copies back by the clock; writes nothing."""
        return self.make_verifier()

    def make_verifier(self) -> Verifier:
        """Return what reads copies back, for one thread; it writes nothing."""
        pace = pacing.Pace(
            clock=self._outside.clock,
            stop=self._runtime.ending,
            bytes_per_second=lambda: self._settings().verify.max_bytes_per_second,
        )
        sources, meters = self._shared.remote_sources, self._runtime.meters
        return Verifier(self._outside, sources, pace, meters)

    def make_repairs(self, *, has_limit: bool = True) -> repairs.Repairs:
        """Return what requests repairs, for one run.

        :param has_limit: whether ``[verify] max_repairs`` applies.
        """
        return repairs.Repairs(
            store=self._outside.store,
            clock=self._outside.clock,
            wake=self._runtime.wake,
            limit=lambda: self._settings().verify.max_repairs if has_limit else float("inf"),
            current_pauses=self._shared.current_pauses,
        )

    @functools.cached_property
    def verify_schedule(self) -> verify_schedule.VerifySchedule:
        """Reads every copy back by the clock, in one of several agents."""
        return verify_schedule.VerifySchedule(
            outside=self._outside,
            lease=self._shared.lease("verify"),
            verifier=self.read_back,
            make_repairs=self.make_repairs,
            current_pauses=self._shared.current_pauses,
            settings=lambda: self._settings().verify,
        )
