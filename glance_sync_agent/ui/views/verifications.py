# SPDX-License-Identifier: Apache-2.0
"""The verifications that people asked for, and the verdicts of each."""

from collections.abc import Mapping
from typing import Any

from glance_sync_agent.ui.api_client import ApiClient
from glance_sync_agent.ui.views import jobs


def listed(api: ApiClient, _query: Mapping[str, str]) -> dict[str, Any]:
    """Return the newest verifications."""
    return jobs.listed(api, "verifications", _kind)


def one_verification(api: ApiClient, query: Mapping[str, str]) -> dict[str, Any]:
    """Return one verification with a page of its verdicts."""
    return jobs.one_job(api, "verifications", _kind, query)


def _kind(verification: Mapping[str, Any]) -> str:
    if verification["dry_run"]:
        return "report only"
    many = ", however many" if verification["replace_all"] else ""
    return f"replaces bad copies{many}"
