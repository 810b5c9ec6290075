# SPDX-License-Identifier: Apache-2.0
"""Who runs a command."""

import getpass
import os

from glance_sync_agent.engine.asked import Asked


def asks() -> Asked:
    """Return that the person who runs this process asks for something."""
    return Asked(by=name())


def name() -> str:
    """Return the login of the person who runs this process, also through sudo."""
    if asked := os.environ.get("SUDO_USER"):
        return asked
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without an entry in the password database
        return f"uid {os.getuid()}"
