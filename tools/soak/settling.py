# SPDX-License-Identifier: Apache-2.0
"""What users and operators would do after the last fault, so that everything can converge."""

from collections.abc import Mapping
import contextlib
from typing import Any

from glanceclient import exc as glance_exc

from glance_sync_agent.domain.codes import Code
from tests import marks
from tests.functional import convergence
from tests.functional import people as users
from tools.soak import operations
from tools.soak import stage as stages
from tools.soak import weights


def settle(stage: stages.Stage, people: users.People, then: convergence.Before) -> None:
    """Finish or remove what was left half done, and undo what stops the agents.

    :param then: the images of others, which stay.
    """
    admin = people.client(user="admin").images
    sources = {one["id"]: one for one in people.listed(people.cascading)}
    for image_id, record in sources.items():
        if record["status"] not in stages.DONE:
            stage.events.note("judge", f"removes {image_id}: {record['status']}")
            operations.User(stage, "alice").delete(image_id)
    for region in weights.REGIONS:
        _remove_unfinished(stage, people, region, then.records[region])
    # No agent can replace a copy if its source is deactivated.
    for image_id in set(stage.damaged.values()) & set(sources):
        if sources[image_id]["status"] == "deactivated":
            admin.reactivate(image_id)
    stage.events.note("judge", f"allows deletions: {stage.allow_deletions()}")
    # The agents never activate a held copy.
    for region, image_id in stage.held:
        # If it was deleted meanwhile, Glance answers with either error.
        with contextlib.suppress(glance_exc.HTTPNotFound, glance_exc.HTTPForbidden):
            people.client(region, "admin").images.reactivate(image_id)


def _remove_unfinished(
    stage: stages.Stage, people: users.People, region: str, others: Mapping[str, Any]
) -> None:
    """Delete images that users could not finish."""
    for record in people.listed(region):
        key = region, record["id"]
        is_copy = marks.source_of(record, region) is not None
        if key in stage.theirs or record["id"] in others:
            continue
        if record["status"] == "deleted":
            continue  # Glance died during the deletion, and now refuses every other one
        if key in stage.forged or not is_copy:
            stage.events.note("judge", f"removes {key}: {record['status']}")
            _delete(people, region, record)


def settle_conflicts(stage: stages.Stage, people: users.People) -> None:
    """Settle as an operator what no agent may decide: images without a proof."""
    rows = stage.agents[0].tasks()
    known = {(str(one.key.region), str(one.copy_id)): one for one in rows}
    sources = {one["id"] for one in people.listed(people.cascading)}
    for region in weights.REGIONS:
        for record in people.listed(region):
            key = region, record["id"]
            source_id = marks.source_id(record, region)
            if source_id is None or source_id in sources or key in stage.theirs:
                continue
            task = known.get(key)
            if task is None:
                done = stage.delete_orphan(*key)
            elif task.code is Code.CONFLICT:
                _delete(people, region, record)
                done = f"in its Glance, and retries: {stage.retry(source_id, region)}"
            else:
                continue
            stage.events.note("operator", f"deletes {key}, whose source is gone: {done}")


def _delete(people: users.People, region: str, record: Mapping[str, Any]) -> None:
    client = people.client(region, "admin").images
    if record["protected"]:
        client.update(record["id"], protected=False)
    client.delete(record["id"])
