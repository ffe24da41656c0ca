"""Measure one cell: a run with a fault of its own, struck, and looked at until nothing is other than before."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
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
from bench.dying.looks import Seen
from bench.dying.place import Place
from bench.dying.run import Run, aside, started
from harness.errors import Exit
from harness.faults import FAULTS

# Longer than any strike takes; what is not over by then is ended.
HOLD_SECONDS = 150.0
INJECTED_SECONDS = 420.0
PATIENCE_SECONDS, CLEAN_SECONDS, END_SECONDS = 60.0, 240.0, 180.0
# A run that dies by itself has begun to by then; one that goes on is ended.
GOES_ON_SECONDS = 6.0
LOOK_SECONDS = 0.1
SHOWN = 4
# There the strike itself may take the effect away, before its promise counts.
BY_THE_STRIKE = frozenset({"target-restarted", "target-deleted", "node-restarted"})


async def measured(place: Place, cell: Cell) -> Row:
    """Measure one cell; what kept it from being measured is in the row."""
    code = record.code(cell.fault)
    at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    begun = Row(cell.fault, cell.cause, str(cell.hand), at, code, State.UNMEASURED, limit=cell.promise.limit)
    try:
        return await _measured(place, cell, begun)
    # Whatever it is, the other cells are not to wait for it.
    except Exception as error:
        return replace(begun, why="; ".join(_words(one) for one in _leaves(error)))


async def _measured(place: Place, cell: Cell, begun: Row) -> Row:
    await place.fit()
    async with workload.lent(place.kube, "t-crash") as namespace, contextlib.AsyncExitStack() as afterwards:
        if cell.cause == "api-stopped":
            afterwards.push_async_callback(strikes.api_whole, place)
        reached = await workload.around(place.kube)
        text = document.written(FAULTS[cell.fault], namespace, reached, HOLD_SECONDS)
        before = await place.steady()
        async with started(text, terminal=cell.cause in causes.TERMINAL) as run:
            await aside(partial(run.wait_for, "fault.injected", INJECTED_SECONDS))
            (planned,) = run.wait_for("plan")["data"]["faults"]
            # A zone is hit where its first node is.
            hit = next((one for one in planned["takes"] if one["kind"] == "node"), planned["victim"])
            case, seen = Case(cell, place, run, hit), Seen()
            await _struck(case, seen, before)
            code = await _ended(run)
            left = await place.unlike(before, CLEAN_SECONDS)
            clean = time.monotonic() - case.since
            verdict = run.find("verdict")
            found = replace(begun, exit=code, verdict=str(verdict["data"]["verdict"]) if verdict else "")
            return judged(found, case.since, seen, left, clean, instant=FAULTS[cell.fault].instant)


async def _struck(case: Case, seen: Seen, before: dict[str, str]) -> None:
    """Strike, and look until what the fault did is gone or ought to have been for long."""
    during = await case.place.fingerprint()
    async with anyio.create_task_group() as looking:
        await looking.start(partial(looks.follow, case.place, before, during, seen))
        await causes.STRIKES[case.cell.cause](case)
        deadline = max(case.since, time.monotonic()) + case.cell.promise.limit + PATIENCE_SECONDS
        while seen.left and time.monotonic() < deadline:
            await anyio.sleep(LOOK_SECONDS)
        looking.cancel_scope.cancel()


async def _ended(run: Run) -> int | None:
    """Return the exit code of a run; one that was not struck and goes on is ended, None for one that does not end."""
    with anyio.move_on_after(GOES_ON_SECONDS):
        while run.process.poll() is None and not run.find("abort"):
            await anyio.sleep(LOOK_SECONDS)
    if run.process.poll() is None and not run.find("abort"):
        run.interrupt()
    try:
        return await aside(partial(run.end, END_SECONDS))
    except TimeoutExpired:
        return None


def judged(row: Row, since: float, seen: Seen, left: list[str], clean: float, *, instant: bool) -> Row:
    """Hold what was seen against the promise.

    It is surely broken where a look that began after the limit still saw the fault, and where anything is left. Of a
    fault that lasts and that nobody saw nothing is proven.
    """
    broken: list[str] = []
    if seen.left:
        broken.append(f"still there: {', '.join(seen.left)}")
    elif seen.broken > since + row.limit:
        broken.append(f"still there {seen.broken - since:.1f} s later, promised were {row.limit:g} s")
    if left:
        more = f"; and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
        broken.append(f"left behind: {'; '.join(left[:SHOWN])}{more}")
    if row.exit is None:
        broken.append(f"the run did not end within {END_SECONDS:g} s")
    elif row.exit == Exit.INTERNAL:
        broken.append("the run ended with an error of its own")
    gone = bool(seen.parts) and not seen.left
    blind = ""
    if gone and seen.whole < since and row.cause not in BY_THE_STRIKE:
        blind = "it was gone before the strike"
    elif not seen.parts and not instant:
        blind = "the fingerprint saw nothing of it"
    state = State.BROKEN if broken else State.UNMEASURED if blind else State.HELD
    return replace(
        row,
        state=state,
        removed=round(max(0.0, seen.whole - since), 2) if gone else None,
        blur=round(seen.whole - seen.broken, 2) if gone and seen.broken > -math.inf else None,
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
