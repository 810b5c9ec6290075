# SPDX-License-Identifier: Apache-2.0
"""Whether a user may see an image."""

from typing import Any, Final

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.glance import roots
from glance_sync_agent.drivers.keystone import credentials

_OK: Final = 200
_REFUSED: Final = frozenset({401, 403, 404})
_SECONDS: Final = 10.0


def may_see(
    session: credentials.Session, endpoint: str, token: str, image_id: images.ImageId
) -> bool:
    """Ask a Glance for an image with a user's own token; tell whether it shows the image.

    :param endpoint: of the region's Glance, as in the catalogue.
    :raises ServiceUnavailable: no answer, or one that means "not now".
    """
    try:
        answer = session.request(
            f"{roots.root(endpoint)}/v2/images/{image_id}",
            "GET",
            authenticated=False,
            headers={"X-Auth-Token": token},
            raise_exc=False,
            connect_retries=0,
            redirect=False,  # another host would get the token
            timeout=_SECONDS,
            log=False,  # the log would have the token
        )
    except credentials.FAILURES as exc:
        raise errors.ServiceUnavailable(f"cannot ask {endpoint} for an image: {exc}") from exc
    if answer.status_code == _OK and _id(answer) == image_id:
        return True
    if answer.status_code in _REFUSED:
        return False
    raise errors.ServiceUnavailable(
        f"cannot ask {endpoint} for an image: HTTP {answer.status_code}"
    )


def _id(answer: Any) -> object:
    """Return the id of the image in an answer; a proxy may answer something else."""
    try:
        body = answer.json()
    except ValueError:
        return None
    return body.get("id") if isinstance(body, dict) else None
