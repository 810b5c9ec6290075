# SPDX-License-Identifier: Apache-2.0
"""Requests about images and their copies."""

from collections.abc import Sequence, Set
import dataclasses
import datetime
from typing import Any

import falcon

from glance_sync_agent import errors
from glance_sync_agent.api import policies
from glance_sync_agent.api.calls import Answer
from glance_sync_agent.api.calls import Call
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import batches
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.reports import placement_reports
from glance_sync_agent.engine.reports import task_reports
from glance_sync_agent.engine.reports.region_states import RegionStates

_LIMIT = 100
#: A page ends before ``limit`` if it has so many tasks already: one of 1000 images in 40 regions
#: would take 20 MB, and seconds.
_MOST_TASKS = 4_000
_IMAGES_AT_ONCE = 20


def listed(call: Call) -> Answer:
    """List images with their state in each region."""
    limit = call.query.get("limit", _LIMIT)
    store = call.parts.outside.store
    marker = call.query.get("marker")
    page = ports.Page(
        limit=limit,
        after=None if marker is None else images.ImageId(marker.lower()),
        descending=call.query.get("sort") == "id:desc",
    )
    found = store.page(_filter(call.query), page)
    view = _view(call)
    shown: list[Answer] = []
    task_count = 0
    for some in batches.of(found, _IMAGES_AT_ONCE):
        by_image: dict[images.ImageId, list[tasks.Task]] = {one: [] for one in some}
        for task in store.find(some):
            by_image[task.key.image_id].append(task)
            task_count += 1
        shown += [_image(one, of_it, view) for one, of_it in by_image.items()]
        if task_count >= _MOST_TASKS:
            break
    is_last = len(shown) == len(found) < limit
    following = None if is_last else call.page_after("/v1/images", shown[-1]["id"])
    return {"images": shown, "next": following}


def _filter(values: Any) -> ports.TaskFilter:
    region, status, code = values.get("region"), values.get("status"), values.get("code")
    if code == Code.REGION_PAUSED:
        raise falcon.HTTPBadRequest(
            description=f"code: {code} is shown for the waiting tasks of a paused region, and not "
            "kept; filter by the region and the status pending"
        )
    return ports.TaskFilter(
        region=None if region is None else images.RegionId(region),
        status=None if status is None else tasks.TaskStatus(status),
        code=None if code is None else Code(code),
        image_name=values.get("name"),
        since=_time(values.get("since")),
    )


def _time(text: str | None) -> datetime.datetime | None:
    if text is None:
        return None
    try:
        found = datetime.datetime.fromisoformat(text)
        aware = found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
        return aware.astimezone(datetime.UTC)
    except (ValueError, OverflowError) as exc:
        raise falcon.HTTPBadRequest(
            description="since: a time looks like 2026-11-22T08:00:00Z"
        ) from exc


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    """What all images of an answer are shown with."""

    states: RegionStates
    now: datetime.datetime
    is_for_operator: bool


def _view(call: Call) -> _View:
    outside = call.parts.outside
    return _View(
        states=RegionStates.read(outside.breakers, call.parts.engine.shared.current_pauses),
        now=outside.clock.now(),
        is_for_operator=_is_operator(call),
    )


def _image(image_id: images.ImageId, found: Sequence[tasks.Task], view: _View) -> Answer:
    names = [task.image_name for task in found if task.image_name is not None]
    regions = [task_reports.fields(task, view.states, view.now) for task in found]
    if not view.is_for_operator:
        # The text may name hosts and operators; the code says enough.
        regions = [{**one, "reason": ""} for one in regions]
    return {"id": image_id, "name": names[0] if names else None, "regions": regions}


def _is_operator(call: Call) -> bool:
    return call.policies.allows(call.caller, policies.READ_IMAGES)


def shown(call: Call) -> Answer:
    """Show an image and its copy in each region."""
    image_id = _visible(call)
    found = call.parts.outside.store.find([image_id])
    if not _is_operator(call):
        sources = _sources_of_visible(call, found)
        found = [task for task in found if task.source_region in sources]
    if not found:
        raise _unknown(image_id)
    return _image(image_id, found, _view(call))


