# SPDX-License-Identifier: Apache-2.0
"""Counts the images of a region that bear a mark, and tells which of them an operator settles."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
import dataclasses
import enum
import logging
import uuid

from glance_sync_agent import errors
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.placement import wanted_copies

LOG = logging.getLogger(__name__)

_PAGE_SIZE = 100  # ids; Glance takes that many in one ``id=in:`` filter
_NOBODY = images.SourceKey(image_id="", region="")


class Kind(enum.StrEnum):
    """What a marked image is."""

    COPY = "copy"
    UNADOPTED = "unadopted"  # no row knows it, and this agent copies nothing from there
    INHERITED = "inherited"
    DOUBTFUL = "doubtful"
    ORPHAN = "orphan"  # no row knows it, and its source is gone


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MarkedImage:
    """A marked image."""

    image: images.Image
    kind: Kind
    reason: str
    is_known: bool = False  # of a copy: by its row

    @property
    def is_unknown_copy(self) -> bool:
        """Tell whether it is a copy with data that no row knows."""
        return self.kind is Kind.COPY and not self.is_known and self.image.size is not None


@dataclasses.dataclass(kw_only=True, slots=True)
class Count:
    """How many there are in a region."""

    copies: int = 0
    unadopted: int = 0
    inherited: int = 0
    doubtful: int = 0
    orphans: int = 0

    def add(self, kind: Kind) -> None:
        """Count one."""
        match kind:
            case Kind.COPY:
                self.copies += 1
            case Kind.UNADOPTED:
                self.unadopted += 1
            case Kind.INHERITED:
                self.inherited += 1
            case Kind.DOUBTFUL:
                self.doubtful += 1
            case _:
                self.orphans += 1


class Census:
    """Looks at marked images. Writes nothing."""

    def __init__(
        self,
        *,
        regions: ports.Regions,
        catalogue: ports.Catalogue,
        store: ports.TaskStore,
        wanted_as: wanted_copies.WantedCopies,
        snapshot_origins: Sequence[images.RegionId],
    ) -> None:
        """Keep the parts.

        :param snapshot_origins: regions besides the cascading one whose snapshots are sources.
        """
        self._regions = regions
        self._catalogue = catalogue
        self._store = store
        self._wanted_as = wanted_as
        self._origins = (catalogue.cascading, *snapshot_origins)

    def find(self, region: images.RegionId) -> Iterator[MarkedImage]:
        """Walk the marked images of a region, in constant memory.

        :raises SyncError: the region, that of a source, or the database does not answer.
        """
        service = self._regions.image_service(region)
        for origin in self._origins:
            for page in service.pages(_PAGE_SIZE, marked_from=origin):
                yield from self._judged(region, page)
        # Copies of a region that is no source any more, or had another name.
        for page in service.pages(_PAGE_SIZE, marked_in=region):
            rest = [one for one in page if not _is_from(one, self._origins)]
            yield from self._judged(region, rest)

    def whose(self, image: images.Image) -> MarkedImage:
        """Return what one image is.

        :raises SyncError: the region of its source, or the database does not answer.
        """
        (found,) = self._judged(image.region, [image])
        return found

    def _judged(
        self, region: images.RegionId, page: Sequence[images.Image]
    ) -> Iterator[MarkedImage]:
        known = self._catalogue.regions()
        claims = {
            image.image_id: key
            for image in page
            if (key := identity.source_of(image) or identity.former_source(image, known))
        }
        sources = self._sources(set(claims.values()), known)
        rows = self._rows(region, set(claims.values()))
        own_ids = self._wanted_as.own_ids(sources.values())
        wanted = self._wanted_as.in_region(region, own_ids)
        for image in page:
            key = claims.get(image.image_id, _NOBODY)
            source, row = sources.get(key), rows.get(key)
            evidence = identity.Evidence(
                key=key,
                source=source and wanted(source, image),
                known=None if row is None else row.known_copy,
                proven_id=None if row is None else row.proven_id,
                regions=known,
            )
            found = identity.whose(image, evidence)
            yield self._finding(image, found, evidence, known)

    def _finding(
        self,
        image: images.Image,
        found: identity.Identity,
        evidence: identity.Evidence,
        known: Set[images.RegionId],
    ) -> MarkedImage:
        key = evidence.key
        reason = found.reason
        if key is not _NOBODY and key.region not in known and not found.is_ours:
            kind = Kind.DOUBTFUL
            reason = f"its source is in region {key.region}, which is not in Keystone's catalogue"
        elif found.is_ours and evidence.known is None and key.region not in self._origins:
            kind = Kind.UNADOPTED
            reason = f"no task knows it, and this agent copies no images of region {key.region}"
        else:
            kind = _kind(image, found, evidence)
        return MarkedImage(image=image, kind=kind, reason=reason, is_known=found.is_known)

    def _sources(
        self, keys: set[images.SourceKey], known: Set[images.RegionId]
    ) -> Mapping[images.SourceKey, images.Image]:
        """Read the sources that are there.

        :param known: regions of the catalogue.
        """
        found: dict[images.SourceKey, images.Image] = {}
        for name in sorted({key.region for key in keys}):
            region = images.RegionId(name)
            if region not in known:
                continue
            service = self._regions.image_service(region)
            ids = sorted({images.ImageId(key.image_id) for key in keys if key.region == name})
            there = dict(service.find(ids))
            for image_id in ids:
                # A listing proves presence only; absence is what a 404 for the very image says.
                image = there.get(image_id) or service.get_record(image_id)
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


def _is_from(image: images.Image, origins: Sequence[images.RegionId]) -> bool:
    source = identity.source_of(image)
    return source is None or source.region in origins


def _kind(
    image: images.Image, found: identity.Identity, evidence: identity.Evidence
) -> Kind:
    match found.whose:
        case identity.Whose.OURS:
            return Kind.COPY
        case identity.Whose.DOUBTFUL if _is_orphan(image, evidence):
            return Kind.ORPHAN
        case identity.Whose.DOUBTFUL:
            return Kind.DOUBTFUL
        case _:
            return Kind.INHERITED


def _is_orphan(image: images.Image, evidence: identity.Evidence) -> bool:
    is_unknown = evidence.source is None and evidence.known is None
    # Somebody else may have brought one that names a region which left the catalogue.
    return is_unknown and identity.names_itself(image)


def report(
    census: Census,
    regions: Sequence[images.RegionId],
    adopt: Callable[[images.SourceKey, images.Image], None],
) -> None:
    """Write into the log what an operator should settle. A region that fails is left out.

    :param adopt: is given copies that proved to be ours and that no row knows, wanted there or
        not, so that what their source takes back reaches them, too. Another agent may have made
        those of other sources, by another policy.
    """
    for region in regions:
        count = Count()
        try:
            for finding in census.find(region):
                count.add(finding.kind)
                source = identity.source_of(finding.image)
                if source is not None and finding.is_unknown_copy:
                    adopt(source, finding.image)
        except errors.SyncError as exc:
            failure = str(exc)
        else:
            failure = ""
        if failure:
            LOG.warning("Could not count the marked images of region %s: %s", region, failure)
        else:
            _tell(region, count)


def _tell(region: images.RegionId, count: Count) -> None:
    if count.unadopted:
        LOG.info(
            "Region %s has %d copies that no task knows, of images of regions that this agent "
            "copies nothing from; they are left to the agent that made them",
            region, count.unadopted,
        )
    if count.doubtful or count.orphans:
        LOG.warning(
            "Region %s has %d doubtful images and %d orphans; they are left alone. "
            "'glance-sync orphan list --region %s' shows them, and what to do",
            region, count.doubtful, count.orphans, region,
        )


def adopting(
    store: ports.TaskStore, clock: ports.Clock, cascading: images.RegionId
) -> Callable[[images.SourceKey, images.Image], None]:
    """Return what notes a copy in its row, unless that knows another one."""

    def adopt(source: images.SourceKey, copy: images.Image) -> None:
        key = tasks.TaskKey(image_id=images.ImageId(source.image_id), region=copy.region)
        store.adopt(
            key,
            identity.KnownCopy(copy_id=copy.image_id, created_at=copy.created_at),
            now=clock.now(),
            request_id=uuid.uuid4().hex,
            source_region=None if source.region == cascading else images.RegionId(source.region),
            unless_known=True,
        )

    return adopt
