# SPDX-License-Identifier: Apache-2.0
"""Probes of a region's Glance: whether it answers, and what it lets the agent's user do."""

from collections.abc import Mapping
import dataclasses
import threading
from typing import Any
import uuid

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.glance import bodies
from glance_sync_agent.drivers.glance import locations
from glance_sync_agent.drivers.glance.calls import Calls
from glance_sync_agent.drivers.glance.calls import Retries
from glance_sync_agent.drivers.keystone import credentials

#: Of the record that a trial makes, so that operators know what it is if it is left behind.
TRIAL_NAME = "trial of glance-sync-manage check, may be deleted"
_BAD_REQUEST = 400
_FORBIDDEN = 403
_NOT_FOUND = 404
_OCTETS = "application/octet-stream"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class GlanceAccess:
    """The answer of a Glance, for an operator."""

    version: str  # of the Images API; "unknown version" if Glance does not name it
    #: Whether Glance accepts our user as an administrator. Only an administrator may list the
    #: images of all projects, and create one with any id and owner.
    is_admin: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LocationSupport:
    """Whether a Glance can hold URLs of copies as locations."""

    are_shown: bool | None  # None: there is no image yet that would show it
    has_http_store: bool | None  # None: Glance lists no stores, as it does with a single one


def probe(*, region: images.RegionId, session: credentials.Session, endpoint: str) -> GlanceAccess:
    """Ask one Glance, once.

    :param endpoint: of the region's Glance, as in the catalogue.
    :raises ServiceUnavailable: no answer, or one that means "not now".
    :raises Refused: Glance does not let us list images.
    """
    calls = _calls(region, session, endpoint)
    _first_image(calls)
    return GlanceAccess(version=_version(session, endpoint), is_admin=is_admin(calls))


def probe_locations(
    *, region: images.RegionId, session: credentials.Session, endpoint: str
) -> LocationSupport:
    """Ask one Glance, once, whether its images can get locations.

    :raises ServiceUnavailable: no answer, or one that means "not now".
    :raises Refused: Glance does not let us list images.
    """
    calls = _calls(region, session, endpoint)
    image = _first_image(calls)
    answer = calls.ask(
        "GET", "/info/stores/detail", expected=(_FORBIDDEN, _NOT_FOUND)
    )
    stores = bodies.objects(answer.body, "stores") if answer.status < 300 else None
    types = None if stores is None else {one.get("type") for one in stores}
    return LocationSupport(
        are_shown=None if image is None else "locations" in image,
        has_http_store=None if types is None else "http" in types,
    )


def require_public_size(
    *, region: images.RegionId, session: credentials.Session, endpoint: str
) -> None:
    """Make sure that a HEAD of an image gives its size without a token.

    The image need not exist if the region has none.

    :raises ServiceUnavailable: no answer, or one that means "not now".
    :raises Refused: the answer has no size.
    """
    calls = _calls(region, session, endpoint)
    image = _first_image(calls) or {}
    image_id = images.image_id(str(image.get("id", uuid.uuid4())))
    locations.ImageLocations(
        region=region, calls=calls, session=session
    ).require_public_size(image_id)


def may_upload(
    *, region: images.RegionId, session: credentials.Session, endpoint: str
) -> bool:
    """Try whether Glance lets us upload data.

    This makes a private record and deletes it. Its id can never be used again.

    :raises ServiceUnavailable: no answer, or one that means "not now".
    :raises Refused: Glance does not let us make or remove a record.
    """
    calls = _calls(region, session, endpoint)
    # With an id of ours the record can be deleted even if the answer to its creation is lost.
    image_id = str(uuid.uuid4())
    body = {"id": image_id, "name": TRIAL_NAME, "visibility": "private"}
    try:
        calls.ask_once("POST", "/images", body=body)
        # Glance checks its policy first. Then it refuses data for a record without formats, so it
        # never stores anything (glance/api/v2/image_data.py: upload; glance/domain/__init__.py:
        # Image.status).
        answer = calls.ask_once(
            "PUT",
            f"/images/{image_id}/file",
            content_type=_OCTETS,
            expected=(_BAD_REQUEST, _FORBIDDEN),
        )
    finally:
        _delete(calls, region, image_id)
    return answer.status != _FORBIDDEN


def _delete(calls: Calls, region: images.RegionId, image_id: str) -> None:
    try:
        calls.ask("DELETE", f"/images/{image_id}", expected=(_NOT_FOUND,))
    except errors.SyncError as exc:
        message = (
            f"image {image_id}, '{TRIAL_NAME}', may be left in region {region} and can be "
            f"deleted: {exc}"
        )
        if isinstance(exc, errors.Refused):
            raise errors.Refused(message) from exc
        raise errors.ServiceUnavailable(message) from exc


def is_admin(calls: Calls) -> bool:
    """Return whether Glance accepts our user as an administrator.

    :raises ServiceUnavailable: no answer, or one that means "not now".
    :raises Refused: Glance refuses the request for another reason.
    """
    # The oldest request that only an administrator may send and that changes nothing
    # (glance/policies/tasks.py: tasks_api_access).
    answer = calls.ask("GET", "/tasks?limit=1", expected=(_FORBIDDEN,))
    return answer.status != _FORBIDDEN


def _calls(
    region: images.RegionId, session: credentials.Session, endpoint: str
) -> Calls:
    return Calls(
        region=region,
        session=session,
        endpoint=endpoint,
        retries=Retries(attempts=1),
        stop=threading.Event(),
    )


def _first_image(calls: Calls) -> Mapping[str, Any] | None:
    body = calls.ask("GET", "/images?visibility=all&limit=1").body
    return next(iter(bodies.objects(body, "images")), None)


def _version(session: credentials.Session, endpoint: str) -> str:
    root = endpoint.rstrip("/").removesuffix("/v2")
    try:
        answer: Any = session.get(f"{root}/versions", authenticated=False, raise_exc=False)
        found = [one["id"] for one in answer.json()["versions"] if one["status"] == "CURRENT"]
    except (*credentials.FAILURES, ValueError, KeyError, TypeError):
        found = []
    return str(found[0]) if found else "unknown version"
