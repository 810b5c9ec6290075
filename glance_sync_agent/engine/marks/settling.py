# SPDX-License-Identifier: Apache-2.0
"""An operator's decisions about single images that the agent does not touch."""

from collections.abc import Mapping
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import actions
from glance_sync_agent.domain import history
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.asked import Asked
from glance_sync_agent.engine.marks.adoption import Adoption
from glance_sync_agent.engine.marks.census import Census
from glance_sync_agent.engine.marks.census import MarkKind

LOG = logging.getLogger(__name__)

_REMEDIES = {
    MarkKind.UNADOPTED: ". Ask its agent, which may be another one; if there is none, delete the "
    "image in its Glance",
}


class Settling:
    """Adopts, disowns and deletes single images of a region."""

    def __init__(self, outside: ports.Ports, census: Census, adoption: Adoption) -> None:
        self._history = outside.history
        self._clock = outside.clock
        self._regions = outside.regions
        self._catalogue = outside.catalogue
        self._store = outside.store
        self._census = census
        self._adoption = adoption

    def adopt(
        self, region: images.RegionId, image_id: images.ImageId, asked: Asked
    ) -> images.SourceKey:
        """Make an image the copy of the source that its mark names; return the source.

        From then on the agent updates it like any other copy, or deletes and replaces it.

        :raises ImageConflict: it names no source, or an agent works on its task.
        :raises UnknownRegion: the region of its source is not in the catalogue.
        :raises SyncError: the region or the database does not answer.
        """
        image = self._read(region, image_id)
        source = self._source(image)
        if source.region not in self._catalogue.regions():
            raise errors.UnknownRegion(
                f"the source of image {image_id} is in region {source.region}, which is not in "
                "Keystone's catalogue. If that region has a new name, run "
                f"'glance-sync-manage region rename {source.region} NEW'. If the image still has "
                f"the old name afterwards, set its property {mark_properties.SOURCE_REGION} to "
                "the new name, and adopt it again"
            )
        if not identity.names(image, source):
            self._restore_mark(image, source)
        if image.created_at is None:
            raise errors.ImageConflict(
                f"image {image_id} of region {region} has no creation time, so no task could "
                "recognize it"
            )
        if not self._adoption.adopt(source, image):
            raise _at_work(source, region)
        self._note(history.Kind.ADOPTED, source, image, asked)
        return source

    def disown(
        self, region: images.RegionId, image_id: images.ImageId, asked: Asked
    ) -> images.SourceKey:
        """Remove the mark of an image, so that it is no copy; return its former source.

        :raises ImageConflict: it names no source, or an agent works on its task.
        :raises SyncError: the region or the database does not answer.
        """
        image = self._read(region, image_id)
        source = self._source(image)
        # The row forgets it first. An image that a row knows would be doubtful without its mark.
        key = tasks.TaskKey(image_id=images.image_id(source.image_id), region=region)
        if not self._store.disown(key, image_id):
            raise _at_work(source, region)
        service = self._regions.image_service(region)
        service.update(_changes(image, dict.fromkeys(mark_properties.NAMES)))
        self._note(history.Kind.DISOWNED, source, image, asked)
        return source

    def delete_orphan(
        self, region: images.RegionId, image_id: images.ImageId, asked: Asked
    ) -> images.Image:
        """Delete a copy that no task knows and whose source is gone; return its last state.

        :raises ImageConflict: it is no orphan.
        :raises SyncError: a region or the database does not answer.
        """
        image = self._read(region, image_id)
        source = self._source(image)
        # With too few rights, the images of other projects look gone.
        origin = images.RegionId(source.region)
        self._regions.image_service(origin).require_all_rights()
        found = self._census.whose(image)
        if found.kind is not MarkKind.ORPHAN:
            raise errors.ImageConflict(
                f"image {image_id} of region {region} is no orphan, so it was not deleted: it is "
                f"{found.kind.value}, because {found.reason}{_REMEDIES.get(found.kind, '')}"
            )
        self._regions.image_service(region).delete(image)
        LOG.warning(
            "Deleted orphan %s of region %s: project %s, %s bytes, hash %s, copy of %s",
            image_id, region, image.metadata.owner, image.size, image.multihash, source,
        )
        self._note(history.Kind.ORPHAN_DELETED, source, image, asked, proof=found.reason)
        return image

    def _note(
        self,
        kind: history.Kind,
        source: images.SourceKey,
        image: images.Image,
        asked: Asked,
        *,
        proof: str | None = None,
    ) -> None:
        event = history.Event(
            at=self._clock.now(),
            kind=kind,
            by=asked.by,
            request_id=asked.request_id,
            image_id=images.ImageId(source.image_id),
            region=image.region,
            copy_id=image.image_id,
            size=image.size,
            owner=image.metadata.owner,
            multihash=None if image.multihash is None else str(image.multihash),
            proof=proof,
        )
        self._history.add([event])

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
        """Return the source of a copy whose mark was removed or changed."""
        for task in self._store.list(region=image.region):
            if task.copy_id == image.image_id and task.copy_created_at == image.created_at:
                region = task.source_region or self._catalogue.cascading
                return images.SourceKey(image_id=task.key.image_id, region=region)
        return None

    def _restore_mark(self, image: images.Image, source: images.SourceKey) -> None:
        mark = {
            mark_properties.SOURCE_ID: source.image_id,
            mark_properties.SOURCE_REGION: source.region,
            mark_properties.COPY_ID: image.image_id,
            mark_properties.COPY_REGION: image.region,
        }
        self._regions.image_service(image.region).update(_changes(image, mark))


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
