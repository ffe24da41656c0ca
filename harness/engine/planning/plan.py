"""Resolve an experiment against the cluster: every target by name, every cap checked, both hashes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.documents import foreign, provider
from harness.engine import contexts
from harness.engine.planning import caps, composition, lost_for_good, rights
from harness.errors import ApiError, UsageError
from harness.faults import FAULTS
from harness.journal import redact
from harness.model import load as loads
from harness.model import timeline
from harness.model.experiment import Activity, Experiment
from harness.model.fault import FaultSpec
from harness.model.plan import Plan, PlannedFault, Victim
from harness.report.inert import inert
from harness.stack import apply as stack
from harness.targets import select
from harness.targets.candidates import KINDS
from harness.workloads import Owners
from harness.workloads.once import Once


async def resolve(
    kube: Kube,
    experiment: Experiment,
    *,
    run: str,
    seed: int,
    taken: frozenset[str] = frozenset(),
    alone: bool = False,
) -> Plan:
    """Return the plan of one run; `taken` are UIDs that earlier faults of the run have already.

    `alone` keeps to the experiment's one namespace: nothing outside of it is asked.

    Raises UsageError when a selector matches nothing or too little, a namespace does not exist, or a cap is exceeded;
    InjectionFailed when a container would be started again too late for the run to see it.
    """
    if not alone:
        await _require_namespaces(kube, experiment)
    chance, owners = random.Random(seed), Owners(Once(kube))
    faults: list[PlannedFault] = []
    shares: list[str] = []
    left_out = _left_out(experiment, seed)
    drawn = [one for one in experiment.method if one.fault and not one.fault.late and one.name not in left_out]
    for number, activity in enumerate(drawn):
        spec = activity.fault
        assert spec
        patience = _patience(experiment) if FAULTS[spec.kind].restarts else None
        victims = await select.resolve(
            kube,
            owners,
            spec.target,
            chance,
            taken=taken | _taken(drawn[:number], faults),
            gone=frozenset(uid for fault in faults if fault.instant for uid in fault.victim.uids),
            inside=FAULTS[spec.kind].inside,
            patience=patience,
            tell=shares.append,
            alone=alone,
        )
        spec = await _resolved(kube, spec)
        for victim in victims:
            reached = await takes(kube, spec.kind, victim, spec.parameters, owners)
            most = await _fitting(kube, spec, victim, len(reached))
            faults.append(_fault(f"{run}-{len(faults) + 1}", spec, victim, reached, most))
    caps.require_alone(experiment, faults, left_out)
    if experiment.promising:
        caps.require(experiment, faults, left_out)
    await lost_for_good.require(kube, owners, faults)
    remembered = {} if alone else await stack.inventory(kube)
    intent = {
        "document": experiment.digest,
        "seed": seed,
        "caps": dataclasses.asdict(experiment.blast_radius),
        # The version of the system under test, where `harness up` has written it down.
        "stack": remembered.get("key", ""),
    }
    return Plan(
        run,
        seed,
        kube.context,
        tuple(faults),
        _hash(intent),
        resolved(faults),
        rights.rules_for(experiment),
        # A call passes through more of the stack than a fault may touch.
        around=around(remembered, experiment),
        shares=tuple(shares),
        left_out=left_out,
    )


def _left_out(experiment: Experiment, seed: int) -> tuple[str, ...]:
    """Name the steps that the seed does not draw."""
    # Apart from the chance that picks targets: a choice more must not pick others.
    chance = random.Random(f"{seed} choose")
    found: list[str] = []
    for choice in experiment.choices:
        drawn = chance.sample(choice.names, choice.take)
        found += [name for name in choice.names if name not in drawn]
    return tuple(found)


def _taken(earlier: Sequence[Activity], faults: Sequence[PlannedFault]) -> frozenset[str]:
    """Return the UIDs that a step may not pick: two that may overlap never have the same target.

    What an earlier step that is over has lost for good is gone by then, too.
    """
    found: set[str] = set()
    for one in earlier:
        over = timeline.over_before_next(one)
        for fault in faults:
            if one.fault and fault.activity == one.fault.activity:
                found |= fault.victim.uids if not over or fault.instant else set()
                found |= {pod.uid for pod in caps.pods_of(fault)} if over else set()
    return frozenset(found)


def around(remembered: Mapping[str, str], experiment: Experiment) -> tuple[str, ...]:
    """Name the stack's namespaces that a call passes through although no fault of the experiment may touch them."""
    return tuple(sorted({*stack.workloads(remembered)} - {*experiment.blast_radius.namespaces}))


