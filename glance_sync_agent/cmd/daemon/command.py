# SPDX-License-Identifier: Apache-2.0
"""``glance-sync-agent``: the daemon."""

from collections.abc import Sequence
import logging
import multiprocessing
import os
import signal
import sys

import cotyledon
import tenacity

import glance_sync_agent
from glance_sync_agent import errors
from glance_sync_agent.cmd.daemon import agent_service
from glance_sync_agent.cmd.daemon import state_lock
from glance_sync_agent.wiring import agent
from glance_sync_agent.wiring import configuration as configurations
from glance_sync_agent.wiring.configuration import Configuration

LOG = logging.getLogger(__name__)

_DESCRIPTION = """
Copies images from the cascading region of an OpenStack cloud to the cascaded regions, and keeps
the copies in step with their sources. Runs in the foreground and logs to stderr. Reads sync.conf
in ~/.glance, ~, /etc/glance or /etc, unless --config-file names another file. SIGTERM: finish the
running tasks and exit. SIGHUP: apply changes of mutable options. --version: show the version and
exit. "glance-sync-manage check" checks what the agent needs; "glance-sync status" shows each image
in each region.
"""

#: Seconds beyond graceful_shutdown_timeout after which a process that hangs is killed.
_KILL_MARGIN_SECONDS = 15


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent until SIGTERM; return the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if "--version" in arguments:  # before oslo.config asks for a file
        print(f"glance-sync-agent {glance_sync_agent.__version__}")
        return 0
    hangups: list[int] = []
    # Without a handler SIGHUP ends the process, and systemd takes that for success.
    signal.signal(signal.SIGHUP, lambda number, _frame: hangups.append(number))
    try:
        configuration = configurations.configure(
            arguments, prog="glance-sync-agent", description=_DESCRIPTION
        )
        with state_lock.held(configuration.settings.state_path):
            _prepare(configuration)
            _serve(configuration, hangups)
    except errors.SyncError as exc:
        print(f"glance-sync-agent: {exc}", file=sys.stderr)
        return 1
    return 0


def _prepare(configuration: Configuration) -> None:
    """Prepare the start; wait for a database that is unreachable."""
    retry = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(errors.ServiceUnavailable),
        wait=tenacity.wait_exponential_jitter(multiplier=1, max=30),
        before_sleep=agent_service.log_retry,
        reraise=True,
    )
    retry(agent.prepare, configuration)


def _serve(configuration: Configuration, hangups: Sequence[int]) -> None:
    """Run the agent in a process of its own; ends with SystemExit."""
    grace = configuration.conf.graceful_shutdown_timeout
    manager = cotyledon.ServiceManager(
        graceful_shutdown_timeout=grace + _KILL_MARGIN_SECONDS if grace else 0,
        mp_context=multiprocessing.get_context("fork"),
    )
    if hangups:
        agent_service.reload_settings(configuration)
    manager.add(agent_service.Daemon, args=(configuration,))
    LOG.info("Started with process %d", os.getpid())
    manager.run()


if __name__ == "__main__":
    sys.exit(main())
