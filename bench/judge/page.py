"""Draw docs/judge.md: what was analysed, by what was in it, and each thing that was judged otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bench import tables
from bench.judge import replies
from bench.judge.cases import Case
from bench.judge.outcome import Difference, Outcome
from harness.analysis.syntax import Dialect

TITLE = """# The canary's judge beside the controller

AnalysisTemplates with their answers are drawn by a seed and analysed twice: by the live Argo Rollouts controller, as
AnalysisRuns that ask a server which answers by script; and by `harness.analysis`, in the controller's dialect, with the
same answers in the same order under a clock that is put forward. Compared are the run's phase and message; of each
metric its phase, message, query with the arguments in place and counts (measured, successful, failed, inconclusive,
error); of each measurement its phase, value, message, and when it was taken, to a second. What the controller calls
invalid must be refused, in whatever words. What differed was analysed once more, alone: one look that comes a second
late moves metrics against each other.

Worded otherwise, and counted as such: what is said of an answer that is not Prometheus', and of none. Of a metric by
web, which the evaluator does not read, it is given the number or the provider's words. `make conformance-judge` writes
this.
"""
HEADER = ("with", "analyses", "measurements", "differ")


@dataclass(slots=True)
class Row:
    """One case, what either made of it at last, and how it went: `first` is what differed when it was not alone."""

    case: Case
    here: Outcome
    there: Outcome | None = None
    differences: list[Difference] = field(default_factory=list)
    worded: int = 0
    why: str = ""
    first: str = ""

    @property
    def same(self) -> bool:
        """Say whether both made the same of it."""
        return self.there is not None and not self.differences and not self.why

    @property
    def measurements(self) -> int:
        """Return how many measurements the controller took."""
        return sum(len(one.measured) for one in self.there.metrics.values()) if self.there else 0


def _says(key: str) -> Callable[[Row], bool]:
    return lambda row: any(key in metric for metric in row.case.template["spec"]["metrics"])


def _answered(*names: str) -> Callable[[Row], bool]:
    """Say of a row whether some measurement that was taken was answered so."""

    def so(row: Row) -> bool:
        metrics = row.there.metrics if row.there else {}
        return any({*row.case.script[name][: len(one.measured)]} & {*names} for name, one in metrics.items())

    return so


def _wrong(name: str) -> bool:
    reply = replies.REPLIES[name]
    return reply.status != 200 or name in replies.WORDED_OTHERWISE or name in ("error with 200", "web without it")


WITH: dict[str, Callable[[Row], bool]] = {
    "several metrics": lambda row: len(row.case.template["spec"]["metrics"]) > 1,
    **{
        key: _says(key)
        for key in (
            "successCondition", "failureCondition", "count", "interval", "initialDelay", "failureLimit",
            "inconclusiveLimit", "consecutiveErrorLimit", "consecutiveSuccessLimit",
        )
    },
    "dryRun": lambda row: "dryRun" in row.case.template["spec"],
    "arguments besides the run's name": lambda row: len(row.case.template["spec"]["args"]) > 1,
    "a metric by web": lambda row: any("web" in one["provider"] for one in row.case.template["spec"]["metrics"]),
    "NaN among the answers": _answered(*(name for name in replies.REPLIES if "NaN" in name)),
    "an empty answer": _answered("[]"),
    "a scalar or a matrix": _answered(*replies.SCALARS, "matrix"),
    "an answer that is none": _answered(*filter(_wrong, replies.REPLIES)),
    "an end from outside": lambda row: row.case.ends is not None,
    "something invalid": lambda row: bool(row.case.broken),
}  # fmt: skip


def summary(rows: Sequence[Row]) -> str:
    """Say in a sentence how many were the same."""
    wrong, measurements = sum(not row.same for row in rows), sum(row.measurements for row in rows)
    return f"{len(rows)} analyses, {measurements} measurements: {wrong or 'none'} judged otherwise"


def section(seed: int, version: str, dialect: Dialect, rows: Sequence[Row], took: float, now: datetime) -> str:
    """Write the dated section."""
    lines = [tables.head(now), f"Seed {seed}, Argo Rollouts {version} (dialect {dialect}): **{summary(rows)}**."]
    again, worded = sum(bool(row.first) for row in rows), sum(row.worded for row in rows)
    others = ", ".join(one for one in Dialect if one is not dialect)
    lines.append(f"{took:.0f} s; {again} analysed once more; {worded} messages worded otherwise.")
    lines.append(f"Not compared: dialect {others}, of which no controller is built here.")
    lines += ["", tables.table(HEADER, [_counted(f"`{phase}`", found) for phase, found in _phases(rows)]), ""]
    lines += [tables.table(HEADER, [_counted(name, [row for row in rows if so(row)]) for name, so in WITH.items()]), ""]
    lines += [line for row in rows if not row.same for line in told(row)]
    return "\n".join(lines)


def _phases(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault("refused" if row.here.refused else row.here.phase, []).append(row)
    return sorted(found.items())


def _counted(name: str, rows: Sequence[Row]) -> tuple[str, ...]:
    wrong = sum(not row.same for row in rows)
    return name, str(len(rows)), str(sum(row.measurements for row in rows)), f"**{wrong}**" if wrong else "0"


def told(row: Row) -> list[str]:
    """List what differs, one line each."""
    return [f"- c{row.case.number}: {one}" for one in (*([row.why] if row.why else ()), *row.differences)]


def line(row: Row) -> str:
    """Tell of one analysis on a terminal."""
    came = row.case.broken and f"refused: {row.case.broken}"
    measured = " ".join(f"{name} {one.phase} {one.count}+{one.error}" for name, one in row.here.metrics.items())
    return f"{'v' if row.same else 'x'} c{row.case.number:<4} {came or row.here.phase:<13} {measured}"