def _patience(experiment: Experiment) -> float:
    """Return how long a run waits for a container to be back, in seconds."""
    limits = [float(one.parameters["within"]) for one in experiment.objectives if one.checker == "recovery"]
    return min([experiment.phases.recovery, *limits])


def resolved(faults: Sequence[PlannedFault]) -> str:
    """Hash what will be touched, by name and UID."""
    return _hash([[fault.kind, *((str(one), one.uid) for one in (fault.victim, *fault.takes))] for fault in faults])


async def takes(
    kube: Kube, kind: str, victim: Victim, parameters: Mapping[str, Any], owners: Owners | None = None
) -> tuple[Victim, ...]:
    """Name what a fault, with these parameters, takes with its target: what that is made of, and pods."""
    reaches, of = FAULTS[kind].reaches, KINDS[victim.kind]
    parts = await of.parts(kube, victim, parameters)
    if reaches is None:
        return (*parts,)
    there = await of.pods(kube, owners or Owners(kube), victim)
    found = ((pod["metadata"], pod["spec"].get("nodeName", "")) for pod in there if reaches(parameters, pod))
    pods = (Victim("pod", item["name"], item["uid"], item["namespace"], node, victim.zone) for item, node in found)
    return (*parts, *sorted(pods, key=str))


async def _resolved(kube: Kube, spec: FaultSpec) -> FaultSpec:
    """Return a fault with what its parameters mean in the cluster; raises UsageError where they mean nothing there."""
    try:
        return replace(spec, parameters=await FAULTS[spec.kind].resolve(kube, spec.parameters))
    except UsageError as error:
        raise UsageError(error.what, where=spec.place or error.where, why=error.why, hint=error.hint) from error


async def _fitting(kube: Kube, spec: FaultSpec, victim: Victim, there: int) -> int | None:
    """Say how many of these pods a fault takes at the most, None for all; raises UsageError where it cannot be had."""
    kind = FAULTS[spec.kind]
    if kind.unfit is None and kind.most is None:
        return None
    where = f"{spec.place}: {victim}" if spec.place else str(victim)
    path = victim.path or (paths.pods(victim.namespace, victim.name) if victim.kind == "pod" else "")
    try:
        item = await kube.get(path + kind.part) if path else None
        if item and kind.part:
            item = {**item, "of": await kube.get(path)}
    except ApiError as error:
        if error.status != 404:
            raise
        item = None
    # Of a pod that went since, the fault itself tells.
    if item is None and victim.kind == "pod":
        return None
    if item is None:
        what = f"{victim.owner} has no {kind.part.strip('/') or 'place'} of its own in the API"
        raise UsageError(what, where=where, why=f"{spec.kind} changes it there")
    if kind.unfit and (found := kind.unfit(spec.parameters, item, victim)):
        raise UsageError(found.what, where=where, why=found.why, hint=found.hint)
    return kind.most(spec.parameters, item, there) if kind.most else None


def _fault(identity: str, spec: FaultSpec, victim: Victim, pods: tuple[Victim, ...], most: int | None) -> PlannedFault:
    kind = FAULTS[spec.kind]
    return PlannedFault(
        identity,
        spec.kind,
        spec.activity,
        kind.hand,
        victim,
        spec.parameters,
        pods,
        most,
        instant=kind.instant,
        disturbs=tuple(sorted(kind.disturbs)),
    )


