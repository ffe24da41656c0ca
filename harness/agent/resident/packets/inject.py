"""Send packets that nobody sent: copies, and resets for the target itself."""

from __future__ import annotations

import socket
from pathlib import Path

from harness.agent.resident.packets.ip import Layers
from harness.agent.resident.refused import Refused

_SO_MARK = 36
_FILTERS = [Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter") for name in ("all", "lo")]
_STRICT = 1


class Injector:
    """Raw sockets that send packets with their header, marked so that the fault's own rules let them pass.

    A packet for an address of this network namespace arrives over loopback, from whomever its header names. `failed`
    counts those that the kernel did not take.
    """

    def __init__(self, mark: int, *, inwards: bool) -> None:
        """Open the sockets; raises Refused without the right NET_RAW, or where loopback drops what they send."""
        if inwards and max(_number(path) for path in _FILTERS) == _STRICT:
            raise Refused("nothing can be sent to the target itself", "its strict reverse path filter drops it")
        self.failed = 0
        try:
            self._sockets = {4: _open(socket.AF_INET, mark)}
            if socket.has_ipv6:
                self._sockets[6] = _open(socket.AF_INET6, mark)
        except PermissionError:
            raise Refused("no packet can be sent", "the right NET_RAW lacks") from None
        except OSError:
            pass  # a kernel without IPv6 has no packets of it either

    def send(self, packet: bytes, found: Layers) -> None:
        """Send one packet to the address in its header."""
        family = socket.AF_INET if found.version == 4 else socket.AF_INET6
        try:
            self._sockets[found.version].sendto(packet, (socket.inet_ntop(family, found.target), 0))
        except (OSError, KeyError):
            self.failed += 1

    def close(self) -> None:
        """Close the sockets."""
        for one in self._sockets.values():
            one.close()


def _open(family: socket.AddressFamily, mark: int) -> socket.socket:
    found = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.IPPROTO_RAW)
    found.setsockopt(socket.SOL_SOCKET, _SO_MARK, mark)
    return found


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
