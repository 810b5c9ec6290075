# SPDX-License-Identifier: Apache-2.0
"""Compares the members of a source with those of its copy."""

import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.reconcile.pairs import Pair

LOG = logging.getLogger(__name__)


def differ(service: ports.ImageService, pair: Pair, copy: images.Image) -> bool:
    """Request the members: neither a listing nor a record shows a change of them.

    If they cannot be read for one image, the others must not wait for it.

    :returns: False if they cannot be read.
    :raises SyncError: the region of the source or of the copy does not answer.
    """
    try:
        return pair.members() != service.members(copy)
    except errors.Refused as exc:
        _warn(service, pair, exc)
    except errors.TransientError as exc:
        if exc.fault is not errors.Fault.ANSWER:
            raise
        _warn(service, pair, exc)
    return False


def _warn(service: ports.ImageService, pair: Pair, exc: errors.SyncError) -> None:
    LOG.warning(
        "Could not compare the members of image %s with those in region %s: %s. A later scan "
        "compares them",
        pair.source.image_id, service.region, exc,
    )
