# SPDX-License-Identifier: Apache-2.0
"""The running agent: how it starts, reloads and stops."""

from collections.abc import Callable
from concurrent import futures
import contextlib
import logging
import math
import threading
import time
from typing import Protocol

from oslo_service import service
import tenacity

from glance_sync_agent import errors
from glance_sync_agent.cmd.daemon import listening
from glance_sync_agent.cmd.daemon import loops
from glance_sync_agent.cmd.daemon import threads
from glance_sync_agent.cmd.daemon import watchdog
from glance_sync_agent.drivers.meters import PrometheusMeters
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts.worker import Worker
from glance_sync_agent.wiring import agent as agents
from glance_sync_agent.wiring.configuration import Configuration

LOG = logging.getLogger(__name__)

Build = Callable[[Configuration, ports.Runtime, threading.Event], agents.Agent]

class Api(Protocol):
    """The API within the agent."""

    def serve(self) -> None:
        """Listen, as soon as the services are there; return when it listens, or at the stop."""

    def stop(self) -> None:
        """Answer what is being worked on, and close all connections. Idempotent."""


MakeApi = Callable[[Configuration, threads.Signals, PrometheusMeters], Api]


def _make_api(
    configuration: Configuration, signals: threads.Signals, meters: PrometheusMeters
) -> Api:
    # Its libraries take 15 MiB and a tenth of a second, so they are loaded only if it is enabled.
    from glance_sync_agent.cmd.daemon import api_service

    return api_service.Api(configuration, signals, meters)


#: Seconds that transfers and jobs get to notice that they are called off.
_CANCEL_SECONDS = 5.0
#: Seconds between two looks for pauses while the agent waits for its tasks.
_PAUSE_SECONDS = 1.0
#: A limit for programming errors only; threads are made when needed.
_MAX_THREADS = 4096


def reload_settings(configuration: Configuration) -> bool:
    """Apply the changes of the configuration files; return whether that was possible."""
    try:
        configuration.reload()
    except errors.ConfigurationError as exc:
        LOG.error("Kept the old configuration, because the new one is wrong: %s", exc)
        return False
    LOG.info("Took over the configuration")
    return True


def log_retry(state: tenacity.RetryCallState) -> None:
    """Log why the agent cannot start yet."""
    failure = state.outcome.exception() if state.outcome else None
    LOG.warning(
        "The agent cannot start yet; retrying in %.1f s: %s", state.upcoming_sleep, failure
    )


class Daemon(service.ServiceBase):
    """The service that the launcher runs in a process of its own, again if that dies."""

    def __init__(
        self,
        configuration: Configuration,
        build: Build = agents.build,
        make_api: MakeApi = _make_api,
    ) -> None:
        """Build nothing yet."""
        self._configuration = configuration
        self._build_agent = build
        self._signals = threads.Signals()
        self._make_api = make_api
        self._meters = PrometheusMeters()
        self._watchdog = watchdog.Watchdog()
        self._api: Api | None = None
        self._stopped = threading.Event()
        self._agent: agents.Agent | None = None
        self._listening: listening.Listening | None = None
        self._jobs: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads, which wait for the services that they need."""
        threads.spawn("agent", self._run)
        if self._configuration.settings.api.is_enabled:
            self._api = self._make_api(self._configuration, self._signals, self._meters)
            threads.spawn("api", self._api.serve)

    def wait(self) -> None:
        """Return when the agent has stopped."""
        self._stopped.wait()

    def reset(self) -> None:
        """Apply the changes of the configuration files; runs on SIGHUP.

        A bad file changes nothing.
        """
        if not reload_settings(self._configuration):
            return
        if self._listening is not None:
            self._listening.follow()
        self._signals.scan.set()
        self._signals.wake.set()

    def stop(self, graceful: bool = False) -> None:  # noqa: FBT001, FBT002 - the base's signature
        """Finish or release what runs, within ``graceful_shutdown_timeout``; runs on SIGTERM."""
        LOG.info("Stopping: no new task starts")
        self._signals.stopping.set()
        self._signals.wake.set()
        self._signals.scan.set()
        # Beside the tasks, so that an unreachable broker does not use up their time.
        closing = threading.Thread(target=self._stop_listening, name="listener", daemon=True)
        closing.start()
        if self._agent is not None:
            self._drain(self._agent)
        closing.join()
        self._wait_for_jobs()
        if self._api is not None:
            self._api.stop()
        if self._agent is not None:
            self._close(self._agent)
        LOG.info("Stopped")
        self._stopped.set()

    def _run(self) -> None:
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(errors.SyncError),
            stop=tenacity.stop_when_event_set(self._signals.stopping),
            wait=tenacity.wait_exponential_jitter(multiplier=1, max=30),
            sleep=tenacity.sleep_using_event(self._signals.stopping),
            before_sleep=self._wait_for_services,
            reraise=True,
        )
        try:
            agent = self._agent = retry(self._build)
        except errors.SyncError as exc:
            LOG.warning("Stopped before the agent could start: %s", exc)
            return
        loop = loops.Loops(agent, self._configuration, self._signals, self._watchdog)
        threads.spawn("scan", loop.scan)
        threads.spawn("snapshots", loop.snapshots)
        threads.spawn("verify", loop.verify)
        threads.spawn("upkeep", loop.upkeep)
        self._jobs = [
            threads.spawn("scans", loop.asked_scans),
            threads.spawn("reads", loop.asked_verifications),
        ]
        self._listening = listening.Listening(
            agent.make_listener, self._configuration, self._signals
        )
        self._listening.follow()
        loop.dispatch()

    def _wait_for_services(self, state: tenacity.RetryCallState) -> None:
        log_retry(state)
        self._watchdog.feed()

    def _build(self) -> agents.Agent:
        pool = futures.ThreadPoolExecutor(max_workers=_MAX_THREADS, thread_name_prefix="task")
        runtime = ports.Runtime(
            submit=pool.submit,
            wake=self._signals.wake.set,
            ending=self._signals.stopping,
            meters=self._meters,
        )
        return self._build_agent(self._configuration, runtime, self._signals.cancelled)

    def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.stop()

    def _drain(self, agent: agents.Agent) -> None:
        worker = agent.engine.attempts.worker
        timeout = self._configuration.conf.graceful_shutdown_timeout
        LOG.info("Waiting for %d tasks, %s s at most", worker.running(), timeout)
        if not self._wait_idle(worker, timeout or math.inf):
            LOG.warning(
                "Calling off %d tasks; they continue at the next start", worker.running()
            )
            self._signals.cancelled.set()
            worker.wait_idle(_CANCEL_SECONDS)
            agent.release_leases()

    def _wait_idle(self, worker: Worker, seconds: float) -> bool:
        """Wait until no task runs; return False if that took too long. Pauses hold meanwhile."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            if worker.wait_idle(min(left, _PAUSE_SECONDS)):
                return True
            with contextlib.suppress(errors.SyncError):
                worker.follow_pauses()
        return worker.wait_idle(0.0)

    def _wait_for_jobs(self) -> None:
        """Let the threads give back what they run, or other agents wait for its lease."""
        ends = time.monotonic() + _CANCEL_SECONDS
        for thread in self._jobs:
            thread.join(max(0.0, ends - time.monotonic()))

    def _close(self, agent: agents.Agent) -> None:
        try:
            agent.engine.scans.scan_schedule.end()
            agent.engine.verification.verify_schedule.end()
            agent.engine.upkeep.upkeep.end()
        except errors.SyncError as exc:
            LOG.debug("Could not return the leader's leases, which expire by themselves: %s", exc)
        agent.close()
