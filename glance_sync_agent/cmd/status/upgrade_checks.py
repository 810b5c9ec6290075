# SPDX-License-Identifier: Apache-2.0
"""What may stand in the way of an upgrade: the files and the database."""

from collections.abc import Callable
from typing import TypeAlias

from oslo_upgradecheck import common_checks
from oslo_upgradecheck import upgradecheck

from glance_sync_agent import errors
from glance_sync_agent.api import policies
from glance_sync_agent.conf import store_file
from glance_sync_agent.drivers.sql import database as sql
from glance_sync_agent.wiring.cloud import Cloud
from glance_sync_agent.wiring.configuration import Configuration

Read: TypeAlias = Callable[[], Configuration]

_NOT_CHECKED = upgradecheck.Result(
    upgradecheck.Code.WARNING, "Not checked, because it needs the configuration files."
)


class UpgradeChecks(upgradecheck.UpgradeCommands):
    """Checks an installation before the services of a new version start. Writes nothing."""

    def __init__(self, read: Read) -> None:
        """Make it.

        :param read: reads the configuration.
        """
        super().__init__()
        self._read = read
        self._configuration: Configuration | None = None

    def _files(self) -> upgradecheck.Result:
        """Read the files as the agent does."""
        try:
            configuration = self._read()
            if (path := configuration.settings.store_file) is not None:
                store_file.load(path)
        except errors.ConfigurationError as exc:
            return _failure(f"{exc}. An agent of this version does not start with these files.")
        self._configuration = configuration
        return upgradecheck.Result(upgradecheck.Code.SUCCESS)

    def _database(self) -> upgradecheck.Result:
        if self._configuration is None:
            return _NOT_CHECKED
        try:
            with Cloud(self._configuration) as cloud:
                revision = cloud.store.revision()
                is_current, is_newer = cloud.store.is_current(), cloud.store.is_newer()
        except errors.SyncError as exc:
            return _failure(
                f"{exc}. Start the database server, or correct [database] connection."
            )
        if is_newer:
            return _failure(
                f"Revision {revision} was made by a newer agent. Install its version, or restore "
                "the database from before that upgrade."
            )
        if not is_current:
            return upgradecheck.Result(
                upgradecheck.Code.WARNING,
                f"The schema has {f'revision {revision}' if revision else 'no tables'}. Save the "
                f"database, and run '{sql.UPGRADE_COMMAND}' before the agents start; otherwise "
                "the first of them upgrades it.",
            )
        return upgradecheck.Result(upgradecheck.Code.SUCCESS, f"Revision {revision}.")

    def _policy_file(self) -> upgradecheck.Result:
        if self._configuration is None:
            return _NOT_CHECKED
        policies.set_defaults(self._configuration.conf)
        return common_checks.check_policy_json(self, self._configuration.conf)

    _upgrade_checks = (
        ("Configuration files", _files),
        ("Database", _database),
        ("Policy file in JSON", _policy_file),
    )


def _failure(text: str) -> upgradecheck.Result:
    return upgradecheck.Result(upgradecheck.Code.FAILURE, text)
