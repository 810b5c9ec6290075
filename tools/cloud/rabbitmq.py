# SPDX-License-Identifier: Apache-2.0
"""A private RabbitMQ node with one virtual host for each region."""

import base64
import hashlib
import json
import os
import pathlib

from tools.cloud import model
from tools.cloud import probes
from tools.cloud import services

# Debian's wrapper of this program needs its own system user.
_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
_EPMD = "/usr/bin/epmd"
_CONFIG = """\
listeners.tcp.default = {host}:{port}
num_acceptors.tcp = 4
load_definitions = {home}/definitions.json
loopback_users = none
log.console = true
log.console.level = info
log.file = false
disk_free_limit.absolute = 50MB
"""


def configure(cloud: model.Description) -> None:
    """Write the node's configuration, users and virtual hosts."""
    home = _home(cloud)
    for directory in ("home", "mnesia", "log", "conf.d"):
        (home / directory).mkdir(parents=True, exist_ok=True)
    broker = cloud.rabbitmq
    (home / "rabbitmq.conf").write_text(
        _CONFIG.format(host=broker.host, port=broker.port, home=home)
    )
    (home / "enabled_plugins").write_text("[].\n")
    (home / "env.conf").write_text("")
    cookie = home / "home" / ".erlang.cookie"
    cookie.unlink(missing_ok=True)
    cookie.touch(mode=0o600)
    cookie.write_text(broker.cookie)
    cookie.chmod(0o400)
    (home / "definitions.json").write_text(json.dumps(_definitions(cloud), indent=2))


def build(cloud: model.Description) -> list[services.Service]:
    """Return Erlang's port mapper and the broker, in the order they start."""
    home = _home(cloud)
    state_dir = pathlib.Path(cloud.state_dir)
    broker = cloud.rabbitmq
    env = _environment(cloud)
    return [
        services.Service(
            name="epmd",
            host=broker.host,
            port=broker.epmd_port,
            command=[_EPMD, "-address", broker.host, "-port", str(broker.epmd_port)],
            env=services.environment(home / "home"),
            log=state_dir / "log" / "epmd.log",
            pid_file=state_dir / "run" / "epmd.json",
            probe=probes.epmd(broker.host, broker.epmd_port),
        ),
        services.Service(
            name="rabbitmq",
            host=broker.host,
            port=broker.port,
            command=[_SERVER],
            env=env,
            log=pathlib.Path(broker.log),
            pid_file=state_dir / "run" / "rabbitmq.json",
            probe=probes.amqp(broker.host, broker.port),
        ),
    ]


def _environment(cloud: model.Description) -> dict[str, str]:
    home = _home(cloud)
    broker = cloud.rabbitmq
    schedulers = min(2, os.cpu_count() or 1)
    return services.environment(
        home / "home",
        ERL_EPMD_PORT=str(broker.epmd_port),
        ERL_EPMD_ADDRESS=broker.host,
        ERL_CRASH_DUMP=str(home / "log" / "erl_crash.dump"),
        RABBITMQ_ALLOW_INPUT="1",  # exec the VM instead of guarding it from a shell
        RABBITMQ_CONF_ENV_FILE=str(home / "env.conf"),
        RABBITMQ_CONFIG_FILE=str(home / "rabbitmq.conf"),
        RABBITMQ_CONFIG_FILES=str(home / "conf.d"),
        RABBITMQ_ADVANCED_CONFIG_FILE=str(home / "advanced.config"),
        RABBITMQ_ENABLED_PLUGINS_FILE=str(home / "enabled_plugins"),
        RABBITMQ_GENERATED_CONFIG_DIR=str(home / "generated"),
        RABBITMQ_DIST_PORT=str(broker.distribution_port),
        RABBITMQ_LOG_BASE=str(home / "log"),
        RABBITMQ_LOGS="-",
        RABBITMQ_MNESIA_BASE=str(home / "mnesia"),
        RABBITMQ_NODENAME=f"rabbit-{cloud.name}@localhost",
        RABBITMQ_NODE_IP_ADDRESS=broker.host,
        RABBITMQ_NODE_PORT=str(broker.port),
        RABBITMQ_PID_FILE=str(home / "rabbitmq.pid"),
        # Idle schedulers would spin, and slow down the Glances.
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=(
            f"+S {schedulers}:{schedulers} +sbwt none +sbwtdcpu none +sbwtdio none "
            "-noinput -kernel inet_dist_use_interface {127,0,0,1}"
        ),
    )


def _definitions(cloud: model.Description) -> dict[str, object]:
    broker = cloud.rabbitmq
    vhosts = [region.vhost for region in cloud.regions]
    return {
        "users": [
            {
                "name": broker.user,
                "password_hash": _password_hash(broker.password),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": "administrator",
            }
        ],
        "vhosts": [{"name": vhost} for vhost in vhosts],
        "permissions": [
            {"user": broker.user, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"}
            for vhost in vhosts
        ],
    }


def _password_hash(password: str) -> str:
    salt = b"loop"  # constant: a restart defines the same user
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _home(cloud: model.Description) -> pathlib.Path:
    return pathlib.Path(cloud.state_dir) / "rabbitmq"
