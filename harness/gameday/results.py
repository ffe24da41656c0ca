"""Draw what a game day came to, as markdown and as a page that prints; every text in both is inert."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any

import jinja2

from harness.errors import UsageError
from harness.gameday import approving, plan, progress
from harness.gameday.log import Entry
from harness.gameday.plan import GameDay
from harness.gameday.progress import ABORT, ACCEPTED, ACTION, CLOSED, STOPPED, State
from harness.model.units import seconds
from harness.model.verdict import Verdict
from harness.report.html import TEMPLATES as SHARED
from harness.report.inert import brief, inert, line
from harness.report.markdown import plain
from harness.source import encoding

TEMPLATES = Path(__file__).parent / "templates"
PAGE, SUMMARY = "results.html", "results.md"
NAMES = "Names are as people gave them: the harness records them and checks none."
# A cell that begins with one of these is drawn as what it means.
SIGNS = {"✓": "held", "✗": "broken", "?": "unknown"}
LONGEST = 600
Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One table of both views; one without rows says that there are none."""

    title: str
    header: Row
    rows: tuple[Row, ...]


def write(day: GameDay, entries: Sequence[Entry]) -> list[Path]:
    """Write both views beside the log and return their files; raises UsageError where that cannot be."""
    found = list(sections(day, entries))
    states = progress.fold(day, entries)
    verdict = _worst(states)
    headline = f"{sum(state.right for state in states)} of {len(states)} steps as expected"
    views = {SUMMARY: _markdown(day, verdict, headline, found), PAGE: _page(day, verdict, headline, found)}
    for name, content in views.items():
        try:
            encoding.write(day.folder / name, content, errors="replace")
        except OSError as error:
            where = str(day.folder / name)
            raise UsageError("the results cannot be written", where=where, why=error.strerror or "") from None
    return [day.folder / name for name in views]


def sections(day: GameDay, entries: Sequence[Entry]) -> Iterator[Section]:
    """Say what there is to know, from the plan and its log alone."""
    states, zone = progress.fold(day, entries), day.window[0].tzinfo
    steps = tuple(row for state in states for row in _rows(state))
    yield Section("Goals", ("what was to be learnt",), tuple((goal,) for goal in day.goals))
    yield Section("Steps", ("seen", "step", "expected", "recovery", "took", "why", "run"), steps)
    wrong = tuple((str(state.step.number), said) for state in states for _, said in state.deviations)
    yield Section("Deviations", ("step", "what was not as expected"), wrong)
    answers = tuple(_answer(entry) for entry in entries if entry.type in (ACTION, ACCEPTED))
    yield Section("Actions and accepted risks", ("for", "what", "who", "due"), answers)
    yield Section("Aborts", ("at", "by", "why, and how soon"), tuple(_aborts(entries, zone)))
    yield Section("Undo", ("what was seen",), tuple(_undone(entries)))
    yield Section(
        "Approvals", ("of the plan as it is now",), tuple((str(one),) for one in approving.standing(day, entries))
    )
    people = tuple((role, ", ".join(names)) for role, names in day.roles.items() if names)
    yield Section("People", ("role", "who"), people)
    texts = [*(("risk", one) for one in day.risks), *(("abort when", one) for one in day.abort_when)]
    texts += [("rollback", day.rollback), ("communication", day.communication)]
    yield Section("Plan", ("what", "text"), tuple(texts))
    lines = tuple((_at(entry, zone, "%Y-%m-%d %H:%M:%S"), entry.type, entry.who, _said(entry)) for entry in entries)
    yield Section("Log", (f"at ({zone})", "what", "who", "said"), lines)


def _at(entry: Entry, zone: tzinfo | None, form: str = "%H:%M:%S") -> str:
    return entry.at.astimezone(zone).strftime(form)


def _worst(states: Iterable[State]) -> str:
    """Fold the steps into one word, worst first; what was not run or came to nothing proves nothing."""
    found = {_verdict(state.verdict, state.right) for state in states}
    return str(next(one for one in Verdict if one in found))


