# SPDX-License-Identifier: Apache-2.0
"""The parts that several rooms of the engine need."""

from collections.abc import Callable
import functools

from glance_sync_agent.engine import current_pauses
from glance_sync_agent.engine import leadership
from glance_sync_agent.engine import ports
from glance_sync_agent.engine import requests
from glance_sync_agent.engine import steering
from glance_sync_agent.engine import vital_signs
from glance_sync_agent.engine.assembly.settings import Settings
from glance_sync_agent.engine.attempts import location_records
from glance_sync_agent.engine.attempts import remote_sources
from glance_sync_agent.engine.attempts import sources
from glance_sync_agent.engine.placement import projects
from glance_sync_agent.engine.placement import targets
from glance_sync_agent.engine.placement import wanted_copies
from glance_sync_agent.engine.reconcile import source_history


class SharedParts:
    """The parts that several rooms of the engine need."""

    def __init__(
        self, outside: ports.Ports, settings: Callable[[], Settings], runtime: ports.Runtime
    ) -> None:
        self.outside = outside
        self.settings = settings
        self.runtime = runtime

    @functools.cached_property
    def vital_signs(self) -> vital_signs.VitalSigns:
        """What the agent reports of itself."""
        return vital_signs.VitalSigns()

    @functools.cached_property
    def current_pauses(self) -> current_pauses.CurrentPauses:
        """The regions that are paused now."""
        return current_pauses.CurrentPauses(
            self.outside.pauses, lambda: self.settings().pause_windows, self.outside.clock
        )

    @functools.cached_property
    def projects(self) -> projects.Projects:
        """What Keystone knows of projects."""
        return projects.Projects(
            self.outside.projects,
            self.outside.clock,
            lambda: self.settings().project_seconds,
        )

    @functools.cached_property
    def targets(self) -> targets.Targets:
        """The regions in which an image belongs."""
        return targets.Targets(
            self.outside.catalogue, self.projects, lambda: self.settings().placement
        )

    @functools.cached_property
    def wanted_copies(self) -> wanted_copies.WantedCopies:
        """How a copy should look."""
        return wanted_copies.WantedCopies(
            self.outside.catalogue, lambda: self.settings().metadata, self.outside.store
        )

    @functools.cached_property
    def newest(self) -> source_history.NewestSources:
        """The memory of the newest sources."""
        return source_history.NewestSources(self.outside.facts)

    @functools.cached_property
    def requests(self) -> requests.TaskRequests:
        """The way from an event to tasks."""
        return requests.TaskRequests(
            store=self.outside.store,
            targets=self.targets,
            clock=self.outside.clock,
            wake=self.runtime.wake,
            note_deletion=self.newest.deleted,
            signs=self.vital_signs,
        )

    @functools.cached_property
    def steering(self) -> steering.Steering:
        """What people ask of the agents."""
        return steering.Steering(self.outside, lambda: self.requests)

    @functools.cached_property
    def location_records(self) -> location_records.LocationRecords:
        """The locations of copies on their sources."""
        return location_records.LocationRecords(
            self.outside.regions,
            self.outside.catalogue.cascading,
            lambda: self.settings().attempts.record_locations,
        )

    @functools.cached_property
    def remote_sources(self) -> remote_sources.RemoteSources:
        """Sources whose data is in another region."""
        return remote_sources.RemoteSources(self.outside.regions, self.outside.catalogue)

    @functools.cached_property
    def source_views(self) -> sources.SourceViews:
        """Sources as they were read last."""
        return sources.SourceViews(
            self.outside.regions,
            self.outside.catalogue.cascading,
            self.remote_sources,
            self.outside.clock,
        )

    def lease(self, job: str) -> leadership.LeaderLease:
        """Return the lease of a job that one of several agents does."""
        return leadership.LeaderLease(
            job, self.outside.leader_leases, owner=self.runtime.owner, clock=self.outside.clock
        )
