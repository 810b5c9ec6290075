# SPDX-License-Identifier: Apache-2.0
"""The private parts of paramiko that the agent needs, each with its reason."""

import paramiko
from paramiko import sftp as protocol


def free_bytes(sftp: paramiko.SFTPClient, directory: str) -> int:
    """Return the free space for files of a directory (OpenSSH: ``statvfs@openssh.com``).

    paramiko has no public method for extended requests of SFTP.

    :raises OSError: no such directory, or no such extension.
    """
    _kind, answer = sftp._request(  # type: ignore[attr-defined]  # noqa: SLF001
        protocol.CMD_EXTENDED, "statvfs@openssh.com", directory
    )
    _block, fragment, _blocks, _free, available = (answer.get_int64() for _ in range(5))
    return int(fragment * available)


def cipher(transport: paramiko.Transport) -> str:
    """Return the cipher that a host sends with; paramiko has no documented attribute for it."""
    return str(transport.remote_cipher)  # type: ignore[attr-defined]
