"""Draw the summary a CI job shows of a night: what was wrong first, then the trend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from harness.model.units import seconds
from harness.nightly import repeats, text
from harness.nightly.nights import Night
from harness.nightly.sheet import Row, Sheet
from harness.nightly.state import State
from harness.report.markdown import MOST_BYTES, plain

SIGNS = {State.RIGHT: "✅", State.FLIP: "🔁", State.REGRESSION: "❌", State.WRONG: "✖️", State.UNPROVEN: "❔", None: "·"}
TREND = 14
LONGEST = 1000


def draw(sheet: Sheet) -> str:
    """Return the summary."""
    night = sheet.night
    trend = sheet.nights[-TREND:]
    wrong = [row for row in sheet.rows if row.state not in (None, State.RIGHT)]
    sign = "❌" if sheet.code else SIGNS[State.FLIP if sheet.counts.get(State.FLIP) else State.RIGHT]
    parts = [
        f"### {sign} Night {plain(night.name)}: {sheet.headline}",
        f"{sheet.verdict} · {plain(str(night.code))} · {seconds(night.seconds)} of runs",
        _table(
            ("", "experiment", "state", "verdicts", "why"),
            ((SIGNS[row.state], plain(row.experiment), str(row.state), row.shown, plain("; ".join(row.said))[:LONGEST])
             for row in wrong),
        ),
        "\n".join(f"- {plain(line)}" for line in text.compared(sheet)),
        _trend(sheet, trend),
        _folded("Each experiment", _table(
            ("experiment", "nights", "flip rate", "recovery, last and median"),
            ((plain(row.experiment), "".join(SIGNS[sheet.states[one.name].get(row.experiment)] for one in trend),
              _rate(row), _recovery(sheet, row)) for row in sorted(sheet.rows, key=lambda row: row.experiment)),
        )),
        _never(sheet),
        f"note: {text.unread(sheet)}" if sheet.unread else "",
    ]  # fmt: skip
    whole = "\n\n".join(part for part in parts if part) + "\n"
    return whole.encode()[:MOST_BYTES].decode(errors="ignore")


def _trend(sheet: Sheet, trend: Sequence[Night]) -> str:
    if len(trend) < 2:
        return ""
    table = _table(("night", "as declared", *map(str, State)), (_night(sheet, one) for one in trend))
    return f"#### The last {len(trend)} nights\n\n{table}"


def _night(sheet: Sheet, night: Night) -> Sequence[str]:
    states = list(sheet.states[night.name].values())
    counts = [str(states.count(state) or "") for state in State]
    return plain(night.name), f"{night.right} of {len(night.tried)}", *counts


def _rate(row: Row) -> str:
    if not row.nights:
        return "-"
    rate = repeats.percent(row.flipped / row.nights)
    return f"{row.flipped} of {row.nights}: {rate} ({repeats.between(row.interval)})"


def _recovery(sheet: Sheet, row: Row) -> str:
    times = [
        run.recovery
        for night in sheet.nights
        if row.experiment in night.tried
        for run in night.tried[row.experiment].runs
        if run.recovery is not None
    ]
    return f"{seconds(times[-1])}, {seconds(median(times))} of {len(times)}" if times else "-"


def _never(sheet: Sheet) -> str:
    lines = [f"- {kind}: {', '.join(map(plain, names))}" for kind, names in sheet.never.items() if names]
    return "\n".join(["#### Never tried", *lines]) if lines else ""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cell or " " for cell in row) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(header) + " |", "|" + " --- |" * len(header), *lines]) if lines else ""


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>" if body else ""
