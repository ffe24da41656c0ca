"""End a container of a pod each time that its kubelet has started it, for as long as somebody wants that."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import Any

from harness.agent.resident.fault import TARGET_GONE
from harness.agent.resident.leases import boottime
from harness.agent.resident.packets import spec
from harness.agent.resident.processes import freezer, pods
from harness.agent.resident.refused import Refused

# A kubelet waits ten seconds and more: a look in between costs what reading each process's control groups does.
PAUSE_SECONDS = 0.5
# What is ended while its runtime still makes it was never started.
RUNS_SECONDS = 1.0
END_SECONDS = 5.0
Facts = dict[str, Any]


class Crashing:
    """One container that is ended again and again, by a thread: without the agent nothing of it is left.

    As a worker it ends when nobody renews it. The container has another id each time, and its name stays.
    """

    def __init__(self, order: Facts) -> None:
        """End it for the first time; raises Refused where it does not run, or is not to be known again."""
        self._pod, self._name = str(order["pod"]), str(order.get("name", ""))
        seconds, lease = (spec.number(order, key, 0.1, spec.LONGEST_SECONDS) for key in ("seconds", "lease"))
        self._last, self._lease = boottime() + seconds, boottime() + lease
        self._over, self._why = threading.Event(), ""
        self._looked = time.monotonic()
        self.facts: Facts = {}
        self._ended_last = ""
        container = str(order.get("container", ""))
        pid, handle = pods.hold(self._pod, container)
        try:
            if not self._name or pods.name_of(pid) != self._name:
                raise Refused("the container would not be known again", "its kubelet has told its name nowhere")
            self._kill(container, handle)
        finally:
            os.close(handle)
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Say whether it is still at work."""
        return self._thread.is_alive()

    @property
    def silent(self) -> float:
        """Return for how many seconds it has not looked."""
        return time.monotonic() - self._looked

    def renew(self, seconds: float) -> None:
        """Let it live on for a while."""
        self._lease = boottime() + seconds

    def end(self, why: str) -> Facts:
        """End it and return what it did; raises Refused when it does not end."""
        self._why = self._why or why
        self._over.set()
        self._thread.join(END_SECONDS)
        if self._thread.is_alive():
            raise Refused("it does not end", "it is still looking")
        return {**self.facts, "why": self._why}

    def _go_on(self) -> None:
        while not self._over.wait(PAUSE_SECONDS):
            if why := self._ended():
                self._why, self.facts = why, {**self.facts, "why": why}
                return
            # What comes and goes meanwhile is looked at next time.
            with contextlib.suppress(Refused, OSError):
                self._strike()
            self._looked = time.monotonic()

    def _ended(self) -> str:
        if boottime() >= self._last:
            return "its time is over"
        if boottime() >= self._lease:
            return "its lease was not renewed"
        # Between two lives of its container a pod has its sandbox, or at least its control group.
        there = next(pods.processes(self._pod), None) is not None or freezer.groups(self._pod)
        return "" if there else TARGET_GONE

    def _strike(self) -> None:
        container = pods.named(self._pod, self._name)
        if not container:
            return
        pid, handle = pods.hold(self._pod, container)
        try:
            if pods.age(pid) >= RUNS_SECONDS and not self._over.is_set():
                self._kill(container, handle)
        finally:
            os.close(handle)

    def _kill(self, container: str, handle: int) -> None:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        # One that takes its time to go is seen once more.
        if self._ended_last != container:
            self._ended_last = container
            times = int(self.facts.get("ended", 0)) + 1
            self.facts = {"ended": times, "did": {"ended": times}}
