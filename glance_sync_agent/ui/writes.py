# SPDX-License-Identifier: Apache-2.0
"""What users change: each form of the page is one request to the API."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any, Final
import urllib.parse
import uuid

import falcon

from glance_sync_agent.ui import requests
from glance_sync_agent.ui.api_client import ApiClient
from glance_sync_agent.ui.parts import PageParts

Form = Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Write:
    """A form: where it is sent, and what it does."""

    path: str  # below /ui
    #: Returns what the page says then, if it is not ``done``.
    send: Callable[[ApiClient, Form], str | None]
    done: str  # what the page says then; a key of SENTENCES
    back: str  # where the browser goes then, below /ui; ids are those of the path
    keeps: tuple[str, ...] = ()  # fields of the form that are in the query then


#: A text of an address must not become a text of the page, so only these are shown.
SENTENCES: Final[Mapping[str, str]] = {
    "paused": "The region is paused.",
    "resumed": "The region is resumed.",
    "window_open": "A pause window keeps the region paused until it ends.",
    "synced": "The image is requested again.",
    "retried": "The copies are due now.",
    "cancelled": "The copies are cancelled.",
    "scanned": "An agent will run the scan.",
    "scan_cancelled": "The scan is cancelled.",
    "verified": "An agent will run the verification.",
    "verification_cancelled": "The verification is cancelled.",
    "adopted": "The image is now a copy of its source.",
    "disowned": "The image is nobody's copy now.",
    "deleted": "The orphan is deleted.",
    "retried_all": "The failed copies with this reason are due now.",
}


def _pause(api: ApiClient, form: Form) -> None:
    finishes = form.get("finish") == "yes"
    body = {"paused": True, "finish": finishes, "reason": form.get("reason", "")}
    api.change("PATCH", "regions", form.get("region", ""), body=body)


def _resume(api: ApiClient, form: Form) -> str | None:
    region = api.change("PATCH", "regions", form.get("region", ""), body={"paused": False})
    return "window_open" if region["state"] == "paused" else None


def _of_image(action: str) -> Callable[[ApiClient, Form], None]:
    def send(api: ApiClient, form: Form) -> None:
        body = {"regions": [form["region"]]} if form.get("region") else {}
        api.change("POST", "images", form["image_id"], action, body=body)

    return send


def _retry_all(api: ApiClient, form: Form) -> None:
    body = {"status": "failure", "code": form.get("code", "")}
    api.change("POST", "tasks", "retry", body=body)


def _start(name: str) -> Callable[[ApiClient, Form], None]:
    def send(api: ApiClient, form: Form) -> None:
        body: dict[str, Any] = {"dry_run": form.get("dry_run") == "yes"}
        if regions := form.get("region"):
            body["regions"] = regions.split("\n")
        if image_id := form.get("image_id"):
            body["image_id"] = str(requests.image_id(image_id))
        api.change("POST", name, body=body)

    return send


def _cancel(name: str) -> Callable[[ApiClient, Form], None]:
    def send(api: ApiClient, form: Form) -> None:
        api.change("POST", name, form["job_id"], "cancel", body={})

    return send


def _settle(action: str) -> Callable[[ApiClient, Form], None]:
    def send(api: ApiClient, form: Form) -> None:
        body = {"region": form.get("region", "")}
        api.change("POST", "images", form["image_id"], action, body=body)

    return send


def _delete_orphan(api: ApiClient, form: Form) -> None:
    api.change("DELETE", "orphans", form.get("region", ""), form["image_id"], body={})


def _settling(action: str, send: Callable[[ApiClient, Form], None], done: str) -> Write:
    return Write(
        path=f"/orphans/{{image_id}}/{action}",
        send=send,
        done=done,
        back="/orphans",
        keeps=("search", "region"),
    )


def _of_jobs(name: str, started: str, cancelled: str) -> tuple[Write, Write]:
    one = f"/{name}/{{job_id}}"
    return (
        Write(path=f"/{name}/start", send=_start(name), done=started, back=f"/{name}"),
        Write(path=f"{one}/cancel", send=_cancel(name), done=cancelled, back=one),
    )


_IMAGE: Final = "/images/{image_id}"

ALL: Final = (
    Write(path="/regions/pause", send=_pause, done="paused", back="/"),
    Write(path="/regions/resume", send=_resume, done="resumed", back="/"),
    Write(path=f"{_IMAGE}/sync", send=_of_image("sync"), done="synced", back=_IMAGE),
    Write(path=f"{_IMAGE}/retry", send=_of_image("retry"), done="retried", back=_IMAGE),
    Write(path=f"{_IMAGE}/cancel", send=_of_image("cancel"), done="cancelled", back=_IMAGE),
    *_of_jobs("scans", "scanned", "scan_cancelled"),
    *_of_jobs("verifications", "verified", "verification_cancelled"),
    _settling("adopt", _settle("adopt"), "adopted"),
    _settling("disown", _settle("disown"), "disowned"),
    _settling("delete", _delete_orphan, "deleted"),
    Write(path="/failures/retry", send=_retry_all, done="retried_all", back="/failures"),
)


class Writing:
    """Answers the form of one write."""

    def __init__(self, parts: PageParts, write: Write) -> None:
        self._parts = parts
        self._write = write

    def on_post(
        self, request: falcon.Request, _response: falcon.Response, **path: uuid.UUID
    ) -> None:
        """Send it, and show the page that it was on."""
        session, client = requests.logged_in(request, self._parts)
        named: dict[str, Any] = {name: str(value) for name, value in path.items()}
        form = {**requests.form(request, session), **named}
        done = self._write.send(client, form) or self._write.done
        back = self._write.back.format(**named)
        kept = {name: form[name] for name in self._write.keeps if name in form}
        query = urllib.parse.urlencode({**kept, "done": done}, errors="replace")
        raise falcon.HTTPSeeOther(f"{requests.root(request)}{back}?{query}")
