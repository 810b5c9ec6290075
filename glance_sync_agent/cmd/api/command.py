# SPDX-License-Identifier: Apache-2.0
"""``glance-sync-api``: the REST API in a process of its own."""

from collections.abc import Sequence
import sys
import threading

from oslo_config import cfg
from oslo_service import service

import glance_sync_agent
from glance_sync_agent import errors
from glance_sync_agent.cmd.daemon import agent_service
from glance_sync_agent.cmd.daemon import api_service
from glance_sync_agent.cmd.daemon import compat
from glance_sync_agent.cmd.daemon import meditation
from glance_sync_agent.cmd.daemon import threads
from glance_sync_agent.wiring import configuration as configurations

_DESCRIPTION = """
Serves the REST API of glance-sync-agent in a process of its own. Reads sync.conf in ~/.glance, ~,
/etc/glance or /etc, unless --config-file names another file. SIGHUP: apply changes of mutable
options. SIGUSR2: write a report to stderr. SIGTERM: answer what is being worked on and exit. Set
[api] enabled = false so that the agent does not serve it, too.
"""


class ApiService(service.ServiceBase):
    """The service that the launcher runs in a process of its own, again if that dies."""

    def __init__(self, configuration: configurations.Configuration) -> None:
        """Open nothing yet."""
        self._configuration = configuration
        self._signals = threads.Signals()
        self._api = api_service.Api(configuration, self._signals)
        self._stopped = threading.Event()

    def start(self) -> None:
        """Listen, as soon as the services are there."""
        threads.spawn("api", self._api.serve)

    def wait(self) -> None:
        """Return when it has stopped."""
        self._stopped.wait()

    def reset(self) -> None:
        """Apply the changes of the configuration files; runs on SIGHUP."""
        agent_service.reload_settings(self._configuration)

    def stop(self, graceful: bool = False) -> None:  # noqa: FBT001, FBT002 - the base's signature
        """Answer what is being worked on; runs on SIGTERM."""
        self._signals.stopping.set()
        self._api.stop()
        self._stopped.set()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; return the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if "--version" in arguments:  # before oslo.config asks for a file
        print(f"glance-sync-api {glance_sync_agent.__version__}")
        return 0
    try:
        configuration = configurations.configure(
            arguments, prog="glance-sync-api", description=_DESCRIPTION
        )
        meditation.set_up(configuration.conf)
    except errors.SyncError as exc:
        print(f"glance-sync-api: {exc}", file=sys.stderr)
        return 1
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    launcher = service.ServiceLauncher(conf, restart_method="mutate")
    conf.set_override("log_options", override=False)
    launcher.launch_service(ApiService(configuration), workers=1)
    compat.reload_in_place(launcher)
    return int(launcher.wait() or 0)


if __name__ == "__main__":
    sys.exit(main())
