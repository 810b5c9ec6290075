# SPDX-License-Identifier: Apache-2.0
"""The Keystone that all regions share: one process on SQLite."""

import base64
import os
import pathlib

from tools.cloud import databases
from tools.cloud import model
from tools.cloud import probes
from tools.cloud import services
from tools.cloud import uwsgi

# One process, because the cache is in its memory: a second process would give old
# answers after a change.
_THREADS = 8
_CONFIG = """\
[database]
connection = sqlite:///{database}?timeout=60
sqlite_synchronous = false
[cache]
enabled = true
backend = dogpile.cache.memory
[token]
provider = fernet
expiration = 86400
[fernet_tokens]
key_repository = {home}/fernet-keys
[fernet_receipts]
key_repository = {home}/fernet-keys
[credential]
key_repository = {home}/credential-keys
[identity]
password_hash_rounds = 4
"""


def configure(cloud: model.Description, root: pathlib.Path, venv: pathlib.Path) -> None:
    """Write Keystone's configuration and, once, its keys."""
    home = _home(cloud)
    home.mkdir(parents=True, exist_ok=True)
    (home / "keystone.conf").write_text(
        _CONFIG.format(home=home, database=home / "keystone.sqlite")
    )
    for repository in ("fernet-keys", "credential-keys"):
        _make_keys(home / repository)
    uwsgi.write(
        home / "uwsgi.ini",
        name=f"{cloud.name}/keystone",
        host="127.0.0.1",
        port=cloud.keystone_port,
        module="keystone.wsgi.api:application",
        root=root,
        venv=venv,
        processes=1,
        threads=_THREADS,
    )


def prepare(cloud: model.Description, venv: pathlib.Path, cache: pathlib.Path) -> None:
    """Make the database with the initial content of Keystone, unless it exists.

    :raises CloudError: keystone-manage fails.
    """
    home = _home(cloud)
    database = home / "keystone.sqlite"
    if database.exists():
        return
    partial = home / "bootstrap.sqlite"
    databases.copy_empty("keystone", venv, cache, partial)
    config = home / "bootstrap.conf"
    config.write_text(_CONFIG.format(home=home, database=partial))
    admin = cloud.user("admin")
    databases.run(
        [
            str(venv / "bin" / "keystone-manage"),
            "--config-file",
            str(config),
            "bootstrap",
            "--bootstrap-username",
            admin.name,
            "--bootstrap-password",
            admin.password,
            "--bootstrap-project-name",
            admin.project,
            "--bootstrap-region-id",
            cloud.cascading_region,
        ],
        home,
        pathlib.Path(cloud.keystone_log),
    )
    databases.use_write_ahead_log(partial)
    partial.rename(database)


def build(cloud: model.Description, venv: pathlib.Path) -> services.Service:
    """Return the service."""
    home = _home(cloud)
    state_dir = pathlib.Path(cloud.state_dir)
    return services.Service(
        name="keystone",
        host="127.0.0.1",
        port=cloud.keystone_port,
        command=[str(venv / "bin" / "uwsgi"), "--ini", str(home / "uwsgi.ini")],
        env=services.environment(home, OS_KEYSTONE_CONFIG_DIR=str(home)),
        log=pathlib.Path(cloud.keystone_log),
        pid_file=state_dir / "run" / "keystone.json",
        probe=probes.http_get("127.0.0.1", cloud.keystone_port, "/v3"),
    )


def _make_keys(repository: pathlib.Path) -> None:
    # The layout of keystone-manage fernet_setup: 0 is staged, 1 is primary.
    if repository.exists():
        return
    repository.mkdir(mode=0o700)
    for index in ("0", "1"):
        key = repository / index
        key.touch(mode=0o600)
        key.write_bytes(base64.urlsafe_b64encode(os.urandom(32)))


def _home(cloud: model.Description) -> pathlib.Path:
    return pathlib.Path(cloud.state_dir) / "keystone"
