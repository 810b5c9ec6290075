# SPDX-License-Identifier: Apache-2.0
"""All events with their times, counted, to trace a violation."""

from collections import Counter
import pathlib
import threading
import time


class Events:
    """A list of all events, in a file. Thread safe."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.counts: Counter[tuple[str, str]] = Counter()  # kind, outcome
        self.violations: list[str] = []
        self._began = time.monotonic()
        self._lock = threading.Lock()
        path.unlink(missing_ok=True)

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def note(self, lane: str, text: str) -> None:
        """Write one line."""
        with self._lock, self.path.open("a") as file:
            now = time.strftime("%H:%M:%S", time.gmtime())
            file.write(f"{now} {self.seconds:8.2f} {lane:<9} {text}\n")

    def count(self, lane: str, kind: str, outcome: str, detail: str) -> None:
        """Write and count the outcome of an operation or a fault."""
        self.note(lane, f"{kind}: {outcome}: {detail}")
        with self._lock:
            self.counts[kind, outcome.partition(" ")[0]] += 1

    def tally(self, kind: str) -> None:
        """Count what happens too often for a line."""
        with self._lock:
            self.counts[kind, "noted"] += 1

    def violation(self, text: str) -> None:
        """Write a violation, each only once."""
        with self._lock:
            if text in self.violations:
                return
            self.violations.append(text)
        self.note("judge", f"VIOLATION: {text}")
