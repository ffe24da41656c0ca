"""Read a run back from its journal, ask every checker, fold the findings: nothing here asks the cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.checkers import OBJECTIVES, census, evidence, foreign, hypothesis, machine, starvation, stated
from harness.journal import calls, lives, samples
from harness.journal.event import Event
from harness.journal.lives import Life
from harness.model.calls import Recorded
from harness.model.disturbance import Disturbance
from harness.model.experiment import Experiment
from harness.model.history import FaultRecord, History, Operation, fault_window
from harness.model.objective import ABORT_WHEN, Objective
from harness.model.rate import Profile
from harness.model.verdict import Finding, State

HELD_UP_SHARE = 0.02
# An operation that is due for so long and has no answer yet is not being served as a caller expects.
PATIENCE_SECONDS = 1.0


def history(events: Sequence[Event], operations: Sequence[Operation], recorded: Sequence[Recorded] = ()) -> History:
    """Rebuild what the run saw from its journal, its operations and what pods recorded of their calls."""
    faults = [_record(life) for life in lives.read(events)]
    end = events[-1].t if events else 0.0
    started = next((event for event in events if event.type == "load.started"), None)
    # The last one: what showed in a baseline may have been settled, too.
    baselines = [event.t for event in events if event.type == "phase.start" and event.phase == "baseline"]
    return History(
        start=events[0].t if events else 0.0,
        end=end,
        window=fault_window(faults, end),
        operations=operations,
        faults=faults,
        samples=list(samples.read(events)),
        evictions=[{"time": event.t, **event.data} for event in events if event.type == "eviction"],
        restarts=[{"time": event.t, **event.data} for event in events if event.type == "restart"],
        addresses={
            address: pod for event in events if event.type == "addresses" for address, pod in event.data["pods"].items()
        },
        load_rate=started.data["rate"] if started else None,
        load_profile=_profile(events),
        probes=[{"time": event.t, "phase": event.phase, **event.data} for event in events if event.type == "probe"],
        steady_from=baselines[-1] if baselines else 0.0,
        recorded=recorded,
        unread=calls.unread(events),
    )


def _profile(events: Sequence[Event]) -> Profile | None:
    """Return the load's rate over the run's time, where it is not the same from the start on."""
    for event in reversed(events):
        if event.type == "load.stages":
            return Profile(tuple((float(at), float(pace)) for at, pace in event.data["points"]))
        if event.type == "load.started" and (ramp := event.data.get("ramp")):
            return Profile(((event.t, 0.0), (event.t + ramp, float(event.data["rate"]))))
    return None


def _record(life: Life) -> FaultRecord:
    failed = {"failed": life.failed.splitlines()[0]} if life.failed else {}
    victim = life.planned.get("victim") or {}
    return FaultRecord(
        id=life.id,
        kind=life.kind,
        victim=life.victim,
        injected=life.injected,
        applied=life.applied,
        felt=life.felt,
        undone=life.undone,
        healed=life.healed,
        evidence={**life.facts, **failed, **life.evidence},
        instant=bool(life.planned.get("instant")),
        disturbs=frozenset(life.planned.get("disturbs") or ()),
        workload=f"{victim['namespace']}/{victim['owner']}" if victim.get("kind") == "workload" else "",
    )


def findings(experiment: Experiment, seen: History, events: Sequence[Event]) -> list[Finding]:
    """Ask the checker of every objective, then whether load and faults were real and the hypothesis held."""
    asked = [_judged(objective, seen) for objective in experiment.objectives]
    if experiment.load:
        asked.append(load(events, seen))
    if experiment.faults or seen.faults:
        budget = any(Disturbance.EVICTION in OBJECTIVES[one.checker].exercised_by for one in experiment.objectives)
        asked.append(evidence.check(seen, budget_asked=budget))
    proven = any(finding.state is State.HELD for finding in asked if finding.checker != "load")
    covering = foreign.check(
        [event.data for event in events if event.type == "step"],
        uncovered=experiment.uncovered,
        promising=experiment.promising,
        proven=proven,
    )
    if not experiment.promising:
        questions = [event.data for event in events if event.type == "hypothesis"]
        own = stated.check(questions, strategy=experiment.strategy, probes=bool(experiment.probes))
        return [*asked, *own, *covering, machine.check(seen)]
    if experiment.probes:
        asked.append(hypothesis.check(seen))
    asked += covering
    # A fault by itself is a plain action: it is performed, not judged. A load is there to be judged.
    if not experiment.objectives and not experiment.probes and (experiment.load or not seen.faults):
        asked.append(Finding("promise", State.UNKNOWN, "nothing was promised"))
    return [*asked, *breaches(seen, events), machine.check(seen)]


def _judged(objective: Objective, seen: History) -> Finding:
    """Ask one objective's checker; one that breaks knows nothing, and must not take the other findings with it."""
    try:
        return OBJECTIVES[objective.checker].check(seen, objective.parameters)
    except Exception as bug:
        return Finding(objective.checker, State.UNKNOWN, f"its checker broke: {type(bug).__name__}: {bug}")


