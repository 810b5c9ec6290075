# SPDX-License-Identifier: Apache-2.0
"""Requests about images that no agent changes until a person settles them."""

import falcon

from glance_sync_agent import errors
from glance_sync_agent.api.calls import Answer
from glance_sync_agent.api.calls import Call
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine.marks.census import MarkKind
from glance_sync_agent.engine.reports import marked_reports

_SETTLED_BY_HAND = frozenset({MarkKind.DOUBTFUL, MarkKind.ORPHAN, MarkKind.UNADOPTED})


def listed(call: Call) -> Answer:
    """List orphans and doubtful images, region by region."""
    region = call.query.get("region")
    regions = call.parts.outside.catalogue.regions()
    chosen = sorted(regions) if region is None else [_region(call, region)]
    found: list[Answer] = []
    warnings: list[str] = []
    for one in chosen:
        try:
            found += [
                marked_reports.fields(each.image, each.kind.value, each.reason)
                for each in call.parts.engine.scans.census.find(one)
                if each.kind in _SETTLED_BY_HAND
            ]
        except errors.SyncError as exc:
            warnings.append(f"region {one} was not searched: {exc}")
    return {"orphans": found, "warnings": warnings}


def adopt(call: Call) -> Answer:
    """Accept a doubtful image as the copy that its mark names."""
    region, image_id = _named(call)
    source = call.parts.engine.scans.settling.adopt(region, image_id, call.caller.asks())
    return _settled(image_id, region, source)


def disown(call: Call) -> Answer:
    """Remove the mark of an image, so that it is no copy."""
    region, image_id = _named(call)
    source = call.parts.engine.scans.settling.disown(region, image_id, call.caller.asks())
    return _settled(image_id, region, source)


def delete(call: Call) -> Answer:
    """Delete a copy without a task whose source is gone."""
    region = _region(call, call.path["region"])
    image_id = images.ImageId(call.path["image_id"])
    settling = call.parts.engine.scans.settling
    image = settling.delete_orphan(region, image_id, call.caller.asks())
    return marked_reports.fields(image, MarkKind.ORPHAN.value, "deleted")


def release(call: Call) -> Answer:
    """Let the agent activate a copy that another user deactivated in its region."""
    region, image_id = _named(call)
    key = tasks.TaskKey(image_id=image_id, region=region)
    if not call.parts.engine.shared.steering.release(key, call.caller.asks()):
        raise falcon.HTTPNotFound(description=f"no task knows a copy of {key}")
    return {"image_id": image_id, "regions": [region]}


def _named(call: Call) -> tuple[images.RegionId, images.ImageId]:
    return _region(call, call.body["region"]), images.ImageId(call.path["image_id"])


def _region(call: Call, name: str) -> images.RegionId:
    known = call.parts.outside.catalogue.regions()
    if name not in known:
        raise falcon.HTTPBadRequest(
            description=f"there is no region with this name; the regions are "
            f"{', '.join(sorted(known))}"
        )
    return images.RegionId(name)


def _settled(
    image_id: images.ImageId, region: images.RegionId, source: images.SourceKey
) -> Answer:
    return {
        "image_id": image_id,
        "region": region,
        "source_id": source.image_id,
        "source_region": source.region,
    }
