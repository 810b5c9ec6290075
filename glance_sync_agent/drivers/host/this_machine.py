# SPDX-License-Identifier: Apache-2.0
"""Whether a host is this machine."""

import ipaddress
import socket
import struct

# Of netlink(7) and rtnetlink(7). pyroute2 would save 15 lines, too few for a dependency.
_RTM_NEWROUTE, _RTM_GETROUTE = 24, 26
_NLM_F_REQUEST = 1
_RTA_DST = 1
_RTN_LOCAL = 2
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, bits of the destination, ..., kind, flags
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_KIND = _HEADER.size + 7
_ANSWER_BYTES = 8192


def has_address_of(host: str) -> bool:
    """Return whether ``host`` has an address of this machine."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
        return any(_is_local(family, str(address[0])) for family, _, _, _, address in found)
    except (OSError, UnicodeError):  # not a valid name
        return False


def _is_local(family: int, address: str) -> bool:
    """Ask the kernel whether packets to an address stay on this machine.

    Simpler ways fail. With net.ipv4.ip_nonlocal_bind, common beside keepalived, every address
    can be bound. A connection to the second address of an interface, or to 127.0.0.2, comes from
    the first one.
    """
    packed = ipaddress.ip_address(address).packed
    question = (
        _ROUTE.pack(family, 8 * len(packed), 0, 0, 0, 0, 0, 0, 0)
        + _ATTRIBUTE.pack(_ATTRIBUTE.size + len(packed), _RTA_DST)
        + packed
    )
    header = _HEADER.pack(_HEADER.size + len(question), _RTM_GETROUTE, _NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.send(header + question)
        answer = kernel.recv(_ANSWER_BYTES)
    _, kind_of_answer, *_ = _HEADER.unpack_from(answer)
    return bool(kind_of_answer == _RTM_NEWROUTE and answer[_KIND] == _RTN_LOCAL)
