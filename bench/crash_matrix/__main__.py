"""Strike every fault in every way and keep what came of it: `python -m bench.crash_matrix --only pod_freeze`.

A cell that held with the code as it is now is not run again. Each is written down as soon as it has ended, so that an
interruption loses none but the one under way, and that is healed. Where the cluster cannot be made fit for several
cells in a row, those that are left are not tried. The exit code is 1 where a promise was broken or a cell could not be
measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio

from bench.crash_matrix import cells as cells_of
from bench.crash_matrix import measure, page, record
from bench.crash_matrix.cells import Cell
from bench.crash_matrix.record import Row, State
from bench.dying import place
from harness.errors import Exit, HarnessError
from harness.faults import FAULTS

DATA = record.ROOT / "docs" / "crash-matrix.jsonl"
# Each waits for minutes; what keeps so many from beginning keeps the next one from it, too.
UNFIT_IN_A_ROW = 3
MARKS = {State.HELD: "v", State.BROKEN: "x", State.UNMEASURED: "?"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is not fresh, print each cell as it ends, and draw the page beside the data."""
    given = _options().parse_args(argv)
    every = cells_of.every(FAULTS)
    try:
        chosen = cells_of.narrowed(every, given.only, given.shard)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(Exit.USAGE)
    codes = record.codes(FAULTS)
    rows, amiss = record.read(given.data)
    for unread in amiss:
        print(f"left out, it cannot be read: {unread}", file=sys.stderr)
    meant = [cell for cell in chosen if not _passed_over(cell)]
    todo = [cell for cell in meant if not record.fresh(rows.get((cell.fault, cell.cause)), codes[cell.fault])]
    if not given.draw:
        print(f"{len(meant)} cells, {len(meant) - len(todo)} of them fresh", flush=True)
    code, unfit = 0, 0
    try:
        for number, cell in enumerate([] if given.draw else todo, 1):
            row = anyio.run(_measure, cell)
            rows[row.key] = row
            print(f"{number:>4}/{len(todo)}  {line(row)}", flush=True)
            record.write(given.data, rows.values())
            _draw(given.data, rows, every, codes)
            unfit = unfit + 1 if row.why.startswith(measure.UNFIT) else 0
            if unfit == UNFIT_IN_A_ROW:
                print(f"error: {len(todo) - number} cells were not tried: no cell can begin", file=sys.stderr)
                print("  fix   `harness doctor` says what is amiss, `harness up` mends it", file=sys.stderr)
                code = 1
                break
    except KeyboardInterrupt:
        code = int(Exit.INTERRUPTED)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit)
    _draw(given.data, rows, every, codes)
    there = [rows[key] for cell in meant if (key := (cell.fault, cell.cause)) in rows]
    held = sum(row.state is State.HELD for row in there)
    print(f"{held} of {len(meant)} cells held")
    return code or int(any(row.state is not State.HELD for row in there))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.crash_matrix", description=__doc__)
    parser.add_argument("--only", default="", help="faults or causes, separated by commas")
    parser.add_argument("--shard", default="", metavar="I/N", help="every n-th cell, from the i-th on")
    parser.add_argument("--data", type=Path, default=DATA, help="what was measured; the page is drawn beside it")
    parser.add_argument("--draw", action="store_true", help="draw the page anew and strike nothing")
    return parser


def _passed_over(cell: Cell) -> bool:
    if why := cells_of.meaningless(FAULTS[cell.fault], cell.cause):
        print(f"      -  {cell}  passed over: {why}", flush=True)
    return bool(why)


async def _measure(cell: Cell) -> Row:
    async with place.found() as here:
        return await measure.measured(here, cell)


def line(row: Row) -> str:
    """Tell of one cell as it ended."""
    removed = "nothing to remove" if row.removed is None else f"removed {row.removed:.2f} s (-{row.blur or 0:.2f})"
    clean = "" if row.clean is None else f"clean {row.clean:.1f} s"
    ended = f"{row.verdict} {'' if row.exit is None else row.exit}".strip()
    took = "" if row.took is None else f"took {row.took:.0f} s"
    unsure = row.state is State.UNMEASURED or (row.state is State.BROKEN and row.removed is None)
    parts = ["" if unsure else removed, f"limit {row.limit:g} s", clean, ended, took, row.why]
    return f"{MARKS[row.state]} {row.fault} x {row.cause}  {'  '.join(part for part in parts if part)}"


def _draw(data: Path, rows: record.Rows, every: Sequence[Cell], codes: dict[str, str]) -> None:
    text = page.draw(rows, FAULTS, every, codes, datetime.now(UTC))
    fresh = data.with_suffix(".md.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(data.with_suffix(".md"))


if __name__ == "__main__":
    sys.exit(main())
