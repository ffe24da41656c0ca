"""The least that a user must be granted to run an experiment: a Role where it stays in one namespace."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.faults import FAULTS
from harness.faults.kind import Rule
from harness.model.experiment import Experiment

NAME = "chaos-harness"
OURS = ("harness.", "probes.")
# The names of the lease and the lever; what is created has no name yet when it is asked for.
LEASE, LEVER = "chaos-run", "chaos-lever"

OWNERS: Rule = {
    "apiGroups": ["apps"],
    "resources": ["deployments", "replicasets", "statefulsets", "daemonsets"],
    "verbs": ["get", "list", "watch"],
}
# Of an owner that may not be read, what it had before counts.
OTHER_OWNERS: tuple[Rule, ...] = (
    {"apiGroups": [""], "resources": ["replicationcontrollers"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["argoproj.io"], "resources": ["rollouts"], "verbs": ["get", "list", "watch"]},
)
BUDGETS: Rule = {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": ["get", "list", "watch"]}
READS: tuple[Rule, ...] = (
    {"apiGroups": [""], "resources": ["pods", "nodes", "events", "namespaces"], "verbs": ["get", "list", "watch"]},
    # The lever, and the Events that tell of a fault on its target.
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
    OWNERS,
    *OTHER_OWNERS,
    BUDGETS,
    # The lease lives in chaos-system, which the first run on a cluster creates, and in each namespace it may touch.
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["create"]},
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "verbs": ["get", "list", "create", "update", "delete"],
    },
    {
        "apiGroups": ["chaos.harness.dev"],
        "resources": ["faults", "nodefaults"],
        "verbs": ["get", "list", "watch", "create", "delete"],
    },
    {"apiGroups": ["chaos.harness.dev"], "resources": ["faults/status", "nodefaults/status"], "verbs": ["patch"]},
)
INSIDE: tuple[Rule, ...] = (
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list", "watch", "create"]},
    {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [LEVER], "verbs": ["get", "list", "watch"]},
    OWNERS,
    *OTHER_OWNERS,
    BUDGETS,
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": [LEASE],
        "verbs": ["get", "update", "delete"],
    },
    {"apiGroups": ["chaos.harness.dev"], "resources": ["faults"], "verbs": ["list", "watch", "create", "delete"]},
    {"apiGroups": ["chaos.harness.dev"], "resources": ["faults/status"], "verbs": ["patch"]},
)


def stays_in(experiment: Experiment) -> str:
    """Return the one namespace that an experiment touches; nothing where it touches several, or a node."""
    if experiment.blast_radius.nodes or not all(spec.target.namespace for spec in experiment.faults):
        return ""
    namespaces = {*experiment.blast_radius.namespaces}
    namespaces |= {spec.target.namespace for spec in experiment.faults}
    return namespaces.pop() if len(namespaces) == 1 else ""


def of_nodes(rules: Iterable[Rule]) -> bool:
    """Say whether any of these rules is about nodes, which lie in no namespace."""
    return any("nodes" in rule["resources"] for rule in rules)


def rules_for(experiment: Experiment) -> tuple[Rule, ...]:
    """List the rules of the least ClusterRole that a run of this experiment needs."""
    return _distinct((*READS, *_effects([experiment])))


def roles_for(experiments: Sequence[Experiment]) -> list[Mapping[str, Any]]:
    """Return the least Role for each namespace that experiments stay in, or one ClusterRole where any does not."""
    if not all(stays_in(experiment) for experiment in experiments):
        rules = _distinct((*READS, *_effects(experiments)))
        return [_role("ClusterRole", {"name": NAME}, rules)]
    namespaces = sorted({stays_in(experiment) for experiment in experiments})
    inside = {name: [one for one in experiments if stays_in(one) == name] for name in namespaces}
    return [
        _role("Role", {"name": NAME, "namespace": name}, _distinct((*INSIDE, *_effects(some))))
        for name, some in inside.items()
    ]


def unknown_to(experiments: Sequence[Experiment]) -> list[str]:
    """Name the steps whose needs nobody here knows: processes, and functions of other modules."""
    steps = [step for one in experiments for step in (*one.probes, *one.method, *one.rollbacks) if step.fault is None]
    foreign = [step.name for step in steps if not str(step.provider.get("module", "harness.")).startswith(OURS)]
    return [*foreign, *(step.name for step in steps if step.provider.get("type") == "process")]


def _effects(experiments: Iterable[Experiment]) -> list[Rule]:
    return [rule for one in experiments for spec in one.faults for rule in FAULTS[spec.kind].rights]


def _distinct(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    return tuple({json.dumps(rule): rule for rule in rules}.values())


def _role(kind: str, metadata: Mapping[str, str], rules: Sequence[Rule]) -> Mapping[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": dict(metadata),
        "rules": [dict(rule) for rule in rules],
    }
