# SPDX-License-Identifier: Apache-2.0
"""The Guru Meditation report: on SIGUSR2 a process writes what it is doing to stderr."""

import contextlib
import re
import signal
from typing import Any

from oslo_config import cfg
from oslo_reports import guru_meditation_report
from oslo_reports.generators.conf import ConfigReportGenerator

import glance_sync_agent

_SIGNAL = signal.SIGUSR2
#: The user and password in a URL.
_LOGIN = re.compile(r"(?<=://)[^/\s@]+(?=@)")
#: The value of an option that is secret by its name.
_SECRET = re.compile(r"((?:password|otp_key) = ).*")


class _Version:
    """What oslo.reports wants to know of a package."""

    def vendor_string(self) -> str:
        return "glance-sync-agent"

    def product_string(self) -> str:
        return "glance-sync-agent"

    def version_string_with_package(self) -> str:
        return glance_sync_agent.__version__


class _Report(guru_meditation_report.TextGuruMeditation):
    """The report with the options of the agent.

    The base shows those of the global ``cfg.CONF``, which the agent does not use.
    """

    @classmethod
    def handle_signal(cls, *details: Any) -> None:
        """Report; a standard error that nobody reads ends no process."""
        with contextlib.suppress(OSError, RuntimeError):
            super().handle_signal(*details)

    def run(self) -> str:
        """Return the report; some libraries do not say which of their options are secret."""
        return _LOGIN.sub("***", _SECRET.sub(r"\1***", super().run()))


def set_up(conf: cfg.ConfigOpts) -> None:
    """Report on SIGUSR2, in this process and in those that it forks.

    Secret options are ``***`` in it. Call this in the main thread.
    """
    _Report.persistent_sections = []
    _Report.register_section("Options of the agent", ConfigReportGenerator(conf))
    _Report.setup_autorun(_Version(), signum=_SIGNAL)
