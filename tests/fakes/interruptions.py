# SPDX-License-Identifier: Apache-2.0
"""Threads that go on one at a time, from one call of a port to the next, and fail as told.

:class:`Interrupted` stands before a port. Each call through it waits until a test lets the
:class:`Activity` that made it go on, with a :class:`Fate`: the call does what it does, or an
error comes before it did anything, or after it did everything, as when an answer is lost.
Between two calls of one activity any other may run, so a test decides every order that the
threads of several agents can come in, and the same decisions give the same run.
"""

from collections.abc import Callable, Iterable, Iterator
import contextlib
import dataclasses
import enum
import threading
from typing import Any

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.engine import ports
from tests.fakes import glance

_STUCK_SECONDS = 20.0  # of real time: an activity waits for a lock that another one holds


class Killed(BaseException):
    """The process is no more. It passes every ``except`` of code that means to go on."""


class Bug(Exception):
    """A fault of ours, of no kind that the engine knows."""


class UploadDied(errors.TransferInterrupted):
    """A Glance was killed in the middle of an upload, and its record stays ``saving``."""


class Moment(enum.Enum):
    """When an error comes."""

    BEFORE = enum.auto()
    AFTER = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """A call of a port, or one step of what a call has opened."""

    port: str
    method: str

    def __str__(self) -> str:
        return f"{self.port}.{self.method}"


