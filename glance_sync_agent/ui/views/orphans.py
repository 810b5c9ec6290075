# SPDX-License-Identifier: Apache-2.0
"""Images that no agent changes until a person settles them."""

from collections.abc import Mapping
from typing import Any, Final

from glance_sync_agent.ui import wording
from glance_sync_agent.ui.api_client import ApiClient

PARAMETERS: Final = ("search", "region")
#: What a person may do with each kind. Other agents may own the unadopted ones.
_ACTIONS: Final[Mapping[str, frozenset[str]]] = {
    "doubtful": frozenset({"adopt", "disown"}),
    "orphan": frozenset({"delete", "disown"}),
}


def view(api: ApiClient, query: Mapping[str, str]) -> dict[str, Any]:
    """Return the images of one region or of all, if the user asked for a search.

    A search reads the marked images of each region, so a mere visit starts none.
    """
    region = query.get("region", "")
    is_asked = query.get("search") == "yes"
    found = api.get("orphans", region=region or None) if is_asked else {}
    rows = [_row(one) for one in found.get("orphans", ())]
    return {
        "regions": [{"name": one["region"]} for one in api.get("regions")["regions"]],
        "region": region,
        "orphans": rows,
        "none": is_asked and not rows,
        "warnings": found.get("warnings", []),
    }


def _row(image: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "key": f"{image['region']}/{image['image_id']}",
        "id": image["image_id"],
        "name": image["image_name"] or image["image_id"],
        "region": image["region"],
        "kind": image["kind"],
        "project": image["project"] or "",
        "size": wording.size(image["bytes"]),
        "source": image["source"] or "an unknown image",
        "reason": image["reason"],
        "actions": sorted(_ACTIONS.get(image["kind"], ())),
    }
