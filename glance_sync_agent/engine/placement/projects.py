# SPDX-License-Identifier: Apache-2.0
"""What Keystone says of the projects that own images, remembered for a while."""

from collections import OrderedDict
from collections.abc import Callable
import dataclasses
import math
import threading

from glance_sync_agent import errors
from glance_sync_agent.domain import rules
from glance_sync_agent.domain import strategy
from glance_sync_agent.engine import ports

_ENTRIES = 4096


@dataclasses.dataclass(slots=True)
class _Entry:
    expires_at: float  # monotonic seconds
    facts: strategy.OwnerFacts = dataclasses.field(default_factory=strategy.OwnerFacts)
    failed_at: float = -math.inf  # monotonic seconds, when Keystone was asked in vain
    failure: errors.SyncError | None = None  # what came of that
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)


class Projects:
    """The facts about projects, asked for one by one and never older than allowed. Thread safe.

    An answer that is too old is not used, however long Keystone is away: what it said may have
    been wider than what it would say now.
    """

    def __init__(
        self,
        identity: ports.ProjectDirectory,
        clock: ports.Clock,
        cache_seconds: Callable[[], float],
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._cache_seconds = cache_seconds
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def facts(self, project_id: str | None, *needed: rules.Fact) -> strategy.OwnerFacts:
        """Return what is known of a project, ``needed`` included.

        One asks and the others wait for him. They share his failure, too: one question after
        the other to a Keystone that hangs would outlast the leases of their tasks.

        :param project_id: None is nobody's, of which there is nothing to ask.
        :raises ServiceUnavailable: Keystone does not answer.
        :raises Refused: Keystone says no.
        """
        if project_id is None:
            return strategy.NOBODY
        came_at = self._clock.monotonic()
        entry = self._entry(project_id)
        with entry.lock:
            if entry.failure is not None and came_at < entry.failed_at:
                raise entry.failure
            try:
                for fact in needed:
                    entry.facts = self._completed(entry.facts, project_id, fact)
            except errors.SyncError as exc:
                entry.failed_at, entry.failure = self._clock.monotonic(), exc
                raise
            return entry.facts

    def _entry(self, project_id: str) -> _Entry:
        now = self._clock.monotonic()
        with self._lock:
            entry = self._entries.get(project_id)
            if entry is None or now >= entry.expires_at:
                entry = _Entry(expires_at=now + self._cache_seconds())
                self._entries[project_id] = entry
            self._entries.move_to_end(project_id)
            while len(self._entries) > _ENTRIES:
                self._entries.popitem(last=False)
            return entry

    def _completed(
        self, known: strategy.OwnerFacts, project_id: str, fact: rules.Fact
    ) -> strategy.OwnerFacts:
        match fact:
            case rules.Fact.PROJECT if known.project is None:
                project = self._identity.project(project_id) or rules.Project()
                return dataclasses.replace(known, project=project)
            case rules.Fact.ROLES if known.roles is None:
                roles = self._identity.roles_on(project_id)
                return dataclasses.replace(known, roles=roles)
            case rules.Fact.ASSOCIATION if known.association is None:
                association = self._identity.association(project_id)
                return dataclasses.replace(known, association=association)
        return known
