# SPDX-License-Identifier: Apache-2.0
"""The agent's REST API, as an operator asks it."""

from collections.abc import Mapping
import contextlib
import time
from typing import Any

from keystoneauth1 import exceptions as keystone_exc
from keystoneauth1.session import Session

from tools.demo import errors

_ANSWER_SECONDS = 15.0
_WAIT_SECONDS = 30.0
_POLL_SECONDS = 0.1

Rows = dict[str, Mapping[str, Any]]  # tasks of an image, by region


class Api:
    """Asks with the tokens of an administrator."""

    def __init__(self, session: Session, url: str) -> None:
        """Send no request yet.

        :param url: of the server, without a path.
        """
        self._session = session
        self._url = url

    def tasks_of(self, image_id: str) -> Rows:
        """Return the tasks of an image; none if the API does not answer now."""
        with contextlib.suppress(errors.NoAnswer):
            found = self._ask("GET", f"/v1/images/{image_id}")
            return {one["region"]: one for one in found["regions"]}
        return {}

    def pause(self, region: str, reason: str) -> None:
        """Pause a region.

        :raises NoAnswer: the API refuses or does not answer.
        """
        self._ask("PATCH", f"/v1/regions/{region}", {"paused": True, "reason": reason})

    def resume(self, region: str) -> None:
        """End the pause of a region.

        :raises NoAnswer: the API refuses or does not answer.
        """
        self._ask("PATCH", f"/v1/regions/{region}", {"paused": False})

    def wait_for(self, image_id: str, region: str, code: str) -> None:
        """Wait until the task of an image in a region has a code.

        :raises DemoError: it does not get it.
        """
        deadline = time.monotonic() + _WAIT_SECONDS
        while self.tasks_of(image_id).get(region, {}).get("code") != code:
            if time.monotonic() > deadline:
                raise errors.DemoError(
                    f"the API did not show {code} for image {image_id} in region {region} within "
                    f"{_WAIT_SECONDS:.0f} s"
                )
            time.sleep(_POLL_SECONDS)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        try:
            answer = self._session.request(
                f"{self._url}{path}", method, json=body, timeout=_ANSWER_SECONDS
            )
        except keystone_exc.ClientException as exc:
            raise errors.NoAnswer(f"{method} {path} of the agent's API failed: {exc}") from exc
        return answer.json()
