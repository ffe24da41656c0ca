"""Send each operation when it is due and record what became of it.

Latency counts from the due time: a system that stalls is charged for everything that was due meanwhile (no coordinated
omission), and so is a generator that lags, which is counted apart as lateness.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from harness.load.connection import Answer, Pool, unanswered
from harness.load.records import Flag, Writer
from harness.load.schedule import offsets
from harness.load.spec import Spec
from harness.load.workloads import WORKLOADS, Request

LATE_NS = 50_000_000
SPARE_FILES = 64


@dataclass(slots=True)
class Summary:
    """What the load did: how many operations, how they ended, how many it began late or never sent."""

    operations: int = 0
    late: int = 0
    not_sent: int = 0
    max_lateness_ns: int = 0
    statuses: Counter[int] = field(default_factory=Counter)


class Generator:
    """One load in progress."""

    def __init__(self, spec: Spec, writer: Writer) -> None:
        host, port, secure = spec.address
        self._spec, self._writer = spec, writer
        self._pool = Pool(host, port, secure=secure, name=spec.host)
        self._running: set[asyncio.Task[None]] = set()
        self._most = min(spec.in_flight, _files() - SPARE_FILES)
        self._summary = Summary()
        self._stop = asyncio.Event()
        self._unwritten: OSError | None = None

    async def run(self, stop: asyncio.Event) -> Summary:
        """Send until the time is over or `stop` is set, then wait for what is under way (at most one timeout).

        Raises OSError as soon as an operation cannot be recorded: what nobody wrote down proves nothing.
        """
        self._stop = stop
        workload, random = WORKLOADS[self._spec.workload], Random(self._spec.seed)
        stopped = asyncio.ensure_future(stop.wait())
        start = time.monotonic_ns()
        try:
            for offset in offsets(self._spec.rate, self._spec.ramp, self._spec.seconds):
                due = start + int(offset * 1e9)
                wait = due - time.monotonic_ns()
                if wait > 0:
                    await asyncio.wait((stopped,), timeout=wait / 1e9)
                elif self._summary.operations % 64 == 0:
                    await asyncio.sleep(0)
                if stopped.done():
                    break
                self._begin(due, workload(random))
        finally:
            stopped.cancel()
        if self._running and not self._unwritten:
            await asyncio.wait(self._running)
        self._pool.close()
        if self._unwritten:
            raise self._unwritten
        return self._summary

    def _begin(self, due: int, request: Request) -> None:
        now = time.monotonic_ns()
        lateness = now - due
        self._summary.operations += 1
        self._summary.max_lateness_ns = max(self._summary.max_lateness_ns, lateness)
        late = Flag.LATE if lateness > LATE_NS else Flag(0)
        self._summary.late += bool(late)
        if len(self._running) >= self._most:
            self._summary.not_sent += 1
            self._record(due, now, late | Flag.NOT_SENT, unanswered(now))
            return
        task = asyncio.ensure_future(self._operate(due, request, late))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _operate(self, due: int, request: Request, flags: Flag) -> None:
        sent = time.monotonic_ns()
        connection = None
        try:
            async with asyncio.timeout(self._spec.timeout):
                connection = await self._pool.take()
                flags |= Flag.REUSED if connection.used else Flag(0)
                sent = time.monotonic_ns()
                answer = await connection.send(self._pool.request(request), request.body)
        except TimeoutError:
            flags |= Flag.TIMED_OUT
        except OSError:
            flags |= Flag.REFUSED if connection is None else Flag.CUT
        else:
            self._record(due, sent, flags | (Flag.TRIED if answer.tried else Flag(0)), answer)
            return
        self._record(due, sent, flags, unanswered(time.monotonic_ns()))
        if connection is not None:
            connection.abort()

    def _record(self, due: int, sent: int, flags: Flag, answer: Answer) -> None:
        self._summary.statuses[answer.status] += 1
        try:
            self._writer.write(due, sent, flags, answer)
        except OSError as error:
            self._unwritten = self._unwritten or error
            self._stop.set()


def _files() -> int:
    """Ask for as many open files as this process may have, and return how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16_384 if hard == resource.RLIM_INFINITY else min(hard, 16_384)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)
