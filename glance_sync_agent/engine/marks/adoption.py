# SPDX-License-Identifier: Apache-2.0
"""Notes images as the copies of their sources, and reports those that it must not adopt."""

from collections import Counter
from collections.abc import Sequence
import logging

from glance_sync_agent import errors
from glance_sync_agent import request_ids
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.marks.census import Census
from glance_sync_agent.engine.marks.census import MarkKind

LOG = logging.getLogger(__name__)


class Adoption:
    """Adopts copies, on an operator's word or because the census proved them."""

    def __init__(self, outside: ports.Ports, census: Census) -> None:
        self._catalogue = outside.catalogue
        self._store = outside.store
        self._clock = outside.clock
        self._census = census

    def adopt(
        self, source: images.SourceKey, copy: images.Image, *, unless_known: bool = False
    ) -> bool:
        """Note a copy in its task, and request the task; False if an agent works on it.

        :param unless_known: do nothing if the task knows a copy.
        """
        is_cascading = source.region == self._catalogue.cascading
        return self._store.adopt(
            tasks.TaskKey(image_id=images.ImageId(source.image_id), region=copy.region),
            identity.KnownCopy(copy_id=copy.image_id, created_at=copy.created_at),
            now=self._clock.now(),
            request_id=request_ids.new(),
            source_region=None if is_cascading else images.RegionId(source.region),
            unless_known=unless_known,
        )

    def adopt_unknown(self, regions: Sequence[images.RegionId]) -> None:
        """Adopt proven copies that no task knows, and log what an operator should settle.

        It adopts unwanted copies as well, so they lose what their source takes back from users.
        Copies of other sources may belong to another agent. A region that fails is left out.
        """
        for region in regions:
            try:
                _log(region, self._adopt_in(region))
            except errors.SyncError as exc:
                LOG.warning(
                    "Could not count the marked images of region %s: %s. The next count is "
                    "tomorrow", region, exc,
                )

    def _adopt_in(self, region: images.RegionId) -> Counter[MarkKind]:
        count: Counter[MarkKind] = Counter()
        for found in self._census.find(region):
            count[found.kind] += 1
            source = identity.source_of(found.image)
            if source is not None and found.is_unknown_copy:
                self.adopt(source, found.image, unless_known=True)
        return count


def _log(region: images.RegionId, count: Counter[MarkKind]) -> None:
    if unadopted := count[MarkKind.UNADOPTED]:
        LOG.info(
            "Region %s has %d copies that no task knows. This agent does not copy from the "
            "regions of their sources, so it leaves them to another agent",
            region, unadopted,
        )
    doubtful, orphans = count[MarkKind.DOUBTFUL], count[MarkKind.ORPHAN]
    if doubtful or orphans:
        LOG.warning(
            "Region %s has %d doubtful images and %d orphans. The agent does not touch them. Run "
            "'glance-sync orphan list --region %s' to see them, and what to do",
            region, doubtful, orphans, region,
        )
