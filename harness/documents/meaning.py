"""Refuse experiments that are well written but cannot mean anything: promises nothing tests, caps that do not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.checkers import OBJECTIVES, census
from harness.documents.extension import Extension
from harness.documents.reading import Uncovered
from harness.documents.translate import EVERY
from harness.faults import FAULTS, FaultKind
from harness.model.experiment import Activity, BlastRadius
from harness.model.fault import FaultSpec
from harness.model.objective import Objective
from harness.model.timeline import longest, together
from harness.model.units import seconds
from harness.source.closed import nearest
from harness.source.lines import Place

Named = tuple[FaultSpec, Place]  # a fault and where its target stands


def check(
    extension: Extension,
    method: tuple[Activity, ...],
    hypothesis: tuple[Activity, ...],
    written: Mapping[str, Objective],
    slo: Mapping[str, Objective],
) -> None:
    """Note every problem of meaning; `written` are the document's own objectives, `slo` the defaults of the stack."""
    faults: list[Named] = [
        (activity.fault, ("method", index, "provider", "arguments", "target"))
        for index, activity in enumerate(method)
        if activity.fault
    ]
    _blast_radius(extension, faults, method)
    _load(extension, written, faults)
    _choices(extension, method)
    _exercised(extension, written, method)
    _time(extension, written)
    _decided(extension, written, method)
    _relaxed(extension, written, slo)
    if not faults and not hypothesis and not extension.objectives:
        extension.section.problems.add(
            (), "this experiment has neither fault nor promise", hint="add a fault to the method"
        )


def covered(extension: Extension, uncovered: Sequence[Uncovered]) -> None:
    """Note each step that no plan covers, unless the document says that it knows; none may act outside the caps."""
    problems, caps = extension.section.problems, extension.blast_radius
    for words, place, namespaces in uncovered:
        outside = [name for name in namespaces if caps and name not in caps.namespaces]
        if caps and outside:
            problems.add(
                place,
                f"{words} acts in namespace '{outside[0]}', outside the blast radius",
                hint=_list(caps.namespaces),
            )
        elif not extension.uncovered:
            problems.add(
                place,
                f"{words} is not covered",
                why="no plan names what it touches, no cap holds it, no evidence proves it",
                hint="use a fault, or let it run by 'uncovered: true' in the harness extension; the hypothesis alone"
                " is no PASS then",
            )


def named(method: tuple[Activity, ...], namespaces: list[str]) -> BlastRadius:
    """Return what a document without caps names as its blast radius: its faults' targets, and where its steps act."""
    faults = [activity.fault for activity in method if activity.fault]
    stated = (name for fault in faults for name in fault.target.stated)
    every = {name for name in (*namespaces, *stated) if name not in ("", EVERY)}
    return BlastRadius(
        tuple(sorted(every)),
        sum(fault.target.pods for fault in faults),
        sum(fault.target.nodes + fault.target.zones for fault in faults),
    )


def _choices(extension: Extension, method: tuple[Activity, ...]) -> None:
    """Note choices of what is no fault of the method, and steps that two choices are about."""
    faults, chosen = [one.name for one in method if one.fault], set[str]()
    for number, choice in enumerate(extension.choices):
        place = (*extension.section.at("choose"), number, "from")
        for name in choice.names:
            if name not in faults:
                what = f"no fault of the method is named '{name}'"
                extension.section.problems.add(place, what, hint=nearest(name, faults))
            if name in chosen:
                extension.section.problems.add(place, f"'{name}' is here twice")
            chosen.add(name)


def _most(extension: Extension, activities: Sequence[Activity]) -> int:
    """Return how many targets these steps take together at the least, whatever the seed draws of them."""
    asked = {one.name: one.fault.target.least for one in activities if one.fault}
    total = sum(one.fault.target.least for one in activities if one.fault)
    for choice in extension.choices:
        drawn = sorted((asked.get(name, 0) for name in choice.names), reverse=True)
        total -= sum(drawn[choice.take :])
    return total