def _verdict(seen: str, right: bool) -> Verdict:
    if right:
        return Verdict.PASS
    if seen == Verdict.PASS:
        return Verdict.DEVIATED
    return Verdict(seen) if seen in {*Verdict} else Verdict.INCONCLUSIVE


def _rows(state: State) -> Iterator[Row]:
    step = state.step
    name = f"{step.number} {step.name}: {step.experiment.title}"
    expected = f"{step.experiment.expect.verdict}: {step.expected}"
    for _, entry in state.runs:
        run = entry.data
        seen = _verdict(str(run.get("verdict")), bool(run.get("right")))
        sign = {Verdict.PASS: "✓", Verdict.DEVIATED: "✗", Verdict.DIRTY: "✗"}.get(seen, "?")
        why = ". Why: ".join(str(run[key]) for key in ("why", "cause") if run.get(key))
        took = seconds(float(run.get("seconds") or 0.0))
        yield f"{sign} {run.get('verdict')}", name, expected, str(run.get("recovery")), took, why, str(run.get("run"))
    if state.skipped:
        yield "? SKIPPED", name, expected, "", "", str(state.skipped.data.get("why")), ""
    elif not state.runs:
        yield f"? {progress.NOT_RUN}", name, expected, "", "", "", ""


def _answer(entry: Entry) -> Row:
    data = entry.data
    about = f"step {data['step']}" if "step" in data else "the day"
    if entry.type == ACTION:
        return about, str(data.get("text")), str(data.get("owner")), str(data.get("due"))
    return about, f"accepted risk: {data.get('text')}", entry.who, ""


def _aborts(entries: Iterable[Entry], zone: tzinfo | None) -> Iterator[Row]:
    for entry in entries:
        data = entry.data
        if entry.type == ABORT:
            yield _at(entry, zone), entry.who, str(data.get("why"))
        elif entry.type == STOPPED:
            yield (
                _at(entry, zone),
                entry.who,
                f"undo of {data.get('run')} began {seconds(float(data.get('after') or 0.0))} after that",
            )
        elif cut := data.get("abort"):
            took = f"; its undo began {seconds(float(cut['latency']))} after it was seen" if "latency" in cut else ""
            yield _at(entry, zone), str(cut.get("trigger")), f"{data.get('run')}: {cut.get('why')}{took}"


def _undone(entries: Iterable[Entry]) -> Iterator[Row]:
    last = [entry.data for entry in entries if entry.type == CLOSED][-1:]
    for data in last:
        yield (str(data.get("undone")),)
        yield from ((f"differs: {one}",) for one in data.get("changed") or ())
        if data.get("differs"):
            yield (f"it may stay so: {data['differs']}",)


def _said(entry: Entry) -> str:
    data = {key: value for key, value in entry.data.items() if key not in ("text", "parts")}
    return "; ".join(part for part in (str(entry.data.get("text", "")), brief(data, LONGEST)) if part)


def _markdown(day: GameDay, verdict: str, headline: str, found: Iterable[Section]) -> str:
    facts = (day.period, f"cluster {day.context or 'local'}", f"plan {day.hash}", f"seed {day.seed}")
    parts = [f"# Game day: {_plain(day.title)}", f"**{verdict}**: {headline}", *map(_plain, facts)]
    for section in found:
        lines = [
            "| " + " | ".join(_plain(cell) or " " for cell in row) + " |" for row in (section.header, *section.rows)
        ]
        table = "\n".join([lines[0], "|" + " --- |" * len(section.header), *lines[1:]])
        parts += [f"## {section.title}", table if section.rows else "None."]
    return "\n\n".join([*parts, NAMES]) + "\n"


def _plain(value: Any) -> str:
    return plain(line(value))


def _page(day: GameDay, verdict: str, headline: str, found: Sequence[Section]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([TEMPLATES, SHARED]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if hasattr(value, "__html__") else inert(value),
    )
    reports = {path.parent.name for path in day.folder.glob(f"{plan.RUNS}/*/index.html")}
    return environment.get_template("gameday.html").render(
        day=day,
        verdict=verdict,
        headline=headline,
        sections=found,
        signs=SIGNS,
        names=NAMES,
        reports=reports,
        runs=plan.RUNS,
    )
