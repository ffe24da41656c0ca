"""What is broken on this node, and the healing of it: on request, when its run is over, and after a restart."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from harness.agent.resident import effecting
from harness.agent.resident.fault import TARGET_GONE, Fault
from harness.agent.resident.leases import Leases
from harness.agent.resident.ledger import Entry, Ledger
from harness.agent.resident.processes import freezer, pods, signals
from harness.agent.resident.processes.crashing import Crashing
from harness.agent.resident.refused import Refused
from harness.agent.resident.supervising import Supervised

TICK_SECONDS = 1.0
SILENT_SECONDS = 5.0
LOOK_EVERY = 3  # ticks between looks whether the targets are still there
Facts = dict[str, Any]
Tell = Callable[[str, Facts], None]
Worker = Supervised | Crashing


def say(text: str) -> None:
    """Log one line."""
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), text, flush=True)


def now() -> str:
    """Return the wall-clock time as the API server writes it."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds // 1000:06d}Z"


class Agent:
    """The faults of one node; `tell` takes the path of a fault's resource and what its status shall say."""

    def __init__(self, ledger: Ledger, leases: Leases, tell: Tell) -> None:
        self.ledger, self.leases, self._tell = ledger, leases, tell
        self.counts: Counter[str] = Counter()
        self._lock = threading.RLock()
        self._locks: dict[str, threading.Lock] = {}
        self._faults: dict[str, Fault] = {}
        self._workers: dict[str, Worker] = {}
        self._marks: dict[str, int] = {}
        self._failed: dict[str, str] = {}
        self._told: dict[str, Facts] = {}
        self._ticks = 0

    def recover(self) -> None:
        """Heal what an agent before this one left: what the ledger names, then whatever rules of ours still stand."""
        for key in self.ledger.faults():
            self.heal(key, "the agent started anew")
        try:
            effecting.sweep()
        except (Refused, OSError) as error:
            # Without their workers these rules let everything pass.
            say(f"not everywhere swept: {error}")

    def do(self, fault: Fault) -> bool:
        """Do a fault, once, and say whether it is for this agent to do; what cannot be done leaves nothing behind."""
        with self._lock_of(fault.key):
            try:
                entry = effecting.owed(fault)
                if not self.ledger.owe(fault.key, entry):
                    # Begun before, by this agent or the one before it, or too late.
                    if self.ledger.expired(fault.run):
                        self._tell(fault.path, {"message": f"run {fault.run} is over"})
                    return False
            except Exception as error:  # whatever it is: whoever waits for a word is to hear why
                say(f"{fault.path} is refused: {_words(error)}")
                self._tell(fault.path, {"message": f"refused: {_words(error)}"})
                return False
            self.leases.begin(fault.run)
            with self._lock:
                self._faults[fault.key] = fault
            try:
                if entry["found"]:
                    raise Refused(entry["found"], "its undo would change what was found")
                evidence = self._make(fault)
            except Exception as error:  # whatever it is: what was begun of it is undone
                say(f"{fault.path} is refused: {_words(error)}")
                self._undo(fault.key, f"it could not be done: {_words(error)}")
                return True
        say(f"{fault.path} is done")
        self.counts[f"done_{fault.op}"] += 1
        self._tell(fault.path, {"phase": "Injected", "appliedAt": now(), "evidence": {fault.op: evidence}})
        return True

    def heal(self, key: str, why: str) -> bool:
        """Undo a fault and say whether it is undone; what fails is tried again."""
        with self._lock_of(key):
            return self._undo(key, why)

    def over(self, run: str, why: str) -> None:
        """End a run for good and heal what it did on this node."""
        if not self.ledger.expired(run):
            say(f"run {run} is over: {why}")
        self.ledger.expire(run)
        self.leases.forget(run)
        for key, entry in self.ledger.faults().items():
            if entry["run"] == run:
                self._start_healing(key, why)

    def tick(self) -> None:
        """Renew the workers of living runs, and heal what is over, dead, silent, or whose target is gone."""
        self._ticks += 1
        owed = self.ledger.faults()
        for run in sorted({entry["run"] for entry in owed.values()}):
            if self.ledger.expired(run) or self.leases.lapsed(run):
                self.over(run, "nobody renewed its lease")
        with self._lock:
            failed = dict(self._failed)
        for key, why in failed.items():
            self._start_healing(key, why)
        for key, worker in self.workers().items():
            if not worker.alive:
                self._start_healing(key, str(worker.facts.get("why", "its worker died")))
            elif worker.silent > SILENT_SECONDS:
                self._start_healing(key, "its worker was silent")
            else:
                worker.renew(effecting.WORKER_LEASE_SECONDS)
                if self._ticks % LOOK_EVERY == 0:
                    self._look(key, owed.get(key, {}), worker)

    def end(self) -> None:
        """Heal everything before the agent goes."""
        for key in self.ledger.faults():
            self.heal(key, "the agent ends")

    def workers(self) -> dict[str, Worker]:
        """Return the workers by their faults."""
        with self._lock:
            return dict(self._workers)

    def keys(self) -> dict[str, Fault]:
        """Return the faults that were begun by this process and are not healed yet."""
        with self._lock:
            return dict(self._faults)

    def _lock_of(self, key: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(key, threading.Lock())

    def _make(self, fault: Fault) -> Facts:
        if fault.op == "freeze":
            freezer.freeze(fault.pod)
            return {"frozen": True}
        if fault.op == "signal":
            wanted = fault.effect
            return signals.strike(fault.pod, str(wanted.get("container", "")), str(wanted.get("signal", "KILL")))
        if fault.op == "descriptors":
            return effecting.limit(fault, lambda more: self.ledger.add(fault.key, more))
        worker = self._worker(fault, lambda found: self._heard(fault, found))
        with self._lock:
            self._workers[fault.key] = worker
        return {}

    def _worker(self, fault: Fault, heard: Callable[[Facts], None]) -> Worker:
        if fault.op == "crash":
            return effecting.crash(fault)
        if fault.op == "resource":
            return effecting.resource(fault, heard)
        return effecting.packets(fault, self._free_mark(fault), heard)

    def _free_mark(self, fault: Fault) -> int:
        with self._lock:
            beside = [key for key, other in self._faults.items() if other.pod == fault.pod]
            taken = {self._marks[key] for key in beside if key in self._marks}
            free = [mark for mark in effecting.MARKS if mark not in taken]
            if not free:
                raise Refused("too many packet faults of one target", f"{len(effecting.MARKS)} are at work")
            self._marks[fault.key] = free[0]
            return free[0]

    def _heard(self, fault: Fault, found: Facts) -> None:
        if found["event"] == "first":
            facts = {key: value for key, value in found.items() if key != "event"}
            self._tell(fault.path, {"evidence": {fault.op: {"first": now(), **facts}}})

    def _look(self, key: str, entry: Entry, worker: Worker) -> None:
        # A worker inside of control groups looks after its container itself, and would be taken for one of its pod.
        packets = entry.get("pod") and entry["op"] == "packets"
        why = _amiss(entry["pod"], worker) if packets and isinstance(worker, Supervised) else ""
        if why:
            self._start_healing(key, why)
            return
        with self._lock:
            fault, before, facts = self._faults.get(key), self._told.get(key), worker.facts
            self._told[key] = facts
        if fault and facts and facts != before:
            self._tell(fault.path, {"evidence": {fault.op: facts}})

    def _start_healing(self, key: str, why: str) -> None:
        # One that is being healed already is not waited for: others need their workers renewed.
        if not self._lock_of(key).locked():
            threading.Thread(target=self.heal, args=(key, why), daemon=True).start()

    def _undo(self, key: str, why: str) -> bool:
        with self._lock:
            worker = self._workers.get(key)
        entry = self.ledger.faults().get(key)
        if entry is None:
            return True
        # An agent of another version may have written it.
        path = entry.get("path", key)
        try:
            facts = worker.end(why) if worker else {}
            if worker is None or entry["op"] == "resource":
                effecting.undo(entry)
        except Exception as error:  # whatever it is: it is tried again
            say(f"{path} is not healed: {_words(error)}")
            self.counts["unhealed"] += 1
            with self._lock:
                self._failed[key] = why
            return False
        self.ledger.forget(key)
        with self._lock:
            for held in (self._workers, self._faults, self._marks, self._told, self._failed, self._locks):
                held.pop(key, None)
        self.counts["healed"] += 1
        say(f"{path} is healed: {why}")
        evidence = {"evidence": {entry.get("op", "packets"): facts}} if facts else {}
        self._tell(path, {"healedAt": now(), "message": why, **evidence})
        return True


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, Refused | OSError) else repr(error)


def _amiss(pod: str, worker: Supervised) -> str:
    """Say why a worker meets nothing of its pod any more; the kubelet gives a pod whose sandbox ended a new network."""
    if next(pods.processes(pod), None) is None:
        return TARGET_GONE
    try:
        handle = pods.open_network(pod)
    except Refused:
        return ""  # its last process went this moment: the next look tells
    try:
        return "" if worker.inside(handle) else "its target has another network now"
    finally:
        os.close(handle)
