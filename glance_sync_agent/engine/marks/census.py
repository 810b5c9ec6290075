# SPDX-License-Identifier: Apache-2.0
"""Finds the marked images of a region and tells which an operator must settle. Writes nothing."""

from collections.abc import Iterator, Mapping, Sequence, Set
import dataclasses
import enum

from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import snapshots
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.placement.wanted_copies import WantedCopies

_PAGE_SIZE = 100  # ids; Glance accepts that many in one ``id=in:`` filter
_NO_SOURCE = images.SourceKey(image_id="", region="")


class MarkKind(enum.StrEnum):
    """What a marked image is."""

    COPY = "copy"
    UNADOPTED = "unadopted"  # no task knows it, and this agent does not copy its source's region
    INHERITED = "inherited"
    DOUBTFUL = "doubtful"
    ORPHAN = "orphan"  # no task knows it, and its source is gone


#: Another agent may have made it, if this agent does not copy from the region of its source.
_OF_ANY_AGENT = frozenset({MarkKind.COPY, MarkKind.ORPHAN})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MarkedImage:
    """A marked image, judged."""

    image: images.Image
    kind: MarkKind
    reason: str
    is_known: bool = False  # of a copy: by its task

    @property
    def is_unknown_copy(self) -> bool:
        """Tell whether it is a copy with data that no task knows."""
        return self.kind is MarkKind.COPY and not self.is_known and self.image.size is not None


class Census:
    """Judges the marked images of regions."""

    def __init__(
        self,
        outside: ports.Ports,
        wanted_copies: WantedCopies,
        snapshot_origins: Sequence[images.RegionId],
    ) -> None:
        """Keep the parts.

        :param snapshot_origins: regions besides the cascading one whose snapshots are sources.
        """
        self._regions = outside.regions
        self._catalogue = outside.catalogue
        self._store = outside.store
        self._wanted_copies = wanted_copies
        self._origins = (outside.catalogue.cascading, *snapshot_origins)

    def find(self, region: images.RegionId) -> Iterator[MarkedImage]:
        """Walk the marked images of a region in constant memory.

        :raises SyncError: a region or the database does not answer.
        """
        service = self._regions.image_service(region)
        for origin in self._origins:
            for page in service.pages(_PAGE_SIZE, marked_from=origin):
                yield from self._judged(region, page)
        # These copies have sources in other regions, or in a region that was renamed.
        for page in service.pages(_PAGE_SIZE, marked_in=region):
            yield from self._judged(region, [one for one in page if not self._is_listed(one)])

    def whose(self, image: images.Image) -> MarkedImage:
        """Judge one image.

        :raises SyncError: the region of its source or the database does not answer.
        """
        (found,) = self._judged(image.region, [image])
        return found

    def _is_listed(self, image: images.Image) -> bool:
        source = identity.source_of(image)
        return source is None or source.region in self._origins

    def _judged(
        self, region: images.RegionId, page: Sequence[images.Image]
    ) -> Iterator[MarkedImage]:
        catalogue = self._catalogue.regions()
        keys = {
            image.image_id: key
            for image in page
            if (key := identity.source_of(image) or identity.former_source(image, catalogue))
        }
        sources = self._sources(set(keys.values()), catalogue)
        rows = self._rows(region, set(keys.values()))
        own_ids = self._wanted_copies.own_ids(sources.values())
        wanted = self._wanted_copies.in_region(region, own_ids)
        for image in page:
            key = keys.get(image.image_id, _NO_SOURCE)
            source, row = sources.get(key), rows.get(key)
            evidence = identity.Evidence(
                key=key,
                source=source and wanted(source, image),
                known=None if row is None else row.known_copy,
                proven_id=_proven_id(row, source),
                regions=catalogue,
            )
            yield self._marked_image(image, evidence, catalogue)

    def _marked_image(
        self, image: images.Image, evidence: identity.Evidence, catalogue: Set[images.RegionId]
    ) -> MarkedImage:
        found = identity.whose(image, evidence)
        region, reason = evidence.key.region, found.reason
        if evidence.key is not _NO_SOURCE and region not in catalogue and not found.is_ours:
            kind = MarkKind.DOUBTFUL
            reason = f"its source is in region {region}, which is not in Keystone's catalogue"
        else:
            kind = _kind(image, found, evidence)
            is_unknown = kind in _OF_ANY_AGENT and evidence.known is None
            if is_unknown and not self._copies_from(region, evidence.source):
                kind = MarkKind.UNADOPTED
                reason = f"no task knows it, and this agent copies nothing like it from {region}"
        return MarkedImage(image=image, kind=kind, reason=reason, is_known=found.is_known)

    def _copies_from(self, region: str, source: images.Image | None) -> bool:
        """Tell whether this agent copies such sources; another agent may copy all of a region."""
        if region == self._catalogue.cascading or source is None:
            return region in self._origins
        return region in self._origins and snapshots.is_typed(source)

    def _sources(
        self, keys: set[images.SourceKey], catalogue: Set[images.RegionId]
    ) -> Mapping[images.SourceKey, images.Image]:
        """Read the sources that exist."""
        found: dict[images.SourceKey, images.Image] = {}
        for name in sorted({key.region for key in keys}):
            region = images.RegionId(name)
            if region not in catalogue:
                continue
            service = self._regions.image_service(region)
            ids = sorted({images.ImageId(key.image_id) for key in keys if key.region == name})
            listed = dict(service.find(ids))
            for image_id in ids:
                # A listing may miss an image. Only a 404 proves that it is gone.
                image = listed.get(image_id) or service.get_record(image_id)
                if image is not None:
                    found[images.key_of(image)] = image
        return found

    def _rows(
        self, region: images.RegionId, keys: set[images.SourceKey]
    ) -> Mapping[images.SourceKey, tasks.Task]:
        cascading = self._catalogue.cascading
        ids = sorted({images.ImageId(key.image_id) for key in keys})
        return {
            images.SourceKey(
                image_id=row.key.image_id, region=row.source_region or cascading
            ): row
            for row in self._store.find(ids)
            if row.key.region == region
        }


def _proven_id(row: tasks.Task | None, source: images.Image | None) -> images.ImageId | None:
    return None if row is None or source is None else row.proven_for(source.multihash)


def _kind(
    image: images.Image, found: identity.Identity, evidence: identity.Evidence
) -> MarkKind:
    match found.whose:
        case identity.Whose.OURS:
            return MarkKind.COPY
        case identity.Whose.DOUBTFUL if _is_orphan(image, evidence):
            return MarkKind.ORPHAN
        case identity.Whose.DOUBTFUL:
            return MarkKind.DOUBTFUL
        case _:
            return MarkKind.INHERITED


def _is_orphan(image: images.Image, evidence: identity.Evidence) -> bool:
    is_unknown = evidence.source is None and evidence.known is None
    # A script may have brought an image whose mark names a region that left the catalogue.
    return is_unknown and identity.names_itself(image)
