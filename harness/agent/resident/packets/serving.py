"""Serve one queue: take packets, decide, hold, let go, and count what became of them."""

from __future__ import annotations

import heapq
import select
import time
from collections import Counter
from typing import Any, NamedTuple

from harness.agent.resident.packets.fate import Effect
from harness.agent.resident.packets.inject import Injector
from harness.agent.resident.packets.ip import Layers, layers
from harness.agent.resident.packets.netlink import DROP, REPEAT, Packet, verdict
from harness.agent.resident.packets.quantiles import Quantiles
from harness.agent.resident.packets.queue import Queue
from harness.agent.resident.packets.spec import Spec
from harness.agent.resident.telling import Teller
from harness.agent.resident.term import Term

REPORT_SECONDS = 1.0
LAST_BATCHES = 300


class Held(NamedTuple):
    """A packet that waits: until when, which, since when, and itself where it is carried."""

    due: float
    packet: int
    mark: int
    since: float
    copy: tuple[bytes, Layers] | None


class Server:
    """The loop of one worker; it ends with a reason, and until then reports every second."""

    def __init__(
        self, spec: Spec, effect: Effect, queue: Queue, injector: Injector | None, tell: Teller, carried: int
    ) -> None:
        """`carried` is the longest packet that is taken out of the kernel while it waits."""
        self._spec, self._effect, self._queue, self._injector, self._tell = spec, effect, queue, injector, tell
        self._carried = carried
        self._held: list[Held] = []
        self._waiting = 0  # of what is held, what is in the kernel's queue
        self._term = Term(spec.seconds, spec.lease)
        self._counts: Counter[str] = Counter()
        self._held_for, self._late = Quantiles(), Quantiles()
        self._seen = self._beyond = 0

    def serve(self, control: int, wake: int) -> str:
        """Serve until the fault's time or lease is over, or `control` or `wake` says so; return why."""
        sources: list[Queue | int] = [self._queue, control, wake]
        report = time.monotonic() + REPORT_SECONDS
        while True:
            now = time.monotonic()
            if why := self._term.over():
                return why
            self._release(now)
            if now >= report:
                self._tell("report", **self.told())
                report = now + REPORT_SECONDS
            first = min(report, self._held[0].due) if self._held else report
            wait = min(first - time.monotonic(), self._term.left())
            ready, _, _ = select.select(sources, [], [], max(0.0, wait))
            if self._queue in ready:
                self._take()
            if wake in ready:
                return "it was asked to end"
            if control in ready and (why := self._term.hear(control, self._asked)):
                return why

    def _asked(self, asked: Any) -> None:
        self._tell("report", asked=asked, **self.told())

    def let_go(self) -> None:
        """Let everything go on that is held or has arrived, in the order in which it would have.

        What came while nothing was to pass does not pass, although it is read only now. As long as the rules stand more
        may come than is read, so it ends after as many as a queue can hold.
        """
        self._release(float("inf"))
        for _ in range(LAST_BATCHES):
            packets = self._queue.receive()
            if not packets:
                return
            if self._effect.opens:
                self._seen += len(packets)
                self._queue.send([self._pass(packet.id, packet.mark) for packet in packets])
            else:
                self._queue.send([judged for packet in packets if (judged := self._judge(packet))])

    def told(self) -> dict[str, Any]:
        """Say what was seen and done so far; `missed` packets passed without the effect."""
        counters = self._queue.counters()
        found: dict[str, Any] = {
            "seen": self._seen,
            "did": dict(self._counts),
            "missed": self._beyond + (self._unread(counters) if self._effect.opens else 0),
            "overflow": {"beyond": self._beyond, "full": self._queue.full, "unread": self._unread(counters)} | counters,
            "holding": len(self._held),
            "held_ms": self._held_for.told(),
            "late_ms": self._late.told(),
        }
        if self._queue.vanished:
            found["vanished"] = self._queue.vanished
        if self._injector is not None and self._injector.failed:
            found["unsent"] = self._injector.failed
        return found

    def _unread(self, counters: dict[str, int]) -> int:
        """Count the packets that the socket had no room for, those behind the last one that was read too."""
        if not counters:
            return self._queue.unread
        coming = max(0, counters["waiting"] - self._waiting)
        return max(self._queue.unread, counters["came"] - self._seen - coming)

    def _take(self) -> None:
        verdicts = []
        for packet in self._queue.receive():
            judged = self._judge(packet)
            if judged is not None:
                verdicts.append(judged)
        self._queue.send(verdicts)

    def _judge(self, packet: Packet) -> bytes | None:
        """Return a packet's verdict, or None when it is held."""
        self._seen += 1
        now = time.monotonic()
        fate = self._effect.decide(packet, now)
        if fate.due > now and len(self._held) >= self._spec.limit:
            self._beyond += 1
            return self._pass(packet.id, packet.mark)
        if fate.what:
            if not self._counts:
                self._tell("first", did=fate.what)
            self._counts[fate.what] += 1
        if fate.sent is not None and self._injector is not None:
            self._injector.send(*fate.sent)
        if fate.drop:
            return verdict(self._queue.number, packet.id, DROP)
        if fate.due > now:
            return self._hold(packet, fate.due, now)
        return self._pass(packet.id, packet.mark, fate.payload)

    def _release(self, now: float) -> None:
        verdicts = []
        while self._held and self._held[0].due <= now:
            held = heapq.heappop(self._held)
            if held.copy is not None and self._injector is not None:
                self._injector.send(*held.copy)
            else:
                self._waiting -= 1
                verdicts.append(self._pass(held.packet, held.mark))
            if now < float("inf"):
                self._held_for.add(now - held.since)
                self._late.add(now - held.due)
        self._queue.send(verdicts)

    def _hold(self, packet: Packet, due: float, now: float) -> bytes | None:
        """Let a packet wait; one that is carried is dropped from the kernel's queue."""
        copy = None
        if packet.egress and packet.length <= self._carried:
            found = layers(packet.payload)
            copy = (packet.payload, found) if found is not None else None
        heapq.heappush(self._held, Held(due, packet.id, packet.mark, now, copy))
        if copy is None:
            self._waiting += 1
            return None
        return verdict(self._queue.number, packet.id, DROP)

    def _pass(self, identity: int, mark: int, payload: bytes | None = None) -> bytes:
        # Once more through the table, past our own rules by the mark: another fault may have its turn.
        return verdict(self._queue.number, identity, REPEAT, mark | self._spec.mark, payload)
