# SPDX-License-Identifier: Apache-2.0
"""The names of regions on the images of one Glance."""

from collections.abc import Mapping, Sequence
import threading
from typing import Any, Final

from glance_sync_agent import errors
from glance_sync_agent.domain import image_records
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import region_names
from glance_sync_agent.drivers.glance.calls import Calls
from glance_sync_agent.drivers.glance.calls import Retries
from glance_sync_agent.drivers.glance.listing import Listing
from glance_sync_agent.drivers.keystone import credentials

_GONE: Final = 404
_NAMING: Final = (mark_properties.COPY_REGION, mark_properties.SOURCE_REGION)


class GlanceMarkedRecords:
    """Implements ``engine.ports.MarkedRecords``, whose errors it raises."""

    def __init__(
        self,
        *,
        region: images.RegionId,
        session: credentials.Session,
        endpoint: str,
        retries: Retries = Retries(),  # noqa: B008 (it is frozen)
    ) -> None:
        """Prepare; sends nothing yet.

        :param session: of a user who sees the images of all projects.
        :param endpoint: of the region's Glance, as in the catalogue.
        """
        self._region = region
        self._calls = Calls(
            region=region,
            session=session,
            endpoint=endpoint,
            retries=retries,
            stop=threading.Event(),
        )
        self._listing = Listing(calls=self._calls, region=region)

    def naming(self, name: images.RegionId) -> Sequence[region_names.MarkedRecord]:
        """Return the images with a property of ours that names a region."""
        found: dict[images.ImageId, region_names.MarkedRecord] = {}
        for key in _NAMING:
            for page in self._listing.records({key: name}):
                read = [self._marked(record) for record in page]
                found |= {one.image_id: one for one in read}
        return list(found.values())

    def get(self, image_id: images.ImageId) -> region_names.MarkedRecord | None:
        """Read one image again; None: it is gone."""
        answer = self._calls.ask("GET", f"/images/{image_id}", expected=(_GONE,))
        return None if answer.status == _GONE else self._marked(answer.body)

    def change(self, image_id: images.ImageId, properties: Mapping[str, str]) -> None:
        """Give properties new values. Idempotent; nothing if the image is gone."""
        body = [
            {"op": "replace", "path": f"/{name}", "value": value}
            for name, value in properties.items()
        ]
        self._calls.ask("PATCH", f"/images/{image_id}", body=body, expected=(_GONE,))

    def _marked(self, record: object) -> region_names.MarkedRecord:
        try:
            if not isinstance(record, Mapping):
                raise errors.NotificationError(f"a {type(record).__name__} is no image")
            return region_names.MarkedRecord(
                image_id=images.image_id(record.get("id")),
                region=self._region,
                copy_id=_text(record, mark_properties.COPY_ID),
                copy_region=_text(record, mark_properties.COPY_REGION),
                source_region=_text(record, mark_properties.SOURCE_REGION),
                created_at=image_records.time_of(record.get("created_at")),
            )
        except errors.NotificationError as exc:
            raise errors.ServiceUnavailable(
                f"an image record of region {self._region} makes no sense: {exc}"
            ) from exc


def _text(record: Mapping[str, Any], name: str) -> str | None:
    found = record.get(name)
    return found if isinstance(found, str) else None
