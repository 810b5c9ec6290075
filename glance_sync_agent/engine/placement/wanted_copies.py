# SPDX-License-Identifier: Apache-2.0
"""Images as their copies should be, by the operator's metadata policy of the moment."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import batches
from glance_sync_agent.engine import ports

_BATCH = 100  # ids

#: For each region, by an image as another region has it: the ids of copies with ids of their own.
OwnIds = Mapping[images.RegionId, Mapping[images.SourceKey, images.ImageId]]

_Source = tuple[images.ImageId, images.RegionId | None]  # as tasks note it

#: Returns what the copy of a source should be, given the copy as it is, if there is one.
Wanted = Callable[[images.Image, images.Image | None], images.Image]


class WantedCopies:
    """Applies the metadata policy, for attempts and scans alike."""

    def __init__(
        self,
        catalogue: ports.Catalogue,
        policy: Callable[[], metadata_policy.MetadataPolicy],
        store: ports.TaskStore,
    ) -> None:
        self._catalogue = catalogue
        self._policy = policy
        self._store = store

    def in_region(self, region: images.RegionId, own_ids: OwnIds | None = None) -> Wanted:
        """Return a function from sources to wanted copies, by the policy of now.

        An attempt keeps one policy. With a newer one, it might not recognize the owner of the
        copy that it just made. The scan after each reload finds what changed.

        The function raises Undecided if it needs Keystone, and ServiceUnavailable if it needs the
        database for the kernel or ramdisk of an image, while these do not answer.

        :param own_ids: of all sources that the function will get; None: the function asks the
            database for each.
        """
        policy = self._policy()

        def wanted(source: images.Image, copy: images.Image | None) -> images.Image:
            known = (self.own_ids([source]) if own_ids is None else own_ids).get(region, {})
            copy_ids = {
                one: known[key]
                for one in metadata_policy.referred(source)
                # Anybody may publish another image with this id in another region.
                if (key := images.SourceKey(image_id=one, region=source.region)) in known
            }
            own = self._own_project() if policy.owner is metadata_policy.Owner.AGENT else None
            return metadata_policy.wanted(
                policy, source, region, copy=copy, own_project=own, copy_ids=copy_ids
            )

        return wanted

    def own_ids(self, sources: Iterable[images.Image]) -> OwnIds:
        """Return the copies of the kernels and ramdisks of sources that have ids of their own.

        :raises ServiceUnavailable: the database does not answer.
        """
        named = frozenset[images.ImageId]().union(*map(metadata_policy.referred, sources))
        found: dict[images.RegionId, dict[images.SourceKey, images.ImageId]] = {}
        for batch in batches.of(sorted(named), _BATCH):
            rows = self._store.find(batch)
            regions = self._regions_by_id(rows)
            for task in rows:
                if task.copy_id is None or task.copy_id == task.key.image_id:
                    continue
                for region in regions[task.key.image_id, task.source_region]:
                    key = images.SourceKey(image_id=task.key.image_id, region=region)
                    found.setdefault(task.key.region, {})[key] = task.copy_id
        return found

    def _regions_by_id(
        self, rows: Sequence[tasks.Task]
    ) -> Mapping[_Source, Set[images.RegionId]]:
        """Return the regions in which a source, or a copy of it, has the source's id."""
        found: dict[_Source, set[images.RegionId]] = defaultdict(set)
        for row in rows:
            regions = found[row.key.image_id, row.source_region]
            regions.add(row.source_region or self._catalogue.cascading)
            if row.copy_id == row.key.image_id:
                regions.add(row.key.region)
        return found

    def have_our_members(self) -> bool:
        """Tell whether the agent changes the members of copies."""
        return self._policy().members

    def _own_project(self) -> str:
        try:
            return self._catalogue.own_project()
        except (errors.TransientError, errors.Refused) as exc:
            raise errors.Undecided(
                "[metadata] owner is agent, but Keystone does not say which project is the "
                f"agent's own: {exc}"
            ) from exc
