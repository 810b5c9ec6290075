# SPDX-License-Identifier: Apache-2.0
"""The table of all requests that the API answers."""

from typing import Final

from glance_sync_agent.api import fleet
from glance_sync_agent.api import images
from glance_sync_agent.api import job_operations
from glance_sync_agent.api import marked
from glance_sync_agent.api import policies
from glance_sync_agent.api import regions
from glance_sync_agent.api import rights
from glance_sync_agent.api import schemas
from glance_sync_agent.api.calls import Inputs
from glance_sync_agent.api.operation import Operation

_FILTERS: Final = {
    "region": schemas.REGION,
    "status": schemas.STATUS,
    "code": schemas.CODE,
    "name": schemas.NAME,
    "since": schemas.SINCE,
}
_ONE_REGION: Final = Inputs(body={"region": schemas.REGION}, required=("region",))
_SOME_REGIONS: Final = Inputs(body={"regions": schemas.REGIONS})

ALL: Final = (
    Operation(
        name="list_images",
        method="GET",
        path="/v1/images",
        handler=images.listed,
        rule=policies.READ_IMAGES,
        answer="Images",
        inputs=Inputs(
            query={
                **_FILTERS,
                "limit": schemas.LIMIT,
                "marker": schemas.IMAGE_ID,
                "sort": schemas.SORT,
            }
        ),
    ),
    Operation(
        name="show_image",
        method="GET",
        path="/v1/images/{image_id}",
        handler=images.shown,
        rule=None,
        answer="Image",
        asks_regions=True,
    ),
    Operation(
        name="show_placement",
        method="GET",
        path="/v1/images/{image_id}/placement",
        handler=images.placement,
        rule=None,
        answer="Placement",
        asks_regions=True,
    ),
    Operation(
        name="sync_image",
        method="POST",
        path="/v1/images/{image_id}/sync",
        handler=images.sync,
        rule=policies.CHANGE_IMAGES,
        answer="Requested",
        status=202,
        inputs=_SOME_REGIONS,
    ),
    Operation(
        name="retry_image",
        method="POST",
        path="/v1/images/{image_id}/retry",
        handler=images.retry,
        rule=policies.CHANGE_IMAGES,
        answer="Requested",
        status=202,
        inputs=_SOME_REGIONS,
    ),
    Operation(
        name="cancel_image",
        method="POST",
        path="/v1/images/{image_id}/cancel",
        handler=images.cancel,
        rule=policies.CHANGE_IMAGES,
        answer="Requested",
        status=202,
        inputs=_SOME_REGIONS,
    ),
    Operation(
        name="release_image",
        method="POST",
        path="/v1/images/{image_id}/release",
        handler=marked.release,
        rule=policies.CHANGE_IMAGES,
        answer="Requested",
        status=202,
        inputs=_ONE_REGION,
    ),
    Operation(
        name="adopt_image",
        method="POST",
        path="/v1/images/{image_id}/adopt",
        handler=marked.adopt,
        rule=policies.CHANGE_IMAGES,
        answer="Settled",
        inputs=_ONE_REGION,
        asks_regions=True,
    ),
    Operation(
        name="disown_image",
        method="POST",
        path="/v1/images/{image_id}/disown",
        handler=marked.disown,
        rule=policies.CHANGE_IMAGES,
        answer="Settled",
        inputs=_ONE_REGION,
        asks_regions=True,
    ),
    Operation(
        name="list_orphans",
        method="GET",
        path="/v1/orphans",
        handler=marked.listed,
        rule=policies.READ_IMAGES,
        answer="Orphans",
        inputs=Inputs(query={"region": schemas.REGION}),
        asks_regions=True,
    ),
    Operation(
        name="delete_orphan",
        method="DELETE",
        path="/v1/orphans/{region}/{image_id}",
        handler=marked.delete,
        rule=policies.CHANGE_IMAGES,
        answer="Orphan",
        asks_regions=True,
    ),
    Operation(
        name="retry_tasks",
        method="POST",
        path="/v1/tasks/retry",
        handler=images.retry_all,
        rule=policies.CHANGE_IMAGES,
        answer="Retried",
        status=202,
        inputs=Inputs(body=_FILTERS),
    ),
    Operation(
        name="list_regions",
        method="GET",
        path="/v1/regions",
        handler=regions.listed,
        rule=policies.READ_REGIONS,
        answer="Regions",
    ),
    Operation(
        name="show_region",
        method="GET",
        path="/v1/regions/{region}",
        handler=regions.shown,
        rule=policies.READ_REGIONS,
        answer="Region",
    ),
    Operation(
        name="change_region",
        method="PATCH",
        path="/v1/regions/{region}",
        handler=regions.changed,
        rule=policies.CHANGE_REGIONS,
        answer="Region",
        inputs=Inputs(
            body={
                "paused": schemas.FLAG,
                "reason": schemas.REASON,
                "finish": schemas.FLAG,
            },
            required=("paused",),
        ),
    ),
    Operation(
        name="show_summary",
        method="GET",
        path="/v1/summary",
        handler=regions.summary,
        rule=policies.READ_REGIONS,
        answer="Summary",
    ),
    Operation(
        name="list_agents",
        method="GET",
        path="/v1/agents",
        handler=fleet.agents,
        rule=policies.READ_AGENTS,
        answer="Agents",
    ),
    Operation(
        name="list_events",
        method="GET",
        path="/v1/events",
        handler=fleet.events,
        rule=policies.READ_EVENTS,
        answer="Events",
        inputs=Inputs(
            query={
                "image_id": schemas.IMAGE_ID,
                "region": schemas.REGION,
                "kind": schemas.KIND,
                "limit": schemas.LIMIT,
                "marker": schemas.NUMBER,
            }
        ),
    ),
    Operation(
        name="show_caller",
        method="GET",
        path="/v1/caller",
        handler=rights.shown,
        rule=None,
        answer="Caller",
    ),
    *job_operations.ALL,
)
