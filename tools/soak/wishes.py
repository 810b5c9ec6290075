# SPDX-License-Identifier: Apache-2.0
"""What operators want, as requests of the API and as commands; pure."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

_REASON = "the soak"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """One request, and the command that does the same."""

    method: str
    path: str
    body: Mapping[str, Any]
    words: Sequence[str] = ()  # of glance-sync; empty: there is no such command


def pause(region: str, *, is_finishing: bool) -> Wish:
    """Pause a region; running transfers stop, unless they may finish."""
    finish = ["--finish"] if is_finishing else []
    return Wish(
        method="PATCH", path=f"/v1/regions/{region}",
        body={"paused": True, "reason": _REASON, "finish": is_finishing},
        words=["pause", region, "--reason", _REASON, *finish],
    )


def resume(region: str) -> Wish:
    """End the pause of a region."""
    return Wish(
        method="PATCH", path=f"/v1/regions/{region}", body={"paused": False},
        words=["resume", region],
    )


def task(verb: str, region: str, image_id: str) -> Wish:
    """Cancel, retry or sync an image in one region."""
    return Wish(
        method="POST", path=f"/v1/images/{image_id}/{verb}", body={"regions": [region]},
        words=[verb, image_id, "--region", region],
    )


def plan_scan(region: str) -> Wish:
    """Plan a scan of a region."""
    return Wish(method="POST", path="/v1/scans", body={"dry_run": True, "regions": [region]})


def cancel_scan(scan_id: str) -> Wish:
    """End a scan."""
    return Wish(method="POST", path=f"/v1/scans/{scan_id}/cancel", body={})
