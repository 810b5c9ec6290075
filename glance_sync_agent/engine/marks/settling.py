# SPDX-License-Identifier: Apache-2.0
"""What an operator says of images that the agent leaves alone: each one by name."""

from collections.abc import Mapping
import logging
import uuid

from glance_sync_agent import errors
from glance_sync_agent.domain import actions
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.marks import census

LOG = logging.getLogger(__name__)

_MARK = (
    images.SOURCE_ID,
    images.SOURCE_REGION,
    images.COPY_ID,
    images.COPY_REGION,
    images.SYNCED_PROPERTIES,
)


class Settling:
    """Adopts, disowns and deletes single images of a region."""

    def __init__(
        self,
        *,
        regions: ports.Regions,
        catalogue: ports.Catalogue,
        store: ports.TaskStore,
        marked: census.Census,
        clock: ports.Clock,
    ) -> None:
        self._regions = regions
        self._catalogue = catalogue
        self._store = store
        self._census = marked
        self._clock = clock

    def adopt(self, region: images.RegionId, image_id: images.ImageId) -> images.SourceKey:
        """Take an image for the copy that its mark says it is; return its source.

        From then on the agent keeps it in step with its source, or deletes and replaces it.

        :raises ImageConflict: it does not say that it is a copy, or its task is at work.
        :raises SyncError: the region or the database does not answer.
        """
        image = self._read(region, image_id)
        source = self._source(image)
        if not identity.names(image, source):
            self._mark(image, source)  # it was taken off, or changed
        if image.created_at is None:
            raise errors.ImageConflict(
                f"image {image_id} of region {region} does not say when it was created, so that "
                "no task could know it again"
            )
        is_done = self._store.adopt(
            self._key(source, region),
            identity.KnownCopy(copy_id=image_id, created_at=image.created_at),
            now=self._clock.now(),
            request_id=uuid.uuid4().hex,
            source_region=None
            if source.region == self._catalogue.cascading
            else images.RegionId(source.region),
        )
        if not is_done:
            raise _at_work(source, region)
        return source

    def disown(self, region: images.RegionId, image_id: images.ImageId) -> images.SourceKey:
        """Take the mark off an image, so that it is a copy no more; return its former source.

        :raises ImageConflict: it does not say that it is a copy, or its task is at work.
        :raises SyncError: the region or the database does not answer.
        """
        image = self._read(region, image_id)
        source = self._source(image)
        # The row goes first: what it knows is doubtful without its mark, and never foreign.
        if not self._store.disown(self._key(source, region), image_id):
            raise _at_work(source, region)
        service = self._regions.image_service(region)
        service.update(_changes(image, dict.fromkeys(_MARK)))
        return source

    def delete_orphan(self, region: images.RegionId, image_id: images.ImageId) -> images.Image:
        """Delete a copy that no task knows and whose source is gone; return what it was.

        :raises ImageConflict: it is no orphan.
        :raises SyncError: a region or the database does not answer.
        """
        image = self._read(region, image_id)
        source = self._source(image)
        # To somebody with too few rights, other people's images are absent.
        origin = images.RegionId(source.region)
        self._regions.image_service(origin).require_all_rights()
        found = self._census.whose(image)
        if found.kind is not census.Kind.ORPHAN:
            raise errors.ImageConflict(
                f"image {image_id} of region {region} is no orphan, and was left alone: it is "
                f"{found.kind.value}, because {found.reason}"
            )
        self._regions.image_service(region).delete(image)
        LOG.warning(
            "Deleted orphan %s of region %s: project %s, %s bytes, hash %s, copy of %s",
            image_id, region, image.metadata.owner, image.size, image.multihash, source,
        )
        return image

    def _read(self, region: images.RegionId, image_id: images.ImageId) -> images.Image:
        image = self._regions.image_service(region).get_record(image_id)
        if image is None:
            raise errors.ImageConflict(f"there is no image {image_id} in region {region}")
        return image

    def _source(self, image: images.Image) -> images.SourceKey:
        source = (
            identity.source_of(image)
            or identity.former_source(image, self._catalogue.regions())
            or self._source_by_row(image)
        )
        if source is None:
            raise errors.ImageConflict(
                f"image {image.image_id} of region {image.region} does not say that it is a copy, "
                "and no task knows it; there is nothing to settle"
            )
        return source

    def _source_by_row(self, image: images.Image) -> images.SourceKey | None:
        """Return the source of a copy whose mark was taken off or changed."""
        for task in self._store.list(region=image.region):
            if task.copy_id == image.image_id and task.copy_created_at == image.created_at:
                region = task.source_region or self._catalogue.cascading
                return images.SourceKey(image_id=task.key.image_id, region=region)
        return None

    def _mark(self, image: images.Image, source: images.SourceKey) -> None:
        marks = {
            images.SOURCE_ID: source.image_id,
            images.SOURCE_REGION: source.region,
            images.COPY_ID: image.image_id,
            images.COPY_REGION: image.region,
        }
        self._regions.image_service(image.region).update(_changes(image, marks))

    def _key(self, source: images.SourceKey, region: images.RegionId) -> tasks.TaskKey:
        return tasks.TaskKey(image_id=images.image_id(source.image_id), region=region)


def _changes(
    image: images.Image, properties: Mapping[str, str | None]
) -> actions.UpdateMetadata:
    return actions.UpdateMetadata(
        copy=image, attributes={}, tags=None, properties=properties, members={}
    )


def _at_work(source: images.SourceKey, region: images.RegionId) -> errors.ImageConflict:
    return errors.ImageConflict(
        f"an agent is at work on the copy of {source} in region {region}; try again in a moment"
    )
