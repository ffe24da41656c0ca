"""Read a run back from its journal, ask every checker, fold the findings: nothing here asks the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.checkers import REGISTRY, evidence, hypothesis
from harness.journal.event import Event
from harness.model.experiment import Experiment
from harness.model.history import FaultRecord, History, Operation, Sample
from harness.model.verdict import Finding


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


def findings(experiment: Experiment, seen: History) -> list[Finding]:
    """Ask the checker of every objective, then whether the faults were felt and the hypothesis held."""
    asked = [REGISTRY[objective.checker](seen, objective.parameters) for objective in experiment.objectives]
    if experiment.faults:
        asked.append(evidence.check(seen))
    if experiment.probes:
        asked.append(hypothesis.check(seen))
    return asked
