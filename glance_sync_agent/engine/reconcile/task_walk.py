# SPDX-License-Identifier: Apache-2.0
"""Walks the tasks to find sources that are gone, and sources that no listing shows."""

from collections.abc import Mapping, Sequence, Set
import dataclasses
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import snapshots
from glance_sync_agent.domain import steps
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import batches
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.reconcile import differences
from glance_sync_agent.engine.reconcile.brake import DeletionBrake
from glance_sync_agent.engine.reconcile.page_comparison import PageComparison
from glance_sync_agent.engine.reconcile.scan_state import ScanState

LOG = logging.getLogger(__name__)

_BATCH = 100  # ids; Glance takes that many in one ``id=in:`` filter

_REGION_GONE = steps.Step(what=steps.StepKind.NOTE, why=plans.REGION_GONE.text)


class TaskWalk:
    """Gives the brake what is gone, and compares what the walk of the listings missed."""

    def __init__(
        self,
        outside: ports.Ports,
        pages: PageComparison,
        brake: DeletionBrake,
        receive: differences.Receiver,
        snapshot_origins: Sequence[images.RegionId],
    ) -> None:
        self._outside = outside
        self._cascading = outside.catalogue.cascading
        self._pages = pages
        self._brake = brake
        self._receive = receive
        self._snapshot_origins = snapshot_origins

    def run(self, state: ScanState) -> None:
        """Walk all tasks, image by image.

        :raises SyncError: the cascading region, the database or Keystone does not answer.
        """
        reachable = self._outside.catalogue.regions()
        lookup = SourceLookup(
            regions=self._outside.regions,
            cascading=self._cascading,
            untrusted=frozenset(state.report.restored),
        )
        skipped = state.silent - {self._cascading}
        for batch in batches.of(self._outside.store.image_ids(), _BATCH):
            by_origin: dict[images.RegionId, list[tasks.Outline]] = {}
            unreachable = []
            for row in self._outside.store.outlines(batch):
                if row.region in reachable:
                    origin = row.source_region or self._cascading
                    by_origin.setdefault(origin, []).append(row)
                elif not row.is_region_gone:
                    unreachable.append(row)
            found = [differences.of_task(task, _REGION_GONE) for task in self._tasks(unreachable)]
            state.report.requested += self._receive(found)
            for origin in sorted(by_origin.keys() - skipped):
                self._check(origin, by_origin[origin], lookup, state)
        for origin in sorted(state.shares.keys() - {self._cascading, *self._snapshot_origins}):
            self._pages.note_members(origin, state)

    def _tasks(self, rows: Sequence[tasks.Outline]) -> Sequence[tasks.Task]:
        """Read the tasks of outlines, without those that got another source since."""
        known = {(row.image_id, row.region, row.source_region) for row in rows}
        found = self._outside.store.find(sorted({row.image_id for row in rows})) if rows else ()
        return [
            task
            for task in found
            if (task.key.image_id, task.key.region, task.source_region) in known
        ]

    def _check(
        self,
        origin: images.RegionId,
        rows: Sequence[tasks.Outline],
        lookup: "SourceLookup",
        state: ScanState,
    ) -> None:
        gone, present = lookup.find(origin, {row.image_id for row in rows})
        # An owner may have removed ``image_type``, or the operator a region from
        # ``region_transport_urls``. The copies must still lose what their source took back.
        unlisted = [one for one in present.values() if self._is_unlisted(one)]
        listed = [one for one in present.values() if not self._is_unlisted(one)]
        there = [row for row in rows if row.image_id in present]
        self._brake.found(origin, there, listed, state)
        if unlisted:
            self._pages.compare_known({row.region for row in there}, unlisted, state)
        lost = self._tasks([row for row in rows if row.image_id in gone])
        for image_id in gone:
            state.renew_lease()
            if of_image := [task for task in lost if task.key.image_id == image_id]:
                self._brake.judge(origin, of_image, state)

    def _is_unlisted(self, source: images.Image) -> bool:
        if source.region == self._cascading:
            return False
        return source.region not in self._snapshot_origins or not snapshots.is_typed(source)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SourceLookup:
    """Proves for one scan which sources are gone. Writes nothing."""

    regions: ports.Regions
    cascading: images.RegionId
    untrusted: Set[images.RegionId]  # their images do not count as gone
    #: Regions that proved that they show the agent all images.
    privileged: set[images.RegionId] = dataclasses.field(default_factory=set)

    def find(
        self, origin: images.RegionId, image_ids: Set[images.ImageId]
    ) -> tuple[Sequence[images.ImageId], Mapping[images.ImageId, images.Image]]:
        """Return which of at most 100 images are gone, and which are there, without members.

        :raises SyncError: the cascading region does not answer; another one proves nothing then.
        """
        try:
            service = self.regions.image_service(origin)
            if origin not in self.privileged:
                # Glance hides the images of other owners from an agent that lost its rights.
                service.require_all_rights()
                self.privileged.add(origin)
            present = dict(service.find(sorted(image_ids)))
            if origin in self.untrusted:
                return (), present
            # A listing proves only presence; a 404 for the very image proves absence.
            unlisted, gone = _records(service, sorted(image_ids - present.keys()))
            present |= unlisted
            if not gone or _has_own_images(service):
                return gone, present
            failure = (
                "it lists no image of its own, as if it lost its database. The copies of "
                f"{len(gone)} images stay"
            )
        except errors.SyncError as exc:
            if origin == self.cascading:
                raise
            failure = str(exc)
        LOG.warning("No image counts as deleted in region %s: %s", origin, failure)
        return (), {}


def _records(
    service: ports.ImageService, image_ids: Sequence[images.ImageId]
) -> tuple[Mapping[images.ImageId, images.Image], Sequence[images.ImageId]]:
    """Return the images that exist, and the ids of those that do not.

    An image whose record Glance refuses, or fails to show, is neither. It keeps no other image
    waiting.
    """
    present: dict[images.ImageId, images.Image] = {}
    gone: list[images.ImageId] = []
    for image_id in image_ids:
        try:
            record = service.get_record(image_id)
        except (errors.Refused, errors.TransientError) as exc:
            if isinstance(exc, errors.TransientError) and exc.fault is not errors.Fault.ANSWER:
                raise
            LOG.warning("Nothing shows whether image %s still exists: %s", image_id, exc)
            continue
        if record is None:
            gone.append(image_id)
        else:
            present[image_id] = record
    return present, gone


def _has_own_images(service: ports.ImageService) -> bool:
    """Tell whether a region lists any image that is no copy.

    A region that lost its images soon has copies again, which prove nothing.
    """
    return any(
        not identity.names_itself(image) for page in service.pages(_BATCH) for image in page
    )