def _blast_radius(extension: Extension, faults: list[Named], method: tuple[Activity, ...]) -> None:
    problems, caps = extension.section.problems, extension.blast_radius
    if not faults:
        return
    if caps is None:
        problems.add(
            extension.section.place,
            "an experiment with faults needs 'blast-radius'",
            why="nothing is touched without a stated cap",
            hint="blast-radius: {namespaces: [my-namespace], pods: 1}",
        )
        return
    for fault, place in faults:
        key = "namespace" if fault.target.namespace else "namespaces"
        within = [(key, name) for name in fault.target.within]
        for key, name in (*within, ("hosting", fault.target.hosting.partition("/")[0])):
            if name and caps.namespaces and name not in caps.namespaces:
                problems.add(
                    (*place, key), f"namespace '{name}' is outside the blast radius", hint=_list(caps.namespaces)
                )
    for what, cap in (("pods", caps.pods), ("nodes", caps.nodes)):
        # What a share comes to is known only when it is planned; then the cap is looked at again.
        aimed = [(fault, place) for fault, place in faults if what == _cap(fault)]
        kind = [one for one in method if one.fault and what == _cap(one.fault)]
        broken = [[one for one in kind if one.fault and one.fault.activity in names] for names in together(method)]
        asked = max((_most(extension, each) for each in broken), default=0)
        if asked > cap:
            place, closing = aimed[0][1], any(fault.closes for fault, _ in faults)
            problems.add(
                (*place, f"{aimed[0][0].target.kind}s"),
                f"the faults ask for {asked} {what if asked > 1 else what[:-1]}{' at the same time' * closing},"
                f" the blast radius allows {cap}",
                hint=f"raise blast-radius.{what} to {asked}, or ask for fewer",
            )


def _cap(fault: FaultSpec) -> str:
    """Name the cap that a target counts against; how many nodes a zone has, only the plan knows."""
    return {"zone": "nodes"}.get(fault.target.kind, f"{fault.target.kind}s")


def _list(namespaces: tuple[str, ...]) -> str:
    return f"it lists {', '.join(namespaces)}"


def _load(extension: Extension, written: Mapping[str, Objective], faults: list[Named]) -> None:
    if extension.load:
        return
    problems, section = extension.section.problems, extension.section
    for fault, place in faults:
        if FAULTS[fault.kind].met_by_load(fault.parameters):
            problems.add(
                place[:-1],
                f"{fault.kind} needs 'load'",
                why="its evidence is what the load is answered, and no evidence is never a pass",
                hint="load: {workload: execute-agent, rate: 50/s}, or callers: others",
            )
    for name in written:
        if OBJECTIVES[name].needs_load:
            problems.add(
                (*section.at("objectives"), name),
                f"'{name}' needs 'load'",
                why="without operations nothing is measured, and no evidence is never a pass",
                hint="load: {workload: execute-agent, rate: 50/s}",
            )
    if extension.abort_when:
        problems.add(
            section.at("abort-when"), "'abort-when' needs 'load'", why="availability is measured on its operations"
        )


def _exercised(extension: Extension, written: Mapping[str, Objective], method: tuple[Activity, ...]) -> None:
    faults = [one.fault for one in method if one.fault]
    if not faults:
        return
    problems, section = extension.section.problems, extension.section
    kinds = sorted({fault.kind for fault in faults})
    for name, objective in written.items():
        place = (*section.at("objectives"), name)
        able = sorted(kind.name for kind in FAULTS.values() if name in exercises(kind))
        if not set(able) & set(kinds):
            problems.add(
                place,
                f"'{name}' is not exercised by {' or '.join(kinds)}",
                why="it would hold whatever the system does",
                hint=f"faults that exercise it: {', '.join(able)}",
            )
        elif (ask := OBJECTIVES[name].missed) and (missed := ask(objective.parameters, _disturbing(name, faults))):
            could = [kind.name for kind in FAULTS.values() if name in exercises(kind)]
            hint = missed.hint.format(faults=_either(could))
            problems.add((*place, missed.key), missed.what, why=missed.why, hint=hint)
        elif not _surely(extension, method, able):
            problems.add(
                place,
                f"whether '{name}' is exercised is left to the seed",
                why="it would hold whatever the system does when another step is drawn",
                hint=f"outside of the choice, or each of it: {', '.join(able)}",
            )


def _surely(extension: Extension, method: tuple[Activity, ...], able: Sequence[str]) -> bool:
    """Say whether a fault of one of these kinds is done whatever the seed draws."""
    drawn = {name for choice in extension.choices for name in choice.names}
    kinds = {one.name: one.fault.kind for one in method if one.fault}
    if any(kind in able for name, kind in kinds.items() if name not in drawn):
        return True
    unable = ([name for name in choice.names if kinds.get(name) not in able] for choice in extension.choices)
    return any(len(names) < choice.take for names, choice in zip(unable, extension.choices, strict=True))


