# SPDX-License-Identifier: Apache-2.0
"""Whether a copy equals the upload."""

from collections.abc import Collection, Mapping
from typing import Any

from tools.demo import results

#: The attributes that a copy shares with its source, besides custom properties and tags.
_SAME = ("name", "disk_format", "container_format", "min_disk", "min_ram", "visibility", "owner")


def fault_of(
    copy: results.Copy,
    *,
    uploaded: results.Image,
    source: Mapping[str, Any],
    record: Mapping[str, Any],
    properties: Mapping[str, str],
    tags: Collection[str],
) -> str:
    """Return what is wrong with a copy that was read; empty if nothing is.

    :param source: the image in the cascading region, now.
    :param record: the image in the copy's region, now.
    :param properties: of the upload, like ``tags``.
    """
    if (copy.size, copy.sha512) != (uploaded.size, uploaded.sha512):
        return (
            f"{copy.size} bytes with sha512 {copy.sha512} were read,"
            f" {uploaded.size} with {uploaded.sha512} were uploaded"
        )
    if copy.status != "active":
        return f"it is {copy.status}"
    different = [key for key in _SAME if record.get(key) != source.get(key)]
    different += [key for key, value in properties.items() if record.get(key) != value]
    if set(record.get("tags", ())) != set(tags):
        different.append("tags")
    return f"these differ from the source: {', '.join(different)}" if different else ""
