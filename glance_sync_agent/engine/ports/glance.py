# SPDX-License-Identifier: Apache-2.0
"""What the engine needs of the Glances."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
import datetime
from typing import Protocol

from glance_sync_agent.domain import actions
from glance_sync_agent.domain import images
from glance_sync_agent.domain import region_names


class ImageService(Protocol):
    """The Glance of one region: records, not bytes."""

    region: images.RegionId

    def get(self, image_id: images.ImageId) -> images.Image | None:
        """Read an image with its members; None if there is no such image.

        :raises ServiceUnavailable: no answer, so nothing is known.
        :raises Refused: Glance said no (4xx other than 404).
        """

    def require_all_rights(self) -> None:
        """Make sure that Glance shows us every project's images.

        :raises ServiceUnavailable: no answer.
        :raises Refused: it does not; what it does not show may be there all the same.
        """

    def get_record(self, image_id: images.ImageId) -> images.Image | None:
        """Read an image without its members: one request instead of two."""

    def find(self, image_ids: Sequence[images.ImageId]) -> Mapping[images.ImageId, images.Image]:
        """Read those of ``image_ids`` that exist, without members; at most 100 ids."""

    def members(self, image: images.Image) -> Mapping[str, images.MemberStatus]:
        """Read the members of an image; empty unless its visibility is ``shared``."""

    def copies_of(self, key: images.SourceKey) -> Sequence[images.Image]:
        """Find the images whose mark names a source and themselves, without members."""

    def referring_to(self, image_id: images.ImageId) -> Sequence[images.Image]:
        """Find the images whose kernel or ramdisk is ``image_id``, without members."""

    def pages(
        self,
        page_size: int,
        *,
        snapshots_only: bool = False,
        changed_since: datetime.datetime | None = None,
        marked_from: images.RegionId | None = None,
        marked_in: images.RegionId | None = None,
    ) -> Iterator[Sequence[images.Image]]:
        """Walk all images of the region, hidden ones too, without members, in constant memory.

        With ``snapshots_only``, those whose property ``image_type`` is ``snapshot`` or
        ``backup``.

        :param changed_since: leaves out what was changed before, to the second. Changes of
            members are no changes of the image.
        :param marked_from: leaves out images without a mark that names a source in this region;
            those that inherited such a mark are among them.
        :param marked_in: leaves out images without a mark that names a copy in this region.

        A walk that fails raises; it never ends early in silence.
        """

    def create(self, image_id: images.ImageId, source: images.Image) -> images.Image:
        """Make a queued record with the metadata of ``source`` and our mark.

        Who may see it is not the source's: see :func:`narrowing.first_visibility`.

        :raises ImageIdTaken: the id is in use, or was once.
        """

    def update(self, changes: actions.UpdateMetadata) -> images.Image | None:
        """Apply changes to the record. Idempotent.

        :returns: the image as it is then; None: the answers do not tell all of it.
        """

    def set_active(self, image_id: images.ImageId, *, active: bool) -> None:
        """Reactivate or deactivate. Idempotent."""

    def delete(self, image: images.Image) -> None:
        """Unprotect if needed, then delete record and data. Idempotent.

        Before that it loses the properties by which Glance would delete the key of its source,
        see ``images.KEY_POLICIES``. If that fails, nothing is deleted.

        :param image: as it was read just now.
        """

    def image_url(self, image_id: images.ImageId) -> str:
        """Return where the record of an image is, or would be. Asks nobody."""

    def require_public_size(self, image_id: images.ImageId) -> None:
        """Make sure that a HEAD of an image's URL tells a size without a token.

        It is what another Glance asks before it takes that URL for a location.

        :raises ServiceUnavailable: no answer.
        :raises Refused: the answer tells none; that of a Glance with nothing before it.
        """

    def add_location(self, image_id: images.ImageId, location: images.Location) -> None:
        """Put a location on an image. Idempotent; nothing if the image is not active any more.

        :raises Refused: this Glance takes no location, or not this one.
        """

    def remove_location(self, image_id: images.ImageId, location: images.Location) -> None:
        """Take a location off an image, and no other one. Idempotent.

        Glance removes the data behind it, where its store can do that.

        :raises TransientError: others keep changing the locations of the image.
        """


class ImageStore(Protocol):
    """A way to and from the bytes of one region's images; one per scheme.

    Drivers are found through the entry point namespace ``glance_sync_agent.stores``.
    """

    def read(
        self, image: images.Image, *, offset: int = 0
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open the data of an image; chunks of at most 1 MiB.

        The chunks may be asked for by one thread after another.

        :param offset: bytes to leave out at the beginning, fewer than there are.
        :raises NoData: Glance has a record of it, and no data.
        :raises TransientError: it cannot be read now.
        :raises Refused: this way will never lead to the data.
        """

    def write(self, image_id: images.ImageId, size: int, chunks: Iterable[bytes]) -> None:
        """Upload data into a queued record of the region, all of it or nothing.

        The length is announced first, so that when ``chunks`` raises, or the agent dies, the
        region discards what it got and the record stays ``queued``. An error raised by
        ``chunks`` comes through as it is.

        :param size: bytes that ``chunks`` yields in total.
        :raises TransferInterrupted: the connection broke, or the record takes no data just now;
            what became of the image, only the next look at it tells.
        :raises FormatRefused: Glance finds that these are no bytes of the image's
            ``disk_format``; the record stays.
        :raises Refused: Glance or the SSH host said no.
        """


class Regions(Protocol):
    """Gives the services of each region, made when first asked for."""

    def image_service(self, region: images.RegionId) -> ImageService:
        """Return the region's Glance.

        :raises UnknownRegion: the catalogue has no image endpoint for it.
        """

    def store(self, region: images.RegionId, size: int) -> ImageStore:
        """Return the way to write ``size`` bytes into the region."""

    def source_store(self, region: images.RegionId) -> ImageStore:
        """Return the way to read data of a region.

        :raises UnknownRegion: the catalogue has no image endpoint for it.
        """

    def served(self, region: images.RegionId) -> ImageStore:
        """Return the way to read what the users of a region get, through its Glance alone.

        :raises UnknownRegion: the catalogue has no image endpoint for it.
        """


class MarkedRecords(Protocol):
    """The names of regions on the images of one region."""

    def naming(self, name: images.RegionId) -> Sequence[region_names.Marked]:
        """Return the images with a property of ours that names a region.

        :raises ServiceUnavailable: no answer.
        :raises Refused: the region's Glance said no.
        """

    def get(self, image_id: images.ImageId) -> region_names.Marked | None:
        """Read one image again; None: it is gone."""

    def change(self, image_id: images.ImageId, properties: Mapping[str, str]) -> None:
        """Give properties new values. Idempotent; nothing if the image is gone."""
