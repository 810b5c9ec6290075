# SPDX-License-Identifier: Apache-2.0
"""The names of regions on images, in memory."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from glance_sync_agent.domain import images
from glance_sync_agent.domain import region_names

_FIELDS = {
    images.COPY_ID: "copy_id",
    images.COPY_REGION: "copy_region",
    images.SOURCE_REGION: "source_region",
}


class MemoryMarks:
    """``engine.ports.MarkedRecords``."""

    def __init__(self, *present: region_names.Marked) -> None:
        self.images = {one.image_id: one for one in present}

    def naming(self, name: images.RegionId) -> Sequence[region_names.Marked]:
        """Return the images that name a region."""
        return [
            one for one in self.images.values() if name in {one.copy_region, one.source_region}
        ]

    def get(self, image_id: images.ImageId) -> region_names.Marked | None:
        """Read one image again."""
        return self.images.get(image_id)

    def change(self, image_id: images.ImageId, properties: Mapping[str, str]) -> None:
        """Give properties new values."""
        if image_id in self.images:
            changes: dict[str, Any] = {_FIELDS[name]: value for name, value in properties.items()}
            self.images[image_id] = dataclasses.replace(self.images[image_id], **changes)
