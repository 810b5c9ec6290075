# SPDX-License-Identifier: Apache-2.0
"""One turn of this agent among those that share a database."""

import datetime

from glance_sync_agent import errors
from glance_sync_agent.engine import ports

#: After so long without a sign of the agent whose turn it is, it is another one's: more than a
#: region that does not answer holds a look up.
TURN_SECONDS = 300.0
#: Who waits for a turn, or has one, comes again after so long at most.
RENEWAL_SECONDS = 30.0


class LeaderLease:
    """What of several agents one does, and another one once that is gone. For one thread."""

    def __init__(
        self, name: str, *, lost: str, turns: ports.LeaderLeases, owner: str, clock: ports.Clock
    ) -> None:
        """Begin without it.

        :param lost: what to say when another agent has it.
        :param owner: who we are among those that take turns.
        """
        self._name = name
        self._lost = lost
        self._turns = turns
        self._owner = owner
        self._clock = clock
        self._renewed = clock.monotonic()

    def take(self) -> bool:
        """Take the turn, or keep it for longer; False if it is another agent's.

        :raises ServiceUnavailable: the database does not answer.
        """
        now = self._clock.now()
        until = now + datetime.timedelta(seconds=TURN_SECONDS)
        self._renewed = self._clock.monotonic()
        return self._turns.take(self._name, owner=self._owner, now=now, until=until)

    def keep_on(self) -> None:
        """Renew the turn, if it is time, in something that takes long.

        :raises LeaseLost: it is another agent's by now.
        :raises ServiceUnavailable: the database does not answer.
        """
        is_fresh = self._clock.monotonic() - self._renewed < RENEWAL_SECONDS
        if not is_fresh and not self.take():
            raise errors.LeaseLost(self._lost)

    def end(self) -> None:
        """Let another agent have it.

        :raises ServiceUnavailable: the database does not answer.
        """
        self._turns.give_back(self._name, owner=self._owner)
