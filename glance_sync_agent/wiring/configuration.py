# SPDX-License-Identifier: Apache-2.0
"""The configuration in force, of the agent and of the libraries that it uses."""

from collections.abc import Callable, Sequence

from oslo_config import cfg
from oslo_log import log
from oslo_service import opts as service_opts

from glance_sync_agent import errors
from glance_sync_agent.conf import settings
from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import strategy
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.engine.reconcile import member_scans
from glance_sync_agent.engine.reconcile import scan_schedule
from glance_sync_agent.engine.transfer import progress

CREDENTIALS = "service_credentials"
# Libraries that tell of every connection and every statement. paramiko logs as an error, with its
# traceback, what it raises as well: a host that is silent for a moment is no error of ours.
_QUIET = ("alembic=WARN", "cotyledon=WARN", "paramiko=CRITICAL")


class CurrentSettings:
    """The settings in force; mutable ones follow the files at :meth:`reload`."""

    def __init__(self, conf: cfg.ConfigOpts, parse: Callable[[], cfg.ConfigOpts]) -> None:
        self._conf = conf
        self._parse = parse
        self.settings = settings.load(conf)

    def reload(self) -> None:
        """Take over the mutable options from the files.

        :raises ConfigurationError: a file is bad; nothing was taken over.
        """
        # A bad value in a mutated file would make every later read of that option raise, so
        # the files are read aside first (oslo_config/cfg.py: ConfigOpts.mutate_config_files).
        settings.load(self._parse())
        try:
            self._conf.mutate_config_files()
        except (cfg.Error, OSError) as exc:  # it changed since
            raise errors.ConfigurationError(f"could not read the configuration: {exc}") from exc
        self.settings = settings.load(self._conf)

    def policy(self) -> strategy.Policy:
        """Return what decides in which regions an image belongs."""
        return self.settings.policy

    def metadata_policy(self) -> metadata_policy.Policy:
        """Return what copies share with their sources."""
        return self.settings.metadata_policy

    def limits(self) -> progress.Limits:
        """Return the times that an attempt may take."""
        return progress.Limits(
            transfer=self.settings.scp_copy_timeout,
            lease=self.settings.lease_seconds,
            snapshot=self.settings.snapshot_timeout,
            vanished=self.settings.vanished_pause_seconds,
        )

    def intervals(self) -> scan_schedule.Intervals:
        """Return how often to look for what no event told of."""
        return scan_schedule.Intervals(
            everything=self.settings.reconcile_interval,
            changes=self.settings.reconcile_changes_interval,
        )

    def member_intervals(self) -> member_scans.Intervals:
        """Return how often to look at the members of images."""
        return member_scans.Intervals(
            members=self.settings.members_interval,
            everything=self.settings.reconcile_interval,
        )

    def deletes_unwanted(self) -> bool:
        """Tell whether copies go where the strategy does not want them any more."""
        return self.settings.delete_out_of_strategy

    def retry_policy(self) -> backoff.RetryPolicy:
        """Return when failed tasks are tried again."""
        return backoff.RetryPolicy(
            retries=self.settings.task_retry_times,
            base=self.settings.retry_base_seconds,
            cap=self.settings.retry_max_seconds,
            give_up=self.settings.give_up_seconds,
        )

    def breaker_policy(self) -> breakers.Policy:
        """Return when a region is left alone."""
        return breakers.Policy(
            failures=self.settings.region_failures,
            base=self.settings.region_pause_seconds,
            cap=self.settings.region_pause_max_seconds,
        )


def configure(
    argv: Sequence[str], *, prog: str, description: str
) -> tuple[cfg.ConfigOpts, CurrentSettings]:
    """Read the configuration files and set up logging to stderr.

    :raises ConfigurationError: there is no file, or something in one is wrong.
    """

    def parse() -> cfg.ConfigOpts:
        return settings.parse_files(
            argv, prog=prog, description=description, register=[_register_library_options]
        )

    log.set_defaults(default_log_levels=[*log.get_default_log_levels(), *_QUIET])
    conf = parse()
    if not (conf.log_file or conf.log_dir or conf.use_journal):
        # Else oslo.log takes stdout, which is for what a command was asked for.
        conf.set_default("use_stderr", default=True)
    log.setup(conf, "glance_sync_agent")
    return conf, CurrentSettings(conf, parse)


def _register_library_options(conf: cfg.ConfigOpts) -> None:
    log.register_options(conf)
    service_opts.register_service_opts(conf)
    conf.register_opts(credentials.options(), group=CREDENTIALS)
