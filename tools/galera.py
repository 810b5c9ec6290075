# SPDX-License-Identifier: Apache-2.0
"""Two nodes of Galera on loopback, for tests, with the servers of ``tools/databases.py``."""

from collections.abc import Iterator
import contextlib
import dataclasses
import os
import pathlib
import secrets
import signal

from tools import databases
from tools.cloud import planning

_PROVIDER = pathlib.Path("/usr/lib/galera/libgalera_smm.so")
_STATE_TRANSFER = "copied"
#: Both nodes start with the same data, so a state transfer only needs the position. The methods
#: that send data are in Debian's mariadb-server, which makes a service.
_STATE_TRANSFER_SCRIPT = """\
#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in
        --role) role=$2 ;;
        --gtid) position=$2 ;;
    esac
    shift
done
file=$(dirname "$0")/position
if [ "$role" = donor ]; then
    echo "$position" >"$file.new"
    mv "$file.new" "$file"
    echo "done $position"
else
    echo "ready 127.0.0.1"
    until [ -e "$file" ]; do sleep 0.02; done
    cat "$file"
fi
"""
_OPERATOR_SQL = "GRANT ALL ON *.* TO agent@127.0.0.1;\n"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Node:
    """The directory and the ports of a node."""

    data: pathlib.Path
    sql: int
    group: int
    transfer: int


@contextlib.contextmanager
def nodes() -> Iterator[tuple[databases.Server, databases.Server]]:
    """Run two nodes with one database. Their user has all permissions.

    :raises NoServerError: they cannot be started.
    """
    if not _PROVIDER.exists():
        raise databases.NoServerError(f"{_PROVIDER} is not there; galera-4 has it")
    with databases.directory() as home, contextlib.ExitStack() as running:
        password = secrets.token_hex()
        first, second = (_node(home / name) for name in ("first", "second"))
        _make(home, first, second, password)
        servers = []
        for node, other in ((first, None), (second, first)):
            plan = _plan(home, node, other, password)
            server = databases.Server(plan, home / f"log-{node.sql}")
            running.callback(server.stop)
            servers.append(server)
        yield servers[0], servers[1]


def _node(data: pathlib.Path) -> _Node:
    sql, group, transfer = (planning.free_port(databases.ADDRESS) for _ in range(3))
    return _Node(data=data, sql=sql, group=group, transfer=transfer)


def _make(home: pathlib.Path, first: _Node, second: _Node, password: str) -> None:
    """Make the data of a node that was in a cluster before, and copy it."""
    programs = home / "bin"
    programs.mkdir()
    script = programs / f"wsrep_sst_{_STATE_TRANSFER}"
    script.write_text(_STATE_TRANSFER_SCRIPT)
    script.chmod(0o755)
    users = home / "users.sql"
    databases.make_mariadb(first.data, users, password)
    with users.open("a") as file:
        file.write(_OPERATOR_SQL)
    if user := databases.unprivileged():
        os.chown(programs, user.pw_uid, user.pw_gid)
    plan = _plan(home, first, None, password)
    once = dataclasses.replace(plan, command=[*plan.command, f"--init-file={users}"])
    databases.Server(once, home / "log").stop()
    databases.run("cp", "--archive", str(first.data), str(second.data))


def _plan(
    home: pathlib.Path, node: _Node, other: _Node | None, password: str
) -> databases.Plan:
    """Return the options of a node that joins another; None: it starts the cluster."""
    ports = {
        "base_host": databases.ADDRESS,
        "base_port": node.group,
        "gmcast.listen_addr": f"tcp://{databases.ADDRESS}:{node.group}",
        "ist.recv_addr": f"{databases.ADDRESS}:{node.transfer}",
        "gcache.size": "16M",
        # A node that gets no processor for seconds on a busy machine stays a member.
        "evs.suspect_timeout": "PT30S",
        "evs.inactive_timeout": "PT60S",
        "evs.install_timeout": "PT60S",
    }
    options = ";".join(f"{name}={value}" for name, value in ports.items())
    member = f"{databases.ADDRESS}:{other.group}" if other else ""
    return databases.Plan(
        command=[
            "env", f"PATH={home}/bin{os.pathsep}{os.defpath}",
            *databases.mariadb_command(home, node.data, node.sql),
            "--binlog-format=ROW", "--innodb-autoinc-lock-mode=2",
            "--innodb-flush-log-at-trx-commit=0",
            "--wsrep-on=ON", f"--wsrep-provider={_PROVIDER}",
            f"--wsrep-provider-options={options}",
            f"--wsrep-cluster-address=gcomm://{member}",
            f"--wsrep-node-address={databases.ADDRESS}",
            f"--wsrep-sst-method={_STATE_TRANSFER}",
            *([] if other else ["--wsrep-new-cluster"]),
        ],
        url=databases.mariadb_url(password, node.sql),
        end=signal.SIGTERM,
    )
