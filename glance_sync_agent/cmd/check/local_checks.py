# SPDX-License-Identifier: Apache-2.0
"""The checks on this machine: files, directories, the database."""

from collections.abc import Iterator, Sequence
import os
import pathlib
import pwd

from glance_sync_agent import errors
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.cmd.check import local_files
from glance_sync_agent.conf import store_file
from glance_sync_agent.conf.settings import AgentSettings
from glance_sync_agent.domain import strategy
from glance_sync_agent.drivers.sql import database as sql
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.wiring.configuration import Configuration

_ROOT = 0  # user id


def files(configuration: Configuration) -> Iterator[findings.Finding]:
    """Check the operator's files; ``sync.conf`` was read before."""
    conf, settings = configuration.conf, configuration.settings
    names = [pathlib.Path(name) for name in conf.config_file or conf.config_dir]
    yield _sync_conf(names, settings)
    yield _store_file(settings.store_file)
    yield _rules_file(settings)


def _sync_conf(names: Sequence[pathlib.Path], settings: AgentSettings) -> findings.Finding:
    link = "sync.conf"
    shown = ", ".join(map(str, names))
    if exposed := [str(name) for name in names if local_files.is_exposed(name)]:
        return findings.warning(
            link,
            f"every user of this machine can read the password in {', '.join(exposed)}",
            f"chmod o-rwx {' '.join(exposed)}",
        )
    if not settings.sync_enabled:
        return findings.warning(
            link, f"{shown}: sync_enabled is false, so nothing is copied", "sync_enabled = true"
        )
    if settings.engine.placement.strategy is strategy.Strategy.NONE:
        return findings.warning(
            link, f"{shown}: sync_strategy is None, so nothing is copied", "sync_strategy = ALL"
        )
    return findings.ok(link, shown)


def _store_file(path: pathlib.Path | None) -> findings.Finding:
    link = "glance_store.yaml"
    if path is None:
        return findings.skipped(link, "no such file: the agent uses the image API of every region")

    def probe() -> str | findings.Finding:
        entries = store_file.load(path)
        with_password = [entry.name for entry in entries if _has_password(entry)]
        if with_password:
            return findings.warning(
                link,
                f"{path}: login_password of {', '.join(with_password)}",
                "use key_filename, with a key that may only forward to that region's Glance; see "
                "the comments in the sample file",
            )
        return f"{path}: {len(entries)} entries"

    return findings.check(link, probe, lambda _: f"edit {path}")


def _rules_file(settings: AgentSettings) -> findings.Finding:
    """Count the rules; they were read along with ``sync.conf``."""
    link = "sync_strategy.yaml"
    is_used = settings.engine.placement.strategy is strategy.Strategy.USER
    if settings.rules_file is None:
        if is_used:
            return findings.skipped(
                link, "no such file: sync_regions and Keystone's endpoint filter decide"
            )
        return findings.ok(link, "no such file; only sync_strategy = USER reads it")
    count = f"{len(settings.engine.placement.rules)} rules"
    unused = "" if is_used else ", unused unless sync_strategy = USER"
    return findings.ok(link, f"{settings.rules_file}: {count}{unused}")


def _has_password(entry: store_file.Entry) -> bool:
    return any(scheme.parameters.get("login_password") for scheme in entry.schemes)


def state_path(path: pathlib.Path) -> findings.Finding:
    """Check that the agent can write its files."""
    link = "state_path"
    make = f"install -d -o USER -m 0750 {path} (USER: the agent's)"
    if not path.exists():
        parent = next(one for one in path.parents if one.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            return findings.ok(link, f"the first start makes {path}")
        return findings.failure(
            link, f"{path} is missing, and this user cannot make it in {parent}", make
        )
    if not path.is_dir():
        return findings.failure(link, f"{path} is not a directory", "set state_path in sync.conf")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        user = f"user id {os.geteuid()}"
        return findings.failure(
            link, f"{path} is not writable by {user}", f"run this as the agent's user, or {make}"
        )
    if os.geteuid() == _ROOT and path.stat().st_uid != _ROOT:
        owner = _user(path.stat().st_uid)
        return findings.warning(
            link,
            f"{path} belongs to {owner}, and root bypasses permissions",
            f"sudo -u {owner} glance-sync-manage check",
        )
    return findings.ok(link, str(path))


def _user(user_id: int) -> str:
    """Return a user as ``sudo -u`` takes it."""
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return f"'#{user_id}'"


def database(url: str) -> findings.Finding:
    """Check that the tasks can be read and written."""
    link = "database"
    upgrade = sql.UPGRADE_COMMAND
    write = (
        "grant the user of [database] connection SELECT, INSERT, UPDATE and DELETE on the tables; "
        "with SQLite, the agent's user must own the file and its directory"
    )

    def probe() -> str | findings.Finding:
        store = task_store.SqlTaskStore(url)
        try:
            revision = store.revision()
            if revision is None:
                return findings.failure(link, "the database has no tables", upgrade)
            if not store.is_current():
                return findings.failure(
                    link, f"revision {revision} is of another version of the agent", upgrade
                )
            store.ping()
            try:
                store.try_write()
            except errors.ServiceUnavailable as exc:
                return findings.failure(link, exc, write)
        finally:
            store.close()
        return f"revision {revision}, can be written"

    def remedy(exc: errors.SyncError) -> str:
        if isinstance(exc, errors.ConfigurationError):
            return f"correct [database] connection in sync.conf, or run {upgrade}"
        return "start the database server, or correct [database] connection in sync.conf"

    return findings.check(link, probe, remedy)
