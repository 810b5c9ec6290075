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
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.engine import assembly
from glance_sync_agent.engine.attempts import attempt_settings
from glance_sync_agent.engine.attempts import large_slots
from glance_sync_agent.engine.attempts import worker
from glance_sync_agent.engine.reconcile import scan_settings
from glance_sync_agent.engine.transfer import origins
from glance_sync_agent.engine.transfer import progress
from glance_sync_agent.engine.verify import verify_settings

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
        self._for_engine: tuple[settings.Settings, assembly.Settings] | None = None

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

    def for_engine(self) -> assembly.Settings:
        """Return what is in force, in the groups that the engine needs.

        Each step of an attempt asks for it, so it is made once for all that read the same files.
        """
        if self._for_engine is None or self._for_engine[0] is not self.settings:
            self._for_engine = (self.settings, _for_engine(self.settings))
        return self._for_engine[1]


def _for_engine(found: settings.Settings) -> assembly.Settings:
    return assembly.Settings(
        placement=found.policy,
        metadata=found.metadata_policy,
        project_seconds=found.keystone_cache_seconds,
        attempts=attempt_settings.AttemptSettings(
            limits=progress.Limits(
                transfer=found.scp_copy_timeout,
                lease=found.lease_seconds,
                snapshot=found.snapshot_timeout,
                vanished=found.vanished_pause_seconds,
            ),
            delete_out_of_strategy=found.delete_out_of_strategy,
            record_locations=found.record_locations,
        ),
        worker=worker.WorkerSettings(
            tasks_per_region=found.tasks_per_region,
            lease_seconds=found.lease_seconds,
            retries=backoff.RetryPolicy(
                retries=found.task_retry_times,
                base=found.retry_base_seconds,
                cap=found.retry_max_seconds,
                give_up=found.give_up_seconds,
            ),
        ),
        slots=large_slots.SlotSettings(
            tasks_per_region=found.tasks_per_region, large_image_bytes=found.large_image_bytes
        ),
        origins=origins.OriginSettings(
            copies_as_sources=found.copies_as_sources, small_image_bytes=found.small_image_bytes
        ),
        breakers=breakers.BreakerPolicy(
            failures=found.region_failures,
            base=found.region_pause_seconds,
            cap=found.region_pause_max_seconds,
        ),
        scans=scan_settings.ScanSettings(
            intervals=scan_settings.ScanIntervals(
                full=found.reconcile_interval,
                incremental=found.reconcile_changes_interval,
                members=found.members_interval,
            ),
            max_deletes=found.max_deletes,
            gone_grace=found.gone_grace,
            snapshot_origins=found.region_buses.keys(),
        ),
        verify=verify_settings.VerifySettings(
            interval=found.verify_interval,
            max_bytes_per_second=found.verify_bytes_per_second,
            max_repairs=found.max_repairs,
        ),
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
