# SPDX-License-Identifier: Apache-2.0
"""Empty SQLite databases of OpenStack services, migrated once and then copied."""

from collections.abc import Sequence
import contextlib
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile

from tools.cloud import errors
from tools.cloud import services

_MIGRATION = """\
[database]
connection = sqlite:///{database}
sqlite_synchronous = false
"""
_LOG_LINES = 15


def copy_empty(project: str, venv: pathlib.Path, cache: pathlib.Path, to: pathlib.Path) -> None:
    """Write an empty database of ``project`` (keystone, glance) to ``to``.

    Each installed release is migrated only once, because that takes seconds.

    :raises CloudError: the migration fails.
    """
    made = cache / f"{project}-{_release(project, venv)}.sqlite"
    if not made.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            database = pathlib.Path(scratch) / "empty.sqlite"
            config = pathlib.Path(scratch) / "migration.conf"
            config.write_text(_MIGRATION.format(database=database))
            manage = str(venv / "bin" / f"{project}-manage")
            log = cache / f"{project}-db-sync.log"
            run([manage, "--config-file", str(config), "db_sync"], cache, log)
            database.rename(made)
    partial = to.with_suffix(".partial")
    shutil.copyfile(made, partial)
    use_write_ahead_log(partial)
    partial.rename(to)


def use_write_ahead_log(database: pathlib.Path) -> None:
    """Let readers and one writer work at the same time."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def run(command: Sequence[str], home: pathlib.Path, log: pathlib.Path) -> None:
    """Run a management command, its output appended to ``log``.

    :raises CloudError: it fails.
    """
    with log.open("ab") as output:
        done = subprocess.run(
            command,
            env=services.environment(home),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    if done.returncode:
        lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        program = pathlib.Path(command[0]).name
        raise errors.CloudError("\n".join([f"{program} failed; last lines of {log}:", *lines]))


def _release(project: str, venv: pathlib.Path) -> str:
    found = sorted(venv.glob(f"lib/python3*/site-packages/{project}-*.dist-info"))
    if not found:
        raise errors.CloudError(f"{project} is not installed in {venv}; run tools/cloud/up")
    return found[0].name.removeprefix(f"{project}-").removesuffix(".dist-info")
