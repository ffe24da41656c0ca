"""Say in a terminal what a night came to."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import shorten

from harness.nightly import comparison
from harness.nightly.sheet import Sheet
from harness.nightly.state import State

MARKS = {State.RIGHT: "v", State.FLIP: "~", State.REGRESSION: "x", State.WRONG: "x", State.UNPROVEN: "?"}
WIDEST = 400


def draw(sheet: Sheet) -> str:
    """Return the block that ends a night: the state, what was not as declared and why, what differs from before."""
    night = sheet.night
    lines = [f"NIGHT {night.name}  {sheet.verdict}  {sheet.headline}", f"code  {night.code}"]
    width = max(len(row.experiment) for row in sheet.rows)
    for row in sheet.rows:
        if row.state in (None, State.RIGHT):
            continue
        assert row.state
        lines.append(f"{MARKS[row.state]} {row.experiment:<{width}}  {row.state.upper()}  {row.shown}")
        lines += [f"    {shorten(text, WIDEST, placeholder=' ...')}" for text in row.said]
    lines += compared(sheet)
    if missing := [row.experiment for row in sheet.rows if row.tried is None]:
        lines.append(f"not run tonight: {', '.join(missing)}")
    if sheet.unread:
        lines.append(f"note: {unread(sheet)}")
    return "\n".join(lines)


def compared(sheet: Sheet) -> list[str]:
    """Say for each reference what differs from it, and of how many experiments nothing can be told."""
    if len(sheet.nights) == 1:
        return ["there is no earlier night to compare with"]
    lines = []
    for reference in sheet.references:
        found = [one for one in sheet.compared if one.reference == reference]
        title = comparison.title(reference)
        if not found:
            lines.append(f"against {title}: there is none")
            continue
        told = [one for one in found if one.told]
        latest = max((one.night for one in found), key=[night.name for night in sheet.nights].index)
        differ = f"{len(told)} experiment{'s' * (len(told) != 1)} differ{'s' * (len(told) == 1)}"
        rest = len(found) - len(told)
        lines.append(f"against {title} (up to night {latest}): {differ}, of {rest} nothing can be told from chance")
        # What is wrong tonight has its own line, with the same figures.
        own = {row.experiment for row in sheet.rows if row.state in (State.REGRESSION, State.WRONG)}
        shown = (one for one in told if reference != comparison.GREEN or one.experiment not in own)
        lines += [f"    {one.experiment}: {text}" for one in shown for text in sentences(one)]
    return lines


def sentences(found: comparison.Compared) -> Iterable[str]:
    """Return the sentences of what differs."""
    if found.worse or found.better:
        yield comparison.verdicts(found)
    if found.moved:
        yield comparison.recovery(found)


def unread(sheet: Sheet) -> str:
    """Say that lines of the history were cut off."""
    return f"lines of the history that could not be read, and count nothing: {sheet.unread}"
