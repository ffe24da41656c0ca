"""Who is connected, what they registered, and the healing of what they left."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any, Protocol

from harness.keeper.resident import cluster
from harness.keeper.resident.docker import HOST_LEVEL, Op, Refused
from harness.keeper.resident.ledger import Ledger

RUN_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
MENDING = "undo"  # the run name of `harness undo`: it may come again after it expired
HEAL_SECONDS = 25.0
BUSY_SECONDS = 0.5
PATIENCE_SECONDS = 12.0
# A request of a process that died may still be answered: an undo before that would undo nothing.
IN_FLIGHT_SECONDS = 5.0
FIRST_GROUP_SECONDS = 3.0
LOOK_SECONDS = 0.1
BACKOFF = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


def say(text: str) -> None:
    """Log one line."""
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), text, flush=True)


class Driver(Protocol):
    """What does something to nodes, by their containers' names: Docker, or the commands of a table."""

    def answers(self) -> bool:
        """Say whether it can do anything."""
        ...

    def can(self, kind: str) -> bool:
        """Say whether it has the means for operations of a kind."""
        ...

    def inspect(self, container: str) -> dict[str, Any] | None:
        """Describe a node: {"paused", "running", "addresses"}; None when it knows none by that name."""
        ...

    def perform(self, op: Op) -> dict[str, Any]:
        """Do one operation and look whether it is done; raises Refused when it is not. Safe to repeat."""
        ...


