# SPDX-License-Identifier: Apache-2.0
"""Translates image records between the JSON of Glance and our types."""

from collections.abc import Mapping
import re
from typing import Any, Final

from glance_sync_agent import errors
from glance_sync_agent.domain import actions
from glance_sync_agent.domain import image_records
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import narrowing

# Members are project ids. Glance accepts any text for one; ".." or "a/b" would lead a later PUT
# or DELETE to another resource. No project has such an id.
_PROJECT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")


def creation(
    image_id: images.ImageId, region: images.RegionId, source: images.Image
) -> dict[str, object]:
    """Return the body that makes a copy's record, with our mark.

    Only the owner sees the new record, even if more users see the source.
    """
    metadata = source.metadata
    body: dict[str, object] = {
        "id": image_id,
        **mark_properties.replicated(source),
        **mark_properties.of_copy(source, image_id, region),
    }
    body |= {name: getattr(metadata, name) for name in images.ATTRIBUTES}
    body["visibility"] = narrowing.first_visibility(metadata.visibility)
    body["tags"] = sorted(metadata.tags)
    return body


def patch(changes: actions.UpdateMetadata) -> list[dict[str, object]]:
    """Return the changes, except those of members, as a JSON patch; empty if there are none."""
    wanted: dict[str, object] = {**changes.attributes}
    if changes.tags is not None:
        wanted["tags"] = sorted(changes.tags)
    operations = [_operation("replace", name, value) for name, value in wanted.items()]
    for name, value in changes.properties.items():
        # "add" replaces an existing value, so it can be sent twice.
        operations.append(
            _operation("remove", name) if value is None else _operation("add", name, value)
        )
    return operations


def without_removals(
    operations: list[dict[str, object]], record: Mapping[str, object]
) -> list[dict[str, object]]:
    """Return ``operations`` without removals of properties that ``record`` lacks."""
    present = {_pointer(name) for name in record}
    return [one for one in operations if one["op"] != "remove" or one["path"] in present]


def image(record: object, region: images.RegionId) -> images.Image:
    """Read an image record.

    :raises ServiceUnavailable: it makes no sense.
    """
    try:
        if not isinstance(record, Mapping):
            raise TypeError(f"a {type(record).__name__} is no object")
        return image_records.parse(record, region)
    except (errors.NotificationError, AttributeError, TypeError, ValueError) as exc:
        raise errors.ServiceUnavailable(
            f"an image record of region {region} makes no sense: {exc}"
        ) from exc


def members(body: object, region: images.RegionId) -> dict[str, images.MemberStatus]:
    """Read a list of members; members that are no project ids are left out.

    :raises ServiceUnavailable: it is not a list of members.
    """
    found = {}
    try:
        for member in objects(body, "members"):
            if is_project_id(member["member_id"]):
                found[member["member_id"]] = images.MemberStatus(member["status"])
    except (KeyError, TypeError, ValueError) as exc:
        raise errors.ServiceUnavailable(
            f"a list of members of region {region} makes no sense: {exc!r}"
        ) from exc
    return found


def is_project_id(text: str) -> bool:
    """Return whether a member may be a project id, and so part of a path."""
    return _PROJECT_ID.fullmatch(text) is not None


def objects(body: object, key: str) -> list[Mapping[str, Any]]:
    """Return the objects listed under ``key``.

    :raises ServiceUnavailable: there is no such list of objects.
    """
    found = body.get(key) if isinstance(body, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise errors.ServiceUnavailable(f"an answer of Glance has no list of {key}")
    return found


def _operation(kind: str, name: str, *value: object) -> dict[str, object]:
    operation: dict[str, object] = {"op": kind, "path": _pointer(name)}
    if value:
        operation["value"] = value[0]
    return operation


def _pointer(name: str) -> str:
    """Return the JSON pointer (RFC 6901) to an attribute."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
