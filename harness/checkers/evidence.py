"""Judge whether every planned fault was really felt: what was not felt tested nothing."""

from __future__ import annotations

from harness.model.history import FaultRecord, History
from harness.model.units import seconds
from harness.model.verdict import Finding, State


def check(history: History, *, budget_asked: bool = False) -> Finding:
    """Say unknown unless every fault was injected, felt and seen healed; no fault at all is no evidence.

    An eviction that a budget refused is an answer, and disturbs nobody: alone it is evidence only where the budget's
    own answers are judged (`budget_asked`).
    """
    if not history.faults:
        return Finding("evidence", State.UNKNOWN, "no fault reached a target", "every fault felt")
    all_refused = not budget_asked and all(fault.evidence.get("refused") for fault in history.faults)
    problems = [f"{fault.kind} on {fault.victim} {what}" for fault in history.faults if (what := _missing(fault))]
    if all_refused:
        problems.append("nothing was disturbed: every eviction was refused")
    felt = 0 if all_refused else sum(fault.felt is not None for fault in history.faults)
    shown = f"{felt} of {len(history.faults)}"
    detail = {fault.id: dict(fault.evidence) for fault in history.faults}
    if problems:
        return Finding(
            "evidence", State.UNKNOWN, "; ".join(problems), "every fault felt", in_fault=shown, detail=detail
        )
    times = [
        fault.felt - fault.applied for fault in history.faults if fault.felt is not None and fault.applied is not None
    ]
    return Finding(
        "evidence",
        State.HELD,
        f"{shown} felt, the slowest after {seconds(max(times))}",
        "every fault felt",
        in_fault=shown,
        detail=detail,
    )


def _missing(fault: FaultRecord) -> str:
    if fault.injected is None:
        return "was never injected"
    if fault.applied is None:
        failed = fault.evidence.get("failed")
        return f"was not injected: {failed}" if failed else "was cut while being injected"
    if fault.felt is None:
        return "was not felt"
    return "was not seen healed" if fault.healed is None else ""
