"""How each way to die is done to one run; each notes from when on its promise counts."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from bench.crash_matrix import cells
from bench.crash_matrix.cells import Cell
from bench.dying import strikes
from bench.dying.looks import Part
from bench.dying.place import Place
from bench.dying.run import Run
from bench.dying.strikes import Strike
from harness.engine.lease import SECONDS as LEASE_SECONDS
from harness.errors import ObservationFailed

ASLEEP_SECONDS = LEASE_SECONDS + 4.0
# Shorter than the 40 s after which nodes are taken for lost.
AWAY_SECONDS = LEASE_SECONDS + 10.0
# What was struck has fallen by then, and is on its way back.
FALLEN_SECONDS = 3.0
AGAIN_SECONDS = 1.1


@dataclass(slots=True)
class Case:
    """One cell under way: its run, with the fault injected, what that hit, and from when on its promise counts.

    `returned` is when an API server that was away was back: what it keeps is counted from then on.
    """

    cell: Cell
    place: Place
    run: Run
    victim: Mapping[str, Any]
    since: float = math.inf
    returned: float = math.inf

    @property
    def node(self) -> str:
        """Name the node that was hit, or that has the pod."""
        return str(self.victim.get("node") or self.victim["name"])

    def now(self) -> None:
        """Count from now on."""
        self.since = time.monotonic()

    def counted(self, part: Part) -> tuple[float, float]:
        """Return from when on the promise of one thing counts, and how long it may take."""
        promise = cells.promised(self.cell.cause, of_api=part.api)
        return self.returned if promise is cells.RETURN else self.since, promise.limit


async def engine_killed(case: Case) -> None:
    """Kill the engine."""
    _kill(case, strikes.engine(case.run))


def _kill(case: Case, *victims: Strike) -> None:
    """Kill them together; raises ObservationFailed where one had ended by itself: nothing would be proven."""
    case.now()
    there = [strike() for strike in victims]
    if not all(there):
        raise ObservationFailed("who was to be killed had ended before")


async def engine_suspended(case: Case) -> None:
    """Suspend the engine, and wake it up when its lease is over."""
    case.now()
    case.run.signal(signal.SIGSTOP)
    await anyio.sleep(ASLEEP_SECONDS)
    case.run.signal(signal.SIGCONT)


async def healer_killed(case: Case) -> None:
    """Kill the healer; somebody starts it again."""
    _kill(case, await strikes.healer(case.place, case.cell.hand, case.node))


async def both_killed(case: Case) -> None:
    """Kill the engine and the healer."""
    healer = await strikes.healer(case.place, case.cell.hand, case.node)
    _kill(case, strikes.engine(case.run), healer)


async def target_restarted(case: Case) -> None:
    """Have the target's container start anew, then end the run."""
    _kill(case, await strikes.target(case.place, case.victim))
    await _end(case)


async def target_deleted(case: Case) -> None:
    """Delete the target, then end the run."""
    await strikes.delete(case.place, case.victim)
    await _end(case)


async def node_restarted(case: Case) -> None:
    """Restart the node of the target, then end the run."""
    await strikes.restart(case.place, case.node)
    await _end(case)


async def _end(case: Case) -> None:
    await anyio.sleep(FALLEN_SECONDS)
    case.now()
    case.run.interrupt()


async def api_stopped(case: Case) -> None:
    """Hold up the API server for longer than the lease; what only it keeps is counted from its return."""
    async with strikes.api_stopped(case.place, AWAY_SECONDS) as goes_on:
        case.now()
        case.returned = await goes_on()


def by(number: signal.Signals) -> Callable[[Case], Awaitable[None]]:
    """Make what sends a signal to the engine."""

    async def send(case: Case) -> None:
        case.now()
        case.run.signal(number)

    return send


async def ctrl_c(case: Case) -> None:
    """Press Ctrl-C."""
    case.now()
    case.run.interrupt()


async def ctrl_c_twice(case: Case) -> None:
    """Press Ctrl-C and, a moment later, once more."""
    await ctrl_c(case)
    await anyio.sleep(AGAIN_SECONDS)
    case.run.interrupt()


async def terminal_closed(case: Case) -> None:
    """Close the terminal of the run."""
    case.now()
    case.run.hang_up()


STRIKES: Mapping[str, Callable[[Case], Awaitable[None]]] = {
    "engine-killed": engine_killed,
    "engine-suspended": engine_suspended,
    "healer-killed": healer_killed,
    "both-killed": both_killed,
    "target-restarted": target_restarted,
    "target-deleted": target_deleted,
    "node-restarted": node_restarted,
    "api-stopped": api_stopped,
    "sigterm": by(signal.SIGTERM),
    "sighup": by(signal.SIGHUP),
    "ctrl-c": ctrl_c,
    "ctrl-c-twice": ctrl_c_twice,
    "terminal-closed": terminal_closed,
}
TERMINAL = frozenset({"terminal-closed"})
