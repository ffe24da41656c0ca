"""Build the view of a run from its journal and operations; a run that died has one too."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from harness.journal import lives, samples
from harness.journal.event import Event
from harness.journal.lives import Life
from harness.model.history import Operation, fault_window
from harness.model.plan import inside
from harness.model.verdict import Finding, State
from harness.report import series
from harness.report.inert import brief, inert
from harness.report.values import UNFINISHED, Data, Fault, Line, Mark, Span, Undo, View

QUIET = frozenset({"sample", "series", "addresses", "run.end"})


def build(events: Sequence[Event], operations: Iterable[Operation] = ()) -> View:
    """Return everything the views show, with all text made inert."""
    events = [dataclasses.replace(event, data=inert(event.data)) for event in events]
    start, verdict, loaded = (_first(events, kind) for kind in ("run.start", "verdict", "load.started"))
    plan = _plan(events)
    operations = [operation for operation in operations if operation.punctual]
    end = events[-1].t if events else 0.0
    faults = tuple(_fault(life) for life in lives.read(events))
    seen = list(samples.read(events))
    # Of breakers that nobody judges only those that moved have something to show.
    judged = {(one.get("parameters") or {}).get("dependency") for one in plan.get("objectives") or ()}
    seconds, span = series.width(end, loaded.get("rate")), _load_span(events, operations, end)
    buckets = series.buckets(operations, seconds, span)
    return View(
        run=str(start.get("run", "")),
        experiment=str(start.get("experiment", "")),
        title=str(start.get("title", "")) or str(start.get("experiment", "")) or "run",
        hypothesis=str(start.get("hypothesis") or ""),
        path=str(start.get("path", "")),
        seed=str(start.get("seed", "")),
        context=str(start.get("context", "")),
        way=start.get("way") or {},
        version=str(start.get("version", "")),
        started=events[0].wall if events else 0.0,
        verdict=str(verdict.get("verdict", UNFINISHED)),
        expected=str(verdict.get("expected") or start.get("expect") or ""),
        right=bool(verdict.get("right", False)),
        reason=str(verdict.get("reason", "")) if verdict else _last_words(events),
        begun=bool(verdict.get("begun", True)),
        cause=str(verdict.get("cause", "")),
        exit=verdict.get("exit"),
        duration=float(verdict.get("seconds", end)),
        end=end,
        intent=str(plan.get("intent", "")),
        resolved=str(plan.get("resolved", "")),
        caps=plan.get("caps") or {},
        shares=tuple(str(share) for share in plan.get("shares") or ()),
        left_out=tuple(str(name) for name in plan.get("left_out") or ()),
        load={key: value for key, value in loaded.items() if key in ("workload", "rate", "ramp", "stages")},
        limits=_limits(plan.get("objectives") or ()),
        argv=tuple(str(word) for word in start.get("argv") or ()),
        phases=_phases(events, end),
        window=fault_window(faults, end),
        faults=faults,
        findings=tuple(_finding(event.data) for event in events if event.type == "finding"),
        undo=_undo(events, faults),
        buckets=buckets,
        bucket_seconds=seconds,
        gaps=series.gaps(operations, seconds, span) if buckets else (),
        machine=series.machine(seen, end),
        ready=tuple(track for track in series.tracks(seen, "ready/", end) if _eventful(track.points, track.wanted)),
        breakers=tuple(
            track for track in series.tracks(seen, "breaker/", end)
            if track.name in judged or any(state for _, state in track.points)
        ),
        ejections=tuple(track for track in series.tracks(seen, "ejected/", end) if any(on for _, on in track.points)),
        evictions=tuple({"time": event.t, **event.data} for event in events if event.type == "eviction"),
        kubernetes=tuple(mark for event in events if (mark := _cluster_event(event))),
        aborts=tuple(_abort(event) for event in events if event.type == "abort"),
        errors=tuple(event.data for event in events if event.type == "error"),
        log=tuple(
            Line(event.t, event.phase, event.type, brief(event.data, 400))
            for event in events if event.type not in QUIET
        ),
    )  # fmt: skip


def _first(events: Iterable[Event], kind: str) -> Data:
    return next((event.data for event in events if event.type == kind), {})


def _plan(events: Iterable[Event]) -> Data:
    """Merge the plans of a run: one that is driven from outside plans each fault when it comes."""
    plans = [event.data for event in events if event.type == "plan"]
    merged: dict[str, Any] = {}
    for plan in plans:
        merged |= {key: value for key, value in plan.items() if value}
    for key in ("faults", "objectives", "shares"):
        merged[key] = [item for plan in plans for item in plan.get(key) or ()]
    return merged


def _last_words(events: Sequence[Event]) -> str:
    if not events:
        return "the journal holds no event"
    last = events[-1]
    return f"the journal ends in phase {last.phase} after {last.t:.1f} s, before a verdict"


def _phases(events: Sequence[Event], end: float) -> tuple[Span, ...]:
    starts = [(str(event.data.get("name", event.phase)), event.t) for event in events if event.type == "phase.start"]
    merged = [item for number, item in enumerate(starts) if not number or starts[number - 1][0] != item[0]]
    ends = [*(time for _, time in merged[1:]), end]
    return tuple(Span(name, start, until) for (name, start), until in zip(merged, ends, strict=False))


def _fault(life: Life) -> Fault:
    victim = life.planned.get("victim") or {}
    zone = victim.get("zone") and f"zone {victim['zone']}"
    trouble = f"not felt: {life.not_felt}" if life.not_felt else ""
    return Fault(
        life.id,
        kind=life.kind,
        activity=str(life.planned.get("activity", "")),
        hand=str(life.planned.get("hand", "")),
        victim=life.victim + inside(life.container),
        uid=str(victim.get("uid", "")),
        place=" ".join(str(part) for part in (victim.get("node"), zone) if part),
        parameters=life.planned.get("parameters") or {},
        injected=life.injected,
        applied=life.applied,
        felt=life.felt,
        heal_requested=life.heal_requested,
        undone=life.undone,
        healed=life.healed,
        facts=life.facts,
        evidence=life.evidence,
        trouble=f"not injected: {life.failed}" if life.failed else trouble,
    )


def _undo(events: Iterable[Event], faults: Sequence[Fault]) -> tuple[Undo, ...]:
    names = {fault.id: f"{fault.kind} on {fault.victim}" for fault in faults}
    return tuple(
        Undo(
            fault=str(event.data.get("id", "")),
            what=names.get(str(event.data.get("id", "")), str(event.data.get("id", ""))),
            operations=tuple(_operation(item) for item in event.data.get("ops") or ()),
            ok=bool(event.data.get("ok")),
            how=str(event.data.get("how", "")),
            seconds=float(event.data.get("seconds") or 0.0),
        )
        for event in events
        if event.type == "undo"
    )


def _operation(item: Data) -> str:
    where = [item[key] for key in ("container", "path", "key", "ours") if item.get(key)]
    changes = (one for one in item.get("patch") or () if one.get("op") != "test")
    words = [word for one in changes for word in (one.get("op"), one.get("path"), one.get("value"))]
    kept = ["from", item["copy"]] if item.get("copy") else []
    told = [item.get("op"), *where, *words, *kept, *(item.get("argv") or ())]
    return brief(" ".join(str(word) for word in told if word is not None), 300)


def _finding(data: Data) -> Finding:
    states = {str(state): state for state in State}
    texts = {key: str(data.get(key) or "") for key in ("summary", "target", "baseline", "in_fault", "recovery")}
    state = states.get(str(data.get("state")), State.UNKNOWN)
    return Finding(str(data.get("checker", "")), state, **texts, detail=data.get("detail") or {})


def _limits(objectives: Iterable[Data]) -> dict[str, float]:
    """Pick the numbers a chart can draw a line at."""
    wanted = {"availability": ("ratio",), "latency": ("p50", "p95", "p99")}
    return {
        name: float(parameters[name])
        for objective in objectives
        for parameters in [objective.get("parameters") or {}]
        for name in wanted.get(str(objective.get("checker")), ())
        if isinstance(parameters.get(name), int | float)
    }


def _cluster_event(event: Event) -> Mark | None:
    data = event.data
    if event.type == "k8s.event":
        title = f"{data.get('kind')} {data.get('name')}: {data.get('reason')}"
        return Mark(event.t, title, str(data.get("message") or ""))
    if event.type == "restart":
        how = f"{data.get('reason') or 'ended'}, exit code {data.get('exit_code')}"
        return Mark(event.t, f"{data.get('pod')}: {data.get('container')} ended", how, grave=True)
    return None


def _abort(event: Event) -> Mark:
    latency = event.data.get("latency")
    took = f"; undo began after {latency * 1000:.0f} ms" if isinstance(latency, int | float) else ""
    who = f" by {event.data['who']}" if event.data.get("who") else ""
    return Mark(event.t, f"abort: {event.data.get('trigger', '')}{who}", f"{event.data.get('why', '')}{took}")


def _load_span(events: Iterable[Event], operations: Sequence[Operation], end: float) -> tuple[float, float]:
    found = {event.type: event for event in events if event.type in ("load.started", "load.ended")}
    start = found["load.started"].t if "load.started" in found else 0.0
    ended = found.get("load.ended")
    if ended and "lost" not in ended.data and operations:
        # It was told to stop before that, and waited for its last answers.
        return start, max(operation.intended for operation in operations)
    return start, ended.t if ended else end


def _eventful(points: Sequence[tuple[float, float | None]], wanted: float | None) -> bool:
    return len(points) > 1 or any(value is None or (wanted is not None and value < wanted) for _, value in points)
