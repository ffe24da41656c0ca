"""Measure from outside what packet faults do: `python -m bench.packets` prints the table of docs/agent.md.

Two real network namespaces and a cable. Packets carry the time at which they were sent, the kernel stamps when they
arrive (SO_TIMESTAMPNS), so neither end's scheduling is measured, only the worker's.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.unit.agent.lab import ADDRESSES, PEER, TARGET, Lab, Worker, working

_TIMESTAMP = 35  # SO_TIMESTAMPNS
_RCVBUFFORCE, _SNDBUFFORCE = 33, 32
_TICKS = os.sysconf("SC_CLK_TCK")
Row = tuple[str, str, str, str]


class Stream(NamedTuple):
    """How long each packet took in ms, what the worker told, its share of a core, and the rate that was reached."""

    took: list[float]
    told: dict[str, Any]
    share: float
    rate: float


def paced(rate: float, count: int) -> Iterator[int]:
    """Come back `rate` times a second on average; late ones are made up for."""
    began = time.monotonic()
    for number in range(count):
        ahead = began + number / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        yield number


def stamped(receiver: socket.socket) -> Iterator[tuple[bytes, int]]:
    """Read what lies in a socket, each with the time of its arrival in nanoseconds."""
    receiver.setblocking(False)
    while True:
        try:
            data, control, _, _ = receiver.recvmsg(2048, 64)
        except BlockingIOError:
            return
        seconds, nanoseconds = struct.unpack("=qq", control[0][2][:16])
        yield data, seconds * 1_000_000_000 + nanoseconds


def cpu(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def stream(lab: Lab, worker: Worker, rate: float, count: int) -> Stream:
    """Send packets through the fault."""
    sender, receiver = lab.udp(TARGET), lab.udp(PEER)
    receiver.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 64 << 20)
    receiver.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
    goal = receiver.getsockname()
    used, began = cpu(worker.process.pid), time.monotonic()
    for _ in paced(rate, count):
        sender.sendto(struct.pack("=q", time.time_ns()) + b"x" * 92, goal)
    took = time.monotonic() - began
    share = (cpu(worker.process.pid) - used) / took
    told = worker.until(lambda found: found["holding"] == 0 and found["seen"] + found["missed"] >= count)
    arrived = [(at - struct.unpack_from("=q", data)[0]) / 1e6 for data, at in stamped(receiver)]
    return Stream(arrived, told, share, count / took)


def latency(lab: Lab, rate: float, seconds: float, **more: Any) -> Row:
    """Measure 100 ms at a rate of packets a second."""
    with working(lab, {"kind": "latency", "delay_ms": 100, **more}, {"direction": "egress"}) as worker:
        took, told, share, reached = stream(lab, worker, rate, int(rate * seconds))
    cuts = statistics.quantiles(took, n=100)
    name = f"latency 100 ms{''.join(f', {key} {value}' for key, value in more.items())} at {reached:.0f}/s"
    felt = f"p1 {cuts[0]:.1f}, p50 {cuts[49]:.1f}, p95 {cuts[94]:.1f}, p99 {cuts[98]:.1f} ms"
    held = told["held_ms"]
    return name, felt, f"p50 {held['p50']:.1f}, p99 {held['p99']:.1f} ms, missed {told['missed']}", f"{share:.1%}"


def loss(lab: Lab, correlation: float) -> Row:
    """Measure a loss of 10 % over 5000 packets."""
    effect = {"kind": "loss", "share": 0.1, "correlation": correlation}
    with working(lab, effect, {"direction": "egress"}) as worker:
        took, told, share, _ = stream(lab, worker, 2000, 5000)
    name = f"loss 10 %, correlation {correlation:g}, 5000 packets"
    return name, f"{1 - len(took) / 5000:.1%} lost", f"{told['did'].get('lost', 0)} lost", f"{share:.1%}"


def partition(lab: Lab, family: int) -> Row:
    """Count what passes a partition while 20 000 packets are sent as fast as they can be."""
    with working(lab, {"kind": "partition"}, {"peers": [ADDRESSES[PEER, family]]}) as worker:
        sender, receiver = lab.udp(TARGET, family), lab.udp(PEER, family)
        used, began = cpu(worker.process.pid), time.monotonic()
        for _ in range(20_000):
            sender.sendto(b"x", receiver.getsockname())
        share = (cpu(worker.process.pid) - used) / (time.monotonic() - began)
        told = worker.until(lambda found: found["overflow"]["came"] + found["overflow"]["queue_dropped"] >= 20_000)
        receiver.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
        passed = sum(1 for _ in stamped(receiver))
    return f"partition, IPv{family}, 20 000 packets", f"{passed} passed", f"{told['did']}", f"{share:.1%}"


def bandwidth(lab: Lab, bits: float, seconds: float) -> Row:
    """Measure one TCP connection through a narrow line: bytes of IP packets that arrive."""
    with working(
        lab, {"kind": "bandwidth", "bits_per_second": bits}, {"direction": "egress", "protocol": "tcp"}
    ) as worker:
        server, client = lab.tcp(PEER), lab.tcp(TARGET)
        server.listen()
        client.connect(server.getsockname())
        there, _ = server.accept()
        ends = threading.Event()
        threads = [threading.Thread(target=pump, args=(client, ends)), threading.Thread(target=sink, args=(there,))]
        for thread in threads:
            thread.start()
        time.sleep(1.0)
        used, began, first = cpu(worker.process.pid), time.monotonic(), received(lab)
        time.sleep(seconds)
        took, last = time.monotonic() - began, received(lab)
        share = (cpu(worker.process.pid) - used) / took
        told = worker.report()
        ends.set()
        worker.kill()
        for thread in threads:
            thread.join()
        there.close()
    rate = (last - first) * 8 / took
    return (
        f"bandwidth {bits / 1e6:g} Mbit/s, one TCP connection",
        f"{rate / 1e6:.3f} Mbit/s",
        f"{told['did']}",
        f"{share:.1%}",
    )


def pump(end: socket.socket, ends: threading.Event) -> None:
    """Send without pause until told to end."""
    end.settimeout(0.2)
    while not ends.is_set():
        try:
            end.send(b"x" * 65536)
        except TimeoutError:
            continue
    end.close()


def sink(end: socket.socket) -> None:
    """Read until the other end closes."""
    while end.recv(1 << 20):
        pass


def received(lab: Lab) -> int:
    """Return the bytes of IP packets that the peer has received; every one had 14 bytes of Ethernet before it."""
    text = lab.inside(PEER, Path("/proc/thread-self/net/dev").read_text)
    (line,) = (line for line in text.splitlines() if line.strip().startswith("eth0:"))
    fields = line.partition(":")[2].split()
    return int(fields[0]) - 14 * int(fields[1])


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each stream is")
    parser.add_argument("--rates", default="200,2000,5000,10000", help="packets a second")
    parser.add_argument("--only", default="", help="latency, loss, partition or bandwidth")
    given = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M}Z, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| fault | felt outside | told by the worker | of a core |\n|---|---|---|---|")
    for row in measured(given):
        print("| " + " | ".join(row) + " |", flush=True)


def measured(given: argparse.Namespace) -> Iterator[Row]:
    """Measure one row after the other, each in a lab of its own."""
    rates = [float(rate) for rate in given.rates.split(",")]
    measures: dict[str, list[Callable[[Lab], Row]]] = {
        "latency": [
            *(partial(latency, rate=rate, seconds=given.seconds) for rate in rates),
            partial(latency, rate=2000, seconds=given.seconds, jitter_ms=20, correlation=0.5),
        ],
        "loss": [partial(loss, correlation=0), partial(loss, correlation=0.5)],
        "partition": [partial(partition, family=4), partial(partition, family=6)],
        "bandwidth": [partial(bandwidth, bits=bits, seconds=given.seconds) for bits in (1e6, 1e7, 1e8)],
    }
    for measure in (one for name, several in measures.items() if given.only in ("", name) for one in several):
        lab = Lab()
        try:
            yield measure(lab)
        finally:
            lab.close()


if __name__ == "__main__":
    main()
