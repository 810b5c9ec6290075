# SPDX-License-Identifier: Apache-2.0
"""The names of regions on images, in memory."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import region_names

_FIELDS = {
    mark_properties.COPY_ID: "copy_id",
    mark_properties.COPY_REGION: "copy_region",
    mark_properties.SOURCE_REGION: "source_region",
}


class MemoryMarks:
    """``engine.ports.MarkedRecords``."""

    def __init__(self, *present: region_names.MarkedRecord) -> None:
        self.images = {one.image_id: one for one in present}

    def naming(self, name: images.RegionId) -> Sequence[region_names.MarkedRecord]:
        """Return the images that name a region."""
        return [
            one for one in self.images.values() if name in {one.copy_region, one.source_region}
        ]

    def get(self, image_id: images.ImageId) -> region_names.MarkedRecord | None:
        """Read one image again."""
        return self.images.get(image_id)

    def change(self, image_id: images.ImageId, properties: Mapping[str, str]) -> None:
        """Give properties new values."""
        if image_id in self.images:
            changes: dict[str, Any] = {_FIELDS[name]: value for name, value in properties.items()}
            self.images[image_id] = dataclasses.replace(self.images[image_id], **changes)
