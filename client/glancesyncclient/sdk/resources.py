# SPDX-License-Identifier: Apache-2.0
"""What the service answers, as resources of openstacksdk. Times are ISO 8601, UTC."""

from openstack import resource


class Image(resource.Resource):
    """An image, and its copy in each region."""

    base_path = "/images"
    resources_key = "images"
    allow_fetch = True
    allow_list = True
    _query_mapping = resource.QueryParameters(
        "region", "status", "code", "name", "since", "sort"
    )

    name = resource.Body("name")
    #: A task for each region, as the API describes it.
    regions = resource.Body("regions", type=list)


class Region(resource.Resource):
    """A region, and the tasks of its copies."""

    base_path = "/regions"
    resources_key = "regions"
    allow_fetch = True
    allow_list = True

    name = resource.Body("region", alternate_id=True)
    state = resource.Body("state")
    paused_until = resource.Body("paused_until")
    pending = resource.Body("pending", type=int)
    processing = resource.Body("processing", type=int)
    success = resource.Body("success", type=int)
    failure = resource.Body("failure", type=int)
    late = resource.Body("late", type=int)
    waiting_bytes = resource.Body("waiting_bytes", type=int)
    oldest_asked_at = resource.Body("oldest_asked_at")
    lag_seconds = resource.Body("lag_seconds", type=int)
    why = resource.Body("why")


class Agent(resource.Resource):
    """An agent, and what it reported last."""

    base_path = "/agents"
    resources_key = "agents"
    allow_list = True

    agent_id = resource.Body("agent_id", alternate_id=True)
    host = resource.Body("host")
    version = resource.Body("version")
    state = resource.Body("state")
    running = resource.Body("running", type=int)
    waits_for = resource.Body("waits_for")
    started_at = resource.Body("started_at")
    seen_at = resource.Body("seen_at")
    heard_at = resource.Body("heard_at")
    scanned_at = resource.Body("scanned_at")
    scanned_changes_at = resource.Body("scanned_changes_at")


class Event(resource.Resource):
    """What was done, what failed, or what a person asked for."""

    base_path = "/events"
    resources_key = "events"
    allow_list = True
    _query_mapping = resource.QueryParameters("image_id", "region", "kind")

    number = resource.Body("number", type=int, alternate_id=True)
    at = resource.Body("at")
    kind = resource.Body("kind")
    by = resource.Body("by")
    image_id = resource.Body("image_id")
    region = resource.Body("region")
    code = resource.Body("code")
    text = resource.Body("text")
    size = resource.Body("bytes", type=int)
    seconds = resource.Body("seconds", type=float)
    copy_id = resource.Body("copy_id")
    request_id = resource.Body("request_id")
    owner = resource.Body("owner")
    hash = resource.Body("hash")
    proof = resource.Body("proof")


class Scan(resource.Resource):
    """A scan that somebody asked for."""

    base_path = "/scans"
    resources_key = "scans"
    allow_fetch = True
    allow_list = True

    #: waiting, running, done, failed or cancelled.
    state = resource.Body("state")
    dry_run = resource.Body("dry_run", type=bool)
    regions = resource.Body("regions", type=list)
    allow_deletes = resource.Body("allow_deletes", type=int)
    asked_at = resource.Body("asked_at")
    asked_by = resource.Body("asked_by")
    started_at = resource.Body("started_at")
    ended_at = resource.Body("ended_at")
    agent_id = resource.Body("agent_id")
    #: Numbers by what they count.
    counts = resource.Body("counts", type=dict)
    notes = resource.Body("notes", type=list)
