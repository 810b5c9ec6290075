# SPDX-License-Identifier: Apache-2.0
"""The locations of one Glance's images, changed by JSON patch.

Needs ``show_multiple_locations`` there; the newer ``/images/ID/locations`` takes locations for
queued images only.
"""

from collections.abc import Sequence
import re
from typing import Any, Final

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.glance.calls import Answer
from glance_sync_agent.drivers.glance.calls import Calls
from glance_sync_agent.drivers.keystone import credentials

#: How often the list may change after it was read and before our patch arrives.
_TRIES: Final = 3
_CHANGED: Final = 400
_GONE: Final = 404
_NOT_ACTIVE: Final = 409
_REFUSED: Final = (400, 403, 413)
_URL: Final = re.compile(r"\S+://\S+")


class ImageLocations:
    """``/locations`` of image records; the methods are those of ``ImageService``."""

    def __init__(
        self, *, region: images.RegionId, calls: Calls, session: credentials.Session
    ) -> None:
        self._region = region
        self._calls = calls
        self._session = session

    def url(self, image_id: images.ImageId) -> str:
        """Return the URL that the record of an image has or would have. Sends nothing."""
        return f"{self._calls.root}/v2/images/{image_id}"

    def require_public_size(self, image_id: images.ImageId) -> None:
        """Send what Glance's http store sends for a location (glance_store/_drivers/http.py)."""
        what = f"HEAD /v2/images/{image_id} of region {self._region} without a token"
        try:
            answer: Any = self._session.head(
                self.url(image_id), authenticated=False, raise_exc=False, connect_retries=0
            )
        except credentials.FAILURES as exc:
            raise errors.ServiceUnavailable(
                f"{what}: no answer: {_URL.sub('(URL)', str(exc))}"
            ) from exc
        size = answer.headers.get("Content-Length", "")
        if answer.status_code >= 300 or not size.isdecimal() or int(size) == 0:
            raise errors.Refused(
                f"{what}: HTTP {answer.status_code}, Content-Length {size or 'missing'}; the "
                "cascading Glance needs 200 and a Content-Length above 0, so put a proxy before "
                "this Glance that answers that"
            )

    def add(self, image_id: images.ImageId, location: images.Location) -> None:
        """Add a location at the end, unless the image has it already."""
        value = {"url": location.url, "metadata": dict(location.metadata)}
        operation = {"op": "add", "path": "/locations/-", "value": value}
        answer = self._patch(image_id, [operation])
        if answer.status in _REFUSED and not answer.explanation.endswith("already exists"):
            raise self._refused(image_id, answer)

    def remove(self, image_id: images.ImageId, location: images.Location) -> None:
        """Remove a location by its index in the list, the only handle there is.

        The index may belong to another location when the patch arrives, and Glance removes the
        data with a location. So the patch first sets the list to what it was. Glance refuses
        that if the URLs have changed (glance/location.py: _locations_proxy).
        """
        for _ in range(_TRIES):
            listed = self._listed(image_id)
            found = [index for index, one in enumerate(listed) if _is_same(one, location)]
            if not found:
                return
            same = {"op": "replace", "path": "/locations", "value": listed}
            removals = [
                {"op": "remove", "path": f"/locations/{index}"} for index in reversed(found)
            ]
            answer = self._patch(image_id, [same, *removals])
            if answer.status not in _REFUSED:
                return
            if answer.status != _CHANGED:
                raise self._refused(image_id, answer)
        raise errors.TransientError(
            f"the locations of image {image_id} of region {self._region} changed each time the "
            "agent tried to remove one"
        )

    def _refused(self, image_id: images.ImageId, answer: Answer) -> errors.Refused:
        return errors.Refused(
            f"the Glance of region {self._region} does not let the agent change locations of "
            f"image {image_id}: HTTP {answer.status}: {_URL.sub('(URL)', answer.explanation)}"
        )

    def _listed(self, image_id: images.ImageId) -> Sequence[Any]:
        answer = self._calls.ask("GET", f"/images/{image_id}", expected=(_GONE,))
        listed = answer.body.get("locations") if isinstance(answer.body, dict) else None
        return listed if isinstance(listed, list) else []

    def _patch(self, image_id: images.ImageId, operations: Sequence[object]) -> Answer:
        expected = (*_REFUSED, _GONE, _NOT_ACTIVE)
        return self._calls.ask("PATCH", f"/images/{image_id}", body=operations, expected=expected)


def _is_same(listed: object, location: images.Location) -> bool:
    return (
        isinstance(listed, dict)
        and listed.get("url") == location.url
        and listed.get("metadata") == dict(location.metadata)
    )
