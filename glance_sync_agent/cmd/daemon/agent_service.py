# SPDX-License-Identifier: Apache-2.0
"""The running agent: its threads, and how they begin and end."""

from collections.abc import Callable
from concurrent import futures
import contextlib
import functools
import logging
import os
import threading

from oslo_config import cfg
from oslo_service import service
import tenacity

from glance_sync_agent import errors
from glance_sync_agent import wiring

LOG = logging.getLogger(__name__)

#: Seconds between two looks at the table when nothing wakes us; an operator's command is seen
#: after that long at the most.
_POLL_SECONDS = 1.0
#: Seconds that the message bus gets before the first look at everything.
_BUS_PATIENCE_SECONDS = 5.0
#: Seconds between two looks while tasks run.
_FLOCK_SECONDS = 0.1
#: Seconds that transfers get to notice that they were called off.
_CANCEL_SECONDS = 5.0
#: Threads are made when needed, so this bounds nothing but mistakes.
_MAX_THREADS = 4096


def take_over(current: wiring.CurrentSettings) -> bool:
    """Take over what changed in the configuration files; tell whether that was possible."""
    refusal = None
    try:
        current.reload()
    except errors.ConfigurationError as exc:
        refusal = exc
    if refusal is not None:
        LOG.error("Kept the old configuration; the new one is refused: %s", refusal)
        return False
    LOG.info("Took over the configuration")
    return True


