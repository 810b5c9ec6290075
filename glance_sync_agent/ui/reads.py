# SPDX-License-Identifier: Apache-2.0
"""What users look at: each view is a page, and JSON for the module in the browser."""

from collections.abc import Callable, Mapping
import dataclasses
import json
from typing import Any, Final
import uuid

import falcon

from glance_sync_agent.ui import answers
from glance_sync_agent.ui import requests
from glance_sync_agent.ui import writes
from glance_sync_agent.ui.api_client import ApiClient
from glance_sync_agent.ui.parts import PageParts
from glance_sync_agent.ui.views import agents
from glance_sync_agent.ui.views import failures
from glance_sync_agent.ui.views import image
from glance_sync_agent.ui.views import jobs
from glance_sync_agent.ui.views import matrix
from glance_sync_agent.ui.views import orphans
from glance_sync_agent.ui.views import overview
from glance_sync_agent.ui.views import scans
from glance_sync_agent.ui.views import verifications

Build = Callable[[ApiClient, Mapping[str, str]], dict[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One thing to look at."""

    path: str  # below /ui
    template: str
    live: Build  # what may change meanwhile
    whole: Build | None = None  # what the page has at first; None: no more than that
    every: int | None  # seconds between two questions of the browser; None: it asks once
    parameters: tuple[str, ...] = ()  # of the query


ALL: Final = (
    View(path="/", template="overview.html", live=overview.view, every=3),
    View(
        path="/images",
        template="matrix.html",
        live=matrix.view,
        every=2,
        parameters=matrix.PARAMETERS,
    ),
    View(
        path="/images/{image_id:uuid}",
        template="image.html",
        live=image.view,
        whole=image.with_placement,
        every=2,
    ),
    View(path="/failures", template="failures.html", live=failures.view, every=10),
    View(path="/scans", template="scans.html", live=scans.listed, every=3),
    View(
        path="/scans/{job_id:uuid}",
        template="scan.html",
        live=scans.one_scan,
        every=3,
        parameters=jobs.PARAMETERS,
    ),
    View(
        path="/verifications", template="verifications.html", live=verifications.listed, every=3
    ),
    View(
        path="/verifications/{job_id:uuid}",
        template="verification.html",
        live=verifications.one_verification,
        every=3,
        parameters=jobs.PARAMETERS,
    ),
    View(
        path="/orphans",
        template="orphans.html",
        live=orphans.view,
        every=None,  # each answer reads the marked images of regions
        parameters=orphans.PARAMETERS,
    ),
    View(path="/agents", template="agents.html", live=agents.view, every=5),
)


class Reading:
    """Answers with the page of a view."""

    def __init__(self, parts: PageParts, view: View) -> None:
        self._parts = parts
        self._view = view

    def on_get(
        self, request: falcon.Request, response: falcon.Response, **path: uuid.UUID
    ) -> None:
        """Show the page."""
        session, client = requests.logged_in(request, self._parts)
        build = self._view.whole or self._view.live
        root = requests.root(request)
        response.text = self._parts.templates.render(
            self._view.template,
            root=root,
            session=session,
            done=writes.SENTENCES.get(request.get_param("done") or "", ""),
            data=f"{root}/data{request.path.removeprefix('/ui')}?{request.query_string}",
            every=self._view.every,
            # Asked for each page, because roles and rules change. The API refuses in any case.
            may=client.get("caller")["rules"],
            view=build(client, _query(request, self._view, path)),
        )


class Find:
    """``/ui/images/find``: leads from the id that somebody typed to its page."""

    def on_get(self, request: falcon.Request, _response: falcon.Response) -> None:
        """Go there."""
        found = requests.image_id(request.get_param("id") or "")
        raise falcon.HTTPSeeOther(f"{requests.root(request)}/images/{found}")


class Data:
    """Answers with the JSON of a view."""

    def __init__(self, parts: PageParts, view: View) -> None:
        self._parts = parts
        self._view = view

    def on_get(
        self, request: falcon.Request, response: falcon.Response, **path: uuid.UUID
    ) -> None:
        """Answer with the view, or with 304 if the browser has it already."""
        _session, client = requests.logged_in(request, self._parts)
        found = self._view.live(client, _query(request, self._view, path))
        answers.respond(request, response, json.dumps(found).encode(), falcon.MEDIA_JSON)


def _query(
    request: falcon.Request, view: View, path: Mapping[str, uuid.UUID]
) -> Mapping[str, str]:
    """Return the parameters that a view knows; others of the address are of no concern."""
    found = {name: request.get_param(name) or "" for name in view.parameters}
    return {**found, **{name: str(value) for name, value in path.items()}}
