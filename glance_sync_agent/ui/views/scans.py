# SPDX-License-Identifier: Apache-2.0
"""The scans that people asked for, and the plan of each."""

from collections.abc import Mapping
from typing import Any

from glance_sync_agent.ui.api_client import ApiClient
from glance_sync_agent.ui.views import jobs


def listed(api: ApiClient, _query: Mapping[str, str]) -> dict[str, Any]:
    """Return the newest scans."""
    return jobs.listed(api, "scans", _kind)


def one_scan(api: ApiClient, query: Mapping[str, str]) -> dict[str, Any]:
    """Return one scan with a page of its plan."""
    return jobs.one_job(api, "scans", _kind, query)


def _kind(scan: Mapping[str, Any]) -> str:
    return "plan only" if scan["dry_run"] else "requests the differences"
