"""Kill random processes of random runs at random moments, and look what is left: `python -m bench.torment --count 200`.

Each turn is a run of a random fault with a load of its own. From when the system is settled some seconds pass, then one
or two of these die by SIGKILL: the engine, the child that runs steps, the load, the keeper, the agent of a node. The
turn is clean when the fingerprint is afterwards what it was before. Fault, moment and victims come from the seed and
the turn's number alone, so that a table can be gone on with, and a turn be done again.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import http.server
import json
import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random

import anyio

from bench import tables
from bench.dying import document, place, strikes, workload
from bench.dying.place import Place
from bench.dying.run import Run, aside, started
from bench.dying.strikes import Strike
from harness.errors import Exit, HarnessError
from harness.faults import FAULTS

PAGE = tables.ROOT / "docs" / "torment.md"
TITLE = """# Torment

Random processes of random runs are killed at random moments: engine, child that runs steps, load, keeper, the agent of
a random node. A turn is clean when the fingerprint is afterwards what it was before. `make torment` writes this.
"""
VICTIMS = ("engine", "steps", "load", "keeper", "agent")
# From when the system is settled: the fault comes within the first second, is held, healed, and the run is over.
WINDOW_SECONDS, HOLD_SECONDS = 8.0, 4.0
SETTLED_SECONDS, END_SECONDS, CLEAN_SECONDS = 420.0, 240.0, 240.0
RATE = "20/s"
SHOWN = 4


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn does: which fault, who dies, and how many seconds after the system is settled."""

    fault: str
    victims: tuple[str, ...]
    after: float


@dataclass(frozen=True, slots=True)
class Row:
    """One turn as it went: who of the chosen was there to be killed, and what was left, or why it was no turn."""

    seed: int
    number: int
    fault: str
    struck: list[str]
    after: float
    seconds: float = 0.0
    left: list[str] = dataclasses.field(default_factory=list)
    ended: str = ""
    why: str = ""

    @property
    def clean(self) -> bool:
        """Say whether the turn was one and left nothing."""
        return not self.left and not self.why


def turn(seed: int, number: int, faults: Sequence[str]) -> Turn:
    """Draw one turn; the same seed, number and faults give the same."""
    chance = Random(f"{seed}-{number}")
    victims = chance.sample(VICTIMS, chance.choice((1, 1, 2)))
    return Turn(chance.choice(sorted(faults)), tuple(victims), round(chance.random() * WINDOW_SECONDS, 2))


def main(argv: Sequence[str] | None = None) -> int:
    """Take the turns that were not taken yet, print each, and keep the table; 0 when all of them were clean."""
    given = _options().parse_args(argv)
    path = given.rows / f"torment-{given.seed}.jsonl"
    # One that could not be taken is taken again.
    rows = {row.number: row for row in read(path) if row.number < given.count and not row.why}
    code = 0
    try:
        for number in (one for one in range(given.count) if one not in rows):
            row = anyio.run(_take, given.seed, number)
            rows[number] = row
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(dataclasses.asdict(row)) + "\n")
            print(f"{number + 1:>5}/{given.count}  {line(row)}", flush=True)
    except KeyboardInterrupt:
        code = int(Exit.INTERRUPTED)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit)
    found = [rows[number] for number in sorted(rows)]
    clean = sum(row.clean for row in found)
    if found:
        _keep(given.seed, given.count, found)
    print(f"{clean} of {given.count} clean, seed {given.seed}")
    return code or int(clean != given.count)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.torment", description=__doc__)
    parser.add_argument("-n", "--count", type=int, default=200, help="turns (200)")
    parser.add_argument("--seed", type=int, default=1, help="draws fault, moment and victims (1)")
    parser.add_argument("--rows", type=Path, default=Path("runs"), help="where turns are kept: none is taken twice")
    return parser


def read(path: Path) -> list[Row]:
    """Read the turns so far; one that was cut off is taken again."""
    found = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError, TypeError):
            found.append(Row(**json.loads(text)))
    return found


