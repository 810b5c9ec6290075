# SPDX-License-Identifier: Apache-2.0
"""Sources whose data is an image of another region."""

from collections.abc import Iterable, Mapping, Sequence, Set
import dataclasses

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import remotes
from glance_sync_agent.engine import ports


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """Several sources, joined with their data."""

    #: Without the sources whose data is in a region that failed, or that got no request.
    sources: Mapping[images.ImageId, images.Image]
    unjoined: Sequence[images.Image]  # these, as their records show them
    failures: Mapping[images.RegionId, errors.SyncError]


class RemoteSources:
    """Joins sources with the images that hold their data, see :mod:`domain.remotes`."""

    def __init__(self, regions: ports.Regions, catalogue: ports.Catalogue) -> None:
        self._regions = regions
        self._catalogue = catalogue

    def join(self, source: images.Image) -> images.Image:
        """Return a source as it really is. This costs a request only if its data is elsewhere.

        :raises ServiceUnavailable: Keystone, or the region with the data, does not answer.
        """
        if source.remote is None or not remotes.is_elsewhere(source):
            return source
        region = self._catalogue.region_of(source.remote.url)
        if region is None:
            return remotes.with_remote_data(source, None, None)
        there = self._regions.image_service(region).get_record(source.remote.image_id)
        return remotes.with_remote_data(source, region, there)

    def join_all(
        self,
        sources: Iterable[images.Image],
        *,
        without: Set[images.RegionId] = frozenset(),
    ) -> Joined:
        """Join at most 100 sources, with one request to each region that has data.

        :param without: regions that get no request.
        :raises ServiceUnavailable: Keystone does not answer.
        """
        known: dict[images.ImageId, images.Image] = {}
        unjoined: list[images.Image] = []
        by_region: dict[images.RegionId, list[tuple[images.Image, images.RemoteData]]] = {}
        for source in sources:
            known[source.image_id] = source
            if source.remote is None or not remotes.is_elsewhere(source):
                continue
            region = self._catalogue.region_of(source.remote.url)
            if region is None:
                known[source.image_id] = remotes.with_remote_data(source, None, None)
            elif region in without:
                unjoined.append(known.pop(source.image_id))
            else:
                by_region.setdefault(region, []).append((source, source.remote))
        failures: dict[images.RegionId, errors.SyncError] = {}
        for region, pairs in by_region.items():
            try:
                known |= self._joined_in(region, pairs)
            except errors.SyncError as exc:
                failures[region] = exc
                unjoined += [known.pop(source.image_id) for source, _remote in pairs]
        return Joined(sources=known, unjoined=unjoined, failures=failures)

    def _joined_in(
        self,
        region: images.RegionId,
        pairs: Sequence[tuple[images.Image, images.RemoteData]],
    ) -> Mapping[images.ImageId, images.Image]:
        service = self._regions.image_service(region)
        found = service.find(sorted({remote.image_id for _source, remote in pairs}))
        return {
            source.image_id: remotes.with_remote_data(
                source,
                region,
                # A listing proves presence only, and names no image that was killed.
                found.get(remote.image_id) or service.get_record(remote.image_id),
            )
            for source, remote in pairs
        }