def baseline(experiment: Experiment, seen: History) -> list[str]:
    """Say what was amiss before any fault: no fault can be blamed for it. Too few operations say nothing."""
    due = [one for one in seen.operations if one.intended >= seen.steady_from]
    punctual = [one for one in due if one.punctual]
    if len(due) - len(punctual) > HELD_UP_SHARE * len(due) + 1:
        return [f"the load held up {len(due) - len(punctual)} of {len(due)} operations itself"]
    expected = seen.due(seen.steady_from, seen.end - PATIENCE_SECONDS)
    if len(due) < census.LEAST_SHARE * expected - 2:
        return [f"{len(due)} operations were answered, {expected:.0f} were due"]
    if len(punctual) < census.BASELINE_LEAST:
        return []
    promises = [(one, OBJECTIVES[one.checker].before) for one in experiment.objectives]
    found = [f"{one.checker}: {why}" for one, ask in promises if ask and (why := ask(punctual, one.parameters))]
    return found + ([full] if (full := machine.saturated(seen)) else [])


def breaches(seen: History, events: Sequence[Event]) -> list[Finding]:
    """Say broken when the fault window was so bad that the run was cut short for it."""
    window = (seen.window[0], seen.end) if seen.window else (seen.start, seen.end)
    return [
        starvation.doubted(Finding(ABORT_WHEN, State.BROKEN, str(event.data.get("why", ""))), seen, window)
        for event in events
        if event.type == "abort" and event.data.get("trigger") == ABORT_WHEN
        # The event is written when the undo begins, `latency` after the breach.
        if seen.window and event.t - (event.data.get("latency") or 0.0) >= seen.window[0]
    ]


def load(events: Sequence[Event], seen: History) -> Finding:
    """Say whether the load kept its own schedule; one that died, fell behind or did nothing proves nothing."""
    target = f"<= {HELD_UP_SHARE:.0%} sent late or never"
    ended = next((event.data for event in events if event.type == "load.ended"), None)

    def unknown(why: str, shown: str = "") -> Finding:
        return Finding("load", State.UNKNOWN, why, target, in_fault=shown)

    if ended is None or "lost" in ended:
        return unknown(f"the load did not account for itself: {ended['lost'] if ended else 'it never ended'}")
    made, recorded = int(ended["operations"]), len(seen.operations)
    held_up = sum(not operation.punctual for operation in seen.operations)
    if not made:
        return unknown("the load made no operation")
    if made != recorded:
        return unknown(f"the load made {made} operations, {recorded} were recorded")
    if not any(operation.ok for operation in seen.operations):
        return unknown(f"none of {made} operations was ever served{_commonest(seen.operations)}")
    shown = f"{held_up} of {made}"
    if held_up > HELD_UP_SHARE * made:
        return unknown(f"the load held up {shown} operations itself", shown)
    return Finding("load", State.HELD, f"{made} operations{_failed(events, seen.operations)}", target, in_fault=shown)


def _commonest(operations: Sequence[Operation]) -> str:
    """Say how most operations that were not served ended: a load that never worked is mostly written wrong."""
    ends = Counter(one.unanswered or one.amiss or f"status {one.status}" for one in operations if not one.unsent)
    return f", mostly {ends.most_common(1)[0][0]}" if ends else ""


def _failed(events: Sequence[Event], operations: Sequence[Operation]) -> str:
    """Say of several kinds of operation how many of each failed; empty where there is one kind or none did."""
    started = next((event.data for event in events if event.type == "load.started"), {})
    names = [str(one["name"]) for one in started.get("operations", ())]
    failed = Counter(one.call for one in operations if one.punctual and not one.ok)
    if len(names) < 2 or not failed:
        return ""
    made = Counter(one.call for one in operations if one.punctual)
    parts = [f"{names[call]} {count} of {made[call]}" for call, count in sorted(failed.items()) if call < len(names)]
    return f"; failed: {', '.join(parts)}"
