# SPDX-License-Identifier: Apache-2.0
"""The API within a process: it starts when it can, and stops nothing else."""

import contextlib
import logging

import tenacity

from glance_sync_agent import errors
from glance_sync_agent.api import server as servers
from glance_sync_agent.cmd.daemon import threads
from glance_sync_agent.drivers.meters import PrometheusMeters
from glance_sync_agent.wiring import api
from glance_sync_agent.wiring.cloud import Cloud
from glance_sync_agent.wiring.configuration import Configuration

LOG = logging.getLogger(__name__)


class Api:
    """Serves the API beside other work."""

    def __init__(
        self,
        configuration: Configuration,
        signals: threads.Signals,
        meters: PrometheusMeters | None = None,
    ) -> None:
        """Open nothing yet.

        :param meters: of an agent in this process; None: there is none.
        """
        self._meters = meters
        self._configuration = configuration
        self._signals = signals
        self._server: servers.Server | None = None

    def serve(self) -> None:
        """Answer requests until the stop. What fails is tried again, and stops nothing else."""
        retry = tenacity.Retrying(
            stop=tenacity.stop_when_event_set(self._signals.stopping),
            wait=tenacity.wait_exponential_jitter(multiplier=1, max=60),
            sleep=tenacity.sleep_using_event(self._signals.stopping),
            before_sleep=_log_retry,
            reraise=True,
        )
        try:
            retry(self._serve)
        except Exception as exc:  # noqa: BLE001 - the agent goes on without an API
            LOG.warning("Stopped before the API could start: %s", exc)

    def _serve(self) -> None:
        settings = self._configuration.settings.api
        listening = servers.listen(settings.host, settings.port)
        # A cloud of its own, because requests must not wait for connections of transfers.
        with contextlib.closing(listening), Cloud(self._configuration) as cloud:
            server = servers.Server(api.build(cloud, self._meters), listening)
            self._server = server
            LOG.info("The API listens on %s:%d", settings.host, server.port)
            with api.followed_clock(cloud):
                server.serve()
        if not self._signals.stopping.is_set():
            raise errors.ServiceUnavailable("the API ended by itself")

    def stop(self) -> None:
        """Answer what is being worked on, and close all connections. Idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()


def _log_retry(state: tenacity.RetryCallState) -> None:
    failure = state.outcome.exception() if state.outcome else None
    LOG.warning(
        "The API cannot start yet, and copying goes on without it; retrying in %.1f s: %s",
        state.upcoming_sleep, failure,
    )
