# SPDX-License-Identifier: Apache-2.0
"""The image records of one region's Glance (Images API v2)."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import datetime
import threading
from typing import Final

from glance_sync_agent import errors
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import snapshots
from glance_sync_agent.drivers.glance import access
from glance_sync_agent.drivers.glance import bodies
from glance_sync_agent.drivers.glance.calls import Calls
from glance_sync_agent.drivers.glance.calls import Retries
from glance_sync_agent.drivers.glance.listing import Listing
from glance_sync_agent.drivers.glance.locations import ImageLocations
from glance_sync_agent.drivers.glance.record_changes import RecordChanges
from glance_sync_agent.drivers.keystone import credentials

_MOST_IDS: Final = 100  # of one ``find``: more would not fit every proxy's longest URL
_FORBIDDEN: Final = 403
_GONE: Final = 404
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"  # of filters


class GlanceImageService:
    """Implements ``engine.ports.ImageService``, whose errors it raises. Thread safe."""

    def __init__(
        self,
        *,
        region: images.RegionId,
        session: credentials.Session,
        endpoint: str,
        stop: threading.Event,
        retries: Retries = Retries(),  # noqa: B008 (it is frozen)
    ) -> None:
        """Prepare; sends nothing yet.

        :param session: of a user who sees the images of all projects.
        :param endpoint: of the region's Glance, as in the catalogue.
        :param stop: set when the agent stops, so that no retry waits any longer.
        """
        self.region = region
        self._calls = Calls(
            region=region, session=session, endpoint=endpoint, retries=retries, stop=stop
        )
        self._listing = Listing(calls=self._calls, region=region)
        changes = RecordChanges(region=region, calls=self._calls)
        self.create = changes.create
        self.update = changes.update
        self.set_active = changes.set_active
        self.delete = changes.delete
        locations = ImageLocations(region=region, calls=self._calls, session=session)
        self.image_url = locations.url
        self.require_public_size = locations.require_public_size
        self.add_location = locations.add
        self.remove_location = locations.remove

    def require_all_rights(self) -> None:
        """Make sure that Glance shows us the images of all projects."""
        if not access.is_admin(self._calls):
            raise errors.Refused(
                f"the Glance of region {self.region} does not accept the agent's user as an "
                "administrator any more, so it may hide images; give that user the role that "
                "its policy.yaml asks for (context_is_admin)"
            )

    def get(self, image_id: images.ImageId) -> images.Image | None:
        """Read an image with its members; None if there is no such image."""
        image = self.get_record(image_id)
        if image is None or image.metadata.visibility != "shared":
            return image
        return dataclasses.replace(image, members=self.members(image))

    def get_record(self, image_id: images.ImageId) -> images.Image | None:
        """Read an image without its members: one request instead of two."""
        answer = self._calls.ask("GET", f"/images/{image_id}", expected=(_GONE,))
        if answer.status == _GONE:
            return None
        image = bodies.image(answer.body, self.region)
        if image.image_id != image_id:
            raise errors.ServiceUnavailable(
                f"region {self.region} answered a request for image {image_id} with image "
                f"{image.image_id}"
            )
        return image

    def members(self, image: images.Image) -> Mapping[str, images.MemberStatus]:
        """Read the members of an image that are project ids."""
        if image.metadata.visibility != "shared":
            return {}
        answer = self._calls.ask(
            "GET", f"/images/{image.image_id}/members", expected=(_GONE, _FORBIDDEN)
        )
        if answer.status == _GONE:
            return {}
        if answer.status == _FORBIDDEN:
            now = self.get_record(image.image_id)
            if now is None or now.metadata.visibility != "shared":
                return {}  # it changed since the caller read it
            raise errors.Refused(
                f"members of image {image.image_id} of region {self.region}: {answer.explanation}"
            )
        return bodies.members(answer.body, self.region)

    def find(self, image_ids: Sequence[images.ImageId]) -> Mapping[images.ImageId, images.Image]:
        """Read those of ``image_ids`` that exist, without members; at most 100 ids."""
        if len(image_ids) > _MOST_IDS:
            raise ValueError(f"{len(image_ids)} ids, and {_MOST_IDS} are the limit")
        found: dict[images.ImageId, images.Image] = {}
        for hidden in ("false", "true"):
            missing = [one for one in image_ids if one not in found]
            if missing:
                # One more than can exist, because a full page makes Listing ask for the next.
                limit = str(len(missing) + 1)
                query = {"id": f"in:{','.join(missing)}", "os_hidden": hidden, "limit": limit}
                found |= {one.image_id: one for one in self._listing.all(query)}
        return found

    def named(self, image_name: str) -> Sequence[images.ImageId]:
        """Return the images with a name, sorted by id."""
        # Without "eq:" Glance takes the text before a colon for an operator.
        return sorted(
            image.image_id
            for image in self._listing.all({"name": f"eq:{image_name}"})
            if image.metadata.name == image_name  # some databases ignore the case
        )

    def copies_of(self, key: images.SourceKey) -> Sequence[images.Image]:
        """Find the images whose mark names a source and themselves, without members."""
        query = {mark_properties.SOURCE_ID: key.image_id, mark_properties.COPY_REGION: self.region}
        # The query also finds images that inherited the mark.
        return [image for image in self._listing.all(query) if identity.names(image, key)]

    def referring_to(self, image_id: images.ImageId) -> Sequence[images.Image]:
        """Find the images whose kernel or ramdisk is ``image_id``, without members."""
        found = {
            image.image_id: image
            for name in metadata_policy.REFERENCES
            for image in self._listing.all({name: image_id})
        }
        return list(found.values())

    def pages(
        self,
        page_size: int,
        *,
        snapshots_only: bool = False,
        changed_since: datetime.datetime | None = None,
        marked_from: images.RegionId | None = None,
        marked_in: images.RegionId | None = None,
    ) -> Iterator[Sequence[images.Image]]:
        """Walk all images of the region, without members, in constant memory.

        Images come by id: visible ones first, then hidden ones, one type of snapshot after the
        other. If an image is hidden or shown during the walk, it may come twice or not at all.
        The walk skips unreadable records and logs each once.
        """
        query: dict[str, str] = {}
        if marked_from is not None:
            query[mark_properties.SOURCE_REGION] = marked_from
        if marked_in is not None:
            query[mark_properties.COPY_REGION] = marked_in
        if changed_since is not None:
            query["updated_at"] = f"gte:{changed_since.astimezone(datetime.UTC):{_TIME}}"
        # Glance takes no list of values for a property.
        kinds = [{snapshots.IMAGE_TYPE: one} for one in snapshots.TYPES]
        for kind in kinds if snapshots_only else [{}]:
            yield from self._listing.pages({**kind, **query}, page_size)
