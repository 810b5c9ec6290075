# SPDX-License-Identifier: Apache-2.0
"""Is a region's Glance there, and would it let us work? Asked without leaving a trace."""

from collections.abc import Mapping
import dataclasses
import threading
from typing import Any
import uuid

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.glance import bodies
from glance_sync_agent.drivers.glance import http
from glance_sync_agent.drivers.glance import locations
from glance_sync_agent.drivers.keystone import credentials

#: Of the record that a trial makes, for whoever finds one that was left behind.
TRIAL_NAME = "trial of glance-sync-manage check, may be deleted"
_BAD_REQUEST = 400
_FORBIDDEN = 403
_NOT_FOUND = 404
_OCTETS = "application/octet-stream"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a look at a Glance showed, for an operator to read."""

    version: str  # of the Images API; "unknown version" if Glance does not tell
    #: Whether Glance takes us for an administrator, who may list every project's images and
    #: create one with any id and owner.
    is_admin: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Locations:
    """What a look showed of a Glance that is to take URLs of copies for locations."""

    are_shown: bool | None  # None: there is no image to see it by
    has_http_store: bool | None  # None: it does not tell; one with a single store does not


def probe(*, region: images.RegionId, session: credentials.Session, endpoint: str) -> Found:
    """Ask one Glance, once.

    :param endpoint: of the region's Glance, as in the catalogue.
    :raises ServiceUnavailable: no answer, or one that means "not now".
    :raises Refused: Glance does not let us list images.
    """
    calls = _calls(region, session, endpoint)
    _first_image(calls)
    return Found(version=_version(session, endpoint), is_admin=is_admin(calls))


def probe_locations(
    *, region: images.RegionId, session: credentials.Session, endpoint: str
) -> Locations:
    """Ask one Glance, once, whether locations can be added to its images.

    :raises ServiceUnavailable: no answer, or one that means "not now".
    :raises Refused: Glance does not let us list images.
    """
    calls = _calls(region, session, endpoint)
    image = _first_image(calls)
    answer = calls.ask(
        "GET", "/info/stores/detail", expected=frozenset({_FORBIDDEN, _NOT_FOUND})
    )
    stores = bodies.objects(answer.body, "stores") if answer.status < 300 else None
    types = None if stores is None else {one.get("type") for one in stores}
    return Locations(
        are_shown=None if image is None else "locations" in image,
        has_http_store=None if types is None else "http" in types,
    )


def require_public_size(
    *, region: images.RegionId, session: credentials.Session, endpoint: str
) -> None:
    """Make sure that a HEAD of an image, one that is there if any is, tells everybody a size.

    :raises ServiceUnavailable: no answer, or one that means "not now".
    :raises Refused: the answer tells none.
    """
    calls = _calls(region, session, endpoint)
    image = _first_image(calls) or {}
    image_id = images.image_id(str(image.get("id", uuid.uuid4())))
    locations.Locations(
        region=region, calls=calls, session=session
    ).require_public_size(image_id)


def may_upload(
    *, region: images.RegionId, session: credentials.Session, endpoint: str
) -> bool:
    """Try whether Glance lets us upload data.

    That makes a private record of ours and removes it. Nothing is left but an id that nobody can
    use any more.

    :raises ServiceUnavailable: no answer, or one that means "not now".
    :raises Refused: Glance does not let us make or remove a record.
    """
    calls = _calls(region, session, endpoint)
    # Chosen here, so that the record can be removed even if the answer to its making is lost.
    image_id = str(uuid.uuid4())
    body = {"id": image_id, "name": TRIAL_NAME, "visibility": "private"}
    try:
        calls.ask_once("POST", "/images", body=body)
        # Glance asks its policy first, and then refuses data for a record without formats, so
        # that nothing is stored in any case (glance/api/v2/image_data.py: upload;
        # glance/domain/__init__.py: Image.status).
        answer = calls.ask_once(
            "PUT",
            f"/images/{image_id}/file",
            content_type=_OCTETS,
            expected=frozenset({_BAD_REQUEST, _FORBIDDEN}),
        )
    finally:
        _remove(calls, region, image_id)
    return answer.status != _FORBIDDEN


def _remove(calls: http.Calls, region: images.RegionId, image_id: str) -> None:
    try:
        calls.ask("DELETE", f"/images/{image_id}", expected=frozenset({_NOT_FOUND}))
    except errors.SyncError as exc:
        message = (
            f"image {image_id}, '{TRIAL_NAME}', may be left in region {region} and can be "
            f"deleted: {exc}"
        )
        if isinstance(exc, errors.Refused):
            raise errors.Refused(message) from exc
        raise errors.ServiceUnavailable(message) from exc


def is_admin(calls: http.Calls) -> bool:
    """Tell whether Glance takes us for an administrator.

    :raises ServiceUnavailable: no answer, or one that means "not now".
    :raises Refused: Glance said no to the question itself.
    """
    # Of what only an administrator may do, this is the oldest request that changes nothing
    # (glance/policies/tasks.py: tasks_api_access).
    answer = calls.ask("GET", "/tasks?limit=1", expected=frozenset({_FORBIDDEN}))
    return answer.status != _FORBIDDEN


def _calls(
    region: images.RegionId, session: credentials.Session, endpoint: str
) -> http.Calls:
    return http.Calls(
        region=region,
        session=session,
        endpoint=endpoint,
        retries=http.Retries(attempts=1),
        stop=threading.Event(),
    )


def _first_image(calls: http.Calls) -> Mapping[str, Any] | None:
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
