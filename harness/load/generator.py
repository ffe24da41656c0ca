"""Send each operation when it is due and record what became of it.

Latency counts from the due time: a system that stalls is charged for everything that was due meanwhile (no coordinated
omission), and so is a generator that lags, which is counted apart as lateness. Every operation that was begun leaves
one record, whatever the peer does and whatever goes wrong here.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from harness.load import tls
from harness.load.answer import Answer, NotSent, amiss, unanswered
from harness.load.exchange import Exchange, reason
from harness.load.pool import Pools
from harness.load.records import Flag, Outcome, Writer
from harness.load.requests import Request, Requests
from harness.load.spec import Spec
from harness.model import rate
from harness.model.rate import Profile

LATE_NS = 50_000_000
SPARE_FILES = 64
# What this machine has no more of, so that no connection can be made: the system under test is not to be blamed.
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})


@dataclass(slots=True)
class Summary:
    """What the load did: how many operations, how they ended, how many it began late or never sent."""

    operations: int = 0
    late: int = 0
    not_sent: int = 0
    max_lateness_ns: int = 0
    statuses: Counter[int] = field(default_factory=Counter)


class Generator:
    """One load in progress. Raises UsageError when a certificate or a header's variable is missing."""

    def __init__(self, spec: Spec, writer: Writer) -> None:
        self._spec, self._writer, load = spec, writer, spec.load
        self._requests = Requests(load, spec.url, spec.host)
        secure = any(origin.secure for origin in spec.origins)
        # A redirect may lead to https, too.
        context = tls.context(load) if secure or load.redirects else None
        self._pools = Pools(context, spec.server_names, load.http)
        self._directly = frozenset(number for number, call in enumerate(load.calls) if not call.at_gateway)
        self._allowed = frozenset(origin.host for origin in spec.origins)
        self._running: set[asyncio.Task[None]] = set()
        self._most = min(spec.in_flight, _files() - SPARE_FILES)
        self._summary = Summary()
        self._stop = asyncio.Event()
        self._unwritten: OSError | None = None
        self._puzzled = False

    async def run(self, stop: asyncio.Event, begin: asyncio.Event | None = None) -> Summary:
        """Send until the time is over or `stop` is set, then wait for what is under way (at most one timeout).

        Stages count from when `begin` is set; until then the first one's rate is kept. Raises OSError as soon as an
        operation cannot be recorded: what nobody wrote down proves nothing.
        """
        self._stop = stop
        load, random = self._spec.load, Random(self._spec.seed)
        start = time.monotonic_ns()
        end = start + int(self._spec.seconds * 1e9)
        first = load.stages[0].rate if load.stages else load.rate
        stopped = asyncio.ensure_future(stop.wait())
        begun = asyncio.ensure_future(begin.wait()) if begin and load.stages else None
        try:
            await self._pace(rate.steady(first, load.ramp), random, start, end, stopped, begun)
            if begun and begun.done() and not stopped.done():
                now = time.monotonic_ns()
                await self._pace(rate.staged(load.stages, load.ramp), random, now, end, stopped, None)
        finally:
            stopped.cancel()
            if begun:
                begun.cancel()
        if self._running and not self._unwritten:
            await asyncio.wait(self._running)
        self._pools.close()
        if self._unwritten:
            raise self._unwritten
        return self._summary

    async def _pace(
        self,
        profile: Profile,
        random: Random,
        start: int,
        end: int,
        stopped: asyncio.Task[Literal[True]],
        begun: asyncio.Task[Literal[True]] | None,
    ) -> None:
        """Begin each operation when it is due, until the time is over, the load is stopped or its stages begin."""
        ends = (stopped, begun) if begun else (stopped,)
        due_times: Iterator[float] = profile.times()
        while (due := start + int(next(due_times) * 1e9)) < end:
            wait = due - time.monotonic_ns()
            if wait > 0:
                await asyncio.wait(ends, timeout=wait / 1e9, return_when=asyncio.FIRST_COMPLETED)
            elif self._summary.operations % 64 == 0:
                await asyncio.sleep(0)
            if stopped.done() or (begun and begun.done()):
                return
            self._begin(due, self._requests.draw(random))

    def _begin(self, due: int, request: Request) -> None:
        now = time.monotonic_ns()
        lateness = now - due
        self._summary.operations += 1
        self._summary.max_lateness_ns = max(self._summary.max_lateness_ns, lateness)
        flags = Flag.DIRECT if request.call in self._directly else Flag(0)
        if lateness > LATE_NS:
            flags |= Flag.LATE
            self._summary.late += 1
        if len(self._running) >= self._most:
            self._summary.not_sent += 1
            self._record(due, now, flags | Flag.NOT_SENT, unanswered(now), request)
            return
        task = asyncio.ensure_future(self._operate(due, request, flags))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _operate(self, due: int, request: Request, flags: Flag) -> None:
        begun, exchange = time.monotonic_ns(), Exchange(self._pools)
        answer, because = None, ""
        try:
            async with asyncio.timeout(self._spec.load.timeout):
                answer = await exchange.run(request, self._spec.load.redirects, self._allowed)
        except TimeoutError:
            flags |= Flag.TIMED_OUT
        except OSError as error:
            because = reason(error)
            if exchange.connection is None and error.errno in EXHAUSTED:
                flags |= Flag.NOT_SENT
                self._summary.not_sent += 1
            flags |= Flag.REFUSED if exchange.connection is None or isinstance(error, NotSent) else Flag.CUT
        except Exception as bug:
            # Whatever this is, the system under test is not to be blamed for it.
            flags |= Flag.NOT_SENT
            self._summary.not_sent += 1
            self._tell(bug)
        flags |= Flag.REUSED if exchange.reused else Flag(0)
        if answer is None:
            answer = unanswered(time.monotonic_ns(), because)
            exchange.give_up()
        elif answer.tried:
            flags |= Flag.TRIED
        self._record(due, exchange.sent_ns or begun, flags, answer, request)

    def _record(self, due: int, sent: int, flags: Flag, answer: Answer, request: Request) -> None:
        self._summary.statuses[answer.status] += 1
        wrong = amiss(answer, request.expect) if answer.status else ""
        # A status that says that it failed needs no other reason.
        told = wrong if 200 <= answer.status < 400 else ""
        outcome = Outcome.UNANSWERED if not answer.status else Outcome.AMISS if wrong else Outcome.GOOD
        try:
            self._writer.write(due, sent, flags, answer, outcome, told, request.call)
        except OSError as error:
            self._unwritten = self._unwritten or error
            self._stop.set()

    def _tell(self, bug: Exception) -> None:
        """Leave one trace of what went wrong here; thousands of the same would fill the disk."""
        if not self._puzzled:
            self._puzzled = True
            traceback.print_exception(bug, file=sys.stderr)


def _files() -> int:
    """Ask for as many open files as this process may have, and return how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16_384 if hard == resource.RLIM_INFINITY else min(hard, 16_384)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)
