"""Judge a document without our extension by what it promised itself: its hypothesis, when its strategy asks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.model.strategy import AFTER, BEFORE, DEFAULT, DURING
from harness.model.units import shown
from harness.model.verdict import Finding, State

Asked = Sequence[Mapping[str, Any]]
NAME = "hypothesis"
ALONE = "judged by its own hypothesis alone: the document has no harness extension, so nothing else was promised"


def check(asked: Asked, *, strategy: str, probes: bool) -> list[Finding]:
    """Say held when every question that the strategy asks was met, broken when one after the first step missed.

    `asked` are the questions in order, each with `when`, `met` and its probes. A document that has no hypothesis, or is
    told not to ask it, promised nothing, and that is never a pass.
    """
    if not probes or strategy == "skip":
        why = "its hypothesis is skipped" if probes else "it has no hypothesis and no harness extension"
        return [Finding("promise", State.UNKNOWN, f"nothing was promised, so nothing was judged: {why}")]
    return [_hypothesis(asked, strategy), Finding("promise", State.NOTED, ALONE)]


def _hypothesis(asked: Asked, strategy: str) -> Finding:
    sides = {when: [one for one in asked if one["when"] == when] for when in ("before", "during", "after")}

    def finding(state: State, summary: str) -> Finding:
        target = "holds before and after" if strategy == DEFAULT else f"holds, {strategy}"
        columns = {when: _column(sides[when]) for when in sides}
        return Finding(NAME, state, summary, target, columns["before"], columns["during"], columns["after"])

    if missed := _missed(sides["before"]):
        return finding(State.UNKNOWN, f"not met before the method: {_told(missed[-1])}")
    wrong = [*_missed(sides["during"]), *_missed(sides["after"])]
    if answered := [one for one in wrong if not _silent(one)]:
        return finding(State.BROKEN, f"not met {answered[-1]['when']} the method: {_told(answered[-1])}")
    if wrong:
        return finding(State.UNKNOWN, f"no answer {wrong[-1]['when']} the method: {_told(wrong[-1])}")
    for when, strategies in (("before", BEFORE), ("during", DURING), ("after", AFTER)):
        if strategy in strategies and not sides[when]:
            return finding(State.UNKNOWN, f"never asked {when} the method")
    if strategy not in DURING | AFTER:
        return finding(State.UNKNOWN, "asked before the method only: nobody looked at what the method did")
    return finding(State.HELD, "met " + ", ".join(when for when in sides if sides[when]) + " the method")


def _missed(asked: Asked) -> Asked:
    return [one for one in asked if not one["met"]]


def _silent(one: Mapping[str, Any]) -> bool:
    """Say whether the probe that missed gave no answer at all."""
    return any(probe.get("error") for probe in one["probes"])


def _column(asked: Asked) -> str:
    return "-" if not asked else f"{len(_missed(asked))} missed" if _missed(asked) else "held"


def _told(one: Mapping[str, Any]) -> str:
    probe = one["probes"][-1] if one["probes"] else {}
    return f"{probe.get('name')} {probe.get('error') or 'was ' + shown(probe.get('value'))}"
