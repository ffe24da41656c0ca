"""Draw the end-of-run block: the limit beside what was seen, words and signs before colour."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from itertools import zip_longest

from harness.model.verdict import Finding, State
from harness.report import words
from harness.report.values import View

Paint = Callable[[str, str], str]
COLORS = {"v": "32", "x": "31", "?": "33", "!": "35", "i": "36"}
HEADERS = ("target", "baseline", "in fault", "recovery")
SUMMARY_LEAST = 36
CELL_LEAST = 12


def draw(view: View, *, color: bool = False, width: int = 100, report: str = "", place: str = "") -> str:
    """Return the block, lines at most `width` wide where words allow; `report` is where the page lies.

    `place` is the run's folder, where commands about it have to name that.
    """
    paint = _paint if color else lambda _, text: text
    lines = [_head(view, paint, width), *_table(view, paint, width)]
    lines += _labelled("why", "; ".join(part for part in (_untold(view), view.cause) if part), width)
    for fault in view.faults:
        state = words.fault_state(fault)
        sign = "v" if fault.healed is not None and fault.felt is not None else "?"
        sign = "x" if fault in view.owed else sign
        lines += _labelled("fault", f"{sign} {fault.kind} on {fault.victim}: {state}", width)
    for abort in view.aborts:
        lines += _labelled("abort", f"{abort.title.removeprefix('abort: ')}: {abort.text}", width)
    for error in view.errors:
        text = ": ".join(str(error[key]) for key in ("where", "what", "why") if error.get(key))
        lines += _labelled("error", text + (f" (fix: {error['hint']})" if error.get("hint") else ""), width)
    # Each on a line of its own, however long: they are there to be copied.
    lines += [f"{'' if number else 'next':<7}{line}" for number, line in enumerate(_next(view, report, place))]
    return "\n".join(lines)


def _head(view: View, paint: Paint, width: int) -> str:
    verdict = f"{words.glyph(view)} {words.verdict(view)}"
    middle = "  ".join(part for part in (words.score(view), words.declared(view)) if part)
    left = f"VERDICT  {verdict}  {middle}"
    right = f"{words.evidence(view)}   {words.undo(view)}"
    space = " " * max(3, width - len(left) - len(right))
    return f"VERDICT  {paint(words.glyph(view), verdict)}  {middle}{space}{right}"


def _table(view: View, paint: Paint, width: int) -> list[str]:
    # The evidence has a line for each fault further down, an error of the run one of its own.
    told = {"evidence"} if view.faults else set()
    findings = [item for item in view.findings if item.checker not in told | ({"run"} if view.errors else set())]
    if not findings:
        return []
    first = max(len(words.name(item)) for item in findings)
    widths = _widths([HEADERS, *map(_cells, findings)], width - first - 4)
    indent = first + 4 + sum(widths) + 2 * len(widths)
    beside = width - indent >= SUMMARY_LEAST
    lines = ["  " + _rows("", first, HEADERS, widths)[0]]
    for item in findings:
        rows = _rows(words.name(item), first, _cells(item), widths)
        if beside:
            beside_it = zip_longest(rows, textwrap.wrap(item.summary, width - indent), fillvalue="")
            rows = [f"{row:<{indent - 2}}{text}".rstrip() for row, text in beside_it]
        elif item.state is not State.HELD:
            # A kept promise needs no line of its own to say so.
            rows += ["    " + text for text in textwrap.wrap(item.summary, width - 6)]
        sign = words.GLYPHS[item.state]
        lines += [f"{paint(sign, sign)} {rows[0]}", *("  " + row if row else "" for row in rows[1:])]
    return lines


def _widths(rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """Allot each column what its longest cell needs; the widest give way when there is too little room."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    while sum(widths) + 2 * len(widths) > room and max(widths) > CELL_LEAST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _cells(item: Finding) -> tuple[str, ...]:
    return tuple(text or "-" for text in (item.target, item.baseline, item.in_fault, item.recovery))


def _rows(title: str, first: int, cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Lay cells side by side, each wrapped to its column."""
    # A number and its sign stay together.
    parts = (textwrap.wrap(cell.replace(" %", "\0%"), size) for cell, size in zip(cells, widths, strict=True))
    wrapped = [[line.replace("\0", " ") for line in part] for part in parts]
    lines = zip_longest([title], *wrapped, fillvalue="")
    sizes = [first, *widths]
    return ["  ".join(f"{cell:<{size}}" for cell, size in zip(line, sizes, strict=True)).rstrip() for line in lines]


def _untold(view: View) -> str:
    # What a row of the table says already is not said again.
    told = "\n".join(
        [*(f"{item.checker}: {item.summary}" for item in view.findings), *(mark.text for mark in view.aborts)]
    )
    return "; ".join(part for part in view.reason.split("; ") if part not in told)


def _next(view: View, report: str, place: str) -> list[str]:
    undo = [words.heal(view)] if view.owed else []
    show = f"report {report}" if report else words.about(view, "report", place=place)
    again = words.rerun(view)
    return [*undo, words.about(view, "show", "--log", place=place), show, *([f"rerun: {again}"] if again else [])]


def _labelled(label: str, text: str, width: int) -> list[str]:
    if not text:
        return []
    wrapped = textwrap.wrap(" ".join(text.split()), width - 7, break_long_words=False, break_on_hyphens=False)
    return [f"{label if not number else '':<7}{line}" for number, line in enumerate(wrapped)]


def _paint(sign: str, text: str) -> str:
    return f"\033[1;{COLORS[sign]}m{text}\033[0m"
