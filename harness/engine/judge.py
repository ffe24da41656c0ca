"""Read a run back from its journal, ask every checker, fold the findings: nothing here asks the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.checkers import REGISTRY, evidence, hypothesis
from harness.journal.event import Event
from harness.model.experiment import Experiment
from harness.model.history import FaultRecord, History, Operation, Sample
from harness.model.verdict import Finding, State

LATE_SHARE = 0.02


def history(events: Sequence[Event], operations: Sequence[Operation]) -> History:
    """Rebuild what the run saw from its journal and its operations."""
    faults = _faults(events)
    injected = [fault.injected for fault in faults if fault.injected is not None]
    end = events[-1].t if events else 0.0
    healed = [fault.healed for fault in faults if fault.injected is not None]
    window = (min(injected), max(time if time is not None else end for time in healed)) if injected else None
    started = next((event for event in events if event.type == "load.started"), None)
    return History(
        start=events[0].t if events else 0.0,
        end=end,
        window=window,
        operations=operations,
        faults=faults,
        samples=[
            Sample(
                event.data.get("time", event.t),
                event.data["series"],
                event.data["value"],
                event.data.get("labels", {}),
            )
            for event in events
            if event.type == "sample"
        ],
        evictions=[{"time": event.t, **event.data} for event in events if event.type == "eviction"],
        load_rate=started.data["rate"] if started else None,
        probe_failures=[
            {"time": event.t, "phase": event.phase, **event.data}
            for event in events
            if event.type == "probe" and not event.data["ok"]
        ],
    )


def _faults(events: Iterable[Event]) -> list[FaultRecord]:
    records: dict[str, dict[str, Any]] = {}
    for event in events:
        data: Mapping[str, Any] = event.data
        if event.type == "plan":
            for fault in data["faults"]:
                victim = fault["victim"]
                name = "/".join(part for part in (victim["namespace"], victim["name"]) if part)
                records[fault["id"]] = {"kind": fault["kind"], "victim": name, "evidence": {}}
        elif event.type == "fault.injected":
            records[data["id"]] |= {"injected": data.get("at", event.t), "evidence": dict(data.get("facts") or {})}
        elif event.type == "fault.felt":
            records[data["id"]]["felt"] = event.t
            records[data["id"]]["evidence"] |= data.get("evidence") or {}
        elif event.type == "undo" and data["ok"]:
            records[data["id"]]["undone"] = event.t
        elif event.type == "fault.healed":
            records[data["id"]]["healed"] = event.t
    return [
        FaultRecord(
            id=identity,
            kind=record["kind"],
            victim=record["victim"],
            injected=record.get("injected"),
            felt=record.get("felt"),
            healed=record.get("healed"),
            evidence=record["evidence"],
            undone=record.get("undone"),
        )
        for identity, record in records.items()
    ]


def findings(experiment: Experiment, seen: History, events: Sequence[Event]) -> list[Finding]:
    """Ask the checker of every objective, then whether load and faults were real and the hypothesis held."""
    asked = [REGISTRY[objective.checker](seen, objective.parameters) for objective in experiment.objectives]
    if experiment.load:
        asked.append(load(events))
    if experiment.faults:
        asked.append(evidence.check(seen))
    if experiment.probes:
        asked.append(hypothesis.check(seen))
    return asked


def load(events: Sequence[Event]) -> Finding:
    """Say whether the load kept its own schedule; one that died or fell behind proves nothing."""
    target = f"<= {LATE_SHARE:.0%} sent late"
    ended = next((event.data for event in events if event.type == "load.ended"), None)
    if ended is None or "lost" in ended:
        why = str(ended["lost"]) if ended else "it never ended"
        return Finding("load", State.UNKNOWN, f"the load did not account for itself: {why}", target)
    sent, late = int(ended["operations"]), int(ended["late"])
    seen = f"{late} of {sent}"
    if late > LATE_SHARE * sent:
        why = f"the load fell behind its schedule, by {ended['max_lateness']:.2f} s at most"
        return Finding("load", State.UNKNOWN, why, target, in_fault=seen)
    return Finding("load", State.HELD, f"{sent} operations", target, in_fault=seen)
