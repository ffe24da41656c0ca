"""Judge the steady-state hypothesis: it must hold before the first fault and again after the recovery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.model.history import History
from harness.model.units import shown
from harness.model.verdict import Finding, State


def check(history: History) -> Finding:
    """Say broken when a probe missed its tolerance after the window, unknown when the system was not steady before it.

    While faults are in place probes may miss: that is what objectives are for.
    """
    before, during, after = [], [], []
    for failure in history.probe_failures:
        if history.window is None or failure["time"] < history.window[0]:
            before.append(failure)
        elif failure["time"] <= history.window[1] and failure.get("phase") != "recovery":
            during.append(failure)
        else:
            after.append(failure)

    def finding(state: State, summary: str) -> Finding:
        return Finding(
            "hypothesis",
            state,
            summary,
            "holds before and after",
            baseline=_column(before),
            in_fault=_column(during),
            recovery=_column(after),
            detail={"failures": [dict(failure) for failure in history.probe_failures]},
        )

    if before:
        return finding(State.UNKNOWN, f"not steady before the fault: {_tell(before)}")
    unanswered = [failure for failure in after if failure.get("value") is None]
    answered = [failure for failure in after if failure.get("value") is not None]
    if answered:
        return finding(State.BROKEN, f"not steady afterwards: {_tell(answered)}")
    if unanswered:
        return finding(State.UNKNOWN, f"no answer afterwards: {_tell(unanswered)}")
    return finding(State.HELD, "held before and after")


def _column(failures: list[Mapping[str, Any]]) -> str:
    return f"{len(failures)} missed" if failures else "held"


def _tell(failures: list[Mapping[str, Any]]) -> str:
    told = {}
    for failure in failures:
        answer = failure.get("error") if failure.get("value") is None else f"was {shown(failure['value'])}"
        told[str(failure.get("name"))] = f"{failure.get('name')} {answer or 'gave nothing'}"
    return "; ".join(told.values())
