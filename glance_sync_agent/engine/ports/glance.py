# SPDX-License-Identifier: Apache-2.0
"""The engine's ports to the Glances."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
import datetime
from typing import Protocol

from glance_sync_agent.domain import actions
from glance_sync_agent.domain import images
from glance_sync_agent.domain import region_names


class ImageService(Protocol):
    """The image records of one region's Glance.

    Every method raises ``ServiceUnavailable`` if there is no answer that makes sense, and
    ``Refused`` if Glance refuses (4xx). ``TransientError`` means that the image vanished during a
    change. Images are without members unless stated otherwise.
    """

    region: images.RegionId

    def get(self, image_id: images.ImageId) -> images.Image | None:
        """Read an image with its members; None if there is no such image."""

    def require_all_rights(self) -> None:
        """Make sure that Glance shows us the images of all projects.

        :raises Refused: it does not; images that it hides may exist.
        """

    def get_record(self, image_id: images.ImageId) -> images.Image | None:
        """Read an image without its members: one request instead of two."""

    def find(self, image_ids: Sequence[images.ImageId]) -> Mapping[images.ImageId, images.Image]:
        """Read those of ``image_ids`` that exist; at most 100 ids."""

    def members(self, image: images.Image) -> Mapping[str, images.MemberStatus]:
        """Read the members of an image; empty unless its visibility is ``shared``."""

    def copies_of(self, key: images.SourceKey) -> Sequence[images.Image]:
        """Find the images whose mark names a source and themselves."""

    def referring_to(self, image_id: images.ImageId) -> Sequence[images.Image]:
        """Find the images whose kernel or ramdisk is ``image_id``."""

    def pages(
        self,
        page_size: int,
        *,
        snapshots_only: bool = False,
        changed_since: datetime.datetime | None = None,
        marked_from: images.RegionId | None = None,
        marked_in: images.RegionId | None = None,
    ) -> Iterator[Sequence[images.Image]]:
        """Walk all images of the region, hidden ones too, in constant memory.

        A walk that fails raises; it never ends early in silence.

        :param snapshots_only: only images whose ``image_type`` is ``snapshot`` or ``backup``.
        :param changed_since: only images that changed then or later, to the second. Changes of
            members do not count.
        :param marked_from: only images whose mark, inherited or not, names a source in this
            region.
        :param marked_in: only images whose mark names a copy in this region.
        """

    def create(self, image_id: images.ImageId, source: images.Image) -> images.Image:
        """Make a queued record with the metadata of ``source`` and our mark.

        Its visibility may be narrower than the source's (:func:`narrowing.first_visibility`).

        :raises ImageIdTaken: the id is in use, or was once.
        """

    def update(self, changes: actions.UpdateMetadata) -> images.Image | None:
        """Apply changes to the record. Idempotent.

        :returns: the changed image; None: the answers do not show all of it.
        """

    def set_active(self, image_id: images.ImageId, *, active: bool) -> None:
        """Reactivate or deactivate. Idempotent."""

    def delete(self, image: images.Image) -> None:
        """Unprotect if needed, then delete record and data. Idempotent.

        The properties by which Glance would delete the key of the source are removed first
        (``mark_properties.KEY_POLICIES``). If that fails, nothing is deleted.

        :param image: as it was read just now.
        """

    def image_url(self, image_id: images.ImageId) -> str:
        """Return the URL that the record of an image has or would have. Sends nothing."""

    def require_public_size(self, image_id: images.ImageId) -> None:
        """Make sure that a HEAD of an image's URL gives its size without a token.

        Another Glance sends this HEAD before it accepts the URL as a location.

        :raises Refused: the answer has no size; a Glance without a proxy before it gives none.
        """

    def add_location(self, image_id: images.ImageId, location: images.Location) -> None:
        """Add a location to an image. Idempotent; does nothing if the image is not active.

        :raises Refused: this Glance accepts no locations, or not this one.
        """

    def remove_location(self, image_id: images.ImageId, location: images.Location) -> None:
        """Remove a location of an image, and no other one. Idempotent.

        Glance also removes the data behind it, if its store can.

        :raises TransientError: the locations of the image keep changing.
        """


class ImageStore(Protocol):
    """A way to and from the bytes of one region's images; one per scheme.

    The entry points ``glance_sync_agent.stores`` name the drivers.
    """

    @property
    def way(self) -> str:
        """The way in one word, for metrics: the scheme."""

    def read(
        self, image: images.Image, *, offset: int = 0
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open the data of an image; chunks of at most 1 MiB.

        Threads may take the chunks in turn.

        :param offset: bytes to skip at the beginning, fewer than the image has.
        :raises NoData: Glance has a record of it, and no data.
        :raises TransientError: it cannot be read now.
        :raises Refused: this way never leads to the data.
        """

    def write(self, image_id: images.ImageId, size: int, chunks: Iterable[bytes]) -> None:
        """Upload data into a queued record of the region, all of it or nothing.

        The length is announced first. So if ``chunks`` raises before its last byte, or the agent
        dies, the region discards the bytes and the record stays ``queued``. Errors of ``chunks``
        pass unchanged.

        :param size: bytes that ``chunks`` yields in total.
        :raises TransferInterrupted: the connection broke, or the record accepts no data now;
            read the record to learn what happened.
        :raises FormatRefused: the bytes do not fit the image's ``disk_format``; the record stays.
        :raises Refused: Glance or the SSH host refused.
        """


class Regions(Protocol):
    """The services of all regions, made when they are first used.

    Every method raises ``UnknownRegion`` if the catalogue has no image endpoint for a region.
    """

    def image_service(self, region: images.RegionId) -> ImageService:
        """Return the region's Glance."""

    def store(self, region: images.RegionId, size: int) -> ImageStore:
        """Return the way to write ``size`` bytes into the region."""

    def source_store(self, region: images.RegionId) -> ImageStore:
        """Return the way to read data of a region."""

    def served(self, region: images.RegionId) -> ImageStore:
        """Return the way to read through the region's Glance, as users do."""


class MarkedRecords(Protocol):
    """The names of regions on the images of one region.

    Every method raises ``ServiceUnavailable`` if there is no answer, and ``Refused`` if the
    region's Glance refuses.
    """

    def naming(self, name: images.RegionId) -> Sequence[region_names.MarkedRecord]:
        """Return the images with a property of ours that names a region."""

    def get(self, image_id: images.ImageId) -> region_names.MarkedRecord | None:
        """Read one image again; None: it is gone."""

    def change(self, image_id: images.ImageId, properties: Mapping[str, str]) -> None:
        """Give properties new values. Idempotent; nothing if the image is gone."""
