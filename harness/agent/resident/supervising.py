"""Have a worker do one fault, keep it alive, and end it whatever state it is in."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from harness.agent.resident.refused import Refused

READY_SECONDS = 6.0
END_SECONDS = 2.0
CLEAR_SECONDS = 30.0
MARK = "CHAOS_HARNESS_FAULT"  # in the environment of a worker and of what it starts
NOWHERE = -1
Facts = dict[str, Any]


class Supervised:
    """One worker's process in the network namespace behind a handle, which belongs to this object from now on."""

    def __init__(
        self, order: Facts, handle: int, chain: str, heard: Callable[[Facts], None], program: str = "packets.worker"
    ) -> None:
        """Start it and wait until it has begun; raises Refused, and then nothing is left."""
        self._handle, self._chain, self._heard = handle, chain, heard
        self._began, self._ended = threading.Event(), threading.Event()
        self.facts: Facts = {}
        self._first: Facts = {}
        self._hogs: list[int] = []
        self._last = time.monotonic()
        argv = [sys.executable, "-m", f"harness.agent.resident.{program}"]
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=() if handle == NOWHERE else (handle,),
            start_new_session=True,
            env={**os.environ, MARK: str(order["fault"])},
        )
        threading.Thread(target=self._listen, daemon=True).start()
        self._tell(order if handle == NOWHERE else {**order, "netns": f"/proc/self/fd/{handle}"})
        self._began.wait(READY_SECONDS)
        if self._first.get("event") != "ready":
            try:
                self.end("it did not begin")
            finally:
                self.close()
            raise Refused(self._first.get("what", "the worker did not begin"), self._first.get("why", ""))

    @property
    def alive(self) -> bool:
        """Say whether it is still at work."""
        return not self._ended.is_set()

    @property
    def silent(self) -> float:
        """Return for how many seconds it has told nothing; it tells something every second."""
        return time.monotonic() - self._last

    def inside(self, handle: int) -> bool:
        """Say whether it works in the network namespace behind another handle; one that has ended works in none."""
        try:
            return os.path.samestat(os.fstat(self._handle), os.fstat(handle))
        except OSError:
            return False

    def renew(self, seconds: float) -> None:
        """Let it live on for a while."""
        self._tell({"lease": seconds})

    def end(self, why: str) -> Facts:
        """End it, have its rules removed, and return what it saw; raises Refused when rules or processes are left."""
        self._tell({"end": why})
        try:
            code = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._ended.wait(END_SECONDS)
        if code != 0 and self._handle != NOWHERE:
            clear([self._handle], self._chain)
        self._end_hogs()
        self.close()
        return self.facts

    def close(self) -> None:
        """Let go of the pipes, the namespace, and what was held of its processes."""
        with contextlib.suppress(OSError):
            if self._process.stdin:
                self._process.stdin.close()
        while self._hogs:
            os.close(self._hogs.pop())
        if self._handle != NOWHERE:
            os.close(self._handle)
            self._handle = NOWHERE

    def _hold(self, hogs: Sequence[int]) -> None:
        """Hold what a worker has started while it keeps their numbers from being anybody else's."""
        for pid in hogs:
            with contextlib.suppress(ProcessLookupError):
                self._hogs.append(os.pidfd_open(pid))

    def _end_hogs(self) -> None:
        """See that what a worker has started has ended: one that was killed did not. Raises Refused when some is left.

        The kernel ends them with their worker, but takes its time, and meanwhile does not always show whose they are.
        """
        until = time.monotonic() + END_SECONDS
        for hog in self._hogs:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(hog, signal.SIGKILL)
        for hog in self._hogs:
            # Not select(), which takes no descriptor above 1023.
            waiting = select.poll()
            waiting.register(hog, select.POLLIN)
            if not waiting.poll(1e3 * max(0.0, until - time.monotonic())):
                raise Refused("processes of the fault are left", f"no end after {END_SECONDS:g} s")

    def _tell(self, message: Facts) -> None:
        with contextlib.suppress(OSError, ValueError):
            assert self._process.stdin
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                with contextlib.suppress(ValueError):
                    self._hear(json.loads(line))
        self._began.set()
        self._ended.set()

    def _hear(self, found: Facts) -> None:
        self._last, event = time.monotonic(), found["event"]
        if event in ("report", "end"):
            self.facts = {key: value for key, value in found.items() if key not in ("event", "asked")}
        if event in ("ready", "refused"):
            self._hold(found.get("hogs", ()))
            self._first = found
            self._began.set()
        self._heard(found)


def clear(handles: Sequence[int], *chains: str) -> None:
    """Remove chains that workers left in the namespaces behind handles, all of ours without a name; raises Refused."""
    places = ",".join(f"/proc/self/fd/{handle}" for handle in handles)
    argv = [sys.executable, "-m", "harness.agent.resident.packets.clear", places, *chains]
    try:
        done = subprocess.run(
            argv, pass_fds=handles, capture_output=True, text=True, timeout=CLEAR_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Refused("rules are left", f"no end after {CLEAR_SECONDS:g} s") from None
    if done.returncode != 0:
        raise Refused("rules are left", done.stderr.strip()[-300:])
