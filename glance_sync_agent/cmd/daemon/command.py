# SPDX-License-Identifier: Apache-2.0
"""``glance-sync-agent``: the daemon."""

from collections.abc import Sequence
import logging
import os
import signal
import sys
from typing import Any

from oslo_config import cfg
from oslo_service import service
import tenacity

import glance_sync_agent
from glance_sync_agent import errors
from glance_sync_agent import wiring
from glance_sync_agent.cmd.daemon import agent_service
from glance_sync_agent.cmd.daemon import state_lock

LOG = logging.getLogger(__name__)

_DESCRIPTION = """
Copies images from the cascading region of an OpenStack cloud to the cascaded ones and keeps the
copies in step. Runs in the foreground and logs to stderr. Reads sync.conf in ~/.glance, ~,
/etc/glance or /etc, unless --config-file names another. SIGTERM finishes what runs and ends;
SIGHUP takes over mutable options. --version shows the version and ends. "glance-sync-manage
check" tells whether all that it needs is there, "glance-sync status" how far each image is in
each region.
"""

#: Seconds beyond graceful_shutdown_timeout after which the launcher kills a worker that hangs.
_KILL_MARGIN_SECONDS = 15


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent until SIGTERM; return the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if "--version" in arguments:  # needs no files, which oslo.config reads first
        print(f"glance-sync-agent {glance_sync_agent.__version__}")
        return 0
    asked: list[int] = []
    # Until the launcher answers it, SIGHUP would end us, which systemd takes for a good end.
    signal.signal(signal.SIGHUP, lambda number, _frame: asked.append(number))
    try:
        conf, current = wiring.configure(
            arguments,
            prog="glance-sync-agent",
            description=_DESCRIPTION,
        )
        with state_lock.held(current.settings.state_path):
            _prepare(conf, current)
            return _serve(conf, current, asked)
    except errors.SyncError as exc:
        print(f"glance-sync-agent: {exc}", file=sys.stderr)
        return 1


def _prepare(conf: cfg.ConfigOpts, current: wiring.CurrentSettings) -> None:
    """Do what can fail for good. A database that is away is waited for, as all else is."""
    retry = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(errors.ServiceUnavailable),
        wait=tenacity.wait_exponential_jitter(multiplier=1, max=30),
        before_sleep=tenacity.before_sleep_log(LOG, logging.WARNING),
        reraise=True,
    )
    retry(wiring.prepare, conf, current)


def _serve(conf: cfg.ConfigOpts, current: wiring.CurrentSettings, asked: Sequence[int]) -> int:
    # A configuration of its own, so that the launcher, which answers SIGHUP by reading the
    # files into it, finds nothing to read: the worker does that, and more carefully.
    launcher_conf = cfg.ConfigOpts()
    launcher_conf([], default_config_files=[], default_config_dirs=[])
    launcher = service.ServiceLauncher(launcher_conf, restart_method="mutate")
    grace = conf.graceful_shutdown_timeout
    launcher_conf.set_override(
        "graceful_shutdown_timeout", grace + _KILL_MARGIN_SECONDS if grace else 0
    )
    launcher_conf.set_override("log_options", override=False)
    if asked:
        agent_service.take_over(current)
    launcher.launch_service(agent_service.Daemon(conf, current), workers=1)
    # The launcher's own answer to SIGHUP is to end the worker and fork another, which would
    # drop the transfers that run. There is no public way to its manager.
    launcher._manager.register_hooks(on_new_worker=_reload_in_place)  # noqa: SLF001
    LOG.info("Started with process %d", os.getpid())
    return int(launcher.wait() or 0)


def _reload_in_place(_service_id: Any, _worker_id: Any, wrapper: Any) -> None:
    wrapper.reload = wrapper.service_instance.reset


if __name__ == "__main__":
    sys.exit(main())
