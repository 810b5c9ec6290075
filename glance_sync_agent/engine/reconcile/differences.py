# SPDX-License-Identifier: Apache-2.0
"""Differences between sources and their copies, and the tasks that they become."""

from collections.abc import Callable, Sequence
import dataclasses

from glance_sync_agent.domain import images
from glance_sync_agent.domain import steps
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine.reconcile.pairs import Pair
from glance_sync_agent.engine.requests import TaskRequests


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What a scan found to do about an image in a region."""

    image_id: images.ImageId
    image_name: str | None
    region: images.RegionId
    step: steps.Step
    source_region: images.RegionId | None = None  # None: the cascading one
    may_delete: bool = False  # the source is gone, or the strategy removes the copy
    is_source_there: bool = False
    size: int | None = None  # of the source, in bytes; None: unknown
    project: str | None = None  # that owns the source; None: unknown


#: Takes differences; returns how many tasks it requested.
Receiver = Callable[[Sequence[Difference]], int]


def requesting(requests: TaskRequests) -> Receiver:
    """Return what requests a task for each difference, those of a region in one commit."""

    def request(found: Sequence[Difference]) -> int:
        alike: dict[
            tuple[images.RegionId, bool, bool, images.RegionId | None], list[images.ImageId]
        ] = {}
        for one in found:
            is_unwanted = one.may_delete and one.is_source_there
            is_gone = one.may_delete and not one.is_source_there
            kind = one.region, is_gone, is_unwanted, one.source_region
            alike.setdefault(kind, []).append(one.image_id)
        projects = {one.image_id: one.project for one in found if one.project is not None}
        return sum(
            requests.request_in(
                region,
                image_ids,
                may_delete=is_gone,
                may_delete_unwanted=is_unwanted,
                source_region=source_region,
                projects=projects,
            )
            for (region, is_gone, is_unwanted, source_region), image_ids in alike.items()
        )

    return request


def of_pair(
    pair: Pair, region: images.RegionId, step: steps.Step, *, may_delete: bool = False
) -> Difference:
    """Return a difference between a source and its copy."""
    source = pair.source
    return Difference(
        image_id=source.image_id,
        image_name=source.metadata.name,
        region=region,
        step=step,
        source_region=pair.source_region,
        may_delete=may_delete,
        is_source_there=True,
        size=source.size,
        project=source.metadata.owner,
    )


def of_task(row: tasks.Task, step: steps.Step, *, may_delete: bool = False) -> Difference:
    """Return a difference that a task itself shows."""
    return Difference(
        image_id=row.key.image_id,
        image_name=row.image_name,
        region=row.key.region,
        step=step,
        source_region=row.source_region,
        may_delete=may_delete,
    )
