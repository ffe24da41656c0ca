"""Own one netfilter queue of the network namespace this process is in: packets come out, verdicts go in.

A queue overflows in two places. Its socket may be full: then the kernel hands the packet on (fail-open) or drops it,
and the packet's id is missing in what is read here; that is counted exactly. Its list of waiting packets may be full:
under fail-open the kernel counts that nowhere, so the list is made longer than the socket and this process together
can fill it.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from pathlib import Path

from harness.agent.resident.packets import netlink
from harness.agent.resident.packets.netlink import Packet, Refusal
from harness.agent.resident.refused import Refused

FIRST, COUNT = 0x4800, 0x1000  # numbers that no known program prefers
SOCKET_BYTES = 16 << 20
LEAST_BYTES = 512  # what a message costs the socket at least: an sk_buff with its head
BATCH = 256
SEND_BYTES = 32768
COLUMNS = ("waiting", "queue_dropped", "user_dropped", "came")
COUNTERS = Path("/proc/thread-self/net/netfilter/nfnetlink_queue")
_SO_RCVBUFFORCE = 33
_RECEIVE_BYTES = 1 << 17
_IDS = 1 << 32


class Queue:
    """One owned queue; `unread` counts packets that the socket had no room for, `full` how often that was said."""

    def __init__(self, preferred: int, *, copy: int, limit: int, large: bool, opens: bool, room: int = 0) -> None:
        """Bind the first free number from `preferred` on; raises Refused when there is none to be had."""
        self.unread = self.full = self.vanished = 0
        self._last = 0
        self._socket = self._open(room or SOCKET_BYTES)
        self.number = self._bind(preferred)
        flags = (netlink.LARGE if large else 0) | (netlink.FAIL_OPEN if opens else 0)
        length = limit + 2 * (room or SOCKET_BYTES) // LEAST_BYTES
        self._ask(netlink.configure(self.number, copy, length, flags), "a netfilter queue cannot be configured")
        self._socket.setblocking(False)

    @staticmethod
    def _open(room: int) -> socket.socket:
        try:
            found = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, netlink.NETLINK_NETFILTER)
            # Forced beyond net.core.rmem_max: needs the right NET_ADMIN, which a queue needs anyway.
            found.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, room)
            found.bind((0, 0))
        except OSError as error:
            raise Refused("a netfilter queue cannot be had", error.strerror or "") from None
        return found

    def _bind(self, preferred: int) -> int:
        for offset in range(COUNT):
            number = FIRST + (preferred + offset) % COUNT
            code = self._answer(netlink.bind(number))
            if code == 0:
                return number
            # EPERM, for the right NET_ADMIN is there: another process owns this number.
            if code not in (errno.EBUSY, errno.EPERM):
                raise Refused("a netfilter queue cannot be had", errno.errorcode.get(code, str(code)))
        raise Refused("a netfilter queue cannot be had", "all numbers are taken")

    def _ask(self, message: bytes, what: str) -> None:
        code = self._answer(message)
        if code:
            raise Refused(what, errno.errorcode.get(code, str(code)))

    def _answer(self, message: bytes) -> int:
        self._socket.settimeout(5.0)
        self._socket.send(message)
        while True:
            for found in netlink.parse(self._socket.recv(_RECEIVE_BYTES)):
                if isinstance(found, Refusal):
                    return found.errno

    def fileno(self) -> int:
        """Return the socket's number, to be waited for."""
        return self._socket.fileno()

    def receive(self) -> list[Packet]:
        """Read what has arrived, at most a batch; never waits."""
        packets: list[Packet] = []
        while len(packets) < BATCH:
            try:
                data = self._socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.full += 1
                continue
            for found in netlink.parse(data):
                if isinstance(found, Packet):
                    self.unread += (found.id - self._last - 1) % _IDS
                    self._last = found.id
                    packets.append(found)
                elif found.errno:
                    self.vanished += 1
        return packets

    def send(self, verdicts: list[bytes]) -> None:
        """Hand verdicts over, many in one call."""
        batch: list[bytes] = []
        size = 0
        for one in verdicts:
            if size + len(one) > SEND_BYTES and batch:
                self._socket.send(b"".join(batch))
                batch, size = [], 0
            batch.append(one)
            size += len(one)
        if batch:
            self._socket.send(b"".join(batch))

    def counters(self) -> dict[str, int]:
        """Read what the kernel counts: waiting now, dropped for a full list or a full socket, and all that came."""
        with contextlib.suppress(OSError):
            for line in COUNTERS.read_text().splitlines():
                fields = [int(word) for word in line.split()]
                if fields[0] == self.number:
                    return dict(zip(COLUMNS, (fields[2], *fields[5:8]), strict=True))
        return {}

    def close(self) -> None:
        """Give the queue up; the kernel drops what still waits in it, and the rules let pass what comes."""
        self._socket.close()
