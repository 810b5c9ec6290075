# SPDX-License-Identifier: Apache-2.0
"""What a region's Glance ever had, by its database, which forgets no image that was deleted.

No look from outside is often enough to prove that something was never there.
"""

import contextlib
import dataclasses
import pathlib
import sqlite3

from tools import cloud as clouds

#: Those whose mark names themselves; the region of a database is not in it.
_MARKS = """\
SELECT source.image_id, source.value, region.value
FROM image_properties AS source
JOIN image_properties AS own
ON own.image_id = source.image_id AND own.name = 'glance_sync_copy_id'
AND own.value = source.image_id
LEFT JOIN image_properties AS region
ON region.image_id = source.image_id AND region.name = 'glance_sync_source_region'
WHERE source.name = 'glance_sync_source_id'
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Copy:
    """An image that bore the mark of a copy."""

    region: str
    image_id: str
    source_region: str
    source_id: str


def images(cloud: clouds.Cloud, region: str) -> set[str]:
    """Return the ids of all images that a region ever had."""
    return {image_id for (image_id,) in _asked(cloud, region, "SELECT id FROM images")}


def copies(cloud: clouds.Cloud) -> list[Copy]:
    """Return all copies that the regions ever had."""
    return [
        Copy(
            region=region.name, image_id=image_id, source_region=source_region, source_id=source_id
        )
        for region in cloud.describe().regions
        for image_id, source_id, source_region in _asked(cloud, region.name, _MARKS)
    ]


def copies_of_copies(cloud: clouds.Cloud) -> list[Copy]:
    """Return the copies whose source was a copy itself."""
    found = copies(cloud)
    made = {(one.region, one.image_id) for one in found}
    return [one for one in found if (one.source_region, one.source_id) in made]


def _asked(cloud: clouds.Cloud, region: str, question: str) -> list[tuple[str, ...]]:
    path = pathlib.Path(cloud.describe().region(region).config_dir).parent / "glance.sqlite"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute(question).fetchall()
