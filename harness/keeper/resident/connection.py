"""The socket: one JSON message a line, one answer each."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
import time
from typing import Any

from harness.keeper.resident.docker import Refused, check
from harness.keeper.resident.healing import LOOK_SECONDS, Keeper


def boottime() -> float:
    """Read the clock that goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Connection:
    """One client: a run once it said hello, a mere question before."""

    def __init__(self, keeper: Keeper, peer: socket.socket) -> None:
        self.keeper, self.peer = keeper, peer
        self.run, self.lease, self.beaten = "", 0.0, 0.0
        self._writing = threading.Lock()

    def serve(self) -> None:
        """Answer until the connection ends or its run's lease lapses; either ends the run."""
        buffer, why = b"", "its connection ended"
        try:
            while True:
                readable, _, _ = select.select([self.peer], [], [], LOOK_SECONDS if self.run else None)
                # Late beats of a run that was suspended lie in the buffer already: the clock is asked first.
                if self.run and boottime() - self.beaten > self.lease:
                    why = f"no beat for {self.lease:g} s"
                    break
                if not readable:
                    continue
                data = self.peer.recv(65536)
                if not data:
                    break
                self.beaten = boottime()
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    self._take(json.loads(line))
        except (OSError, ValueError, AttributeError) as error:
            why = repr(error)
        finally:
            if self.run:
                self.keeper.expire(self.run, why)
            with contextlib.suppress(OSError):
                self.peer.shutdown(socket.SHUT_RDWR)
            self.peer.close()

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("do") == "beat" and self.run:
            self._send({"id": message.get("id"), "ok": True})
        elif message.get("do") == "hello":
            self._answer(message)
        else:
            threading.Thread(target=self._answer, args=(message,), daemon=True).start()

    def _answer(self, message: dict[str, Any]) -> None:
        try:
            answer = {"ok": True, **self._do(message)}
        except Refused as refused:
            answer = refused.answer
        except Exception as error:
            answer = Refused("failed", f"the keeper could not {message.get('do')}", repr(error)).answer
        with contextlib.suppress(OSError):
            self._send({"id": message.get("id"), **answer})

    def _do(self, message: dict[str, Any]) -> dict[str, Any]:
        keeper, do, fault = self.keeper, message.get("do"), str(message.get("fault", ""))
        if do == "status":
            return keeper.status()
        if do == "hello" and not self.run:
            lease = float(message["lease"])
            found = keeper.hello(message.get("run"))
            self.lease, self.beaten, self.run = lease, boottime(), message["run"]
            return found
        if not self.run:
            raise Refused("refused", "say hello first")
        if do == "inspect":
            found_container = keeper.docker.inspect(str(message.get("container")))
            if found_container is None:
                raise Refused("gone", f"there is no container {message.get('container')}")
            return found_container
        if do == "register":
            return keeper.register(self.run, fault, check(message.get("undo")))
        if do == "apply":
            return keeper.apply(self.run, fault, check(message.get("ops")))
        if do == "heal":
            return keeper.heal(self.run, fault)
        if do == "forget":
            return keeper.forget(self.run, fault)
        if do == "end":
            found, self.run = keeper.end(self.run), ""
            return found
        raise Refused("refused", f"the keeper cannot {do!r}")

    def _send(self, answer: dict[str, Any]) -> None:
        with self._writing:
            self.peer.sendall(json.dumps(answer).encode() + b"\n")
