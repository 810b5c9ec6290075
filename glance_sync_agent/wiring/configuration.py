# SPDX-License-Identifier: Apache-2.0
"""The configuration in force, of the agent and of the libraries that it uses."""

from collections.abc import Callable, Sequence
import functools
import logging

from oslo_config import cfg
from oslo_log import log
from oslo_service import opts as service_opts

from glance_sync_agent import errors
from glance_sync_agent.conf import settings
from glance_sync_agent.conf import sync_conf
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.engine.assembly.settings import Settings
from glance_sync_agent.wiring import log_records

CREDENTIALS = "service_credentials"
# Libraries that log every connection and every statement. paramiko logs as an error what it raises
# as well.
_QUIET = ("alembic=WARN", "cotyledon=WARN", "paramiko=CRITICAL")


class Configuration:
    """The options and settings in force; mutable ones follow the files at :meth:`reload`."""

    def __init__(self, conf: cfg.ConfigOpts, parse: Callable[[], cfg.ConfigOpts]) -> None:
        self.conf = conf
        self._parse = parse
        self.settings = settings.load(conf)

    def reload(self) -> None:
        """Apply the mutable options of the files.

        :raises ConfigurationError: a file is bad; the old values stay.
        """
        # A bad value in a mutated file would make every later read of that option raise, so
        # the files are read aside first (oslo_config/cfg.py: ConfigOpts.mutate_config_files).
        settings.load(self._parse())
        try:
            self.conf.mutate_config_files()
        except (cfg.Error, OSError) as exc:  # it changed since
            raise errors.ConfigurationError(f"could not read the configuration: {exc}") from exc
        self.settings = settings.load(self.conf)

    def for_engine(self) -> Settings:
        """Return the settings of the engine that are in force."""
        return self.settings.engine


def read(argv: Sequence[str], *, prog: str, description: str) -> Configuration:
    """Read the configuration files, and leave logging as it is.

    :raises ConfigurationError: there is no file, or something in one is wrong.
    """
    parse = _parser(argv, prog=prog, description=description)
    return Configuration(parse(), parse)


def configure(argv: Sequence[str], *, prog: str, description: str) -> Configuration:
    """Read the configuration files and set up logging to stderr.

    :raises ConfigurationError: there is no file, or something in one is wrong.
    """
    parse = _parser(argv, prog=prog, description=description)
    log.set_defaults(default_log_levels=[*log.get_default_log_levels(), *_QUIET])
    conf = parse()
    if not (conf.log_file or conf.log_dir or conf.use_journal):
        # Else oslo.log takes stdout, which is for the output of commands.
        conf.set_default("use_stderr", default=True)
    log.setup(conf, "glance_sync_agent")
    logging.setLogRecordFactory(log_records.PlainRecord)
    return Configuration(conf, parse)


def _parser(
    argv: Sequence[str], *, prog: str, description: str
) -> Callable[[], cfg.ConfigOpts]:
    return functools.partial(
        sync_conf.parse,
        argv,
        prog=prog,
        description=description,
        register=[_register_library_options],
    )


def _register_library_options(conf: cfg.ConfigOpts) -> None:
    log.register_options(conf)
    service_opts.register_service_opts(conf)
    conf.register_opts(credentials.options(), group=CREDENTIALS)