def exercises(kind: FaultKind) -> frozenset[str]:
    """Name the objectives that a fault can break: it disturbs the system in a way that they are about."""
    return frozenset(name for name, objective in OBJECTIVES.items() if objective.exercised_by & kind.disturbs)


def _either(names: Sequence[str]) -> str:
    *some, last = names
    return f"{', '.join(some)} or {last}" if some else last


def _disturbing(name: str, faults: Sequence[FaultSpec]) -> list[tuple[FaultSpec, bool]]:
    return [(fault, name in exercises(FAULTS[fault.kind])) for fault in faults]


def _time(extension: Extension, written: Mapping[str, Objective]) -> None:
    load, baseline = extension.load, extension.phases.baseline
    if load and load.ramp > baseline:
        extension.section.problems.add(
            (*extension.section.at("load"), "ramp"),
            f"a ramp of {seconds(load.ramp)} exceeds the baseline of {seconds(baseline)}",
            why="the fault would meet a load that is still growing",
            hint=f"phases: {{baseline: {load.ramp:g}s}}",
        )
    _stages(extension)
    recovery = written.get("recovery")
    within = recovery.parameters.get("within", 0.0) if recovery else 0.0
    if within > extension.phases.recovery:
        extension.section.problems.add(
            (*extension.section.at("objectives"), "recovery", "within"),
            f"recovery within {seconds(within)} exceeds the recovery phase of {seconds(extension.phases.recovery)}",
            why="the run would end before it could be judged",
            hint=f"phases: {{recovery: {within:g}s}}",
        )


def _decided(extension: Extension, written: Mapping[str, Objective], method: Sequence[Activity]) -> None:
    """Refuse a release that is taken back before it can have taken too long: late is what it would never be."""
    within = float(written["canary"].parameters.get("within", 0.0)) if "canary" in written else 0.0
    for place, step in enumerate(method):
        if not step.fault or step.fault.closes or "canary" not in exercises(FAULTS[step.fault.kind]):
            continue
        watched = step.pause_after + longest(method[place + 1 :]) + extension.phases.hold
        if watched < within:
            extension.section.problems.add(
                (*extension.section.at("objectives"), "canary", "within"),
                f"a release is not watched so long: it is taken back after {seconds(watched)} at the latest",
                why=f"one that took longer than {seconds(within)} would never be seen",
                hint=f"within: {watched:g}s, or a step that waits longer until it is decided",
            )


def _stages(extension: Extension) -> None:
    """Refuse a stage that the run may never reach: baseline and hold alone are sure to last as long as they say."""
    if not extension.load or not extension.load.stages:
        return
    sure = extension.phases.baseline + extension.phases.hold
    *earlier, last = extension.load.stages
    begin = sum(stage.seconds or 0.0 for stage in earlier) + extension.load.ramp
    if begin > sure:
        extension.section.problems.add(
            (*extension.section.at("load"), "stages"),
            f"the rate {last.rate:g}/s is reached {seconds(begin)} after the baseline began",
            why=f"the run may be over by then: baseline and hold, which are sure, last {seconds(sure)} together",
            hint=f"phases: {{hold: {begin - extension.phases.baseline:g}s}}",
        )


def _relaxed(extension: Extension, written: Mapping[str, Objective], slo: Mapping[str, Objective]) -> None:
    for name, objective in written.items():
        promised, standard = slo.get(name), OBJECTIVES[name].standard
        if promised is None or standard is None or objective.why:
            continue
        place, show = (*extension.section.at("objectives"), name), standard.shown
        for key, limit in promised.parameters.items():
            value = objective.parameters.get(key)
            if key == census.LEAST.name:
                continue
            if value is None:
                _weaker(extension, place, f"'{name}' leaves out the stack's {key} of {show(limit)}")
            elif standard.weaker(value, limit):
                what = f"'{name}' {key} {show(value)} is weaker than the stack's {show(limit)}"
                _weaker(extension, (*place, key), what)


def _weaker(extension: Extension, place: Place, what: str) -> None:
    extension.section.problems.add(
        place, what, why="an objective that is relaxed says why", hint="add 'why: ...' beside it"
    )
