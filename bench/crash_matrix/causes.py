"""How each way to die is done to one run; each notes from when on its promise counts."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from bench.crash_matrix.cells import RETURN, Cell
from bench.dying import strikes
from bench.dying.place import Place
from bench.dying.run import Run
from harness.engine.lease import SECONDS as LEASE_SECONDS

ASLEEP_SECONDS = LEASE_SECONDS + 4.0
# Shorter than the 40 s after which nodes are taken for lost.
AWAY_SECONDS = LEASE_SECONDS + 10.0
# What was struck has fallen by then, and is on its way back.
FALLEN_SECONDS = 3.0
AGAIN_SECONDS = 1.1


@dataclass(slots=True)
class Case:
    """One cell under way: its run, with the fault injected, what that hit, and from when on its promise counts."""

    cell: Cell
    place: Place
    run: Run
    victim: Mapping[str, Any]
    since: float = math.inf

    @property
    def node(self) -> str:
        """Name the node that was hit, or that has the pod."""
        return str(self.victim.get("node") or self.victim["name"])

    def now(self) -> None:
        """Count from now on."""
        self.since = time.monotonic()


async def engine_killed(case: Case) -> None:
    """Kill the engine."""
    strike = strikes.engine(case.run)
    case.now()
    strike()


async def engine_suspended(case: Case) -> None:
    """Suspend the engine, and wake it up when its lease is over."""
    case.now()
    case.run.signal(signal.SIGSTOP)
    await anyio.sleep(ASLEEP_SECONDS)
    case.run.signal(signal.SIGCONT)


async def healer_killed(case: Case) -> None:
    """Kill the healer; somebody starts it again."""
    strike = await strikes.healer(case.place, case.cell.hand, case.node)
    case.now()
    strike()


async def both_killed(case: Case) -> None:
    """Kill the engine and the healer."""
    both = strikes.engine(case.run), await strikes.healer(case.place, case.cell.hand, case.node)
    case.now()
    for strike in both:
        strike()


async def target_restarted(case: Case) -> None:
    """Have the target's container start anew, then end the run."""
    strike = await strikes.target(case.place, case.victim)
    strike()
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
        returned = await goes_on()
        if case.cell.promise is RETURN:
            case.since = returned


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
