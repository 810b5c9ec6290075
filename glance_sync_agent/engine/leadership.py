# SPDX-License-Identifier: Apache-2.0
"""The lease by which one of the agents that share a database leads a job."""

import datetime

from glance_sync_agent import errors
from glance_sync_agent.engine import ports

#: Another agent may lead once the lease was not renewed for so long. A region that does not
#: answer delays a renewal for less.
LEASE_SECONDS = 300.0
#: The leader renews its lease, and the other agents ask for it, at least this often.
RENEWAL_SECONDS = 30.0


class LeaderLease:
    """Makes ``owner`` the leader of a job, unless another agent is. For one thread."""

    def __init__(
        self, job: str, leases: ports.LeaderLeases, *, owner: str, clock: ports.Clock
    ) -> None:
        self._job = job
        self._leases = leases
        self._owner = owner
        self._clock = clock
        self._renewed = clock.monotonic()

    def take(self) -> bool:
        """Take or renew the lease; return whether this agent is the leader.

        :raises ServiceUnavailable: the database does not answer.
        """
        now = self._clock.now()
        until = now + datetime.timedelta(seconds=LEASE_SECONDS)
        self._renewed = self._clock.monotonic()
        return self._leases.take(self._job, owner=self._owner, now=now, until=until)

    def renew(self) -> None:
        """Renew the lease if it is time; call this often in a long step.

        :raises LeaseLost: another agent is the leader by now.
        :raises ServiceUnavailable: the database does not answer.
        """
        is_fresh = self._clock.monotonic() - self._renewed < RENEWAL_SECONDS
        if not is_fresh and not self.take():
            raise errors.LeaseLost(f"another agent leads '{self._job}' now")

    def give_back(self) -> None:
        """Let another agent lead. Idempotent.

        :raises ServiceUnavailable: the database does not answer.
        """
        self._leases.give_back(self._job, owner=self._owner)
