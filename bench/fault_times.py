"""Time each fault: request to applied, applied to felt, undo asked for to removed, Ctrl-C to the undo's begin.

`python -m bench.fault_times --times 10 --only pod_freeze`. Each time is a run of its own on web servers of its own: it
is ended by SIGINT as soon as the fault was felt, or seen not to be. Times are the journal's own; the latency of the
abort is from just before the signal to the journal's word that the undo has begun.
"""

from __future__ import annotations

import argparse
import math
import signal
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio

from bench import speed, tables
from bench.dying import document, place, workload
from bench.dying.place import Place
from bench.dying.run import aside, started
from harness.errors import Exit, HarnessError
from harness.faults import FAULTS, FaultKind
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand

PAGE = tables.ROOT / "docs" / "bench-faults.md"
TITLE = """# How fast faults are

Medians (smallest-largest) in seconds, each time in a run of its own. Applied: from the request to the hand's word that
it is done. Felt: from then on, by evidence from outside. Removed: from asking for the undo until it was seen undone.
Abort: from Ctrl-C until the undo began. `make bench-faults` writes this.
"""
FIGURES = ("applied", "felt", "removed", "abort")
GOAL_SECONDS, GOAL_FIGURES, GOAL_HANDS = 0.5, ("applied", "removed"), (Hand.API, Hand.NODE)
HOLD_SECONDS, INJECTED_SECONDS, END_SECONDS = 150.0, 420.0, 240.0
LOOK_SECONDS, LAST = 0.02, 0.99


@dataclass(slots=True)
class Times:
    """What was measured of one fault, by figure; `amiss` says what could not be."""

    kind: FaultKind
    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in FIGURES})
    amiss: list[str] = field(default_factory=list)

    def take(self, found: Mapping[str, float]) -> None:
        """Add one repetition."""
        for name, value in found.items():
            self.seconds[name].append(value)


def main(argv: Sequence[str] | None = None) -> int:
    """Time the faults, print each, keep the table; 1 when a median misses its goal or something was not measured."""
    given = _options().parse_args(argv)
    names = [name for name in given.only.replace(",", " ").split() if name] or list(FAULTS)
    if unknown := sorted({*names} - {*FAULTS}):
        print(f"error: there is no fault {', '.join(unknown)}", file=sys.stderr)
        return int(Exit.USAGE)
    found: list[Times] = []
    code = 0
    try:
        for name in names:
            found.append(Times(FAULTS[name]))
            anyio.run(_fault, found[-1], given.times)
            print("  ".join(row(found[-1])), flush=True)
    except KeyboardInterrupt:
        code = int(Exit.INTERRUPTED)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        code = int(error.exit)
    if any(any(one.seconds.values()) for one in found):
        text = section(found, given.times)
        print(text)
        tables.on_top(PAGE, TITLE, text, tables.older(PAGE, TITLE))
    return code or int(any(one.amiss or missed(one) for one in found))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.fault_times", description=__doc__)
    parser.add_argument("-n", "--times", type=int, default=10, help="repetitions of each fault (10)")
    parser.add_argument("--only", default="", help="faults, separated by commas")
    return parser


async def _fault(times: Times, repetitions: int) -> None:
    async with place.found() as here:
        await here.fit()
        async with workload.lent(here.kube, "t-times") as namespace:
            for number in range(repetitions):
                try:
                    await workload.renew(here.kube, namespace)
                    await workload.settled(here.kube, namespace)
                    await here.suit(times.kind.name, namespace)
                    times.take(await _once(here, times.kind, namespace, number + 1))
                # Whatever it is, the other repetitions are not to wait for it.
                except Exception as error:
                    times.amiss.append(" ".join(f"{type(error).__name__}: {error}".split()))


async def _once(here: Place, kind: FaultKind, namespace: str, seed: int) -> dict[str, float]:
    reached = await workload.around(here.kube)
    async with started(document.written(kind, namespace, reached, HOLD_SECONDS), seed=seed) as run:
        await aside(partial(run.wait_for, "fault.injected", INJECTED_SECONDS))
        with anyio.move_on_after(kind.felt_within + 15.0):
            while not run.find("fault.felt") and not run.find("fault.not_felt"):
                await anyio.sleep(LOOK_SECONDS)
        asked = time.time()
        run.signal(signal.SIGINT)
        await aside(partial(run.end, END_SECONDS))
        return figures(run.lines(), asked, instant=kind.instant)


def figures(events: Sequence[Mapping[str, Any]], asked: float, *, instant: bool) -> dict[str, float]:
    """Read the figures of one run from its journal; `asked` is the wall clock just before its abort was asked for."""
    at = {event["type"]: event for event in reversed(events)}
    found = {}
    spans = {"applied": ("fault.injecting", "fault.injected"), "felt": ("fault.injected", "fault.felt")}
    # What is over at once is not undone: somebody replaces what is gone.
    spans |= {} if instant else {"removed": ("fault.heal_requested", "undo")}
    for name, (first, last) in spans.items():
        if first in at and last in at:
            found[name] = float(at[last]["t"]) - float(at[first]["t"])
    if "abort" in at:
        found["abort"] = float(at["abort"]["wall"]) - asked
    return found


def goal(kind: FaultKind, figure: str) -> float | None:
    """Return the goal of a figure, in seconds; what asks budgets is applied when these allow it."""
    waits = figure == "applied" and Disturbance.EVICTION in kind.disturbs
    return GOAL_SECONDS if kind.hand in GOAL_HANDS and figure in GOAL_FIGURES and not waits else None


def missed(times: Times) -> list[str]:
    """Name the figures whose median misses its goal."""
    limits = {name: goal(times.kind, name) for name in FIGURES}
    return [
        name
        for name, limit in limits.items()
        if limit is not None and times.seconds[name] and statistics.median(times.seconds[name]) > limit
    ]


def row(times: Times) -> list[str]:
    """Return one line of the table: a median that misses its goal is bold."""
    late = missed(times)
    shown = []
    for name in FIGURES:
        values = times.seconds[name]
        text = f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})" if values else ""
        shown.append(f"**{text}**" if name in late else text)
    return [times.kind.name, str(times.kind.hand), *shown]


def last(values: Sequence[float]) -> float:
    """Return the 99th percentile by nearest rank."""
    return sorted(values)[max(0, math.ceil(LAST * len(values)) - 1)]


def section(found: Sequence[Times], repetitions: int) -> str:
    """Write the dated section."""
    aborts = [value for one in found for value in one.seconds["abort"]]
    late = [f"{one.kind.name} {' and '.join(missed(one))}" for one in found if missed(one)]
    said = (
        f"{repetitions} times each; the fixed loop took {speed.loop():.0f} ms. Goal of api and node hands: applied and"
        f" removed at the median within {GOAL_SECONDS:g} s: {'missed by ' + ', '.join(late) if late else 'kept'}."
    )
    if aborts:
        said += f" Abort: p99 {last(aborts):.2f} s, median {statistics.median(aborts):.2f} s, of {len(aborts)}."
    lines = [tables.head(), said, "", tables.table(["fault", "hand", *FIGURES], [row(one) for one in found]), ""]
    lines += [f"- {one.kind.name}, not measured: {why}" for one in found for why in dict.fromkeys(one.amiss)]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
