"""Release good and bad canaries, and hold each against its declaration: `python -m bench.canary_runs --count 20`.

Each run is a shipped experiment by `harness run`, as a user would do it. Seed and number draw which: of every few runs
each kind of release has one, in an order of their own. It is right when its verdict is the declared one; a release that
must not be promoted must also be met by no more of the requests than its largest weight would send there, and 1 %.
INCONCLUSIVE that names the machine is counted apart and is no pass. What ran is kept; the same code goes on with it.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from textwrap import shorten

from bench import speed, tables
from bench.released import ALLOWANCE, Row, judged
from harness.checkers import canary
from harness.documents import document
from harness.errors import Exit
from harness.journal import reader
from harness.journal.event import FILE

PAGE = tables.ROOT / "docs" / "canary-runs.md"
TITLE = """# Canary runs

Shipped experiments of good and bad releases, drawn by a seed, one after the other; none is run a second time for what
came of it. Of a release that must not be promoted no more requests may meet it, from its start until it is taken back,
than its largest weight would send there, and 1 %: the gateway draws for each request. Those that were tried again, of
which nobody knows whom they met first, count as if they had met it. *By the weights* is what its weights, for as long
as each was in force, would have sent there. `make canary-runs` writes this.
"""
HARNESS = (sys.executable, "-m", "harness.cli")
EXPERIMENTS = tables.ROOT / "experiments" / "delivery"
KINDS = {"good": "good_release", "failing": "failing_release", "slow": "slow_release", "unmeasured": "prometheus_gone"}
# A run settles for 120 s at the most and releases for 170, with a minute and a half to recover.
RUN_SECONDS, END_SECONDS = 900.0, 240.0
WIDEST = 200
ROOMS, SUFFIXES = ("harness", "probes", "stack", "images", "experiments/delivery"), (".py", ".yaml", ".yml", ".json")


def code(root: Path = tables.ROOT) -> str:
    """Return a hash of what a run is judged by and of what is judged; pages and tests are none of it."""
    sha = hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (root / room).rglob("*") if path.suffix in SUFFIXES):
        sha.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return sha.hexdigest()[:12]


def kind(seed: int, number: int) -> str:
    """Draw the kind of one release; the same seed and number give the same, and every round has each kind once."""
    turn, place = divmod(number, len(KINDS))
    return Random(f"{seed}-{turn}").sample(sorted(KINDS), len(KINDS))[place]


def main(argv: Sequence[str] | None = None) -> int:
    """Make the runs that were not made yet, print each, and keep the table; 0 when all are good."""
    given = _options().parse_args(argv)
    path, now = given.runs / f"canary-runs-{given.seed}.jsonl", code()
    rows = {row.number: row for row in read(path) if row.code == now and row.number < given.count and not row.why}
    ended = 0
    for number in (one for one in range(given.count) if one not in rows):
        try:
            row = _run(Row(given.seed, number, kind(given.seed, number), now, speed.loop()), given.runs.absolute())
        except KeyboardInterrupt:
            ended = int(Exit.INTERRUPTED)
            break
        rows[number] = row
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(row)) + "\n")
        print(f"{number + 1:>5}/{given.count}  {line(row)}", flush=True)
        if row.exit == Exit.DIRTY or row.why:
            # Something is still broken, or there is nothing to run on.
            ended = row.exit or int(Exit.INTERNAL)
            break
    found = [rows[number] for number in sorted(rows)]
    good = sum(row.good for row in found)
    if any(not row.why for row in found):
        text = section(given.seed, given.count, found, datetime.now(UTC))
        tables.on_top(PAGE, TITLE, text, tables.older(PAGE, TITLE))
    print(summary(given.seed, given.count, found))
    return ended or int(good != given.count)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.canary_runs", description=__doc__)
    parser.add_argument("-n", "--count", type=int, default=20, help="runs (20)")
    parser.add_argument("--seed", type=int, default=1, help="draws the releases and the seed of each run (1)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs are kept")
    return parser


def read(path: Path) -> list[Row]:
    """Read the runs so far; one that was cut off is made again."""
    found = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError, TypeError):
            found.append(Row(**json.loads(text)))
    return found


def _run(row: Row, runs: Path) -> Row:
    """Run the experiment in a folder of its own, whose run is the new one there, and read what it wrote."""
    folder = runs / f"canary-runs-{row.seed}" / f"{row.number:03}-{row.kind}"
    folder.mkdir(parents=True, exist_ok=True)
    before = {*folder.glob(f"*/{FILE}")}
    seed = Random(f"{row.seed}-{row.number}").randrange(1_000_000)
    file = EXPERIMENTS / f"{KINDS[row.kind]}.yaml"
    exit, said = _ended([*HARNESS, "run", str(file), "--seed", str(seed), "--runs", str(folder)], folder / "said.log")
    row = dataclasses.replace(row, exit=exit)
    journals = sorted({*folder.glob(f"*/{FILE}")} - before)
    events = reader.read(journals[-1].parent) if journals else []
    if not any(event.type == "verdict" for event in events):
        return dataclasses.replace(row, why=shorten(said, WIDEST, placeholder=" ...") or f"it ended with {exit}")
    promised = [one.parameters for one in document.load(file).objectives if one.checker == canary.OBJECTIVE.name]
    return judged(row, events, spared=not any(one.get(canary.PROMOTED) for one in promised))


def _ended(argv: Sequence[str], log: Path) -> tuple[int, str]:
    """Wait for a command; when a person ends us, or it takes too long, it is asked to end, and its undo waited for.

    One that does not end is killed. Raises KeyboardInterrupt then, where it was a person.
    """
    # No pipe: whatever it leaves behind would hold that open.
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            argv, cwd=tables.ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
        try:
            process.wait(RUN_SECONDS)
        except (KeyboardInterrupt, subprocess.TimeoutExpired) as why:
            # Whoever was started in the background may have been told to ignore a Ctrl-C.
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                # Whoever heals does so when it is dead.
                process.kill()
                process.wait()
            if isinstance(why, KeyboardInterrupt):
                raise
    return process.returncode, log.read_text(encoding="utf-8", errors="replace")


def line(row: Row) -> str:
    """Tell of one run as it ended."""
    if row.why:
        return f"x {row.kind}: no run: {row.why}"
    said = f"{row.verdict}  {row.came} after {row.seconds:.0f} s"
    if row.largest is not None:
        said += f", {_met(row)} of {row.requests} requests met it, {_percent(row.largest + ALLOWANCE)} may"
    amiss = "" if row.good else f"  {shorten(row.reason, WIDEST, placeholder=' ...')}".rstrip()
    return f"{'v' if row.good else '?' if row.apart else 'x'} {row.kind}: {said}{amiss}"


def _percent(share: float) -> str:
    return f"{round(100 * share, 2):g} %"


def _met(row: Row) -> str:
    if row.met is None or row.at_most is None:
        return "nobody knows how many"
    return _percent(row.met) + (f" to {_percent(row.at_most)}" if row.at_most > row.met else "")


def summary(seed: int, count: int, rows: Sequence[Row]) -> str:
    """Say how many runs were good, and what the others were."""
    good, apart = sum(row.good for row in rows), sum(row.apart for row in rows)
    wrong = sum(not row.right and not row.apart for row in rows)
    exposed = sum(row.right and not row.kept for row in rows)
    return (
        f"seed {seed}: {good} of {count} as declared and kept from callers; not as declared: {wrong};"
        f" met by more than may: {exposed}; INCONCLUSIVE that names the machine: {apart}"
    )


def section(seed: int, count: int, rows: Sequence[Row], now: datetime) -> str:
    """Write the dated section: by kind of release, and every run."""
    made = [row for row in rows if not row.why]
    loops = [row.loop for row in made]
    spread = f"{min(loops):.0f} to {max(loops):.0f} ms" if loops else "-"
    lines = [
        tables.head(now),
        f"`make canary-runs N={count} SEED={seed}`; the fixed loop, the fastest of {speed.TIMES}, took {spread} before"
        " the runs.\n",
        f"**{summary(seed, count, made)}.**\n",
    ]
    if len(made) < count:
        lines.append(f"Cut short: {len(made)} of {count} runs.\n")
    kinds = [(name, [row for row in made if row.kind == name]) for name in KINDS]
    lines += [tables.table(("release", "runs", "good", "decided after", "met it at most"), _by_kind(kinds)), ""]
    header = ("run", "release", "verdict", "declared", "came", "after", "met it", "by the weights", "may")
    lines += [tables.table(header, [_cells(row) for row in made]), ""]
    return "\n".join([*lines, *(f"- run {row.number}: {line(row)}" for row in made if not row.good)])


def _by_kind(kinds: Sequence[tuple[str, Sequence[Row]]]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, rows in kinds:
        if not rows:
            continue
        took = [row.seconds for row in rows]
        most = [row.at_most for row in rows if row.at_most is not None]
        file, good = f"[{name}](../experiments/delivery/{KINDS[name]}.yaml)", str(sum(row.good for row in rows))
        spread, met = f"{min(took):.0f} to {max(took):.0f} s", _percent(max(most)) if most else ""
        found.append((file, str(len(rows)), good, spread, met))
    return found


def _cells(row: Row) -> tuple[str, ...]:
    declared = "yes" if row.right else "machine" if row.apart else "**no**"
    shares = ("", "", "")
    if row.largest is not None and row.sent is not None:
        may = _percent(row.largest + ALLOWANCE)
        shares = (f"{_met(row)} of {row.requests}", _percent(row.sent), may if row.kept else f"**{may}**")
    return (str(row.number), row.kind, row.verdict, declared, row.came, f"{row.seconds:.0f} s", *shares)


if __name__ == "__main__":
    sys.exit(main())
