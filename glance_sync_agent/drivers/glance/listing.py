# SPDX-License-Identifier: Apache-2.0
"""Walks over the images of one Glance, page by page, to the end or to an error."""

from collections.abc import Iterator, Mapping, Sequence
import logging
from typing import Any, Final
import urllib.parse

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.glance import bodies
from glance_sync_agent.drivers.glance.calls import Calls

LOG = logging.getLogger(__name__)

_PAGE_SIZE: Final = 100  # of lists that are short anyway
# How many images may be deleted from the end of a page before the walk gives up.
_MARKERS: Final = 10
_MOST_UNREADABLE: Final = 1000  # images to log; those of one table are alike
_BAD_REQUEST: Final = 400
# The images of all projects, community images included, in an order that new images do not
# disturb.
_EVERYTHING: Final = {
    "visibility": "all",
    "member_status": "all",
    "sort_key": "id",
    "sort_dir": "asc",
}


class Listing:
    """``GET /v2/images``. Without ``os_hidden`` in a query, hidden images come last."""

    def __init__(self, *, calls: Calls, region: images.RegionId) -> None:
        self._calls = calls
        self._region = region
        self._unreadable: set[str] = set()  # ids that were logged

    def all(self, query: Mapping[str, str]) -> list[images.Image]:
        """Return all images that ``query`` finds; see :meth:`pages`."""
        return [image for page in self.pages(query, _PAGE_SIZE) for image in page]

    def pages(self, query: Mapping[str, str], page_size: int) -> Iterator[Sequence[images.Image]]:
        """Walk the images that ``query`` finds, by id.

        Unreadable records are skipped and logged once.

        :raises ServiceUnavailable: no answer, or none that makes sense.
        :raises Refused: Glance refuses the query.
        """
        for records in self.records(query, page_size):
            page = [image for record in records if (image := self._readable(record))]
            if page:
                yield page

    def records(
        self, query: Mapping[str, str], page_size: int = _PAGE_SIZE
    ) -> Iterator[Sequence[Mapping[str, Any]]]:
        """Walk the same images as Glance shows them."""
        everything = {**_EVERYTHING, "limit": str(page_size)}
        for hidden in [query["os_hidden"]] if "os_hidden" in query else ["false", "true"]:
            yield from self._walk({**everything, "os_hidden": hidden, **query})

    def _walk(self, query: Mapping[str, str]) -> Iterator[Sequence[Mapping[str, Any]]]:
        last: list[str] = []  # ids of the last page
        while True:
            body = self._page(query, last)
            records = bodies.objects(body, "images")
            ids = [str(record.get("id")) for record in records]
            if not set(ids).isdisjoint(last):
                raise errors.ServiceUnavailable(
                    f"list the images of region {self._region}: the pages go in circles"
                )
            yield records
            if not ids or not body.get("next"):
                return
            last = ids

    def _page(self, query: Mapping[str, str], last: Sequence[str]) -> Any:
        """Read the page after ``last``, whose last image may be deleted by now.

        Glance answers 400 to an unknown marker (glance/db/sqlalchemy/api.py: _image_get_all).
        Then the image before it serves as the marker.
        """
        markers: list[str | None] = [*reversed(last[-_MARKERS:])] or [None]
        for marker in markers:
            marked = query if marker is None else {**query, "marker": marker}
            path = f"/images?{urllib.parse.urlencode(marked)}"
            answer = self._calls.ask("GET", path, expected=(_BAD_REQUEST,))
            if answer.status != _BAD_REQUEST:
                return answer.body
        raise errors.Refused(
            f"list the images of region {self._region}: HTTP 400: {answer.explanation}"
        )

    def _readable(self, record: Mapping[str, Any]) -> images.Image | None:
        try:
            return bodies.image(record, self._region)
        except errors.ServiceUnavailable as exc:
            image_id = str(record.get("id"))
            if image_id not in self._unreadable and len(self._unreadable) < _MOST_UNREADABLE:
                self._unreadable.add(image_id)
                LOG.warning(
                    "Skipped the unreadable image %s of region %s: %s",
                    image_id, self._region, exc,
                )
            return None
