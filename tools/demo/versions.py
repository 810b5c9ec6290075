# SPDX-License-Identifier: Apache-2.0
"""The versions of the software that the demo uses."""

from collections.abc import Sequence
from importlib import metadata
import pathlib
import platform
import subprocess
import sys

_OURS = ("glance-sync-agent", "oslo.messaging", "paramiko", "python-glanceclient")
_CLOUD = ("glance", "keystone")
_DEBIAN = ("openssh-server", "rabbitmq-server")


def find(root: pathlib.Path) -> dict[str, str]:
    """Return names and versions, without the packages that are not installed.

    :param root: the checkout.
    """
    cloud = [str(path) for path in (root / ".cloud/venv/lib").glob("python*/site-packages")]
    found = {"python": platform.python_version()}
    for names, path in ((_OURS, sys.path), (_CLOUD, cloud)):
        for name in names:
            for distribution in metadata.distributions(name=name, path=path):
                found.setdefault(name, distribution.version)
    return {**found, **_debian(_DEBIAN)}


def _debian(packages: Sequence[str]) -> dict[str, str]:
    try:
        done = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *packages],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )
    except OSError:
        return {}
    lines = [line.split() for line in done.stdout.splitlines()]
    return {line[0]: line[1] for line in lines if len(line) == 2}
