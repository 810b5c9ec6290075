# SPDX-License-Identifier: Apache-2.0
"""What Keystone says of the projects that own images, remembered for a while."""

from collections.abc import Callable
import functools
import threading
from typing import Any, assert_never

import cachetools

from glance_sync_agent import single_flight
from glance_sync_agent.domain import owner_facts
from glance_sync_agent.engine import ports

_ENTRIES = 4096


class Projects:
    """The facts about projects, read one by one and never older than allowed. Thread safe.

    An expired answer is not used, even while Keystone is unreachable: it may allow more than
    the current one.
    """

    def __init__(
        self,
        identity: ports.ProjectDirectory,
        clock: ports.Clock,
        cache_seconds: Callable[[], float],
    ) -> None:
        self._identity = identity
        self._asking = single_flight.SingleFlight()
        self._lock = threading.Lock()
        #: The facts of a project, which all expire with the first of them.
        self._known: cachetools.TLRUCache[str, dict[owner_facts.Fact, Any]] = cachetools.TLRUCache(
            _ENTRIES, ttu=lambda _key, _facts, now: now + cache_seconds(), timer=clock.monotonic
        )

    def facts(self, project_id: str | None, *needed: owner_facts.Fact) -> owner_facts.OwnerFacts:
        """Return what is known of a project, ``needed`` included.

        :param project_id: None: the image has no owner, so there is nothing to read.
        :raises ServiceUnavailable: Keystone does not answer.
        :raises Refused: Keystone refuses.
        """
        if project_id is None:
            return owner_facts.NO_OWNER
        with self._lock:
            known = self._known.setdefault(project_id, {})
        for fact in needed:
            learn = functools.partial(self._learn, known, project_id, fact)
            self._asking.run((id(known), fact), learn)
        return owner_facts.OwnerFacts(
            project=known.get(owner_facts.Fact.PROJECT),
            roles=known.get(owner_facts.Fact.ROLES),
            association=known.get(owner_facts.Fact.ASSOCIATION),
        )

    def _learn(
        self, known: dict[owner_facts.Fact, Any], project_id: str, fact: owner_facts.Fact
    ) -> None:
        if fact not in known:
            known[fact] = self._read(project_id, fact)

    def _read(self, project_id: str, fact: owner_facts.Fact) -> object:
        match fact:
            case owner_facts.Fact.PROJECT:
                return self._identity.project(project_id) or owner_facts.Project()
            case owner_facts.Fact.ROLES:
                return self._identity.roles_on(project_id)
            case owner_facts.Fact.ASSOCIATION:
                return self._identity.association(project_id)
            case never:
                assert_never(never)
