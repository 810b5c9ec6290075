# SPDX-License-Identifier: Apache-2.0
"""The matrix: images by region, with filters and pages."""

from collections.abc import Mapping
from typing import Any, Final
import urllib.parse

from glance_sync_agent.ui.api_client import ApiClient
from glance_sync_agent.ui.views import cells

#: What the filters of the page may be; the API has more.
FILTERS: Final = ("name", "region", "status", "code")
PARAMETERS: Final = (*FILTERS, "marker")
_PER_PAGE: Final = 50


def view(api: ApiClient, query: Mapping[str, str]) -> dict[str, Any]:
    """Return one page of the matrix."""
    asked = {name: query[name] for name in PARAMETERS if query.get(name)}
    regions = [one["region"] for one in api.get("regions")["regions"]]
    found = api.get("images", limit=_PER_PAGE, **asked)
    rows = found["images"]
    columns = sorted({*regions, *(task["region"] for row in rows for task in row["regions"])})
    filters = {name: asked.get(name, "") for name in FILTERS}
    following = rows[-1]["id"] if found["next"] is not None else None
    return {
        "regions": [{"key": one, "name": one} for one in columns],
        "images": [_row(row, columns) for row in rows],
        "any": bool(rows),
        "filters": filters,
        "first": _address(filters) if "marker" in asked else None,
        "next": None if following is None else _address({**filters, "marker": following}),
    }


def _row(row: Mapping[str, Any], columns: list[str]) -> dict[str, Any]:
    known = {task["region"]: cells.cell(task) for task in row["regions"]}
    return {
        "key": row["id"],
        "href": f"images/{row['id']}",
        "name": row["name"] or row["id"],
        "cells": [known.get(one) or _nothing(one) for one in columns],
    }


def _nothing(region: str) -> dict[str, Any]:
    return {
        "key": region,
        "region": region,
        "state": "none",
        "symbol": cells.SYMBOLS["none"],
        "word": "not requested",
        "share": None,
        "progress": "",
    }


def _address(query: Mapping[str, str]) -> str:
    used = {name: value for name, value in query.items() if value}
    return f"images?{urllib.parse.urlencode(used, errors='replace')}" if used else "images"
