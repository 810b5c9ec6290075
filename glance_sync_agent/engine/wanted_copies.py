# SPDX-License-Identifier: Apache-2.0
"""What each copy should look like, by the operator's metadata policy of the moment."""

from collections.abc import Callable, Mapping

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.engine import ports

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
        current_policy: Callable[[], metadata_policy.Policy],
        store: ports.TaskStore,
    ) -> None:
        self._catalogue = catalogue
        self._policy = current_policy
        self._store = store

    def in_region(self, region: images.RegionId) -> Wanted:
        """Return what copies in a region should look like by the policy of now.

        An attempt keeps to one policy; what changed meanwhile is found by the look that comes
        with every reload. By another policy it might take the copy that it just made for that
        of a stranger, because its owner is not the expected one.

        What is returned raises Undecided if Keystone has to be asked and does not answer, and
        ServiceUnavailable if the database has to be asked, for an image that names a kernel or
        a ramdisk, and does not answer.
        """
        policy = self._policy()
        leaves_all = policy == metadata_policy.Policy()

        def wanted(source: images.Image, copy: images.Image | None) -> images.Image:
            copy_ids = self._copy_ids(source, region)
            if leaves_all and not copy_ids:
                # Otherwise a look at everything would make images anew for every pair.
                return source
            own = self._own_project() if policy.owner is metadata_policy.Owner.AGENT else None
            return metadata_policy.wanted(
                policy, source, region, copy=copy, own_project=own, copy_ids=copy_ids
            )

        return wanted

    def _copy_ids(
        self, source: images.Image, region: images.RegionId
    ) -> Mapping[images.ImageId, images.ImageId]:
        """Return the copies in a region, by source, that an image has to name by their own ids."""
        named = metadata_policy.referred(source)
        if not named:
            return {}
        return {
            task.key.image_id: task.copy_id
            for task in self._store.find(sorted(named))
            if task.key.region == region
            and task.copy_id is not None
            and task.copy_id != task.key.image_id
        }

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
