"""Draw docs/crash-matrix.md from the rows: heal times, verdicts, what was broken, what has no meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from bench import tables
from bench.crash_matrix import cells as cells_of
from bench.crash_matrix.cells import CAUSES, OF_API, Cell
from bench.crash_matrix.record import Row, Rows, State
from harness.faults import FaultKind

TITLE = """# Crash matrix

Every fault, and whatever may die during it. Each cell is a run of its own on web servers of its own: the fault is
injected, something is struck, and the fingerprint is looked at until it is what it was before. `make crash-matrix`
writes this from `crash-matrix.jsonl`.
"""
READING = """A cell: the seconds until what the fault did was surely gone, and the day. `none`: there was nothing to
undo. **Bold**: the promise was broken; `left`: something stayed. `?`: it could not be measured. *Slanted*: stale, the
code that the cell covers has changed since. `-`: it has no meaning, told below. Blank: not measured yet.
"""


def draw(
    rows: Rows, faults: Mapping[str, FaultKind], cells: Sequence[Cell], codes: Mapping[str, str], now: datetime
) -> str:
    """Return the whole page; `codes` are the hashes of the sources by fault, as they are now."""
    meant = [cell for cell in cells if not cells_of.meaningless(faults[cell.fault], cell.cause)]
    mine = [rows[key] for cell in meant if (key := (cell.fault, cell.cause)) in rows]
    stale = sum(row.code != codes[row.fault] for row in mine)
    counts = {state: sum(row.state is state for row in mine) for state in State}
    said = (
        f"{now:%Y-%m-%d}: of {len(meant)} cells {counts[State.HELD]} held, {counts[State.BROKEN]} broke the promise,"
        f" {counts[State.UNMEASURED]} could not be measured, {len(meant) - len(mine)} were not tried yet; {stale} are"
        " stale."
    )
    if hours := sum(row.took or 0.0 for row in mine) / 3600:
        said += f" They took {hours:.1f} hours."
    every = [name for name, cause in CAUSES.items() if cause.every]
    signals = [name for name, cause in CAUSES.items() if not cause.every]
    chosen = [name for name in faults if any(cell.fault == name and cell.cause in signals for cell in cells)]
    parts = [TITLE, said, "", READING, "## The promise\n", _promises(), "", "## Until it is gone\n"]
    for causes, names in ((every, list(faults)), (signals, chosen)):
        shown = [[name, *(_heals(rows, faults[name], cause, codes) for cause in causes)] for name in names]
        parts += [tables.table(["seconds", *causes], shown), ""]
    parts += ["## Verdict and exit code of the struck run\n"]
    for causes, names in ((every, list(faults)), (signals, chosen)):
        shown = [[name, *(_ends(rows.get((name, cause))) for cause in causes)] for name in names]
        parts += [tables.table(["run", *causes], shown), ""]
    parts += [*_wrong(mine), *_meaningless(faults, cells)]
    return "\n".join(parts).rstrip() + "\n"


def _promises() -> str:
    lines = []
    for name, one in CAUSES.items():
        lines.append((name, one.summary, f"{one.limit:g} s after {one.since}"))
        if name in OF_API:
            kept = OF_API[name]
            lines.append(("", "of what the API server keeps", f"{kept.limit:g} s after {kept.since}"))
    return tables.table(("cause", "what is done", "gone within"), lines)


def _heals(rows: Rows, kind: FaultKind, cause: str, codes: Mapping[str, str]) -> str:
    if cells_of.meaningless(kind, cause):
        return "-"
    row = rows.get((kind.name, cause))
    if row is None:
        return ""
    value = "none" if row.removed is None else f"{row.removed:.2f}"
    if row.state is State.BROKEN:
        value = f"**{'left' if row.removed is None else value}**"
    elif row.state is State.UNMEASURED:
        value = "?"
    text = f"{value} {row.at[5:10]}"
    return f"*{text}*" if row.code != codes[kind.name] else text


def _ends(row: Row | None) -> str:
    if row is None:
        return ""
    return " ".join(part for part in (row.verdict, "" if row.exit is None else str(row.exit)) if part)


def _wrong(rows: Sequence[Row]) -> list[str]:
    wrong = [row for row in rows if row.state is not State.HELD]
    if not wrong:
        return []
    lines = [f"- {row.fault}, {row.cause} ({row.state}, {row.at[:10]}): {row.why}" for row in wrong]
    return ["## Not held\n", *lines, ""]


def _meaningless(faults: Mapping[str, FaultKind], cells: Sequence[Cell]) -> list[str]:
    reasons: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        if why := cells_of.meaningless(faults[cell.fault], cell.cause):
            reasons.setdefault((cell.cause, why), []).append(cell.fault)
    if not reasons:
        return []
    lines = [f"- {cause}, {', '.join(names)}: {why}" for (cause, why), names in reasons.items()]
    return ["## Without meaning\n", *lines]
