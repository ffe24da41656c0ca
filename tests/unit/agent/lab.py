"""Two real network namespaces with a cable between them, and real workers in one of them."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from harness.agent.resident.packets import namespace, rules

TARGET, PEER = "target", "peer"
ADDRESSES = {
    (TARGET, 4): "198.51.100.1",
    (PEER, 4): "198.51.100.2",
    (TARGET, 6): "2001:db8::1",
    (PEER, 6): "2001:db8::2",
}
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
WAIT_SECONDS = 30.0
T = TypeVar("T")


@cache
def missing() -> str:
    """Say what this machine lacks for a lab; nothing when it has all."""
    if os.geteuid() != 0:
        return "network namespaces are made by root"
    if _shell("command -v ip iptables-restore nsenter").returncode != 0:
        return "iproute2, iptables and util-linux are needed"
    return "" if _shell("unshare --net true").returncode == 0 else "network namespaces cannot be made here"


def _shell(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=False)


def _ip(*words: str, lines: Iterable[str]) -> None:
    done = subprocess.run(["ip", *words], input="\n".join(lines), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _up(side: str) -> Iterator[str]:
    yield "link set lo up"
    yield "link set eth0 up"
    yield f"address add {ADDRESSES[side, 4]}/24 dev eth0"
    yield f"address add {ADDRESSES[side, 6]}/64 dev eth0 nodad"


class Lab:
    """The two namespaces; what is asked for runs inside one of them, in a thread of its own."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        mark = secrets.token_hex(3)
        self.names = {TARGET: f"kch-{mark}-t", PEER: f"kch-{mark}-p"}
        target, peer = self.names.values()
        cable = f"link add eth0 type veth peer name eth0 netns {peer}"
        # The second one leads nowhere.
        _ip("-batch", "-", lines=[f"netns add {target}", f"netns add {peer}"])
        _ip("-n", target, "-batch", "-", lines=[cable, "link add eth1 type veth peer name eth2", *_up(TARGET)])
        _ip("-n", peer, "-batch", "-", lines=_up(PEER))

    def close(self) -> None:
        for one in self._sockets:
            one.close()
        _ip("-batch", "-", lines=[f"netns delete {name}" for name in self.names.values()])

    def path(self, side: str = TARGET) -> str:
        return f"/run/netns/{self.names[side]}"

    def inside(self, side: str, do: Callable[[], T]) -> T:
        """Do something in a namespace; the thread that entered it ends."""
        found: list[T] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                namespace.enter(self.path(side))
                found.append(do())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return found[0]

    def udp(self, side: str, family: int = 4, port: int = 0) -> socket.socket:
        """Return a socket bound to the side's address, which never waits longer than a test may."""
        return self._socket(side, family, socket.SOCK_DGRAM, port)

    def tcp(self, side: str, family: int = 4, port: int = 0) -> socket.socket:
        return self._socket(side, family, socket.SOCK_STREAM, port)

    def _socket(self, side: str, family: int, kind: socket.SocketKind, port: int) -> socket.socket:
        made = self.inside(side, lambda: socket.socket(FAMILIES[family], kind))
        self._sockets.append(made)
        made.settimeout(WAIT_SECONDS)
        made.bind((ADDRESSES[side, family], port))
        return made

    def translate(self) -> None:
        """Have the target translate addresses, as a mesh does; none that a test uses."""
        rule = "-t nat -A OUTPUT -p tcp --dport 1 -j REDIRECT"
        made = _shell(f"ip netns exec {self.names[TARGET]} iptables {rule}")
        assert made.returncode == 0, made.stderr

    def idle_interface(self, unit: int) -> None:
        """Give the target an interface that is down and takes no more than so many bytes at once."""
        name = self.names[TARGET]
        made = _shell(f"ip -n {name} link add down0 type veth peer name down1; ip -n {name} link set down0 mtu {unit}")
        assert made.returncode == 0, made.stderr

    def chains(self, side: str = TARGET) -> list[str]:
        """List our chains that stand there."""
        return self.inside(side, rules.standing)

    def counter(self, side: str, name: str) -> int:
        """Read one of the kernel's counters of UDP over IPv4."""
        text = self.inside(side, Path("/proc/thread-self/net/snmp").read_text)
        names, values = (line.split() for line in text.splitlines() if line.startswith("Udp:"))
        return int(values[names.index(name)])


class Worker:
    """One worker's process, and what it tells."""

    def __init__(self, lab: Lab, effect: dict[str, Any], match: dict[str, Any] | None = None, **more: Any) -> None:
        order = {"fault": "run-1/fault-1", "seed": "7", "netns": lab.path(), "lease": 60, "seconds": 600}
        # Hosts speak of themselves over IPv6 (multicast listener reports): counts are of what a test sends.
        self.order = {**order, "effect": effect, "match": {"protocol": "udp", **(match or {})}, **more}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "harness.agent.resident.packets.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._asked = 0
        self.tell(self.order)

    def tell(self, message: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self, *events: str) -> dict[str, Any]:
        """Wait for one of these events."""
        assert self.process.stdout
        for line in self.process.stdout:
            found: dict[str, Any] = json.loads(line)
            if found["event"] in events:
                return found
        raise AssertionError(f"the worker ended without {events}")

    def report(self) -> dict[str, Any]:
        """Ask for a report, and return that very one."""
        self._asked += 1
        self.tell({"report": self._asked})
        while True:
            found = self.hear("report")
            if found.get("asked") == self._asked:
                return found

    def until(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for a report of which something is true."""
        while True:
            found = self.report()
            if true(found):
                return found

    def end(self) -> dict[str, Any]:
        """End the fault and return what was seen of it."""
        self.tell({"end": "the test is over"})
        return self.hear("end")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def working(lab: Lab, effect: dict[str, Any], match: dict[str, Any] | None = None, **more: Any) -> Iterator[Worker]:
    """Have a worker whose rules stand; it is gone afterwards."""
    worker = Worker(lab, effect, match, **more)
    try:
        ready = worker.hear("ready", "refused")
        assert ready["event"] == "ready", ready
        yield worker
    finally:
        worker.kill()
        for stream in (worker.process.stdin, worker.process.stdout):
            if stream:
                with suppress(BrokenPipeError):
                    stream.close()


def arrived(receiver: socket.socket) -> list[bytes]:
    """Return what lies in a socket at this moment."""
    receiver.setblocking(False)
    found = []
    try:
        while True:
            found.append(receiver.recv(65536))
    except BlockingIOError:
        return found
    finally:
        receiver.settimeout(WAIT_SECONDS)
