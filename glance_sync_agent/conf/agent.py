# SPDX-License-Identifier: Apache-2.0
"""The options of the agent as a process: its files, its database, its connections."""

import dataclasses

from oslo_config import cfg

DEFAULT_STORE_FILE = "glance_store.yaml"  # may be absent

OPTIONS = {
    None: [
        cfg.BoolOpt(
            "sync_enabled", default=True, mutable=True,
            help="Copy images. Set it to false for maintenance: messages then wait in the broker, "
            "no task starts, and running tasks finish.",
        ),
        cfg.URIOpt(
            "cascading_endpoint_url", default="http://127.0.0.1:9292/", schemes=["http", "https"],
            help="Image endpoint of the cascading region, exactly as in Keystone's catalogue. "
            "If that region gets another name, or another region takes its place, first run "
            "'glance-sync-manage region rename' or 'region forget'.",
        ),
        cfg.StrOpt(
            "glance_store_cfg_file", default=DEFAULT_STORE_FILE,
            help="File that describes how to reach the stores of the regions: a path, or a name "
            "beside sync.conf. Without it, the agent uses the image API of every region.",
        ),
        cfg.StrOpt(
            "state_path", default="/var/lib/glance-sync-agent",
            help="Directory for the lock file and the SQLite database. Each agent of one "
            "machine needs its own.",
        ),
    ],
    "database": [
        cfg.StrOpt(
            "connection", secret=True, default="sqlite:///$state_path/sync.sqlite",
            help="SQLAlchemy URL of the database. SQLite suits one agent; for several agents, "
            "use postgresql+psycopg:// or mysql+pymysql:// and install the extra postgresql or "
            "mysql.",
        ),
    ],
    "ssh": [
        cfg.StrOpt(
            "known_hosts", default="/etc/glance/known_hosts",
            help="Host keys of the store hosts, in the format of OpenSSH; the agent refuses "
            "hosts without a matching key. The entry of a region in glance_store.yaml may name "
            "another file.",
        ),
        cfg.FloatOpt(
            "connect_timeout_seconds", default=15.0, min=0.1,
            help="Seconds to wait until a store host accepts a connection and a login. Raise it "
            "for slow hosts; it may be short, because the agent retries a task.",
        ),
    ],
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSettings:
    """How to connect to image endpoints and store hosts."""

    known_hosts: str
    ssh_connect_seconds: float
    connect_seconds: float
    idle_seconds: float

    def at_most(self, seconds: float) -> "NetworkSettings":
        """Return the same with no wait longer than ``seconds``."""
        return NetworkSettings(
            known_hosts=self.known_hosts,
            ssh_connect_seconds=min(self.ssh_connect_seconds, seconds),
            connect_seconds=min(self.connect_seconds, seconds),
            idle_seconds=min(self.idle_seconds, seconds),
        )


def network_settings(conf: cfg.ConfigOpts) -> NetworkSettings:
    """Return the settings of connections."""
    return NetworkSettings(
        known_hosts=conf.ssh.known_hosts,
        ssh_connect_seconds=conf.ssh.connect_timeout_seconds,
        connect_seconds=conf.transfer.connect_timeout_seconds,
        idle_seconds=conf.transfer.idle_timeout_seconds,
    )
