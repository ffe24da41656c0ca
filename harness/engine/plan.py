"""Resolve an experiment against the cluster: every target by name, every cap checked, both hashes, least Role."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from harness.cluster.kube import Kube
from harness.engine import select
from harness.errors import ApiError, UsageError
from harness.model import catalogue
from harness.model.experiment import Experiment
from harness.model.fault import FaultSpec
from harness.model.plan import Plan, PlannedFault, Victim

RULES: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "pod_kill": ({"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]},),
    "pod_evict": ({"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]},),
    "node_cordon": ({"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"]},),
    "node_drain": (
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]},
    ),
}
READS: tuple[Mapping[str, Any], ...] = (
    {"apiGroups": [""], "resources": ["pods", "nodes", "events", "namespaces"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
    {
        "apiGroups": ["chaos.harness.dev"],
        "resources": ["faults", "nodefaults", "faults/status", "nodefaults/status"],
        "verbs": ["get", "list", "create", "patch", "delete"],
    },
)


async def resolve(kube: Kube, experiment: Experiment, *, run: str, seed: int) -> Plan:
    """Return the plan of one run.

    Raises UsageError when a selector matches nothing or too little, a namespace does not exist, or a cap is exceeded.
    """
    await _require_namespaces(kube, experiment)
    chance = random.Random(seed)
    faults: list[PlannedFault] = []
    taken: set[str] = set()
    for spec in experiment.faults:
        restarts = spec.kind == "container_kill"
        victims = await select.resolve(kube, spec.target, chance, taken=frozenset(taken), restarted_last=restarts)
        for victim in victims:
            taken.add(victim.uid)
            faults.append(_fault(f"{run}-{len(faults) + 1}", spec, victim))
    require_caps(experiment, faults)
    intent = {"document": experiment.digest, "seed": seed, "caps": dataclasses.asdict(experiment.blast_radius)}
    resolved = [[fault.kind, str(fault.victim), fault.victim.uid] for fault in faults]
    return Plan(run, seed, kube.context, tuple(faults), _hash(intent), _hash(resolved), rules_for(experiment))


def rules_for(experiment: Experiment) -> tuple[Mapping[str, Any], ...]:
    """List the least Role that a run of this experiment needs."""
    effects = {json.dumps(rule): rule for spec in experiment.faults for rule in RULES.get(spec.kind, ())}
    return (*READS, *effects.values())


def _fault(identity: str, spec: FaultSpec, victim: Victim) -> PlannedFault:
    return PlannedFault(identity, spec.kind, spec.activity, catalogue.FAULTS[spec.kind].hand, victim, spec.parameters)


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
    outside = {fault.victim.namespace for fault in faults if fault.victim.namespace} - set(caps.namespaces)
    if outside:
        raise UsageError(
            f"namespaces outside the blast radius: {', '.join(sorted(outside))}", where=str(experiment.path)
        )
    if pods > caps.pods or nodes > caps.nodes:
        raise UsageError(
            f"the plan touches {pods} pods and {nodes} nodes, the blast radius allows {caps.pods} and {caps.nodes}",
            where=str(experiment.path),
        )


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def record(fault: PlannedFault) -> dict[str, Any]:
    """Give one planned fault as the journal keeps it."""
    return dataclasses.asdict(fault)


def text(experiment: Experiment, plan: Plan) -> str:
    """Show what a run would touch, by name and UID."""
    lines = [
        f"{experiment.name}  {experiment.title}",
        f"  context  {plan.context}   seed {plan.seed}   intent {plan.intent}   resolved {plan.resolved}",
        f"  caps     {experiment.blast_radius.pods} pods, {experiment.blast_radius.nodes} nodes"
        f" in {', '.join(experiment.blast_radius.namespaces) or '-'}",
        "  touches",
    ]
    for fault in plan.faults:
        place = f"on {fault.victim.node} ({fault.victim.zone})" if fault.victim.namespace else f"({fault.victim.zone})"
        lines.append(f"    {fault.kind:<14} {fault.victim}  {fault.victim.uid}  {place}")
    if not plan.faults:
        lines.append("    nothing")
    promises = ", ".join(objective.checker for objective in experiment.objectives) or "the hypothesis alone"
    return "\n".join([*lines, f"  judged   {promises}", f"  expects  {experiment.expect.verdict}"])