async def _require_namespaces(kube: Kube, experiment: Experiment) -> None:
    for namespace in sorted({name for spec in experiment.faults for name in spec.target.within}):
        try:
            await kube.get(paths.namespace(namespace))
        except ApiError as error:
            if error.status != 404:
                raise
            raise UsageError(
                f"namespace {namespace!r} does not exist",
                where=str(experiment.path),
                hint="`harness up` brings the stack"
                if contexts.is_local(kube)
                else contexts.command(kube, "kubectl", "get", "namespaces"),
            ) from error


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def record(fault: PlannedFault) -> dict[str, Any]:
    """Return one planned fault as the journal keeps it."""
    return dataclasses.asdict(fault)


def told(experiment: Experiment, faults: Sequence[PlannedFault]) -> dict[str, Any]:
    """Return what the journal keeps of planned faults: their caps, themselves, and what is promised meanwhile."""
    return {
        "caps": dataclasses.asdict(experiment.blast_radius) if experiment.promising else {},
        "faults": [record(fault) for fault in faults],
        "objectives": [
            {"checker": objective.checker, "parameters": dict(objective.parameters)}
            for objective in experiment.objectives
        ],
    }


def _translated(experiment: Experiment) -> list[tuple[FaultSpec, str, str]]:
    """List the steps of other drivers that are performed as faults."""
    return [
        (step.fault, step.name, foreign.function(step.provider))
        for step in experiment.method
        if step.fault and step.provider.get("module") != provider.ACTIONS
    ]


def _caps(experiment: Experiment) -> str:
    if not experiment.promising:
        return "none: the document states none"
    radius = experiment.blast_radius
    return f"{radius.pods} pods, {radius.nodes} nodes in {', '.join(radius.namespaces) or '-'}"


def text(experiment: Experiment, plan: Plan) -> str:
    """Show what a run would touch, by name and UID."""
    lines = [
        f"{experiment.name}  {experiment.title}",
        f"  context  {plan.context}   seed {plan.seed}   intent {plan.intent}   resolved {plan.resolved}",
        f"  caps     {_caps(experiment)}",
        "  touches",
    ]
    for fault in plan.faults:
        zone = f"({fault.victim.zone})" if fault.victim.zone else ""
        place = f"on {fault.victim.node} {zone}".rstrip() if fault.victim.namespace else zone
        lines.append(f"    {fault.kind:<14} {fault.victim.shown}  {fault.victim.uid}  {place}")
        lines += [f"    {'':<14}   {meant}"] if (meant := FAULTS[fault.kind].meant(fault.parameters)) else []
        if fault.most is not None:
            lines.append(f"    {'':<14}   at most {fault.most} of these pods go")
        lines += [f"    {'':<14}   with it {pod}  {pod.uid}" for pod in fault.takes]
    late = caps.to_come(experiment, plan.faults, plan.left_out)
    lines += [f"    {spec.kind:<14} {select.late(spec.target)}" for spec in late]
    if not plan.faults and not late:
        lines.append("    nothing")
    lines += composition.lines(experiment, plan, caps.most_together(experiment, plan.faults, plan.left_out))
    lines += [f"  share    {share}" for share in plan.shares]
    lines += [f"  not covered: {words}" for words in experiment.uncovered]
    lines += [f"  read as {fault.kind}: step {name!r}, by {called}" for fault, name, called in _translated(experiment)]
    if plan.around:
        lines.append(f"  needs    every workload complete in {', '.join(plan.around)}, too")
    if experiment.load:
        first, *more = loads.lines(experiment.load)
        lines += [f"  load     {redact.clean(first)}", *(f"           {redact.clean(line.strip())}" for line in more)]
    promises = ", ".join(objective.checker for objective in experiment.objectives)
    promises = promises or ("the hypothesis alone" if experiment.probes else "nothing: nothing is promised")
    return "\n".join(inert([*lines, f"  judged   {promises}", f"  expects  {experiment.expect.verdict}"]))
