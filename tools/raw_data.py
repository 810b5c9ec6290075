# SPDX-License-Identifier: Apache-2.0
"""Bytes for images of the disk format ``raw``."""

from collections.abc import Callable
import os
from typing import Final

#: oslo.utils takes data for a disk with a partition table if the signature of a boot sector,
#: 55 AA, ends the first 512 bytes: one random image in 65,536. Glance then refuses the image.
_LAST_OF_BOOT_SECTOR: Final = 511


def random_data(size: int, source: Callable[[int], bytes] = os.urandom) -> bytes:
    """Return so many random bytes that Glance takes for raw data."""
    data = bytearray(source(size))
    if size > _LAST_OF_BOOT_SECTOR:
        data[_LAST_OF_BOOT_SECTOR] = 0
    return bytes(data)