class Daemon(service.ServiceBase):
    """The service that the launcher forks. Builds nothing before :meth:`start`."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        current: wiring.CurrentSettings,
        build: Callable[..., wiring.Agent] = wiring.build,
    ) -> None:
        self._conf = conf
        self._current = current
        self._build_agent = build
        self._stopping = threading.Event()  # nothing new is begun
        self._cancelled = threading.Event()  # what runs is called off
        self._stopped = threading.Event()
        self._wake = threading.Event()
        self._look = threading.Event()
        self._listening = threading.Lock()
        self._agent: wiring.Agent | None = None
        self._listener: wiring.Listener | None = None

    def start(self) -> None:
        """Start the threads; what they need from outside they wait for themselves."""
        self._spawn("agent", self._run)

    def wait(self) -> None:
        """Return when the agent has stopped."""
        self._stopped.wait()

    def reset(self) -> None:
        """Take over what changed in the configuration files; runs on SIGHUP.

        A bad file is refused and the old values stay.
        """
        if not take_over(self._current):
            return
        self._follow_sync_enabled()
        self._look.set()
        self._wake.set()

    def stop(self, graceful: bool = False) -> None:  # noqa: FBT001, FBT002 - the base's signature
        """Finish what runs, or else give it back, within ``graceful_shutdown_timeout``."""
        LOG.info("Stopping: nothing new is begun")
        self._stopping.set()
        self._wake.set()
        self._look.set()
        # Beside the tasks, so that a broker that is away takes nothing of their time.
        closing = threading.Thread(target=self._close_listener, name="listener", daemon=True)
        closing.start()
        if self._agent is not None:
            self._drain(self._agent)
        closing.join()
        if self._agent is not None:
            self._leave(self._agent)
        LOG.info("Stopped")
        self._stopped.set()

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                target()
            except Exception:
                LOG.exception("Thread %s crashed", name)
                # An agent without this thread would look alive and do nothing. The launcher
                # starts a new worker, which takes up what this one had in hand.
                os._exit(1)

        threading.Thread(target=guarded, name=name, daemon=True).start()

    def _run(self) -> None:
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(errors.SyncError),
            stop=tenacity.stop_when_event_set(self._stopping),
            wait=tenacity.wait_exponential_jitter(multiplier=1, max=30),
            sleep=tenacity.sleep_using_event(self._stopping),
            before_sleep=tenacity.before_sleep_log(LOG, logging.WARNING),
            reraise=True,
        )
        try:
            agent = self._agent = retry(self._build)
        except errors.SyncError as exc:
            LOG.warning("Stopped before the agent could begin: %s", exc)
            return
        self._spawn("look", functools.partial(self._look_loop, agent))
        self._spawn("snapshots", functools.partial(self._snapshot_loop, agent))
        self._spawn("verify", functools.partial(self._verify_loop, agent))
        self._follow_sync_enabled()
        self._dispatch_loop(agent)

    def _build(self) -> wiring.Agent:
        pool = futures.ThreadPoolExecutor(max_workers=_MAX_THREADS, thread_name_prefix="task")
        return self._build_agent(
            self._conf,
            self._current,
            submit=pool.submit,
            ending=self._stopping,
            stop=self._cancelled,
            wake=self._wake.set,
        )

    def _dispatch_loop(self, agent: wiring.Agent) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                wait = self._dispatch(agent)
            except errors.SyncError as exc:
                LOG.warning("Could not take tasks: %s", exc)
                wait = _POLL_SECONDS * 5
            if wait:
                self._wake.wait(wait)
            # Under load tasks end in flocks; taken together, their successors cost one look at
            # the table. Once all have ended there is nobody to wait for.
            agent.engine.worker.wait_idle(_FLOCK_SECONDS)

    def _dispatch(self, agent: wiring.Agent) -> float:
        """Take what is due; return for how many seconds there is nothing to take."""
        if not self._current.settings.sync_enabled:
            return _POLL_SECONDS
        if agent.engine.worker.dispatch():
            return 0.0
        due = agent.engine.outside.store.next_due()
        if due is None:
            return _POLL_SECONDS
        seconds = (due - agent.engine.outside.clock.now()).total_seconds()
        # Due and not taken: its region has no room until a task ends, which wakes us.
        return min(seconds, _POLL_SECONDS) if seconds > 0 else _POLL_SECONDS

    def _look_loop(self, agent: wiring.Agent) -> None:
        """Look at everything at start and after a reload, and from time to time.

        At start the queue comes first, so that nothing can happen between the two unseen; but a
        broker that is away does not keep us from looking.
        """
        wait: float | None = _BUS_PATIENCE_SECONDS
        while not self._stopping.is_set():
            if self._look.wait(wait):
                self._look.clear()
                agent.engine.scan_schedule.request_full_scan()
            if self._stopping.is_set() or not self._current.settings.sync_enabled:
                wait = None
                continue
            with contextlib.suppress(errors.SyncError):  # the database tells that by the look
                agent.set_clock()  # somebody may have set this machine's
            wait = agent.engine.scan_schedule.run()

    def _snapshot_loop(self, agent: wiring.Agent) -> None:
        """Look from time to time at the snapshots that are waited for."""
        while not self._stopping.wait(self._current.settings.snapshot_sleep_interval):
            if not self._current.settings.sync_enabled:
                continue
            try:
                agent.engine.snapshots.check()
            except errors.SyncError as exc:
                LOG.warning("Could not look at the snapshots: %s", exc)

    def _verify_loop(self, agent: wiring.Agent) -> None:
        """Read copies back, if the operator wants that, beside all else."""
        wait = 0.0
        while not self._stopping.wait(wait):
            is_enabled = self._current.settings.sync_enabled
            wait = agent.engine.verify_schedule.run() if is_enabled else _POLL_SECONDS

    def _follow_sync_enabled(self) -> None:
        if not self._current.settings.sync_enabled:
            LOG.warning("sync_enabled is false: messages wait in the broker, no task is begun")
        # By a thread of its own, because the broker may be away.
        self._spawn("listener", self._open_or_close_listener)

    def _open_or_close_listener(self) -> None:
        """Do what the settings say now, however many threads were sent to do so, in any order."""
        with self._listening:
            if self._agent is None or self._stopping.is_set():
                return
            old, is_wanted = self._listener, self._current.settings.sync_enabled
            if is_wanted == (old is not None):
                return
            new = self._listener = self._agent.make_listener() if is_wanted else None
        if old is not None:
            old.stop()
        if new is not None:
            self._start_listener(new)

    def _start_listener(self, listener: wiring.Listener) -> None:
        try:
            listener.start()
        except errors.SyncError as exc:
            LOG.warning("%s", exc)
            return
        self._look.set()

    def _close_listener(self) -> None:
        with self._listening:
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()

    def _leave(self, agent: wiring.Agent) -> None:
        try:
            agent.engine.scan_schedule.end()
            agent.engine.verify_schedule.end()
        except errors.SyncError as exc:
            LOG.debug("Our turn to look at the images runs out by itself: %s", exc)
        agent.close()

    def _drain(self, agent: wiring.Agent) -> None:
        timeout = self._conf.graceful_shutdown_timeout
        LOG.info("Waiting for %d tasks, %s", agent.engine.worker.running(), f"{timeout} s at most")
        if not agent.engine.worker.wait_idle(timeout or None):
            running = agent.engine.worker.running()
            LOG.warning("Calling off %d tasks; they go on at the next start", running)
            self._cancelled.set()
            agent.engine.worker.wait_idle(_CANCEL_SECONDS)
            agent.release_leases()
