# SPDX-License-Identifier: Apache-2.0
"""Copies that would go for good, kept until all have been counted."""

from collections.abc import Iterator
import itertools

from glance_sync_agent.domain import images
from glance_sync_agent.engine.reconcile import compare

#: An image, and the region that its source is gone from; None: its source is there.
_Key = tuple[images.ImageId, images.RegionId | None]


class Deletions:
    """Counts them by image. Of many more than may go only the ids are kept."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._found: dict[_Key, list[compare.Difference]] = {}

    def add(
        self, one: compare.Difference, *, gone_from: images.RegionId | None = None
    ) -> None:
        """Keep one.

        :param gone_from: where its source was; None: that is still there.
        """
        kept = self._found.setdefault((one.image_id, gone_from), [])
        if not self.are_too_many():
            kept.append(one)

    def drop(self, origin: images.RegionId) -> int:
        """Forget those whose source is gone from a region; return how many images they were.

        If there were too many, the next look finds some of the others only.
        """
        before = len(self._found)
        self._found = {key: one for key, one in self._found.items() if key[1] != origin}
        return before - len(self._found)

    def count(self) -> int:
        """Return how many images they are of."""
        return len(self._found)

    def are_too_many(self) -> bool:
        """Tell whether they are of more images than the limit."""
        return len(self._found) > self._limit

    def first(self) -> images.ImageId:
        """Return one of the images."""
        image_id, _gone_from = next(iter(self._found))
        return image_id

    def all(self) -> Iterator[compare.Difference]:
        """Walk all; some are missing if there are, or were, too many."""
        return itertools.chain(*self._found.values())
