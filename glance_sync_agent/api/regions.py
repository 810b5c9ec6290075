# SPDX-License-Identifier: Apache-2.0
"""Requests about regions."""

import falcon

from glance_sync_agent.api.calls import Answer
from glance_sync_agent.api.calls import Call
from glance_sync_agent.domain import images
from glance_sync_agent.engine.reports import region_reports
from glance_sync_agent.engine.reports import summaries
from glance_sync_agent.engine.reports import times
from glance_sync_agent.engine.reports.region_states import RegionStates


def _states(call: Call) -> RegionStates:
    shared = call.parts.engine.shared
    return RegionStates.read(shared.outside.breakers, shared.current_pauses)


def summary(call: Call) -> Answer:
    """Show the state of all regions and agents, and what is wrong."""
    outside = call.parts.outside
    return summaries.summary(
        call.parts.counts.read(), _states(call), outside.agents, outside.clock.now()
    ).fields()


def listed(call: Call) -> Answer:
    """List the regions with their tasks and their state."""
    counted, states = call.parts.counts.read(), _states(call)
    now = call.parts.outside.clock.now()
    known = sorted({*region_reports.names(counted, states), *_catalogue(call)})
    return {
        "counted_at": times.text(counted.at),
        "regions": [region_reports.fields(one, counted, states, now) for one in known],
    }


def shown(call: Call) -> Answer:
    """Show one region."""
    counted, states = call.parts.counts.read(), _states(call)
    region = images.RegionId(call.path["region"])
    if region not in {*region_reports.names(counted, states), *_catalogue(call)}:
        raise falcon.HTTPNotFound(description="there is no region with this name")
    return region_reports.fields(region, counted, states, call.parts.outside.clock.now())


def changed(call: Call) -> Answer:
    """Pause a region, or resume it."""
    shown(call)  # it must exist
    region, asked = images.RegionId(call.path["region"]), call.caller.asks()
    steering = call.parts.engine.shared.steering
    if call.body["paused"]:
        if "reason" not in call.body:
            raise falcon.HTTPBadRequest(description="a pause needs a reason")
        steering.pause(
            region, asked, reason=call.body["reason"], finishes=call.body.get("finish", False)
        )
    else:
        steering.resume(region, asked)
    return shown(call)


def _catalogue(call: Call) -> frozenset[images.RegionId]:
    """Return the regions that can have copies."""
    catalogue = call.parts.outside.catalogue
    return catalogue.regions() - {catalogue.cascading}
