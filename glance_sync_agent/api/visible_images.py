# SPDX-License-Identifier: Apache-2.0
"""Which images a caller may see, asked once for the requests of a few seconds."""

from collections.abc import Callable
import hashlib
import threading
import time
from typing import Final

import cachetools

from glance_sync_agent import single_flight
from glance_sync_agent.domain import images

_SECONDS: Final = 5.0
_MOST: Final = 10_000

_Key = tuple[bytes, images.ImageId]


class VisibleImages:
    """Asks a Glance, and keeps its permission for a few seconds. Thread safe.

    Who waits for a copy asks about one image again and again, and each answer of Glance takes
    more than the rest of ours. A refusal is not kept, so that who gets access sees it at once.
    """

    def __init__(
        self,
        ask: Callable[[str, images.ImageId], bool],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know nothing yet.

        :param ask: tells whether a token may see an image.
        """
        self._ask = ask
        self._flight = single_flight.SingleFlight()
        self._lock = threading.Lock()
        self._kept: cachetools.TTLCache[_Key, bool] = cachetools.TTLCache(
            _MOST, _SECONDS, timer=timer
        )

    def may_see(self, token: str, image_id: images.ImageId) -> bool:
        """Tell whether a token may see an image.

        :raises ServiceUnavailable: Glance does not answer.
        """
        # Not the token itself, which is a secret.
        key = (hashlib.sha256(token.encode()).digest(), image_id)
        with self._lock:
            if key in self._kept:
                return True
        may_see = self._flight.run(key, lambda: self._ask(token, image_id))
        if may_see:
            with self._lock:
                self._kept[key] = True
        return may_see
