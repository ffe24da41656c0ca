"""Take what a target sends out of the kernel while it waits, where that is safe.

A packet that waits in a queue is still charged to the socket that sent it: TCP sends no more than two of them
meanwhile (its "small queues"), UDP what the socket's buffer holds. 100 kB took 3 s through 100 ms of delay where a
real line takes 0.4 s. So the worker keeps a copy, lets the kernel drop the packet, and sends the copy when it is due.

The copy passes OUTPUT as a packet of its own. Where addresses are translated that could lead it elsewhere (a mesh
sends all but its proxy's packets to the proxy), so there packets wait in the queue. What is longer than the interface
takes at once does, too.
"""

from __future__ import annotations

import fcntl
import shutil
import socket
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

from harness.agent.resident.packets.fate import WHOLE, Effect
from harness.agent.resident.refused import Refused

SECONDS = 10.0
_SIOCGIFFLAGS, _SIOCGIFMTU, _IFF_UP = 0x8913, 0x8921, 1
_LEGACY_TABLES = [Path(f"/proc/thread-self/net/{name}_tables_names") for name in ("ip", "ip6")]


def prepared(effect: Effect) -> tuple[Effect, int]:
    """Return the effect as it can be done here, and the longest packet that may be carried; 0 where none may."""
    if not effect.carries or "egress" not in effect.match.directions or translates():
        return effect, 0
    return replace(effect, copy=WHOLE, large=False, injects=True), _shortest_unit()


def translates() -> bool:
    """Say whether this network namespace translates addresses; without a program to ask, it may."""
    if any("nat" in path.read_text().split() for path in _LEGACY_TABLES if path.exists()):
        return True
    if shutil.which("nft"):
        return "type nat hook" in _asked("nft", "list", "ruleset")
    programs = [program for name in ("iptables", "ip6tables") if (program := shutil.which(f"{name}-nft-save"))]
    return not programs or any("\n-A " in _asked(program, "-t", "nat") for program in programs)


def _asked(*argv: str) -> str:
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False).stdout
    except subprocess.TimeoutExpired:
        raise Refused(f"{argv[0]} did not end", f"in {SECONDS:g} s") from None


def _shortest_unit() -> int:
    """Return the least MTU of the interfaces that are up here, loopback aside; 0 without any.

    Some kernels put a tunnel into every namespace, which takes less and is down.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:

        def ask(what: int, name: str) -> int:
            answer = fcntl.ioctl(asking, what, struct.pack("16si12x", name.encode(), 0))
            return int(struct.unpack_from("=i", answer, 16)[0])

        names = [name for _, name in socket.if_nameindex() if name != "lo"]
        return min((ask(_SIOCGIFMTU, name) for name in names if ask(_SIOCGIFFLAGS, name) & _IFF_UP), default=0)
