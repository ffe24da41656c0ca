"""Run a set of experiments again and again, quiet and with cores kept busy on purpose, and keep the verdicts counted.

Every run is in the table as soon as it has ended: an interruption loses none. A hog keeps one core busy; it ends with
the round, with this command, and at the latest after half an hour.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from textwrap import shorten

from bench import hog, speed
from harness import __version__
from harness.cli import documents
from harness.engine.options import Options
from harness.errors import Exit, HarnessError
from harness.model.experiment import SETS, Experiment
from harness.model.verdict import Verdict
from harness.nightly import code, repeats, sets
from harness.nightly.sets import Result

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "repeatability.md"
TITLE = "# Repeatability\n"
METHOD = (
    "Whole sets, round after round, each after `harness up`, on one cluster; nothing is run a second time. A flip is a"
    " run that did not end as most of its experiment's runs did; the interval is Wilson's. The machine's own speed is a"
    f" fixed loop, the fastest of {speed.TIMES}. `make repeat` writes this.\n"
)
HOG_SECONDS = 1800.0
WIDEST = 160


@dataclass(slots=True)
class Condition:
    """What was seen with so many cores kept busy; `loops` are milliseconds of the fixed loop, one a round."""

    busy: int
    results: list[Result] = field(default_factory=list)
    loops: list[float] = field(default_factory=list)
    short: int = 0

    @property
    def name(self) -> str:
        """Say how many cores are kept busy."""
        return "quiet" if not self.busy else f"{self.busy} core{'s' * (self.busy != 1)} kept busy"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure every condition, print the section and keep it in docs/repeatability.md."""
    given = _options().parse_args(argv)
    try:
        experiments = documents.load([ROOT / "experiments"], only=given.set)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit)
    total = given.rounds * len(experiments) * len(given.busy)
    for line in sets.foreword(total):
        print(line, flush=True)
    older = _older()
    conditions = [Condition(cores) for cores in given.busy]
    head = _head(given.rounds, len(experiments), given.set)
    done, code = 0, int(Exit.PASS)
    try:
        for condition, result in _measure(conditions, experiments, given.rounds, Options(runs=given.runs)):
            done += 1
            print(f"{done:>5}/{total}  {condition.name}  {_line(result)}", flush=True)
            _keep(_section(head, conditions, total), older)
            if result.last:
                code = result.code
    except KeyboardInterrupt:
        code = int(Exit.INTERRUPTED)
    if done:
        print(_section(head, conditions, total))
    return code


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.repeat", description=__doc__)
    parser.add_argument(
        "-n", "--rounds", type=int, default=10, metavar="N", help="rounds of each condition (default 10)"
    )
    parser.add_argument(
        "--busy", type=_cores, default=[0, 1], metavar="LIST", help="cores kept busy, a condition each (default 0,1)"
    )
    parser.add_argument("--set", choices=SETS, default="local", help="the experiments that are run (default local)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs are kept")
    return parser


def _cores(text: str) -> list[int]:
    cores = [int(word) for word in text.split(",")]
    most = os.cpu_count() or 1
    if any(not 0 <= one <= most for one in cores):
        raise argparse.ArgumentTypeError(f"this machine has {most} cores")
    return cores


def _measure(
    conditions: Sequence[Condition], experiments: list[Experiment], rounds: int, options: Options
) -> Iterator[tuple[Condition, Result]]:
    for condition in conditions:
        for _ in range(rounds):
            _up()
            with hog.busy(condition.busy, HOG_SECONDS) as hogs:
                condition.loops.append(speed.loop())
                for result in sets.walk(experiments, options):
                    if result.code != Exit.INTERRUPTED:
                        condition.results.append(result)
                        condition.short += any(one.poll() is not None for one in hogs)
                    yield condition, result
                    if result.last:
                        return


def _up() -> None:
    """Begin a round as `make chaos-local` does: pods whose containers the kubelet would hold back are replaced."""
    subprocess.run([sys.executable, "-m", "harness.cli", "up"], cwd=ROOT, check=True, capture_output=True)


def _line(result: Result) -> str:
    mark = "v" if result.right else "x"
    took = f"  {result.outcome.seconds:.1f} s" if result.outcome else ""
    why = "" if result.right else f"  {shorten(_why(result), WIDEST, placeholder=' ...')}"
    return f"{mark} {result.experiment.name}  {result.verdict}{took}{why}"


def _why(result: Result) -> str:
    if result.outcome is None:
        return " ".join(str(result.error).split())
    return "; ".join(part for part in (result.outcome.reason, result.outcome.cause) if part)


def _head(rounds: int, experiments: int, chosen: str) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    version = f"{__version__} {code.commit(ROOT)}".strip()
    return (
        f"## {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, {memory:.0f} GiB, harness {version}\n\n"
        f"Set {chosen}, {experiments} experiments; rounds in each condition: {rounds}; the fixed loop took"
        f" {speed.loop():.0f} ms before the first.\n"
    )


def _section(head: str, conditions: Sequence[Condition], total: int) -> str:
    parts, done = [head], sum(len(one.results) for one in conditions)
    if done < total:
        parts.append(f"**Cut short: {done} of {total} runs.**\n")
    return "\n".join([*parts, *(_condition(one) for one in conditions if one.results)])


def _condition(condition: Condition) -> str:
    results = condition.results
    wrong = [result for result in results if not result.right]
    blamed = sum(result.verdict == Verdict.DEVIATED for result in wrong)
    unknown = [result for result in results if result.verdict == Verdict.INCONCLUSIVE and not result.right]
    named = sum(_names_the_machine(result) for result in unknown)
    spread = f"{min(condition.loops):.0f}-{max(condition.loops):.0f} ms"
    lines = [
        f"### {condition.name}: {len(results) - len(wrong)} of {len(results)} as declared\n",
        f"Undeclared DEVIATED: {blamed}. INCONCLUSIVE: {len(unknown)}, of which {named} name the machine. The fixed"
        f" loop, once a round: {spread}.\n",
    ]
    if condition.short:
        lines.append(
            f"In {condition.short} runs a hog had ended before the run: they were quieter than they should be.\n"
        )
    ended = ((result.experiment.name, result.verdict, result.right) for result in results)
    lines += [_table(repeats.HEADER, repeats.rows(repeats.count(ended)))]
    if wrong:
        lines += [
            "",
            _table(("not as declared", "verdict", "times", "names the machine", "for example"), _reasons(wrong)),
        ]
    return "\n".join([*lines, ""])


def _reasons(wrong: Sequence[Result]) -> list[tuple[str, ...]]:
    groups: dict[tuple[str, str, bool], list[Result]] = {}
    for result in wrong:
        groups.setdefault((result.experiment.name, result.verdict, _names_the_machine(result)), []).append(result)
    return [
        (name, verdict, str(len(found)), "yes" if named else "no", shorten(_why(found[0]), WIDEST, placeholder=" ..."))
        for (name, verdict, named), found in sorted(groups.items())
    ]


def _names_the_machine(result: Result) -> bool:
    return "machine" in _why(result).lower()


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") or " " for cell in line) + " |" for line in lines)


def _older() -> str:
    return PAGE.read_text(encoding="utf-8").split(METHOD, 1)[-1] if PAGE.exists() else ""


def _keep(section: str, older: str) -> None:
    """Put the dated section on top of the page, whole or not at all."""
    PAGE.parent.mkdir(exist_ok=True)
    fresh = PAGE.with_suffix(".new")
    fresh.write_text(f"{TITLE}\n{METHOD}\n{section}{older}", encoding="utf-8")
    fresh.replace(PAGE)


if __name__ == "__main__":
    sys.exit(main())
