# SPDX-License-Identifier: Apache-2.0
"""Changes of the image records of one Glance."""

from typing import Final

from glance_sync_agent import errors
from glance_sync_agent.domain import actions
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import narrowing
from glance_sync_agent.drivers.glance import bodies
from glance_sync_agent.drivers.glance.calls import Answer
from glance_sync_agent.drivers.glance.calls import Calls
from glance_sync_agent.drivers.transport import answers

#: "Image status transition from deleted to deleted is not allowed": it is being deleted.
_IN_DELETION: Final = 400
_FORBIDDEN: Final = 403
_GONE: Final = 404
_CONFLICT: Final = 409
_TOO_LARGE: Final = 413


class RecordChanges:
    """Makes, changes and deletes records; the methods are those of ``ImageService``."""

    def __init__(self, *, region: images.RegionId, calls: Calls) -> None:
        self._region = region
        self._calls = calls

    def create(self, image_id: images.ImageId, source: images.Image) -> images.Image:
        """Make a queued record with the metadata of ``source`` and our mark.

        The request is sent once: if the answer is lost, the record may exist, and the next scan
        finds it.

        :raises ImageIdTaken: the id is in use, or was once.
        :raises UploadRefused: 413: a quota, which may be raised.
        """
        answer = self._calls.ask_once(
            "POST",
            "/images",
            body=bodies.creation(image_id, self._region, source),
            expected=(_TOO_LARGE, _CONFLICT),
        )
        what = f"cannot make image {image_id} in region {self._region}"
        if answer.status == _TOO_LARGE:  # a quota of images, or of their properties
            raise errors.UploadRefused(
                f"{what}: HTTP 413: {answer.explanation}{answers.remedy(answer.explanation)}"
            )
        if answer.status == _CONFLICT:
            raise errors.ImageIdTaken(f"{what}: {answer.explanation}")
        return bodies.image(answer.body, self._region)

    def update(self, changes: actions.UpdateMetadata) -> images.Image | None:
        """Apply changes to the record. Idempotent.

        Only shared images have members. So members change first if the copy is shared, and last
        if it becomes shared. If Glance fails to remove one member, everything else changes first.

        :returns: the changed image; None: the answers do not show all of it.
        :raises TransientError: the image vanished meanwhile.
        """
        if changes.copy.metadata.visibility == "shared":
            failure = self._update_members(changes)
            updated = self._update_record(changes)
        else:
            updated = self._update_record(changes)
            failure = self._update_members(changes)
        if failure is not None:
            raise failure
        # The record does not show the members of a shared image.
        is_whole = updated is not None and updated.metadata.visibility != "shared"
        return updated if is_whole else None

    def set_active(self, image_id: images.ImageId, *, active: bool) -> None:
        """Reactivate or deactivate. Idempotent.

        :raises TransientError: the image vanished meanwhile.
        :raises Refused: the image has no data, for instance.
        """
        # The source may change while a request that gives access is repeated.
        action, ask = (
            ("reactivate", self._calls.ask_once) if active else ("deactivate", self._calls.ask)
        )
        path = f"/images/{image_id}/actions/{action}"
        self._require(ask("POST", path, expected=(_GONE,)), image_id)

    def delete(self, image: images.Image) -> None:
        """Unprotect if needed, then delete record and data. Idempotent.

        The properties by which Glance would delete the key of the source are removed first.

        :param image: as it was read just now.
        :raises TransientError: the image vanished meanwhile.
        :raises Refused: the data is in use, for instance.
        """
        path = f"/images/{image.image_id}"
        if policies := mark_properties.KEY_POLICIES & image.metadata.properties.keys():
            self._update_record(
                actions.UpdateMetadata(
                    copy=image,
                    attributes={},
                    tags=None,
                    properties=dict.fromkeys(sorted(policies)),
                    members={},
                )
            )
        answer = self._calls.ask("DELETE", path, expected=(_GONE, _FORBIDDEN, _IN_DELETION))
        if answer.status == _IN_DELETION and self._exists(path):
            raise errors.ServiceUnavailable(f"DELETE {path}: {answer.explanation}")
        if answer.status == _FORBIDDEN:
            # It is protected now, whether or not the caller read that.
            unprotect = [{"op": "replace", "path": "/protected", "value": False}]
            self._calls.ask("PATCH", path, body=unprotect, expected=(_GONE,))
            self._calls.ask("DELETE", path, expected=(_GONE,))

    def _exists(self, path: str) -> bool:
        return self._calls.ask("GET", path, expected=(_GONE,)).status != _GONE

    def _update_record(self, changes: actions.UpdateMetadata) -> images.Image | None:
        """Apply changes except those of members; return the record that Glance answers."""
        # The source may change while a request that gives access is repeated.
        ask = self._calls.ask_once if narrowing.widens(changes) else self._calls.ask
        operations = bodies.patch(changes)
        image_id = changes.copy.image_id
        path = f"/images/{image_id}"
        expected: tuple[int, ...] = (_GONE, _CONFLICT)
        while operations:
            answer = ask("PATCH", path, body=operations, expected=expected)
            self._require(answer, image_id)
            if answer.status != _CONFLICT:
                return self._as_answered(answer, image_id)
            # A property to remove is gone already, so Glance applied nothing of the patch.
            # A second conflict has another cause.
            record = self._calls.ask("GET", path, expected=(_GONE,))
            self._require(record, image_id)
            operations = bodies.without_removals(operations, record.body)
            expected = (_GONE,)
        return None

    def _as_answered(self, answer: Answer, image_id: images.ImageId) -> images.Image | None:
        """Return the record in the answer to a change; None: it has none, which is no failure."""
        try:
            found = bodies.image(answer.body, self._region)
        except errors.ServiceUnavailable:
            return None
        return found if found.image_id == image_id else None

    def _update_members(self, changes: actions.UpdateMetadata) -> errors.SyncError | None:
        """Change members; return why one of them could not be removed, None: all were."""
        failure: errors.SyncError | None = None
        # Removals go first, because a full quota refuses additions.
        for member, status in sorted(changes.members.items(), key=_is_added):
            try:
                self._update_member(changes.copy.image_id, member, status)
            except (errors.Refused, errors.TransientError) as exc:
                # One member must not keep the access that others lose.
                if status is not None or not _is_about_one(exc):
                    raise
                failure = exc
        return failure

    def _update_member(
        self, image_id: images.ImageId, member: str, status: images.MemberStatus | None
    ) -> None:
        if not bodies.is_project_id(member):
            raise errors.Refused(f"member {member!r} of image {image_id} is no project id")
        members = f"/images/{image_id}/members"
        one = f"{members}/{member}"
        if status is None:
            self._calls.ask("DELETE", one, expected=(_GONE,))
            return
        added = self._calls.ask(
            "POST", members, body={"member": member}, expected=(_GONE, _CONFLICT)
        )
        self._require(added, image_id)
        if added.status == _CONFLICT or status is not images.MemberStatus.PENDING:
            changed = self._calls.ask("PUT", one, body={"status": status}, expected=(_GONE,))
            self._require(changed, image_id)

    def _require(self, answer: Answer, image_id: images.ImageId) -> None:
        """Raise if the image, or its member, vanished: the next attempt decides what to do."""
        if answer.status == _GONE:
            raise errors.TransientError(
                f"image {image_id} of region {self._region} changed while it was being updated: "
                f"{answer.explanation}"
            )


def _is_about_one(failure: errors.Refused | errors.TransientError) -> bool:
    """Tell whether Glance answers, so that its next answer may be better."""
    return isinstance(failure, errors.Refused) or failure.fault is errors.Fault.ANSWER


def _is_added(member: tuple[str, images.MemberStatus | None]) -> bool:
    return member[1] is not None
