"""Draw docs/stack.md: one section a subject, one line a row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bench import tables
from bench.stack_report.row import Result, State, Subject

TITLE = """# The seed, as it behaves

What the seed says of the stack, what was done on the running cluster to prove it, and what was seen. Nothing is proved
by its manifest: each row was provoked. Where the seed does not work as written ([errata](../stack/errata.md)) the row
proves the correction and names the seed's value; where the local cluster has smaller numbers, these are what is proved.
Lines are those of the seed document. `make stack-report` writes this.
"""
HEADER = ("row", "lines", "the seed says", "done", "seen", "")


def draw(subjects: Sequence[Subject], results: Sequence[Result], parts: Sequence[str], now: datetime) -> str:
    """Return the whole page."""
    lines = [TITLE, tables.head(now), summary(results, parts), ""]
    for subject in subjects:
        mine = [one for one in results if one.row.name.partition("/")[0] == subject.name]
        if mine:
            lines += [f"### {subject.title}: {counted(mine)}\n", tables.table(HEADER, [_line(one) for one in mine]), ""]
    return "\n".join(lines).rstrip() + "\n"


def summary(results: Sequence[Result], parts: Sequence[str]) -> str:
    """Say in a sentence what came of all rows, with these parts up, and how long it took."""
    return f"{len(results)} rows: {counted(results)}. Parts: {', '.join(parts)}."


def counted(results: Sequence[Result]) -> str:
    """Count rows by what came of them."""
    counts = {state: sum(one.state is state for one in results) for state in State}
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "none"


def line(result: Result) -> str:
    """Tell of one row on a terminal."""
    mark = {State.PROVED: "v", State.FAILED: "x", State.NOT_HERE: "-"}[result.state]
    took = f"{result.seconds:5.1f} s" if result.seconds else " " * 7
    return f"{mark} {took}  {result.row.name}: {result.seen}"


def _line(result: Result) -> tuple[str, ...]:
    row, state = result.row, str(result.state)
    shown = f"**{state}**" if result.state is State.FAILED else state
    name = row.name.partition("/")[2]
    return tuple(" ".join(cell.split()) for cell in (name, row.lines, row.says, row.done, result.seen, shown))