#: What each port may raise; all may end with the process.
ERRORS: dict[str, tuple[type[BaseException], ...]] = {
    "tasks": (errors.ServiceUnavailable, Killed),
    "turns": (errors.ServiceUnavailable, Killed),
    "breakers": (errors.ServiceUnavailable, Killed),
    "facts": (errors.ServiceUnavailable, Killed),
    "pauses": (errors.ServiceUnavailable, Killed),
    "agents": (errors.ServiceUnavailable, Killed),
    "history": (errors.ServiceUnavailable, Killed),
    "catalogue": (errors.ServiceUnavailable, Killed),
    "identity": (errors.ServiceUnavailable, Killed, errors.Refused),
    "regions": (errors.ServiceUnavailable, Killed, Bug),
    "glance": (errors.ServiceUnavailable, Killed, errors.Refused),
    "bytes": (
        errors.TransferInterrupted, Killed, errors.ServiceUnavailable, errors.Refused, UploadDied,
    ),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a call."""

    moment: Moment | None = None  # of the error; None: there is none
    choice: int = 0  # which of the port's ERRORS
    seconds: float = 0.0  # that it takes, before all else
    note: Callable[[Call, Moment], None] = dataclasses.field(
        default=lambda _call, _moment: None, repr=False
    )

    def strike(
        self, moment: Moment, call: Call, region: images.RegionId | None = None
    ) -> None:
        """Raise the error if it comes now.

        :param region: that does not answer, if the error is no other one.
        """
        if self.moment is moment:
            self.note(call, moment)
            kinds = ERRORS[call.port]
            error = kinds[self.choice % len(kinds)](f"{call}: interrupted {moment.name.lower()}")
            if isinstance(error, errors.TransientError):
                error.region = region
            raise error


GO_ON = Fate()
KILL = Fate(Moment.BEFORE, ERRORS["tasks"].index(Killed))

TakeTurn = Callable[[Call], Fate]


class Interrupted:
    """A port whose calls take turns and share fates."""

    def __init__(
        self,
        inner: Any,
        port: str,
        take_turn: TakeTurn,
        region: images.RegionId | None = None,
    ) -> None:
        self._inner = inner
        self._port = port
        self._take_turn = take_turn
        self._region = region

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._call(name, lambda: found(*args, **kwargs))

        return call

    def _call(self, method: str, act: Callable[[], Any]) -> Any:
        call = Call(self._port, method)
        fate = self._take_turn(call)
        fate.strike(Moment.BEFORE, call, self._region)
        answer = act()
        fate.strike(Moment.AFTER, call, self._region)
        if isinstance(answer, Iterator):  # nothing was done yet: each step is a call
            return self._steps(method, answer)
        return answer

    def _steps(self, method: str, steps: Iterator[Any]) -> Iterator[Any]:
        for step in steps:
            yield step
            self._call(f"{method}, next", lambda: None)


class InterruptedBytes:
    """``engine.ports.ImageStore`` over another one; between two blocks somebody may cut in."""

    def __init__(self, inner: Any, service: glance.FakeGlance, take_turn: TakeTurn) -> None:
        self._inner = inner
        self._service = service
        self._take_turn = take_turn

    @property
    def way(self) -> str:
        return str(self._inner.way)

    @contextlib.contextmanager
    def read(self, image: images.Image, *, offset: int = 0) -> Iterator[Iterator[bytes]]:
        fate, call = self._turn("read")
        fate.strike(Moment.BEFORE, call, self._service.region)
        with self._inner.read(image, offset=offset) as chunks:
            fate.strike(Moment.AFTER, call, self._service.region)
            yield self._each("read, next", chunks)

    def write(self, image_id: images.ImageId, size: int, chunks: Iterable[bytes]) -> None:
        fate, call = self._turn("write")
        fate.strike(Moment.BEFORE, call, self._service.region)
        try:
            self._inner.write(image_id, size, self._each("write, next", chunks))
        except UploadDied:
            self._service.change(image_id, status="saving")
            raise
        fate.strike(Moment.AFTER, call, self._service.region)

    def _each(self, method: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            fate, call = self._turn(method)
            fate.strike(Moment.BEFORE, call, self._service.region)
            yield chunk
            fate.strike(Moment.AFTER, call, self._service.region)

    def _turn(self, method: str) -> tuple[Fate, Call]:
        call = Call("bytes", method)
        return self._take_turn(call), call


class InterruptedRegions:
    """``engine.ports.Regions`` over another one, whose services are interrupted, too."""

    def __init__(self, inner: Any, take_turn: TakeTurn) -> None:
        self._inner = inner
        self._take_turn = take_turn
        self._regions = Interrupted(inner, "regions", take_turn)

    @property
    def glances(self) -> Any:
        return self._inner.glances

    def image_service(self, region: images.RegionId) -> Any:
        found = self._regions.image_service(region)
        return Interrupted(found, "glance", self._take_turn, region)

    def store(self, region: images.RegionId, size: int) -> ports.ImageStore:
        return self._bytes(region, self._regions.store(region, size))

    def source_store(self, region: images.RegionId) -> ports.ImageStore:
        return self._bytes(region, self._regions.source_store(region))

    def served(self, region: images.RegionId) -> ports.ImageStore:
        return self._bytes(region, self._regions.served(region))

    def _bytes(self, region: images.RegionId, inner: Any) -> ports.ImageStore:
        return InterruptedBytes(inner, self._inner.glances[region], self._take_turn)


class Activity:
    """A function in a thread of its own, that goes on only in :meth:`step` and :meth:`run`."""

    def __init__(self, kind: str, function: Callable[[], object]) -> None:
        """Start the thread, which waits."""
        self.kind = kind
        self.calls: list[Call] = []  # that it made; it waits at the last one
        self.is_over = False
        self.failure: BaseException | None = None
        self._function = function
        self._fate = GO_ON
        self._is_free = False
        self._turn = threading.Semaphore(0)
        self._waits = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._work, name=kind, daemon=True)
        self._thread.start()

    @property
    def waits_at(self) -> Call | None:
        """The call that it waits at; None: it has not begun, or is over."""
        return self.calls[-1] if self.calls and not self.is_over else None

    def is_this(self) -> bool:
        """Tell whether we are in its thread."""
        return threading.current_thread() is self._thread

    def step(self, fate: Fate = GO_ON) -> None:
        """Let the call that it waits at have its fate; return when it waits again, or is over."""
        self._fate = fate
        self._turn.release()
        if not self._waits.acquire(timeout=_STUCK_SECONDS):
            raise AssertionError(f"{self.kind} is stuck behind {self.calls[-1:]}")
        if self.is_over:
            self._thread.join()

    def run(self, fate: Fate = GO_ON) -> None:
        """Let it go on to its end, and all further calls have the same fate."""
        self._is_free = True
        if not self.is_over:
            self.step(fate)

    def take_turn(self, call: Call) -> Fate:
        """Wait at a call; called in its own thread."""
        self.calls.append(call)
        if not self._is_free:
            self._wait()
        return self._fate

    def _wait(self) -> None:
        self._waits.release()
        self._turn.acquire()

    def _work(self) -> None:
        self._turn.acquire()
        try:
            self._function()
        except BaseException as exc:  # noqa: BLE001 - for the test to judge
            self.failure = exc
        self.is_over = True
        self._waits.release()
