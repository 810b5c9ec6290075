# SPDX-License-Identifier: Apache-2.0
"""What the policies allow to the caller."""

from glance_sync_agent.api.calls import Answer
from glance_sync_agent.api.calls import Call


def shown(call: Call) -> Answer:
    """Show the user of the token, and the rules of the policies that allow something to it."""
    caller = call.caller
    return {
        "user_id": caller.user_id,
        "user_name": caller.user_name,
        "project_id": caller.project_id,
        "system": caller.is_system,
        "roles": sorted(caller.roles),
        "rules": call.policies.allowed(caller),
    }
