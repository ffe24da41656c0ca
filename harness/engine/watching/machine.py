"""Write down once a second what became of the machine below the cluster: what could falsify a verdict is evidence too.

It must never end a run, nor slow one down: what cannot be read is no data, and all reading is done in a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio

from harness.checkers.machine import BY, PREFIX
from harness.cluster.host import machine
from harness.cluster.host.counters import Counters, between, drift
from harness.cluster.host.machine import Machine
from harness.engine.session import Session
from harness.errors import ObservationFailed
from harness.keeper import container

PERIOD_SECONDS = 1.0
# A look at every process costs ten times as much as all counters together.
NAMING_SECONDS = 3.0
# Others are named when they take more than this share of the machine, each who has this much.
NAMED_FROM, NAMED = 0.05, 0.01
MOST_NAMES = 5
JUMP_SECONDS = 0.5
# The kernel counts in hundredths of a second: of less time than this they say little.
LEAST_SECONDS = 0.25
T = TypeVar("T")
ELSEWHERE = "the cluster is not the local one, and nobody measures its nodes"


async def watch(session: Session) -> None:
    """Sample the machine until cancelled; where it is out of sight say so once, and try again in a while."""
    if session.cluster is None:
        _unseen(session, ELSEWHERE)
        return
    told = ""
    while True:
        try:
            await _follow(session, await _aside(machine.find, session.cluster, [container.NAME]))
        except Exception as error:  # whatever it is, the run is worth more than this evidence
            why = error.why if isinstance(error, ObservationFailed) else f"{type(error).__name__}: {error}"
            if why != told:
                _unseen(session, why)
            told = why
        await anyio.sleep(NAMING_SECONDS)


async def _aside(read: Callable[..., T], *arguments: object) -> T:
    """Read in a thread, and leave it behind when the run is over: a daemon that hangs must not be waited for."""
    return await anyio.to_thread.run_sync(read, *arguments, abandon_on_cancel=True)


def _unseen(session: Session, why: str) -> None:
    session.write("sample", series=f"{PREFIX}idle", value=None, labels={"why": why})


async def _follow(session: Session, seen: Machine) -> None:
    def ours() -> list[int]:
        load = session.load.pid if session.load and not session.load.died else None
        return [pid for pid in (load, session.worker.pid) if pid]

    await _aside(seen.others, ours())
    before = reference = await _aside(seen.counters, ours())
    named = before.at
    try:
        while True:
            # From one second to the next, however long the look took.
            await anyio.sleep(max(LEAST_SECONDS, before.at + PERIOD_SECONDS - anyio.current_time()))
            after = await _aside(seen.counters, ours())
            names: dict[str, float] = {}
            if after.at - named >= NAMING_SECONDS:
                names, named = await _aside(seen.others, ours()), after.at
            _write(session, before, after, names)
            reference = _jumped(session, reference, after)
            before = after
    finally:
        # The last moments of a run are part of it. This is quick enough to be done here.
        last = seen.counters(ours())
        if last.at - before.at >= LEAST_SECONDS:
            _write(session, before, last, seen.others(ours()) if last.at - named >= PERIOD_SECONDS else {})


def _write(session: Session, before: Counters, after: Counters, names: dict[str, float]) -> None:
    shares, now = between(before, after), round(session.journal.now(), 6)
    worth = {f"{BY}{name}": f"{share:.3f}" for name, share in names.items() if share >= NAMED}
    labels = dict(list(worth.items())[:MOST_NAMES]) if sum(names.values()) > NAMED_FROM else {}
    values = {name: getattr(shares, name) for name in ("idle", "others", "steal", "cluster", "harness")}
    for resource, value in shares.pressure.items():
        values["pressure" if resource == "cpu" else f"pressure-{resource}"] = value
    for name, value in values.items():
        session.write(
            "sample",
            series=f"{PREFIX}{name}",
            value=None if value is None else round(value, 4),
            labels=labels if name == "others" else {},
            time=now,
        )


def _jumped(session: Session, reference: Counters, now: Counters) -> Counters:
    """Write down clocks that went apart, and measure from there."""
    apart = {how: seconds for how, seconds in drift(reference, now).items() if abs(seconds) > JUMP_SECONDS}
    for how, seconds in apart.items():
        session.write(
            "sample",
            series=f"{PREFIX}clock-jump",
            value=round(seconds, 3),
            labels={"how": how},
            time=session.journal.now(),
        )
    return now if apart else reference
