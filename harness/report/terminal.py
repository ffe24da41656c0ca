"""The end of a run as a person reads it in a terminal: limit beside actual, words and glyphs, not colour alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.journal.event import Event

GLYPHS = {"held": "v", "broken": "x", "unknown": "?"}
COLOURS = {"PASS": "32", "DEVIATED": "31", "INCONCLUSIVE": "33", "ABORTED": "33", "DIRTY": "35"}
COLUMNS = ("", "target", "baseline", "in fault", "recovery")


def text(events: Sequence[Event], *, color: bool = False, width: int = 100) -> str:
    """Draw the block that ends a run; a run that died is drawn as far as it got."""
    start = _first(events, "run.start")
    verdict = _first(events, "verdict")
    findings = [event.data for event in events if event.type == "finding"]
    lines = [_headline(start, verdict, findings, events, color)]
    if findings:
        lines += _table(findings, width)
    reason = str(verdict.get("reason") or "")
    if reason:
        lines.append(_clip(f"why    {reason}", width))
    for event in events:
        if event.type == "abort":
            lines.append(
                _clip(f"abort  {event.data['why']}; undo began after {event.data['latency'] * 1000:.0f} ms", width)
            )
        elif event.type == "error":
            lines.append(_clip(f"error  {event.data['what']} {event.data['why']}".rstrip(), width))
    if start:
        lines.append(f"next   harness show {start['run']} | harness run {start['path']} --seed {start['seed']}")
    return "\n".join(lines)


def _headline(
    start: dict[str, Any], verdict: dict[str, Any], findings: Sequence[Any], events: Sequence[Event], color: bool
) -> str:
    word = str(verdict.get("verdict") or "UNFINISHED")
    shown = f"\x1b[1;{COLOURS.get(word, '1')}m{word}\x1b[0m" if color else word
    broken = sum(finding["state"] == "broken" for finding in findings)
    count = f"{broken} of {len(findings)} promises broken" if broken else f"{len(findings)} promises judged"
    evidence = (
        "evidence complete" if not any(finding["state"] == "unknown" for finding in findings) else "evidence missing"
    )
    undone = [event.data["ok"] for event in events if event.type == "undo"]
    undo = "undo verified" if all(undone) else "NOT UNDONE"
    parts = [f"VERDICT  {shown}", str(start.get("experiment", "")), count, evidence, undo]
    if verdict:
        parts.append(f"{verdict['seconds']:.1f} s")
        if not verdict["right"]:
            parts.append(f"declared {verdict['expected']}")
        elif verdict["expected"] != "PASS":
            parts.append("as declared")
    return "   ".join(part for part in parts if part)


def _table(findings: Sequence[Any], width: int) -> list[str]:
    rows: list[tuple[str, ...]] = [COLUMNS]
    for finding in findings:
        name = f"{GLYPHS[finding['state']]} {finding['checker']}"
        rows.append((name, *(finding[key] or "-" for key in ("target", "baseline", "in_fault", "recovery"))))
    widths = [min(26, max(len(row[column]) for row in rows)) for column in range(len(COLUMNS))]
    drawn = []
    for row, finding in zip(rows, [None, *findings], strict=True):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        note = finding["summary"] if finding and finding["state"] != "held" else ""
        drawn.append(_clip(f"  {cells}  {note}".rstrip(), max(width, 140)))
    return drawn


def _first(events: Sequence[Event], kind: str) -> dict[str, Any]:
    return next((dict(event.data) for event in events if event.type == kind), {})


def _clip(line: str, width: int) -> str:
    return line if len(line) <= width * 2 else line[: width * 2 - 3] + "..."
