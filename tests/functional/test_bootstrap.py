# SPDX-License-Identifier: Apache-2.0
"""``tools/lib/bootstrap.sh`` in a root directory of its own, with an apt-get that plays."""

from collections.abc import Callable
import os
import pathlib
import pty
import shutil
import subprocess
from typing import NoReturn

import pytest

from tests import paths

_BOOTSTRAP = paths.ROOT / "tools" / "lib" / "bootstrap.sh"
_PACKAGE = "glance-sync-no-such-package"
_ENSURE = f"""\
source "$1/tools/lib/bootstrap.sh"
SYSTEM_ROOT=$2
ensure_debian_packages {_PACKAGE}
echo installed
"""
#: One that wants a password before it does anything, and writes down what it did.
_SUDO = """\
echo "$*" >>{log}
[ "$1" = -v ] || grep -qx -e -v {log}"""
#: What each unit has to say of its installation.
_UNITS = {
    "operators.service": "WantedBy=multi-user.target",
    "daemon.service": "WantedBy=multi-user.target\nAlias=nickname.service",
    "dependency.service": "WantedBy=multi-user.target\nAlso=dependency.socket",
    "dependency.socket": "WantedBy=sockets.target",
    "chore.timer": "WantedBy=timers.target",
}


class Machine:
    """A root directory with units, and a checkout that has nothing but the script."""

    def __init__(self, home: pathlib.Path) -> None:
        self.root = home / "root"
        self._checkout = home / "checkout"
        self._bin = home / "bin"
        for directory in ("etc/systemd/system", "lib/systemd/system", "usr/sbin"):
            (self.root / directory).mkdir(parents=True)
        for name, install in _UNITS.items():
            unit = f"[Service]\nExecStart=/bin/true\n[Install]\n{install}\n"
            (self.root / "lib/systemd/system" / name).write_text(unit)
        (self._checkout / "tools" / "lib").mkdir(parents=True)
        shutil.copy(_BOOTSTRAP, self._checkout / "tools" / "lib")
        self._bin.mkdir()
        self.program("sudo", 'while [ "${1#-}" != "$1" ]; do shift; done; exec "$@"')

    def program(self, name: str, script: str) -> None:
        """Put a shell script in the place of a program."""
        path = self._bin / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def enable(self, *units: str) -> None:
        """Enable units as an operator does it."""
        subprocess.run(self.enabling(*units).split(), check=True, capture_output=True)

    def enabling(self, *units: str) -> str:
        """Return the command that enables units."""
        return f"systemctl --root={self.root} enable {' '.join(units)}"

    def links(self) -> set[str]:
        """Return the names of the links that enabled units have."""
        found = self.root.joinpath("etc/systemd/system").rglob("*")
        return {path.name for path in found if path.is_symlink()}

    def install(
        self, stdin: int = subprocess.DEVNULL
    ) -> subprocess.CompletedProcess[str]:
        """Ask for a package that is not there."""
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", _ENSURE, "-", self._checkout, self.root],
            env=os.environ | {"PATH": f"{self._bin}:{os.environ['PATH']}"},
            stdin=stdin, capture_output=True, text=True, check=False,
        )


@pytest.fixture
def machine(tmp_path: pathlib.Path, missing_service: Callable[[str], NoReturn]) -> Machine:
    for program in ("dpkg-query", "systemctl"):
        if shutil.which(program) is None:
            missing_service(f"no {program}")
    return Machine(tmp_path)


@pytest.mark.parametrize(("status", "said"), [(0, "installed"), (1, "could not install")])
def test_what_an_installation_enables_is_disabled_and_what_the_operator_enabled_is_not(
    machine: Machine, status: int, said: str
) -> None:
    machine.enable("operators.service")
    enabling = machine.enabling("daemon.service", "dependency.service", "chore.timer")
    machine.program("apt-get", f"{enabling}; exit {status}")

    done = machine.install()

    assert done.returncode == status
    assert said in done.stdout + done.stderr
    assert machine.links() == {"operators.service"}


@pytest.mark.parametrize(
    ("last", "said"),
    [
        pytest.param("exit 0", "installed", id="done"),
        pytest.param("exit 1", "could not install", id="failed"),
        pytest.param("kill $PPID", "could not install", id="interrupted"),
    ],
)
def test_what_tells_packages_to_start_and_to_make_nothing_goes_again(
    machine: Machine, tmp_path: pathlib.Path, last: str, said: str
) -> None:
    policy = machine.root / "usr/sbin/policy-rc.d"
    cluster = machine.root / "etc/postgresql-common/createcluster.d/glance-sync.conf"
    seen = tmp_path / "seen"
    machine.program("apt-get", f"{policy}; echo $? >{seen}; cat {cluster} >>{seen}; {last}")

    done = machine.install()

    assert said in done.stdout + done.stderr
    assert seen.read_text() == "101\ncreate_main_cluster = false\n"
    assert not policy.exists()
    assert not cluster.parents[1].exists()


def test_a_policy_of_the_operators_stays(machine: Machine) -> None:
    policy = machine.root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n")
    machine.program("apt-get", "exit 0")

    done = machine.install()

    assert done.returncode == 0, done.stderr
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"


def test_sudo_asks_for_the_password_of_somebody_who_sits_at_a_terminal(
    machine: Machine, tmp_path: pathlib.Path
) -> None:
    log = tmp_path / "sudo.log"
    machine.program("id", "echo 1000")
    machine.program("sudo", _SUDO.format(log=log))
    ours, theirs = pty.openpty()
    try:
        done = machine.install(stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)

    assert done.returncode == 0, done.stderr
    assert "your password" in done.stdout
    assert "-v" in log.read_text().splitlines()
    assert f"install --no-install-recommends --no-remove {_PACKAGE}" in log.read_text()


def test_a_user_whom_sudo_cannot_ask_is_told_what_root_has_to_do(
    machine: Machine, tmp_path: pathlib.Path
) -> None:
    log = tmp_path / "sudo.log"
    machine.program("id", "echo 1000")
    machine.program("sudo", _SUDO.format(log=log))

    done = machine.install()

    assert done.returncode == 1
    assert f"run as root: apt-get install {_PACKAGE}" in done.stderr
    assert log.read_text() == "-n true\n"
