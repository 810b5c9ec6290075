# SPDX-License-Identifier: Apache-2.0
"""Records as Glance gives them, and values that make no sense."""

from typing import Any

from hypothesis import strategies as st

from glance_sync_agent.domain import image_records
from glance_sync_agent.domain import images
from tests.unit import builders

ID = str(builders.IMAGE_ID)
FILE: dict[str, Any] = {"url": f"file:///srv/images/{ID}", "metadata": {"store": "local"}}
COPY_URL = f"http://glance.two:9292/v2/images/{ID}"
SWIFT = "swift+https://user:secret@host/container/object"

texts = st.text(max_size=20)
junk: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def record(**fields: Any) -> dict[str, Any]:
    """Build a record as ``GET /v2/images/ID`` gives it."""
    return {
        "id": ID,
        "status": "active",
        "name": "cirros",
        "disk_format": "qcow2",
        "container_format": "bare",
        "visibility": "private",
        "size": 3,
        "virtual_size": 4,
        "checksum": "0" * 32,
        "protected": False,
        "min_ram": 0,
        "min_disk": 0,
        "owner": "alpha",
        "os_hidden": False,
        "os_hash_algo": "sha512",
        "os_hash_value": "ab",
        "created_at": "2026-11-22T08:00:00Z",
        "updated_at": "2026-11-22T08:00:00Z",
        "tags": [],
        "self": f"/v2/images/{ID}",
        "file": f"/v2/images/{ID}/file",
        "schema": "/v2/schemas/image",
    } | fields


def located(*locations: object) -> images.Image:
    """Return an image with locations."""
    return image_records.parse(record(locations=list(locations)), builders.REGION)
