"""Resolve an experiment against the cluster: every target by name, every cap checked, both hashes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from harness.cluster.kube import Kube
from harness.documents import foreign, provider
from harness.engine import lasting, rights
from harness.errors import ApiError, UsageError
from harness.faults import FAULTS
from harness.journal import redact
from harness.model import load as loads
from harness.model.experiment import Experiment
from harness.model.fault import FaultSpec
from harness.model.plan import Plan, PlannedFault, Victim
from harness.report.inert import inert
from harness.stack import apply as stack
from harness.targets import nodes, select
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
    for spec in experiment.faults:
        kind = FAULTS[spec.kind]
        try:
            victims = await select.resolve(
                kube,
                owners,
                spec.target,
                chance,
                taken=taken,
                inside=kind.inside,
                unfit=partial(kind.unfit, spec),
                patience=_patience(experiment) if kind.restarts else None,
                tell=shares.append,
                alone=alone,
            )
            parameters = await kind.resolve(kube, spec.parameters)
        except UsageError as error:
            places = [f"{experiment.path}:{spec.line}", *([error.where] if error.where else [])]
            raise UsageError(error.what, where=", ".join(places), why=error.why, hint=error.hint) from error
        taken |= {victim.uid for victim in victims}
        for victim in victims:
            reached = await takes(kube, spec.kind, victim, parameters)
            faults.append(_fault(f"{run}-{len(faults) + 1}", replace(spec, parameters=parameters), victim, reached))
    if experiment.promising:
        require_caps(experiment, faults)
    await lasting.require(kube, owners, faults)
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
    )


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


async def takes(kube: Kube, kind: str, victim: Victim, parameters: Mapping[str, Any]) -> tuple[Victim, ...]:
    """Name the pods that a fault of their node, with these parameters, reaches, too."""
    reaches = FAULTS[kind].reaches
    if reaches is None:
        return ()
    found = [pod["metadata"] for pod in await nodes.on(kube, victim.name) if reaches(parameters, pod)]
    pods = (Victim("pod", item["name"], item["uid"], item["namespace"], victim.name, victim.zone) for item in found)
    return tuple(sorted(pods, key=str))


def _fault(identity: str, spec: FaultSpec, victim: Victim, pods: tuple[Victim, ...]) -> PlannedFault:
    kind = FAULTS[spec.kind]
    return PlannedFault(
        identity,
        spec.kind,
        spec.activity,
        kind.hand,
        victim,
        spec.parameters,
        pods,
        instant=kind.instant,
        disturbs=tuple(sorted(kind.disturbs)),
    )


async def _require_namespaces(kube: Kube, experiment: Experiment) -> None:
    for namespace in sorted({spec.target.namespace for spec in experiment.faults if spec.target.namespace}):
        try:
            await kube.get(f"/api/v1/namespaces/{namespace}")
        except ApiError as error:
            if error.status != 404:
                raise
            raise UsageError(
                f"namespace {namespace!r} does not exist",
                where=str(experiment.path),
                hint="`harness up` brings the stack",
            ) from error


def require_caps(experiment: Experiment, faults: Sequence[PlannedFault]) -> None:
    """Refuse what exceeds the blast radius; raises UsageError."""
    caps = experiment.blast_radius
    pods = len({fault.victim.uid for fault in faults if fault.victim.kind == "pod"})
    nodes = len({fault.victim.name for fault in faults if fault.victim.kind == "node"})
    reached = [one for fault in faults for one in (fault.victim, *fault.takes)]
    outside = [str(one) for one in reached if one.namespace and one.namespace not in caps.namespaces]
    if outside:
        raise UsageError(
            f"outside the blast radius: {', '.join(sorted(outside))}",
            where=str(experiment.path),
            why="a fault of a node reaches every pod on it" if any(fault.takes for fault in faults) else "",
            hint="add the namespace to blast-radius.namespaces, or aim elsewhere",
        )
    if pods > caps.pods or nodes > caps.nodes:
        raise UsageError(
            f"the plan touches {pods} pods and {nodes} nodes, the blast radius allows {caps.pods} and {caps.nodes}",
            where=str(experiment.path),
        )


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def record(fault: PlannedFault) -> dict[str, Any]:
    """Return one planned fault as the journal keeps it."""
    return dataclasses.asdict(fault)


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
    caps = experiment.blast_radius
    return f"{caps.pods} pods, {caps.nodes} nodes in {', '.join(caps.namespaces) or '-'}"


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
        lines += [f"    {'':<14}   {part}"] if (part := FAULTS[fault.kind].part(fault.parameters)) else []
        lines += [f"    {'':<14}   with it {pod}  {pod.uid}" for pod in fault.takes]
    if not plan.faults:
        lines.append("    nothing")
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