class Keeper:
    """The ledger, who is connected, and the healing; without a control plane that it reaches no cluster is told."""

    def __init__(
        self, docker: Driver, ledger: Ledger, control_plane: str, version: str, patience: float, in_flight: float
    ) -> None:
        self.docker, self.ledger, self.control_plane, self.version = docker, ledger, control_plane, version
        self.patience, self.in_flight = patience, in_flight
        self.live = ""
        self.errors: dict[str, str] = {}
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        self._settling: set[str] = set()
        for run in list(ledger.runs):
            self.expire(run, "the keeper started anew", doubted=True)

    def _lock(self, run: str, fault: str) -> threading.Lock:
        with self.ledger.lock:
            return self._locks.setdefault((run, fault), threading.Lock())

    def hello(self, run: Any) -> dict[str, Any]:
        """Begin a run; waits a little while an earlier one is still being healed."""
        if not isinstance(run, str) or not RUN_NAME.fullmatch(run):
            raise Refused("refused", "a run needs a name that is a label value", repr(run))
        began = time.monotonic()
        while True:
            with self.ledger.lock:
                # A run that was killed this moment is still thought alive: its end arrives within milliseconds.
                if self.live and time.monotonic() - began > BUSY_SECONDS:
                    raise Refused("busy", f"run {self.live} is going on", run=self.live)
                if run in self.ledger.expired and run != MENDING:
                    raise Refused("expired", f"run {run} has expired")
                if not self.ledger.runs and not self.live:
                    self.ledger.owe(run, {})
                    self.live = run
                    return {"version": self.version}
                if not self.live and time.monotonic() - began > self.patience:
                    left = [fault for faults in self.ledger.runs.values() for fault in faults]
                    why = "; ".join(f"{name}: {error}" for name, error in self.errors.items()) or "still at it"
                    what = f"run {', '.join(self.ledger.runs)} is not healed yet"
                    raise Refused("unhealed", what, why, run=next(iter(self.ledger.runs)), left=left)
            time.sleep(LOOK_SECONDS)

    def _faults(self, run: str) -> dict[str, list[Op]]:
        if run != self.live or run not in self.ledger.runs:
            raise Refused("expired", f"run {run} has expired")
        return self.ledger.runs[run]

    def register(self, run: str, fault: str, undo: list[Op]) -> dict[str, Any]:
        """Put a fault's undo on the ledger; it is on disk when this returns. What could not be undone is refused."""
        for op in undo:
            if not self.docker.can(op["op"]):
                raise Refused("refused", f"there is no command '{op['op']}'", "nobody could undo the fault")
            if self.docker.inspect(op["container"]) is None:
                raise Refused("gone", f"there is no container {op['container']}")
        with self.ledger.lock:
            self.ledger.owe(run, {**self._faults(run), fault: undo})
        return {}

    def apply(self, run: str, fault: str, ops: list[Op]) -> dict[str, Any]:
        """Do a registered fault's effect, while its run lives."""
        with self._lock(run, fault):
            with self.ledger.lock:
                if not self._faults(run).get(fault):
                    raise Refused("refused", f"fault {fault} has no undo on the ledger")
            return {"results": [self.docker.perform(op) for op in ops]}

    def heal(self, run: str, fault: str) -> dict[str, Any]:
        """Undo a fault and see it undone."""
        with self.ledger.lock:
            self._faults(run)
        began = time.monotonic()
        if not self._heal(run, fault, lambda: time.monotonic() - began > HEAL_SECONDS):
            raise Refused("unhealed", f"fault {fault} is not healed yet", self.errors.get(fault, ""))
        return {"seconds": time.monotonic() - began}

    def _heal(self, run: str, fault: str, give_up: Callable[[], bool], *, last: bool = True) -> bool:
        """Undo one fault until it is seen undone; it stays on the ledger until then, or until the `last` time."""
        tries = 0
        while True:
            with self._lock(run, fault):
                with self.ledger.lock:
                    undo = self.ledger.runs.get(run, {}).get(fault, [])
                try:
                    for op in sorted(undo, key=lambda op: op["op"] not in HOST_LEVEL):
                        self._undo(op)
                    self.errors.pop(fault, None)
                    if last:
                        self.forget(run, fault)
                    return True
                except Exception as error:  # whatever it is: what was not seen undone is tried again
                    self.errors[fault] = _words(error)
            say(f"run {run}: {fault} is not healed: {self.errors[fault]}")
            if give_up():
                return False
            time.sleep(BACKOFF[min(tries, len(BACKOFF) - 1)])
            tries += 1

    def _undo(self, op: Op) -> None:
        try:
            self.docker.perform(op)
        except Refused as refused:
            if refused.answer["error"] != "gone":
                raise

    def forget(self, run: str, fault: str) -> dict[str, Any]:
        """Strike a fault off the ledger."""
        with self.ledger.lock:
            self.errors.pop(fault, None)
            if self.ledger.runs.get(run, {}).pop(fault, None) is not None:
                self.ledger.note()
        return {}

    def end(self, run: str) -> dict[str, Any]:
        """End a run in good order; what it left is healed."""
        with self.ledger.lock:
            left = list(self._faults(run))
            if left:
                self.expire(run, "it ended with faults on the ledger")
            else:
                self.live = ""
                del self.ledger.runs[run]
                self.ledger.note()
        return {"left": left}

    def status(self) -> dict[str, Any]:
        """Say who is connected, what is owed, and whether Docker answers."""
        answers = self.docker.answers()
        with self.ledger.lock:
            return {
                "version": self.version,
                "docker": answers,
                "live": self.live,
                "owed": [fault for faults in self.ledger.runs.values() for fault in faults],
                "dead": [run for run in self.ledger.runs if run != self.live],
                "errors": dict(self.errors),
            }

    def expire(self, run: str, why: str, *, doubted: bool = False) -> None:
        """End a run for good and heal what it registered, in the background.

        It is `doubted` whether its effects had been answered: those of a keeper that died go on without it.
        """
        with self.ledger.lock:
            self.live = "" if self.live == run else self.live
            if run not in self.ledger.runs or run in self._settling:
                return
            self._settling.add(run)
            self.ledger.expired.append(run)
            faults = dict(self.ledger.runs[run])
        say(f"run {run} expired: {why}; healing {', '.join(faults) or 'nothing'}")
        threading.Thread(target=self._settle, args=(run, faults, doubted), daemon=True).start()

    def _settle(self, run: str, faults: dict[str, list[Op]], doubted: bool) -> None:
        # What frees a node comes first: whatever runs inside one waits for it.
        host = [fault for fault, undo in faults.items() if any(op["op"] in HOST_LEVEL for op in undo)]
        late = [fault for fault, undo in faults.items() if undo and all(map(self._asked_of_the_cluster, undo))]
        again = [fault for fault in faults if doubted and fault not in late]
        first = self._start(run, host, last=not doubted)
        with self.ledger.lock:
            self.ledger.note()
        until = time.monotonic() + FIRST_GROUP_SECONDS
        for thread in first:
            thread.join(max(0.0, until - time.monotonic()))
        rest = self._start(run, [fault for fault in faults if fault not in (*host, *late)], last=not doubted)
        rest += self._start(run, late, last=False)
        self._tell(run, cluster.EXPIRE, "marking the run expired")
        for thread in (*first, *rest):
            thread.join()
        self._once_more(run, late, again)
        self._tell(run, cluster.CLEAR, "deleting the run's faults")
        with self.ledger.lock:
            self.ledger.runs.pop(run, None)
            self._settling.discard(run)
            self.ledger.note()
        say(f"run {run} is healed")

    def _asked_of_the_cluster(self, op: Op) -> bool:
        return (op["op"], op["container"]) == ("exec", self.control_plane)

    def _once_more(self, run: str, late: Collection[str], again: Collection[str]) -> None:
        """Undo again what may have arrived since.

        It gives up after `patience` on what is asked of the cluster, which may have no API server for long; of nodes
        nobody else knows.
        """
        if late or again:
            time.sleep(self.in_flight)
            until = time.monotonic() + self.patience
            for thread in (*self._start(run, again), *self._start(run, late, lambda: time.monotonic() > until)):
                thread.join()
        for fault in late:
            self.forget(run, fault)

    def _start(
        self, run: str, faults: Iterable[str], give_up: Callable[[], bool] = lambda: False, *, last: bool = True
    ) -> list[threading.Thread]:
        threads = [
            threading.Thread(target=self._heal, args=(run, name, give_up), kwargs={"last": last}, daemon=True)
            for name in faults
        ]
        for thread in threads:
            thread.start()
        return threads

    def _tell(self, run: str, script: str, what: str) -> None:
        if not self.control_plane:
            return
        op = {"op": "exec", "container": self.control_plane, "argv": ["sh", "-c", script, "sh", run]}
        for tries in range(sys.maxsize):
            try:
                self._undo(op)
                self.errors.pop(what, None)
                return
            except Exception as error:  # whatever it is: agents wait for the mark
                self.errors[what] = _words(error)
                say(f"run {run}: {what}: {self.errors[what]}")
            time.sleep(BACKOFF[min(tries, len(BACKOFF) - 1)])


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, Refused) else repr(error)
