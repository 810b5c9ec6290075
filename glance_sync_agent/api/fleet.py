# SPDX-License-Identifier: Apache-2.0
"""Requests about the agents and about what happened."""

from glance_sync_agent.api.calls import Answer
from glance_sync_agent.api.calls import Call
from glance_sync_agent.domain import history
from glance_sync_agent.domain import images
from glance_sync_agent.engine.reports import agent_reports
from glance_sync_agent.engine.reports import event_reports

_LIMIT = 100


def agents(call: Call) -> Answer:
    """List the agents."""
    now = call.parts.outside.clock.now()
    return {"agents": [agent_reports.fields(one, now) for one in call.parts.outside.agents.all()]}


def events(call: Call) -> Answer:
    """List what was done, what failed, and what people asked for, the newest first."""
    limit = call.query.get("limit", _LIMIT)
    image_id, region, kind = (call.query.get(name) for name in ("image_id", "region", "kind"))
    found = call.parts.outside.history.newest(
        limit,
        history.Filter(
            image_id=None if image_id is None else images.ImageId(image_id.lower()),
            region=None if region is None else images.RegionId(region),
            kind=None if kind is None else history.Kind(kind),
            before=call.query.get("marker"),
        ),
    )
    following = None
    if len(found) == limit:
        following = call.page_after("/v1/events", found[-1].number)
    return {"events": [event_reports.fields(one) for one in found], "next": following}
