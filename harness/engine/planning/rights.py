"""The least that a user must be granted to run an experiment: a Role where it stays in one namespace."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.checkers import OBJECTIVES, reads_calls
from harness.faults import FAULTS
from harness.faults.kind import Rule
from harness.model.experiment import Experiment
from harness.model.fault import FaultSpec, Hand
from harness.stack import apply
from harness.targets import handshakes

NAME = "chaos-harness"
OURS = ("harness.", "probes.")
# The names of the lease and the lever; what is created has no name yet when it is asked for.
LEASE, LEVER = "chaos-run", "chaos-lever"
# A load that goes through the API server, as `kubectl proxy` hands it on, and the verb that a method is there.
PROXIED = re.compile(r"/api/v1/namespaces/([^/$?]+)/services/([^/$?]+)/proxy(?=[/?]|$)")
VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
# What lies in no namespace.
OF_CLUSTER = frozenset({"nodes", "nodes/proxy", "nodefaults", "validatingwebhookconfigurations"})

# Whether a kubelet answers, and what it says: the evidence of what a keeper does to a node.
KUBELETS: Rule = {"apiGroups": [""], "resources": ["nodes/proxy"], "verbs": ["get"]}
OWNERS: Rule = {
    "apiGroups": ["apps"],
    "resources": ["deployments", "replicasets", "statefulsets", "daemonsets"],
    "verbs": ["get", "list", "watch"],
}
# Of an owner that may not be read, what it had before counts.
OTHER_OWNERS: tuple[Rule, ...] = (
    {"apiGroups": [""], "resources": ["replicationcontrollers"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["argoproj.io"], "resources": ["rollouts", "analysisruns"], "verbs": ["get", "list", "watch"]},
)
# What a pod itself tells: the calls that it recorded, and whatever a probe asks it.
CALLS: Rule = {"apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["get"]}
# Probes that ask pods, in the namespace that they are given: them by name, or over TLS those behind a Service.
ASKING, OVER_TLS = "probes.mesh", "over_tls"
PODS: Rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
# Which parts the stack has.
STACK: Rule = {
    "apiGroups": [""],
    "resources": ["configmaps"],
    "resourceNames": [apply.INVENTORY_NAME],
    "verbs": ["get"],
}
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

# What a run would miss in its midst, in each namespace that it touches; lease and lever it asks for first.
MIDST: tuple[Rule, ...] = (
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets", "daemonsets"], "verbs": ["list"]},
    {"apiGroups": ["chaos.harness.dev"], "resources": ["faults"], "verbs": ["list", "create", "delete"]},
)


def stays_in(experiment: Experiment) -> str:
    """Return the one namespace that an experiment touches; nothing where it touches several, or what is in none."""
    faults = experiment.faults
    beyond = of_cluster(rule for spec in faults for rule in _needs(spec))
    if beyond or experiment.blast_radius.nodes or not all(spec.target.within for spec in faults):
        return ""
    namespaces = {*experiment.blast_radius.namespaces}
    namespaces |= {name for spec in faults for name in spec.target.within}
    return namespaces.pop() if len(namespaces) == 1 else ""


def of_cluster(rules: Iterable[Rule]) -> bool:
    """Say whether any of these rules is about what lies in no namespace: a ClusterRole alone grants it."""
    return any(OF_CLUSTER & {*rule["resources"]} for rule in rules)


def rules_for(experiment: Experiment) -> tuple[Rule, ...]:
    """List the rules of the least ClusterRole that a run of this experiment needs."""
    ways = (rule for rules in _ways([experiment]).values() for rule in rules)
    return _distinct((*READS, *_effects([experiment]), *ways))


def roles_for(experiments: Sequence[Experiment]) -> list[Mapping[str, Any]]:
    """Return the least Role for each namespace that experiments stay in, or one ClusterRole where any does not."""
    if not all(stays_in(experiment) for experiment in experiments):
        rules = _distinct(rule for experiment in experiments for rule in rules_for(experiment))
        return [_role("ClusterRole", {"name": NAME}, rules)]
    needed = {stays_in(experiment): [*INSIDE] for experiment in experiments}
    for experiment in experiments:
        needed[stays_in(experiment)] += _effects([experiment])
    # A load may go to another namespace than its faults, and these may look there for whom they are about.
    for namespace, ways in _ways(experiments).items():
        needed.setdefault(namespace, []).extend(ways)
    return [_role("Role", {"name": NAME, "namespace": name}, _distinct(needed[name])) for name in sorted(needed)]


def needed(experiment: Experiment) -> dict[str, tuple[Rule, ...]]:
    """List what a run of this experiment cannot do without, by namespace; what lies in none is under the empty name."""
    found: dict[str, list[Rule]] = {name: [*MIDST] for name in experiment.blast_radius.namespaces}
    for spec in experiment.faults:
        inside = spec.target.within or experiment.blast_radius.namespaces
        for rule in _needs(spec):
            for name in [""] if of_cluster([rule]) else inside:
                found.setdefault(name, []).append(rule)
    for namespace, ways in _ways([experiment]).items():
        found.setdefault(namespace, []).extend(ways)
    return {name: _distinct(rules) for name, rules in found.items()}


def unknown_to(experiments: Sequence[Experiment]) -> list[str]:
    """Name the steps whose needs nobody here knows: processes, functions of others, ours that are told by variables."""
    steps = [step for one in experiments for step in (*one.probes, *one.method, *one.rollbacks) if step.fault is None]
    foreign = [step.name for step in steps if not str(step.provider.get("module", "harness.")).startswith(OURS)]
    asking = [step for step in steps if step.provider.get("module") == ASKING]
    told = [step.name for step in asking if not (_asked(step.provider) and _given(step.provider, "namespace"))]
    return [*foreign, *told, *(step.name for step in steps if step.provider.get("type") == "process")]


def _effects(experiments: Iterable[Experiment]) -> list[Rule]:
    specs = (spec for one in experiments for spec in one.faults)
    return [rule for spec in specs for rule in (*_needs(spec), *FAULTS[spec.kind].beside)]


def _needs(spec: FaultSpec) -> tuple[Rule, ...]:
    kind = FAULTS[spec.kind]
    return (*kind.needs(spec.target), *([KUBELETS] if kind.hand is Hand.HOST else []))


def _ways(experiments: Sequence[Experiment]) -> dict[str, list[Rule]]:
    """List, by namespace, what loads by the API server, faults elsewhere, judges, probes and looks at parts need."""
    found: dict[str, list[Rule]] = {}
    for call in (call for one in experiments if one.load for call in one.load.calls):
        if way := PROXIED.search(call.url):
            namespace, service = way.groups()
            verb = VERBS.get(call.method, call.method.lower())
            rule = {"apiGroups": [""], "resources": ["services/proxy"], "resourceNames": [service], "verbs": [verb]}
            found.setdefault(namespace, []).append(rule)
    for spec in (spec for one in experiments for spec in one.faults):
        for namespace, rules in FAULTS[spec.kind].elsewhere(spec.parameters).items():
            found.setdefault(namespace, []).extend(rules)
    for one in experiments:
        if reads_calls(one.objectives):
            for namespace in one.blast_radius.namespaces:
                found.setdefault(namespace, []).append(CALLS)
        for step in (*one.probes, *one.method, *one.rollbacks):
            if (rules := _asked(step.provider)) and (namespace := _given(step.provider, "namespace")):
                found.setdefault(namespace, []).extend(rules)
        for objective in one.objectives:
            for namespace in one.blast_radius.namespaces:
                found.setdefault(namespace, []).extend(OBJECTIVES[objective.checker].rights)
        if one.parts:
            found.setdefault(apply.INVENTORY_NAMESPACE, []).append(STACK)
    return found


def _asked(provider: Mapping[str, Any]) -> tuple[Rule, ...]:
    """List what a probe that asks pods needs where it looks; nothing where it is none, or that is not known."""
    if provider.get("module") != ASKING:
        return ()
    if provider.get("func") != OVER_TLS:
        return (PODS, CALLS)
    secret = _given(provider, "certificate")
    shown: Rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [secret], "verbs": ["get"]}
    return (shown, *handshakes.RIGHTS) if secret else ()


def _given(provider: Mapping[str, Any], argument: str) -> str:
    """Return the name that a probe is given; nothing where it is none, or a variable."""
    arguments = provider.get("arguments")
    found = arguments.get(argument) if isinstance(arguments, Mapping) else None
    return found if isinstance(found, str) and "$" not in found else ""


def _distinct(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    return tuple({json.dumps(rule): rule for rule in rules}.values())


def _role(kind: str, metadata: Mapping[str, str], rules: Sequence[Rule]) -> Mapping[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": dict(metadata),
        "rules": [dict(rule) for rule in rules],
    }
