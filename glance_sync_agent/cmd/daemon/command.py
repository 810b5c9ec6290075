# SPDX-License-Identifier: Apache-2.0
"""``glance-sync-agent``: the daemon."""

from collections.abc import Sequence
import logging
import os
import signal
import sys

from oslo_config import cfg
from oslo_service import service
import tenacity

import glance_sync_agent
from glance_sync_agent import errors
from glance_sync_agent.cmd.daemon import agent_service
from glance_sync_agent.cmd.daemon import compat
from glance_sync_agent.cmd.daemon import meditation
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
_KILL_MARGIN_SECONDS = 25


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
        meditation.set_up(configuration.conf)
        with state_lock.held(configuration.settings.state_path):
            _prepare(configuration)
            return _serve(configuration, hangups)
    except errors.SyncError as exc:
        print(f"glance-sync-agent: {exc}", file=sys.stderr)
        return 1


def _prepare(configuration: Configuration) -> None:
    """Prepare the start; wait for a database that is unreachable."""
    retry = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(errors.ServiceUnavailable),
        wait=tenacity.wait_exponential_jitter(multiplier=1, max=30),
        before_sleep=agent_service.log_retry,
        reraise=True,
    )
    retry(agent.prepare, configuration)


def _serve(configuration: Configuration, hangups: Sequence[int]) -> int:
    # The launcher answers SIGHUP by reading the files into its configuration. This one has no
    # files, because the worker reads them itself, and refuses bad ones.
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    launcher = service.ServiceLauncher(conf, restart_method="mutate")
    grace = configuration.conf.graceful_shutdown_timeout
    conf.set_override("graceful_shutdown_timeout", grace + _KILL_MARGIN_SECONDS if grace else 0)
    conf.set_override("log_options", override=False)
    if hangups:
        agent_service.reload_settings(configuration)
    launcher.launch_service(agent_service.Daemon(configuration), workers=1)
    compat.reload_in_place(launcher)
    LOG.info("Started with process %d", os.getpid())
    return int(launcher.wait() or 0)


if __name__ == "__main__":
    sys.exit(main())
