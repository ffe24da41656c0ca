"""Draw the summary a CI job shows: verdict first, promises, phases as a Gantt chart, details folded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.journal import reader
from harness.model.history import over
from harness.model.verdict import State
from harness.report import words
from harness.report.inert import brief
from harness.report.values import View
from harness.report.view import build

MOST_BYTES = 900 * 1024
STATES = {State.HELD: "✅ held", State.BROKEN: "❌ broken", State.UNKNOWN: "❔ unknown", State.NOTED: "ℹ️ noted"}
SIGNS = {"v": "✅", "x": "❌", "?": "❔", "!": "⛔"}
# The dot after www, too: it alone makes a link.
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#!|~$@<>&:]|(?<=www)\.)", re.I)


def draw(view: View, dir: Path | None = None, *, log: bool = True) -> str:
    """Return the summary, cut to what a job may show with a note that says so."""
    parts = [
        f"### {SIGNS[words.glyph(view)]} {words.verdict(view)}: {plain(view.title)}",
        _facts(view),
        plain(view.reason) if view.cause else "",
        f"**Why:** {plain(view.cause or view.reason)}" if view.reason else "",
        _table(
            ("", "objective", "target", "baseline", "in fault", "recovery", "seen"),
            ((STATES[item.state], words.name(item), item.target, item.baseline, item.in_fault, item.recovery,
              item.summary) for item in view.findings),
        ),
        _gantt(view),
        _folded("Faults and undo", _faults(view)),
        _folded("How to reproduce", _again(view)),
        f"Full report: {_code(str(dir / 'index.html'))} (in the job's artifacts)" if dir else "",
        _folded("Log", _log(view) if log else ""),
    ]  # fmt: skip
    return _cut([part for part in parts if part])


def suite(dirs: Iterable[Path]) -> str:
    """Return one summary of several runs: a table, what went wrong first, then each run folded."""
    views = sorted(((build(reader.read(dir)), dir) for dir in dirs), key=lambda item: item[0].right)
    right = sum(view.right for view, _ in views)
    table = _table(
        ("", "experiment", "verdict", "declared", "took", "why"),
        (("✅ right" if view.right else "❌ wrong", view.experiment or view.run, words.verdict(view), view.expected,
          f"{view.duration:.1f} s", words.why(view)) for view, _ in views),
    )  # fmt: skip
    heading = f"### {'✅' if right == len(views) and views else '❌'} Chaos: {right} of {len(views)} runs as declared"
    each = [_folded(plain(view.title), draw(view, dir, log=False)) for view, dir in views]
    return _cut([part for part in (heading, table, *each) if part])


def plain(text: str) -> str:
    """Return text that markdown and HTML show as it is, on one line."""
    return _escaped(" ".join(text.split()))


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda match: f"&#{ord(match[1])};", text)


def _code(text: str) -> str:
    return f"<code>{plain(text)}</code>"


def _facts(view: View) -> str:
    facts = [words.score(view), words.declared(view), words.evidence(view), words.undo(view), f"{view.duration:.1f} s"]
    names = {"run": view.run, "seed": view.seed, "context": view.context}
    return " · ".join([*(plain(fact) for fact in facts if fact), *(f"{k} {_code(v)}" for k, v in names.items() if v)])


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(plain(cell) or "-" for cell in row) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join(["| " + " | ".join(header) + " |", "|" + " --- |" * len(header), *lines])


def _gantt(view: View) -> str:
    """Draw phases, fault windows and aborts; Mermaid takes milliseconds and names without punctuation."""
    if not view.phases:
        return ""
    lines = ["```mermaid", "gantt", "  dateFormat x", "  axisFormat %M:%S", "  section phases"]
    lines += [f"  {_word(span.name)} : {_times(span.start, span.end)}" for span in view.phases]
    injected = [fault for fault in view.faults if fault.injected is not None]
    if injected:
        lines.append("  section faults")
    for fault in injected[:40]:
        assert fault.injected is not None
        until = over(fault, view.end)
        lines.append(
            f"  {_word(f'{fault.kind} ' + fault.victim.rpartition('/')[2])} : crit, {_times(fault.injected, until)}"
        )
    lines += [f"  {_word(abort.title)} : milestone, {_times(abort.time, abort.time)}" for abort in view.aborts]
    return "\n".join([*lines, "```"])


def _word(text: str) -> str:
    return " ".join(re.sub(r"[^A-Za-z0-9./_-]+", " ", text).split())[:60] or "-"


def _times(start: float, end: float) -> str:
    first = max(0, round(start * 1000))
    return f"{first}, {max(first + 1, round(end * 1000))}"


def _faults(view: View) -> str:
    table = _table(
        ("fault", "target", "UID planned", "touched", "what was seen", "evidence"),
        ((fault.kind, fault.victim, fault.uid, fault.touched, words.fault_state(fault), brief(fault.evidence))
         for fault in view.faults),
    )  # fmt: skip
    ledger = _table(
        ("undo", "operations", "verified", "took"),
        ((item.what, "; ".join(item.operations), item.how if item.ok else f"NOT UNDONE: {item.how}",
          f"{item.seconds:.2f} s") for item in view.undo),
    )  # fmt: skip
    return "\n\n".join(part for part in (table, ledger) if part)


def _again(view: View) -> str:
    rows = {"again": words.rerun(view), "intent": view.intent, "resolved": view.resolved, "began": words.date(view)}
    return "\n".join(f"- {name}: {_code(value)}" for name, value in rows.items() if value)


def _log(view: View) -> str:
    lines = (f"{line.time:9.3f}  {line.phase:<9}  {line.type:<20}  {line.text}" for line in view.log)
    return "\n".join(["<pre>", *map(_escaped, lines), "</pre>"]) if view.log else ""


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>" if body else ""


def _cut(parts: Sequence[str]) -> str:
    text = "\n\n".join(parts) + "\n"
    if len(text.encode(errors="replace")) <= MOST_BYTES:
        return text
    note = "\n\n(cut here: a job shows no more; the journal has it all)"
    open_log = "\n</pre>\n\n</details>" if parts[-1].startswith("<details><summary>Log") else ""
    room = MOST_BYTES - len(note) - len(open_log) - 1
    kept = text.encode(errors="replace")[:room].decode(errors="ignore").rpartition("\n")[0]
    return f"{kept}{open_log}{note}\n"