def _sources_of_visible(
    call: Call, found: Sequence[tasks.Task]
) -> Set[images.RegionId | None]:
    """Return the regions of the sources that an image of the cascading region stands for.

    Glance lets users choose ids, so a snapshot of somebody else elsewhere may have the same one.
    The image is the source (None), or a copy of a snapshot, if a task knows it.

    :param found: the tasks of the id.
    """
    cascading = call.parts.outside.catalogue.cascading
    copies = [task for task in found if task.key.region == cascading]
    known = {task.source_region for task in copies if task.copy_id == task.key.image_id}
    return {None, *known}


def placement(call: Call) -> Answer:
    """Show where an image belongs, and what said so."""
    image_id = _visible(call)
    warnings: list[str] = []
    shared = call.parts.engine.shared
    try:
        found = placement_reports.find(
            call.parts.outside.regions, call.parts.outside.catalogue, image_id, warnings.append
        )
    except placement_reports.NoSource as exc:
        raise _unknown(image_id) from exc
    cascading = call.parts.outside.catalogue.cascading
    if found.region != cascading and not _is_operator(call):
        known = call.parts.outside.store.find([image_id])
        if found.region not in _sources_of_visible(call, known):
            raise _unknown(image_id)
    source = shared.remote_sources.join(found)
    rows = list(placement_reports.rows(source, shared.targets.placements(source)))
    if not _is_operator(call):
        warnings = [one.partition(":")[0] for one in warnings]
        if source.remote is not None:
            # The reason may name a host, or an image and a project of somebody else.
            rows = [{**row, "why": ""} for row in rows]
    return {
        "placement": [{**row, "wanted": row["wanted"] == "yes"} for row in rows],
        "warnings": warnings,
    }


def sync(call: Call) -> Answer:
    """Request an image again, whatever its state."""
    image_id, regions = _image_id(call), _regions(call)
    try:
        found = call.parts.engine.shared.steering.sync(image_id, regions, call.caller.asks())
    except errors.UnknownRegion as exc:
        raise falcon.HTTPBadRequest(description=str(exc)) from exc
    return {"image_id": image_id, "regions": list(found)}


def retry(call: Call) -> Answer:
    """Make the failed and the waiting tasks of an image due now."""
    image_id, regions = _known(call), _regions(call)
    found = call.parts.engine.shared.steering.retry(image_id, regions, call.caller.asks())
    return {"image_id": image_id, "regions": list(found)}


def cancel(call: Call) -> Answer:
    """Cancel the tasks of an image that are not done."""
    image_id, regions = _known(call), _regions(call)
    found = call.parts.engine.shared.steering.cancel(image_id, regions, call.caller.asks())
    return {"image_id": image_id, "regions": list(found)}


def retry_all(call: Call) -> Answer:
    """Make all failed tasks due now that match a filter."""
    # A code may be that of tasks that wait.
    default = {} if "code" in call.body else {"status": tasks.TaskStatus.FAILURE.value}
    wanted = _filter({**default, **call.body})
    count = call.parts.engine.shared.steering.retry_all(wanted, call.caller.asks())
    return {"tasks": count}


def _image_id(call: Call) -> images.ImageId:
    return images.ImageId(call.path["image_id"])


def _known(call: Call) -> images.ImageId:
    """Return the image of a path, which must have a task."""
    image_id = _image_id(call)
    if not call.parts.outside.store.find([image_id]):
        raise _unknown(image_id)
    return image_id


def _visible(call: Call) -> images.ImageId:
    """Return the image of a path, if the caller may see it.

    Whoever may see it in the cascading Glance may see its state here.
    """
    image_id = _image_id(call)
    if _is_operator(call) or call.parts.may_see(call.caller.token, image_id):
        return image_id
    raise _unknown(image_id)


def _regions(call: Call) -> Sequence[images.RegionId] | None:
    """Return the regions of a body, which must be in the catalogue; None: all."""
    if "regions" not in call.body:
        return None
    catalogue = call.parts.outside.catalogue
    known = catalogue.regions() - {catalogue.cascading}
    if unknown := sorted(set(call.body["regions"]) - known):
        raise falcon.HTTPBadRequest(
            description=f"no region to copy to: {', '.join(unknown)}; the regions are "
            f"{', '.join(sorted(known))}"
        )
    return [images.RegionId(one) for one in call.body["regions"]]


def _unknown(image_id: images.ImageId) -> falcon.HTTPNotFound:
    return falcon.HTTPNotFound(
        description=f"image {image_id} has no task, or you may not see it"
    )
