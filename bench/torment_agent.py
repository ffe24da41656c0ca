"""Kill what does faults on a node, at random moments, and look what is left: `python -m bench.torment_agent`.

The real agent with the capabilities of its pod, real workers, packets and control groups, an API server of the tests'.
Each turn asks for one to three faults, strikes within 1.2 s, takes the faults away, and waits until nothing of them is
left.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from random import Random
from typing import Any

from harness.agent.resident.processes import pods
from tests.unit.agent.lab import PEER, TARGET, Lab
from tests.unit.agent.pod import Pod
from tests.unit.agent.program import LEASE, Program, lease
from tests.unit.agent.server import Server
from tests.unit.agent.test_agent_resident import FAULT, wanted

STRIKES = ("agent", "worker", "all", "suspend", "outage", "nothing")
PATIENCE_SECONDS = 25.0
EFFECTS: list[dict[str, Any]] = [
    {"op": "freeze"},
    *(
        {"op": "packets", "effect": effect}
        for effect in (
            {"kind": "latency", "delay_ms": 60_000},
            {"kind": "blackhole"},
            {"kind": "loss", "share": 0.5},
            {"kind": "duplication", "share": 1},
        )
    ),
]


class Torment:
    """One lab with a pod and an agent, and what is done to them."""

    def __init__(self, folder: Path, seed: int) -> None:
        (folder / "proc").mkdir()
        os.environ["AGENT_PROC"] = str(folder / "proc")
        pods.PROC = folder / "proc"
        self.random, self._ledger = Random(seed), folder / "ledger.json"
        self._lab = Lab()
        self._pod = Pod(folder / "proc", self._lab)
        self._server = Server()
        self._server.put(LEASE, lease())
        self._agent = Program(self._server, folder)
        self._start()

    def close(self) -> None:
        """Take the lab away."""
        self._agent.process.terminate()
        self._agent.process.wait()
        self._pod.delete()
        self._lab.close()
        self._server.stop()

    def turn(self, number: int) -> tuple[str, float, list[str]]:
        """Ask for faults, strike, and return how, after how many seconds all was healed, and what was left."""
        names = [FAULT.replace("f1", f"f{number}-{count}") for count in range(self.random.randint(1, 3))]
        for name in names:
            self._server.put(name, wanted(self._pod, self.random.choice(EFFECTS)))
        time.sleep(self.random.random() * 1.2)
        how = self.random.choice(STRIKES)
        restart = self._strike(how)
        for name in names:
            self._server.delete(name)
        began = time.monotonic()
        if restart:
            self._agent.process.wait()
            self._start()
        while self._left() and time.monotonic() - began < PATIENCE_SECONDS:
            time.sleep(0.05)
        return how, time.monotonic() - began, [*self._left(), *self._silence()]

    def _start(self) -> None:
        self._agent.start()
        threading.Thread(target=list, args=(self._agent.process.stdout,), daemon=True).start()

    def _strike(self, how: str) -> bool:
        agent = self._agent.process.pid
        workers = children(agent)
        if how == "outage":
            self._server.stop()
            time.sleep(0.2)
            self._server.start()
        elif how in ("agent", "all"):
            for pid in (agent, *workers) if how == "all" else (agent,):
                kill(pid, signal.SIGKILL)
        elif how in ("worker", "suspend") and workers:
            kill(self.random.choice(workers), signal.SIGKILL if how == "worker" else signal.SIGSTOP)
        return how in ("agent", "all")

    def _left(self) -> list[str]:
        found = self._lab.chains()
        found += ["frozen"] * self._pod.stopped
        found += list(json.loads(self._ledger.read_text())["faults"])
        return found + [f"process {pid}" for pid in children(self._agent.process.pid)]

    def _silence(self) -> list[str]:
        sender, receiver = self._lab.udp(TARGET), self._lab.udp(PEER)
        with sender, receiver:
            sender.sendto(b"x", receiver.getsockname())
            try:
                return [] if receiver.recv(9) == b"x" else ["another packet"]
            except TimeoutError:
                return ["a packet did not arrive"]


def children(pid: int) -> list[int]:
    """List a process's children."""
    text = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for path in text for word in path.read_text().split()]


def kill(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def main() -> int:
    """Do so many turns; 0 when every one of them left nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    clean, longest = 0, dict.fromkeys(STRIKES, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        torment = Torment(Path(folder), given.seed)
        try:
            for number in range(given.count):
                how, seconds, left = torment.turn(number)
                clean += not left
                longest[how] = max(longest[how], seconds)
                if left:
                    print(f"turn {number}, {how}: {', '.join(left)}", flush=True)
        finally:
            torment.close()
    shown = ", ".join(f"{how} {seconds:.1f} s" for how, seconds in longest.items())
    print(f"{clean} of {given.count} clean, seed {given.seed}; longest until healed: {shown}")
    return int(clean != given.count)


if __name__ == "__main__":
    sys.exit(main())