async def _take(seed: int, number: int) -> Row:
    drawn = turn(seed, number, list(FAULTS))
    begun = Row(seed, number, drawn.fault, [], drawn.after)
    async with place.found() as here:
        try:
            return await _taken(here, drawn, begun)
        # Whatever it is, the other turns are not to wait for it.
        except Exception as error:
            return dataclasses.replace(begun, why=" ".join(f"{type(error).__name__}: {error}".split()))


async def _taken(here: Place, drawn: Turn, begun: Row) -> Row:
    await here.fit()
    async with workload.lent(here.kube, "t-torment") as namespace:
        await here.suit(drawn.fault, namespace)
        reached = await workload.around(here.kube)
        with answering() as address:
            load = {"url": address, "rate": RATE}
            text = document.written(FAULTS[drawn.fault], namespace, reached, HOLD_SECONDS, load)
            before = await here.steady()
            async with started(text, seed=begun.number) as run:
                await aside(partial(run.wait_for, "settled", SETTLED_SECONDS))
                settled = time.monotonic()
                found = await _armed(here, run, drawn, begun)
                await anyio.sleep(max(0.0, settled + drawn.after - time.monotonic()))
                for strike in found.values():
                    strike()
                struck = time.monotonic()
                code = await aside(partial(run.end, END_SECONDS))
                left = await here.unlike(before, CLEAN_SECONDS)
                seconds = round(time.monotonic() - struck, 1)
                verdict = run.find("verdict")
                ended = f"{verdict['data']['verdict'] if verdict else '-'} {code}"
                return dataclasses.replace(begun, struck=sorted(found), seconds=seconds, left=left, ended=ended)


async def _armed(here: Place, run: Run, drawn: Turn, begun: Row) -> Mapping[str, Strike]:
    """Find the processes that are to die; one that is not there is left out."""
    found: dict[str, Strike | None] = {}
    for name in drawn.victims:
        if name == "engine":
            found[name] = strikes.engine(run)
        elif name == "keeper":
            found[name] = await strikes.keeper(here)
        elif name == "agent":
            nodes = sorted({str(pod["spec"].get("nodeName", "")) for pod in await here.agents()})
            node = Random(f"{begun.seed}-{begun.number}-node").choice(nodes) if nodes else ""
            found[name] = await strikes.agent(here, node)
        else:
            found[name] = strikes.child(run, f"harness.{name}")
    return {name: strike for name, strike in found.items() if strike}


class _Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with nothing."""
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextlib.contextmanager
def answering() -> Iterator[str]:
    """Have a service on this machine for the load to ask: what it asks is nobody's, that it runs is the point."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def line(row: Row) -> str:
    """Tell of one turn as it ended."""
    who = " and ".join(row.struck) or "nobody"
    said = row.why or "; ".join(row.left[:SHOWN]) or "clean"
    return f"{'v' if row.clean else 'x'} {row.fault}: {who} after {row.after:.2f} s  {row.ended}  {said}"


def _keep(seed: int, count: int, rows: Sequence[Row]) -> None:
    tables.on_top(PAGE, TITLE, section(seed, count, rows, datetime.now(UTC)), tables.older(PAGE, TITLE))


def section(seed: int, count: int, rows: Sequence[Row], now: datetime) -> str:
    """Write the dated section: how many were clean, by who died, and each turn that was not."""
    clean = sum(row.clean for row in rows)
    died: Counter[str] = Counter(name for row in rows for name in row.struck or ["nobody"])
    lines = [tables.head(now), f"Seed {seed}: **{clean} of {count} clean**."]
    if len(rows) < count:
        lines.append(f"Cut short: {len(rows)} turns were taken.")
    shown = []
    for name, times in sorted(died.items()):
        theirs = [row for row in rows if name in (row.struck or ["nobody"])]
        longest = max((row.seconds for row in theirs), default=math.nan)
        shown.append((name, str(times), str(sum(row.clean for row in theirs)), f"{longest:.0f} s"))
    lines += ["", tables.table(("who died", "turns", "clean", "longest until run and cluster were done"), shown), ""]
    lines += [f"- turn {row.number}: {line(row)}" for row in rows if not row.clean]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
