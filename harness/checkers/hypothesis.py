"""Judge the steady-state hypothesis: it must hold before the first fault and again after the recovery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.checkers import starvation
from harness.model.history import History
from harness.model.units import shown
from harness.model.verdict import Finding, State

Answers = list[Mapping[str, Any]]


def check(history: History) -> Finding:
    """Say broken when a probe missed its tolerance after the window, unknown when the system was not steady before it.

    While faults are in place probes may miss: that is what objectives are for. A side on which no probe was asked is
    unknown.
    """
    before, during, after = _sides(history)

    def finding(state: State, summary: str) -> Finding:
        return Finding(
            "hypothesis",
            state,
            summary,
            "holds before and after",
            baseline=_column(before),
            in_fault=_column(during) if during else "-",
            recovery=_column(after),
            detail={"failures": [dict(answer) for answer in history.probes if not answer["ok"]]},
        )

    if missed := _missed(before):
        return finding(State.UNKNOWN, f"not steady before the fault: {_tell(missed)}")
    missed = _missed(after)
    if answered := [answer for answer in missed if answer.get("value") is not None]:
        broken = finding(State.BROKEN, f"not steady afterwards: {_tell(answered)}")
        return starvation.doubted(broken, history, (history.start, history.end))
    if missed:
        return finding(State.UNKNOWN, f"no answer afterwards: {_tell(missed)}")
    if not before:
        return finding(State.UNKNOWN, "never asked before the fault")
    if not after:
        return finding(State.UNKNOWN, "never asked after the recovery")
    return finding(State.HELD, "held before and after")


def _sides(history: History) -> tuple[Answers, Answers, Answers]:
    before: Answers = []
    during: Answers = []
    after: Answers = []
    for answer in history.probes:
        if answer.get("phase") == "recovery" or (history.window and answer["time"] > history.window[1]):
            after.append(answer)
        elif history.window is None or answer["time"] < history.window[0]:
            before.append(answer)
        else:
            during.append(answer)
    return before, during, after


def _missed(answers: Answers) -> Answers:
    return [answer for answer in answers if not answer["ok"]]


def _column(answers: Answers) -> str:
    if not answers:
        return "no data"
    missed = len(_missed(answers))
    return f"{missed} missed" if missed else "held"


def _tell(failures: Answers) -> str:
    told = {}
    for failure in failures:
        answer = failure.get("error") if failure.get("value") is None else f"was {shown(failure['value'])}"
        told[str(failure.get("name"))] = f"{failure.get('name')} {answer or 'gave nothing'}"
    return "; ".join(told.values())
