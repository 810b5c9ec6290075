# SPDX-License-Identifier: Apache-2.0
"""The pauses and cancellations that hold, and the faults that may delay their effect."""

from collections.abc import Callable, Iterable, Iterator, Mapping
import contextlib
import math
import threading
import time

from tools.soak import weights

#: A region, and the id of a source; the id is empty for the region's pause.
Key = tuple[str, str]
Spell = tuple[float, float]  # begin and end of a fault, seconds since the epoch

#: After that nothing moves any more. A running agent stops within 5 seconds. A dead or frozen
#: one, or one without its database, stops when its lease ends.
ALLOWANCE_SECONDS = 5.0 + weights.LEASE_SECONDS
#: A request without an answer may still have an effect for so long.
_DOUBT_SECONDS = 60.0
#: Faults that keep bytes or requests on their way until they end; everywhere, or in one region.
_DELAYS_ALL = frozenset({"agent frozen", "database frozen", "database stopped"})
_DELAYS_REGION = frozenset({"target glance frozen", "sshd frozen"})


class Orders:
    """What operators asked for and did not take back. Thread safe."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Begin without orders.

        :param clock: returns seconds since the epoch.
        """
        self._clock = clock
        self._held: dict[Key, float] = {}  # since when, seconds since the epoch
        self._uncopied: set[Key] = set()  # cancelled before any transfer to the region ended
        self._doubts: dict[Key, float] = {}  # until when
        self._spells: dict[int, tuple[str, Spell]] = {}  # the region is empty: all regions
        self._lock = threading.Lock()

    def hold(self, key: Key, *, is_uncopied: bool = False) -> None:
        """Note that a pause or a cancellation was answered, unless a request may undo it.

        :param is_uncopied: the task of a cancellation names no transfer that ended.
        """
        with self._lock:
            if self._doubts.get(key, 0.0) < self._clock():
                self._held[key] = self._clock()
                if is_uncopied:
                    self._uncopied.add(key)

    def release(self, key: Key) -> None:
        """Note that somebody is about to end a pause or a cancellation."""
        with self._lock:
            self._held.pop(key, None)
            self._uncopied.discard(key)

    def doubt(self, key: Key) -> None:
        """Note that a request to end a pause or a cancellation may still have an effect."""
        with self._lock:
            self._doubts[key] = self._clock() + _DOUBT_SECONDS

    def since(self, key: Key) -> float | None:
        """Return since when a pause or a cancellation holds; None: it does not."""
        with self._lock:
            return self._held.get(key)

    def is_uncopied(self, key: Key) -> bool:
        """Return whether a task was cancelled before any transfer to its region ended."""
        with self._lock:
            return key in self._uncopied

    def paused_since(self, region: str) -> float | None:
        """Return since when a region is paused, by a person or a window; None: it is not."""
        found = [self.since((region, "")), window_since(region, self._clock())]
        return min((one for one in found if one is not None), default=None)

    def cancelled(self, region: str) -> Mapping[Key, float]:
        """Return since when each cancellation of a region holds."""
        with self._lock:
            return {
                key: since for key, since in self._held.items() if key[0] == region and key[1]
            }

    @contextlib.contextmanager
    def delayed(self, kind: str, region: str) -> Iterator[None]:
        """Note a fault while it lasts, if it may delay the effect of an order."""
        if kind not in _DELAYS_ALL | _DELAYS_REGION:
            yield
            return
        where, begin = "" if kind in _DELAYS_ALL else region, self._clock()
        with self._lock:
            number = len(self._spells)
            self._spells[number] = where, (begin, math.inf)
        try:
            yield
        finally:
            with self._lock:
                self._spells[number] = where, (begin, self._clock())

    def quiet_from(self, since: float, region: str) -> float:
        """Return when an order must have its full effect in a region."""
        with self._lock:
            known = list(self._spells.values())
        return quiet_from(since, [spell for where, spell in known if where in {"", region}])


def quiet_from(since: float, spells: Iterable[Spell]) -> float:
    """Return when an order must have its full effect.

    A fault that begins before that delays it. A later one finds nothing that moves.
    """
    quiet = since + ALLOWANCE_SECONDS
    for begin, end in sorted(spells):
        if begin <= quiet and end >= since:
            quiet = max(quiet, end + ALLOWANCE_SECONDS)
    return quiet


def window_since(region: str, now: float) -> float | None:
    """Return since when a window pauses a region; None: it does not."""
    minute = int(now // 60)
    if region != weights.WINDOW_REGION or minute % weights.WINDOW_EVERY_MINUTES:
        return None
    return minute * 60.0
