# SPDX-License-Identifier: Apache-2.0
"""What each copy should look like, by the operator's metadata policy of the moment."""

from collections.abc import Callable, Iterable, Mapping

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.engine import batches
from glance_sync_agent.engine import ports

_BATCH = 100  # ids

#: By region, and there by source: the ids of copies that do not have their source's id.
OwnIds = Mapping[images.RegionId, Mapping[images.ImageId, images.ImageId]]

#: Turns a source, and the copy that there is of it or None, into what the copy should look like.
Wanted = Callable[[images.Image, images.Image | None], images.Image]


class WantedCopies:
    """Joins the metadata policy with who we are.

    The one place where the policy is applied; the event path and the look at everything both
    ask here before they compare a copy with anything.
    """

    def __init__(
        self,
        catalogue: ports.Catalogue,
        current_policy: Callable[[], metadata_policy.MetadataPolicy],
        store: ports.TaskStore,
    ) -> None:
        self._catalogue = catalogue
        self._policy = current_policy
        self._store = store

    def in_region(self, region: images.RegionId, own_ids: OwnIds | None = None) -> Wanted:
        """Return what copies in a region should look like by the policy of now.

        An attempt keeps to one policy; what changed meanwhile is found by the look that comes
        with every reload. By another policy it might take the copy that it just made for that
        of a stranger, because its owner is not the expected one.

        What is returned raises Undecided if Keystone has to be asked and does not answer, and
        ServiceUnavailable if the database has to be asked, for an image that names a kernel or
        a ramdisk, and does not answer.

        :param own_ids: of the sources that there are to be; None: the database is asked for each.
        """
        policy = self._policy()
        leaves_all = policy == metadata_policy.MetadataPolicy()

        def wanted(source: images.Image, copy: images.Image | None) -> images.Image:
            named = metadata_policy.referred(source)
            known = (self.own_ids([source]) if own_ids is None else own_ids).get(region, {})
            copy_ids = {one: known[one] for one in named & known.keys()}
            if leaves_all and not copy_ids:
                # Otherwise a look at everything would make images anew for every pair.
                return source
            own = self._own_project() if policy.owner is metadata_policy.Owner.AGENT else None
            return metadata_policy.wanted(
                policy, source, region, copy=copy, own_project=own, copy_ids=copy_ids
            )

        return wanted

    def own_ids(self, sources: Iterable[images.Image]) -> OwnIds:
        """Return the copies that sources, by kernel or ramdisk, have to name by their own ids.

        :raises ServiceUnavailable: the database does not answer.
        """
        named = frozenset[images.ImageId]().union(*map(metadata_policy.referred, sources))
        found: dict[images.RegionId, dict[images.ImageId, images.ImageId]] = {}
        for batch in batches.of(sorted(named), _BATCH):
            for task in self._store.find(batch):
                if task.copy_id not in {None, task.key.image_id}:
                    found.setdefault(task.key.region, {})[task.key.image_id] = task.copy_id
        return found

    def have_our_members(self) -> bool:
        """Tell whether the members of copies are the agent's business."""
        return self._policy().members

    def _own_project(self) -> str:
        try:
            return self._catalogue.own_project()
        except (errors.TransientError, errors.Refused) as exc:
            raise errors.Undecided(
                "Keystone does not say which project is the agent's own, and [metadata] owner is "
                f"agent: {exc}"
            ) from exc
