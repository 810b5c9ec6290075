# SPDX-License-Identifier: Apache-2.0
"""The records of one region's Glance (Images API v2)."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import datetime
import itertools
import threading
from typing import Final

from glance_sync_agent import errors
from glance_sync_agent.domain import actions
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import narrowing
from glance_sync_agent.drivers.glance import access
from glance_sync_agent.drivers.glance import bodies
from glance_sync_agent.drivers.glance import http
from glance_sync_agent.drivers.glance import listing
from glance_sync_agent.drivers.glance import locations
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.drivers.transport import answers

_MOST_IDS: Final = 100  # of one ``find``: more would not fit every proxy's longest URL
_FORBIDDEN: Final = frozenset({403})
_GONE: Final = frozenset({404})
#: "Image status transition from deleted to deleted is not allowed": somebody else was faster.
_IN_DELETION: Final = frozenset({400})
_CONFLICT: Final = frozenset({409})
_TOO_LARGE: Final = frozenset({413})
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"  # of filters


class Glance:
    """One region's Glance; implements ``engine.ports.ImageService``. Thread safe."""

    def __init__(
        self,
        *,
        region: images.RegionId,
        session: credentials.Session,
        endpoint: str,
        stop: threading.Event,
        retries: http.Retries = http.Retries(),  # noqa: B008 (it is frozen)
    ) -> None:
        """Prepare; asks nobody yet.

        :param session: of a user who sees every project's images.
        :param endpoint: of the region's Glance, as in the catalogue.
        :param stop: set when the agent stops, so that no retry waits any longer.
        """
        self.region = region
        self._calls = http.Calls(
            region=region, session=session, endpoint=endpoint, retries=retries, stop=stop
        )
        self._listing = listing.Listing(calls=self._calls, region=region)
        self._locations = locations.Locations(
            region=region, calls=self._calls, session=session
        )

    def get(self, image_id: images.ImageId) -> images.Image | None:
        """Read an image with its members; None if there is no such image.

        :raises ServiceUnavailable: no answer, or none that can be understood.
        :raises Refused: Glance said no (4xx other than 404).
        """
        image = self.get_record(image_id)
        if image is None or image.metadata.visibility != "shared":
            return image
        return dataclasses.replace(image, members=self.members(image))

    def require_all_rights(self) -> None:
        """Make sure that Glance shows us every project's images.

        :raises ServiceUnavailable: no answer.
        :raises Refused: it does not; what it does not show may be there all the same.
        """
        if not access.is_admin(self._calls):
            raise errors.Refused(
                f"the Glance of region {self.region} does not take us for an administrator any "
                "more, so nothing is concluded from what it does not show; give our user the "
                "role that its policy.yaml asks for (context_is_admin)"
            )

    def get_record(self, image_id: images.ImageId) -> images.Image | None:
        """Read an image without its members: one request instead of two.

        :raises ServiceUnavailable: no answer, or none that can be understood.
        :raises Refused: Glance said no (4xx other than 404).
        """
        answer = self._calls.ask("GET", f"/images/{image_id}", expected=_GONE)
        if answer.status == 404:
            return None
        image = bodies.image(answer.body, self.region)
        if image.image_id != image_id:
            raise errors.ServiceUnavailable(
                f"region {self.region} was asked for image {image_id} and gave {image.image_id}"
            )
        return image

    def find(self, image_ids: Sequence[images.ImageId]) -> Mapping[images.ImageId, images.Image]:
        """Read those of ``image_ids`` that exist, without members; at most 100 ids.

        :raises ServiceUnavailable: no answer, or none that can be understood.
        :raises Refused: Glance said no.
        """
        if len(image_ids) > _MOST_IDS:
            raise ValueError(f"{len(image_ids)} ids, and {_MOST_IDS} are the limit")
        found: dict[images.ImageId, images.Image] = {}
        for hidden in ("false", "true"):
            missing = [one for one in image_ids if one not in found]
            if missing:
                # One more than there can be: after a full page Glance is asked for another one.
                limit = str(len(missing) + 1)
                query = {"id": f"in:{','.join(missing)}", "os_hidden": hidden, "limit": limit}
                found |= {one.image_id: one for one in self._listing.all(query)}
        return found

    def named(self, image_name: str) -> Sequence[images.ImageId]:
        """Return the images that have a name, by id.

        :raises ServiceUnavailable: no answer, or none that can be understood.
        :raises Refused: Glance said no.
        """
        # Without an operator Glance takes what is before a colon for one.
        query = {"name": f"eq:{image_name}"}
        found = [
            image.image_id
            for hidden in ("false", "true")
            for image in self._listing.all({**query, "os_hidden": hidden})
            if image.metadata.name == image_name  # some databases take no notice of the case
        ]
        return sorted(found)

    def members(self, image: images.Image) -> Mapping[str, images.MemberStatus]:
        """Read the members of an image; empty unless its visibility is ``shared``.

        Members that are no project ids are left out.

        :raises ServiceUnavailable: no answer, or none that can be understood.
        :raises Refused: Glance said no.
        """
        if image.metadata.visibility != "shared":
            return {}
        answer = self._calls.ask(
            "GET", f"/images/{image.image_id}/members", expected=_GONE | _FORBIDDEN
        )
        if answer.status == 404:
            return {}
        if answer.status == 403:
            now = self.get_record(image.image_id)
            if now is None or now.metadata.visibility != "shared":
                return {}  # it changed since the caller read it
            raise errors.Refused(
                f"members of image {image.image_id} of region {self.region}: {answer.explanation}"
            )
        return bodies.members(answer.body, self.region)

    def copies_of(self, key: images.SourceKey) -> Sequence[images.Image]:
        """Find the images whose mark names a source and themselves, without members.

        :raises ServiceUnavailable: no answer, or none that can be understood.
        :raises Refused: Glance said no.
        """
        query = {images.SOURCE_ID: key.image_id, images.COPY_REGION: self.region}
        return [
            image
            for hidden in ("false", "true")
            for image in self._listing.all({**query, "os_hidden": hidden})
            if identity.names(image, key)  # the filter lets those pass that inherited the mark
        ]

    def referring_to(self, image_id: images.ImageId) -> Sequence[images.Image]:
        """Find the images whose kernel or ramdisk is ``image_id``, without members.

        :raises ServiceUnavailable: no answer, or none that can be understood.
        :raises Refused: Glance said no.
        """
        found = {
            image.image_id: image
            for name in metadata_policy.REFERENCES
            for hidden in ("false", "true")
            for image in self._listing.all({name: image_id, "os_hidden": hidden})
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
        """Walk all images of the region, hidden ones too, without members, in constant memory.

        With ``snapshots_only``, those whose property ``image_type`` is ``snapshot`` or
        ``backup``; with ``changed_since``, those that changed then or later; with
        ``marked_from`` and ``marked_in``, those whose mark names a source, or a copy, in that
        region.

        The order is that of the ids, first of the visible images, then of the hidden ones, and
        of one type after the other; an image that is hidden or shown during the walk may come
        twice or not at all. Records that make no sense are left out and logged once.

        :raises ServiceUnavailable: no answer, or none that can be understood.
        :raises Refused: Glance said no.
        """
        # Glance knows no list of values of a property.
        kinds = [{images.IMAGE_TYPE: one} for one in images.SNAPSHOT_TYPES]
        for kind, hidden in itertools.product(
            kinds if snapshots_only else [{}], ("false", "true")
        ):
            query = {"os_hidden": hidden, **kind}
            if marked_from is not None:
                query[images.SOURCE_REGION] = marked_from
            if marked_in is not None:
                query[images.COPY_REGION] = marked_in
            if changed_since is not None:
                query["updated_at"] = f"gte:{changed_since.astimezone(datetime.UTC):{_TIME}}"
            yield from self._listing.pages(query, page_size)

    def create(self, image_id: images.ImageId, source: images.Image) -> images.Image:
        """Make a queued record with the metadata of ``source`` and our mark.

        It is asked for once: when the answer is lost the record may be there, and the next look
        at the region shows it.

        :raises ImageIdTaken: the id is in use, or was once.
        :raises ServiceUnavailable: no answer, or none that can be understood.
        :raises UploadRefused: 413: a quota, which may be raised.
        :raises Refused: Glance said no.
        """
        answer = self._calls.ask_once(
            "POST",
            "/images",
            body=bodies.creation(image_id, self.region, source),
            expected=_TOO_LARGE | _CONFLICT,
        )
        if answer.status == 413:  # a quota of images, or of their properties
            raise errors.UploadRefused(
                f"cannot make image {image_id} in region {self.region}: HTTP 413: "
                f"{answer.explanation}{answers.remedy(answer.explanation)}"
            )
        if answer.status == 409:
            raise errors.ImageIdTaken(
                f"cannot make image {image_id} in region {self.region}: {answer.explanation}"
            )
        return bodies.image(answer.body, self.region)

    def update(self, changes: actions.UpdateMetadata) -> images.Image | None:
        """Apply changes to the record. Idempotent.

        Only shared images have members, so these come first while the copy is shared and last
        when it is going to be.

        :returns: the image as it is then; None: the answers do not tell all of it.
        :raises TransientError: no answer, or the image vanished meanwhile.
        :raises Refused: Glance said no.
        """
        if changes.copy.metadata.visibility == "shared":
            self._update_members(changes)
            updated = self._update_record(changes)
        else:
            updated = self._update_record(changes)
            self._update_members(changes)
        # The record does not tell the members, which only a shared image has.
        is_whole = updated is not None and updated.metadata.visibility != "shared"
        return updated if is_whole else None

    def set_active(self, image_id: images.ImageId, *, active: bool) -> None:
        """Reactivate or deactivate. Idempotent.

        :raises TransientError: no answer, or the image vanished meanwhile.
        :raises Refused: Glance said no; the image has no data, for instance.
        """
        # As with a change that gives access: not tried again without a new look at the source.
        action, ask = (
            ("reactivate", self._calls.ask_once) if active else ("deactivate", self._calls.ask)
        )
        answer = ask("POST", f"/images/{image_id}/actions/{action}", expected=_GONE)
        self._require(answer, image_id)

    def delete(self, image: images.Image) -> None:
        """Unprotect if needed, then delete record and data. Idempotent.

        Before that it loses the properties by which Glance would delete the key of its source.

        :param image: as it was read just now.
        :raises TransientError: no answer, or the image vanished meanwhile.
        :raises Refused: Glance said no; the data is in use, for instance.
        """
        path = f"/images/{image.image_id}"
        if policies := images.KEY_POLICIES & image.metadata.properties.keys():
            self._update_record(
                actions.UpdateMetadata(
                    copy=image,
                    attributes={},
                    tags=None,
                    properties=dict.fromkeys(sorted(policies)),
                    members={},
                )
            )
        answer = self._calls.ask("DELETE", path, expected=_GONE | _FORBIDDEN | _IN_DELETION)
        if answer.status == 400 and self.get_record(image.image_id) is not None:
            raise errors.ServiceUnavailable(f"DELETE {path}: {answer.explanation}")
        if answer.status == 403:
            # Protected, whatever it was when the caller read it.
            unprotect = [{"op": "replace", "path": "/protected", "value": False}]
            self._calls.ask(
                "PATCH",
                path,
                body=unprotect,
                content_type=http.JSON_PATCH,
                expected=_GONE,
            )
            self._calls.ask("DELETE", path, expected=_GONE)

    def image_url(self, image_id: images.ImageId) -> str:
        """Return where the record of an image is, or would be. Asks nobody."""
        return self._locations.url(image_id)

    def require_public_size(self, image_id: images.ImageId) -> None:
        """Make sure that a HEAD of an image's URL tells a size without a token.

        :raises ServiceUnavailable: no answer.
        :raises Refused: the answer tells none; that of a Glance with nothing before it.
        """
        self._locations.require_public_size(image_id)

    def add_location(self, image_id: images.ImageId, location: images.Location) -> None:
        """Put a location on an image. Idempotent; nothing if the image is not active any more.

        :raises ServiceUnavailable: no answer.
        :raises Refused: this Glance takes no location, or not this one.
        """
        self._locations.add(image_id, location)

    def remove_location(self, image_id: images.ImageId, location: images.Location) -> None:
        """Take a location off an image, and no other one. Idempotent.

        :raises TransientError: no answer, or others keep changing the locations of the image.
        :raises Refused: Glance said no.
        """
        self._locations.remove(image_id, location)

    def _update_record(self, changes: actions.UpdateMetadata) -> images.Image | None:
        """Apply changes but for the members; return the record as Glance gives it then."""
        # What gives access is asked for once: who may have it can change while it is tried again.
        ask = self._calls.ask_once if narrowing.widens(changes) else self._calls.ask
        operations = bodies.patch(changes)
        path = f"/images/{changes.copy.image_id}"
        expected = _GONE | _CONFLICT
        while operations:
            answer = ask(
                "PATCH",
                path,
                body=operations,
                content_type=http.JSON_PATCH,
                expected=expected,
            )
            self._require(answer, changes.copy.image_id)
            if answer.status != 409:
                return self._as_answered(answer, changes.copy.image_id)
            # A property to be removed is not there any more: not an error, but nothing of the
            # patch was done. A second conflict is another one.
            record = self._calls.ask("GET", path, expected=_GONE)
            self._require(record, changes.copy.image_id)
            operations = bodies.without_removals(operations, record.body)
            expected = _GONE
        return None

    def _as_answered(
        self, answer: http.Answer, image_id: images.ImageId
    ) -> images.Image | None:
        """Return the record in the answer to a change; None: it is none, which is no failure."""
        try:
            found = bodies.image(answer.body, self.region)
        except errors.ServiceUnavailable:
            return None
        return found if found.image_id == image_id else None

    def _update_members(self, changes: actions.UpdateMetadata) -> None:
        # Those that go first: a full quota refuses those that come.
        for member, status in sorted(changes.members.items(), key=_is_added):
            self._update_member(changes.copy.image_id, member, status)

    def _update_member(
        self, image_id: images.ImageId, member: str, status: images.MemberStatus | None
    ) -> None:
        if not bodies.is_project_id(member):
            raise errors.Refused(f"member {member!r} of image {image_id} is no project id")
        members = f"/images/{image_id}/members"
        one = f"{members}/{member}"
        if status is None:
            self._calls.ask("DELETE", one, expected=_GONE)
            return
        body = {"member": member}
        added = self._calls.ask("POST", members, body=body, expected=_GONE | _CONFLICT)
        self._require(added, image_id)
        if added.status == 409 or status is not images.MemberStatus.PENDING:
            changed = self._calls.ask("PUT", one, body={"status": status}, expected=_GONE)
            self._require(changed, image_id)

    def _require(self, answer: http.Answer, image_id: images.ImageId) -> None:
        """Raise if the image, or its member, vanished: a new look decides what that means."""
        if answer.status == 404:
            raise errors.TransientError(
                f"image {image_id} of region {self.region} changed while it was being updated: "
                f"{answer.explanation}"
            )


def _is_added(member: tuple[str, images.MemberStatus | None]) -> bool:
    return member[1] is not None
