"""Measure one cell: a run with a fault of its own, struck, and looked at until nothing is other than before."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from subprocess import TimeoutExpired

import anyio

from bench.crash_matrix import causes, record
from bench.crash_matrix.causes import Case
from bench.crash_matrix.cells import Cell
from bench.crash_matrix.record import Row, State
from bench.dying import document, looks, strikes, workload
from bench.dying.looks import Part, Seen
from bench.dying.place import Place
from bench.dying.run import Run, aside, started
from harness.errors import Exit, ObservationFailed
from harness.faults import FAULTS
from harness.model.fault import Hand

# Longer than any strike takes; what is not over by then is ended.
HOLD_SECONDS = 150.0
INJECTED_SECONDS = 420.0
PATIENCE_SECONDS, CLEAN_SECONDS, END_SECONDS = 60.0, 240.0, 180.0
# A run that was struck has begun to end by then.
GOES_ON_SECONDS = 10.0
LOOK_SECONDS = 0.1
SHOWN = 4
# There the strike itself may take the effect away, before its promise counts.
BY_THE_STRIKE = frozenset({"target-restarted", "target-deleted", "node-restarted"})
KILLED = frozenset({"engine-killed", "both-killed"})
# Over at once for whoever injects it, and there for some seconds more: so short that only its own node is looked at.
PASSING = frozenset({"component_pause"})
# What is seen of it is a node that boots, which nobody undoes.
BOOTING = frozenset({"node_restart"})
UNFIT = "the cluster could not be made fit: "


async def measured(place: Place, cell: Cell) -> Row:
    """Measure one cell; what kept it from being measured is in the row."""
    code, began = record.code(cell.fault), time.monotonic()
    at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    begun = Row(cell.fault, cell.cause, str(cell.hand), at, code, State.UNMEASURED, limit=cell.promise.limit)
    row, amiss = begun, UNFIT
    try:
        await place.fit()
        async with workload.lent(place.kube, "t-crash") as namespace, contextlib.AsyncExitStack() as afterwards:
            if cell.cause == "api-stopped":
                afterwards.push_async_callback(strikes.api_whole, place)
            await place.suit(cell.fault, namespace)
            reached, before = await workload.around(place.kube), await place.steady()
            amiss = ""
            text = document.written(FAULTS[cell.fault], namespace, reached, HOLD_SECONDS)
            row = await _measured(place, cell, begun, text, before)
    # Whatever it is, the other cells are not to wait for it. What was measured counts, also where the web servers do
    # not go: the next cell begins by waiting for that.
    except Exception as error:
        if row is begun:
            row = replace(begun, why=amiss + "; ".join(_words(one) for one in _leaves(error)))
    return replace(row, took=round(time.monotonic() - began, 1))


async def _measured(place: Place, cell: Cell, begun: Row, text: str, before: dict[str, str]) -> Row:
    async with started(text, terminal=cell.cause in causes.TERMINAL) as run:
        await aside(partial(run.wait_for, "fault.injected", INJECTED_SECONDS))
        (planned,) = run.wait_for("plan")["data"]["faults"]
        # A zone is hit where its first node is.
        hit = next((one for one in planned["takes"] if one["kind"] == "node"), planned["victim"])
        case, seen = Case(cell, place, run, hit), Seen()
        await _struck(case, seen, before)
        code, went_on = await _ended(run, may_go_on=cell.cause == "healer-killed" and cell.hand is Hand.NODE)
        left = await place.unlike(before, CLEAN_SECONDS)
        since, _ = case.counted(Part("", api=cell.hand is Hand.API))
        clean = time.monotonic() - since
        verdict = run.find("verdict")
        found = replace(begun, exit=code, verdict=str(verdict["data"]["verdict"]) if verdict else "")
        lasts = not FAULTS[cell.fault].instant or cell.fault in PASSING
        return judged(found, case.since, case.counted, seen, left, clean, lasts=lasts, went_on=went_on)


async def _struck(case: Case, seen: Seen, before: dict[str, str]) -> None:
    """Strike, and look until what the fault did is gone or ought to have been for long.

    Raises ObservationFailed where the run was over before.
    """
    during = await _during(case, before)
    async with anyio.create_task_group() as looking:
        await looking.start(partial(looks.follow, case.place, before, during, seen))
        if case.run.process.poll() is not None or case.run.find("abort"):
            raise ObservationFailed("the run was over before it was struck")
        await causes.STRIKES[case.cell.cause](case)
        deadline = max(case.since, time.monotonic()) + case.cell.promise.limit + PATIENCE_SECONDS
        while seen.left and time.monotonic() < deadline:
            await anyio.sleep(LOOK_SECONDS)
        looking.cancel_scope.cancel()


async def _during(case: Case, before: dict[str, str]) -> dict[str, str]:
    """Take the fingerprint while the fault is there."""
    if case.cell.fault in BOOTING:
        return before
    if case.cell.fault in PASSING:
        only = [f"container/{case.node}/{what}" for what in ("residue", "state")]
        return {**before, **await case.place.fingerprint(only)}
    return await case.place.fingerprint()


async def _ended(run: Run, *, may_go_on: bool) -> tuple[int | None, bool]:
    """Return the exit code of a run, None for one that does not end, and whether it would have gone on as if unstruck.

    One that goes on is ended, also one that may.
    """
    with anyio.move_on_after(0.0 if may_go_on else GOES_ON_SECONDS):
        while not _ends(run):
            await anyio.sleep(LOOK_SECONDS)
    goes_on = not _ends(run)
    if goes_on:
        run.interrupt()
    try:
        return await aside(partial(run.end, END_SECONDS)), goes_on and not may_go_on
    except TimeoutExpired:
        return None, goes_on and not may_go_on


def _ends(run: Run) -> bool:
    return run.process.poll() is not None or run.find("abort") is not None


def judged(
    row: Row,
    struck: float,
    counted: Callable[[Part], tuple[float, float]],
    seen: Seen,
    left: list[str],
    clean: float,
    *,
    lasts: bool,
    went_on: bool = False,
) -> Row:
    """Hold what was seen against the promise: `counted` says of each part from when on it counts, and for how long.

    It is surely broken where a look that began after the limit still saw the fault, and where anything is left. Nothing
    is proven where nobody looked around the limit for longer than what was promised, of a fault that lasts and that
    nobody saw, and of an engine that ended before it was killed.
    """
    broken: list[str] = []
    promises = [(part, *counted(part)) for part in seen.parts]
    late = [(part.broken - since, limit) for part, since, limit in promises if part.broken > since + limit]
    unseen = [
        (part.whole - since, limit)
        for part, since, limit in promises
        if since + limit < part.whole < math.inf and part.whole - max(part.broken, since) > limit
    ]
    if seen.left:
        broken.append(f"still there: {', '.join(seen.left)}")
    elif late:
        seconds, limit = max(late)
        broken.append(f"still there {seconds:.1f} s later, promised were {limit:g} s")
    if left:
        more = f"; and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
        broken.append(f"left behind: {'; '.join(left[:SHOWN])}{more}")
    if row.exit is None:
        broken.append(f"the run did not end within {END_SECONDS:g} s")
    elif row.exit == Exit.INTERNAL:
        broken.append("the run ended with an error of its own")
    elif went_on:
        broken.append("the run went on until it was interrupted")
    gone = bool(seen.parts) and not seen.left
    early = gone and seen.whole < struck and row.cause not in BY_THE_STRIKE
    blind = ""
    if row.cause in KILLED and row.exit != -signal.SIGKILL:
        blind = "the engine had ended before it was killed"
    elif early and lasts:
        blind = "it was gone before the strike"
    elif not seen.parts and lasts:
        blind = "the fingerprint saw nothing of it"
    elif unseen:
        blind = "seen to be gone after {:.1f} s, not whether it was after {:g} s".format(*max(unseen))
    # What is over at once may have been seen for a moment all the same.
    removed = gone and (lasts or not early)
    state = State.BROKEN if broken else State.UNMEASURED if blind else State.HELD
    return replace(
        row,
        state=state,
        removed=round(max(0.0, *(part.whole - since for part, since, _ in promises)), 2) if removed else None,
        blur=round(seen.whole - seen.broken, 2) if removed and seen.broken > -math.inf else None,
        clean=None if left else round(clean, 1),
        why="; ".join(broken) or blind,
    )


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
