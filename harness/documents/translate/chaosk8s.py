"""Steps of chaostoolkit-kubernetes that mean one of our faults; its arguments, its defaults, its order of picking.

Read after version 0.39 of the package. Where it picks with chance ours picks by the run's seed; it also picks pods
that are not ready or about to go, and control-plane nodes: a fault of ours never does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from harness.documents.translate import selection
from harness.documents.translate.selection import AT_ONCE, NodeChoice, Untranslatable
from harness.model.fault import FaultSpec, Rule, Target

Arguments = Mapping[str, Any]
PICKING = ("label_selector", "name_pattern", "all", "rand", "mode", "qty", "grace_period", "ns", "order")
DRAINING = (
    "name", "label_selector", "delete_pods_with_local_storage", "timeout", "count", "pod_label_selector",
    "pod_namespace",
)  # fmt: skip
# Arguments of Chaos Mesh's faults: what they select lies where these say, wherever their own resource is.
SELECTING = ("namespaces_selectors", "target_namespaces_selectors")


def terminate_pods(name: str, arguments: Arguments) -> FaultSpec:
    """Read as pod_kill."""
    selection.only("terminate_pods", arguments, PICKING)
    mode = selection.one_of(arguments, "mode", ("fixed", "percentage"))
    quantity = selection.whole(arguments, "qty", 1) or 0
    grace = selection.whole(arguments, "grace_period", -1)
    every = selection.flag(arguments, "all")
    share = quantity if mode == "percentage" and not every else 0
    if not every and quantity < 1:
        raise Untranslatable(f"'qty' is {quantity}, so that nothing would be touched")
    if share > 100:
        raise Untranslatable(f"'qty' is {share} per cent")
    rule = Rule(
        kind="pod",
        pattern=selection.pattern(arguments, "name_pattern"),
        order=selection.one_of(arguments, "order", ("alphabetic", "oldest")),
        share=share,
        every=every,
        shuffled=selection.flag(arguments, "rand"),
    )
    namespace = selection.text(arguments, "ns", "default")
    if not namespace:
        raise Untranslatable("'ns' is empty, which means every namespace to some and none to others")
    target = Target(
        namespace=namespace,
        selector=selection.text(arguments, "label_selector"),
        pods=0 if every or share else quantity,
        at_once=AT_ONCE,
        rule=rule,
    )
    return FaultSpec("pod_kill", name, target, {"grace": grace if grace is not None and grace >= 0 else None})


def delete_pods(name: str, arguments: Arguments) -> FaultSpec:
    """Read as pod_kill of one pod."""
    selection.only("delete_pods", arguments, ("name", "ns", "label_selector"))
    renamed = {"name_pattern" if key == "name" else key: value for key, value in arguments.items()}
    return terminate_pods(name, renamed)


def cordon_node(name: str, arguments: Arguments) -> FaultSpec:
    """Read as node_cordon."""
    selection.only("cordon_node", arguments, ("name", "label_selector"))
    return FaultSpec("node_cordon", name, _nodes(arguments, count=None), {})


def uncordon_node(_: str, arguments: Arguments) -> NodeChoice:
    """Read as the healing of an earlier step's nodes."""
    selection.only("uncordon_node", arguments, ("name", "label_selector"))
    return choice(arguments)


def drain_nodes(name: str, arguments: Arguments) -> FaultSpec:
    """Read as node_drain; what it spares for its local storage is spared."""
    selection.only("drain_nodes", arguments, DRAINING)
    deadline = selection.whole(arguments, "timeout", 120) or 0
    if deadline < 1:
        raise Untranslatable(f"'timeout' is {deadline}, so that no pod could leave")
    local = selection.flag(arguments, "delete_pods_with_local_storage")
    target = _nodes(arguments, count=selection.whole(arguments, "count", None))
    return FaultSpec("node_drain", name, target, {"deadline": float(deadline), "local": local})


def namespaces(function: str, arguments: Arguments) -> Sequence[Any]:
    """Name the namespaces that a step without a counterpart here acts in, as its arguments tell."""
    module, _, called = function.rpartition(".")
    if module.startswith("chaosk8s.node.") or "cluster_custom_object" in called:
        return ()
    if module.startswith("chaosk8s.namespace."):
        return (arguments.get("name"),)
    if called in ("apply_from_json", "apply_from_yaml"):
        return (_namespace_of(arguments.get("resource")),)
    selected = [name for key in SELECTING for name in _listed(arguments.get(key))]
    return selected or (arguments.get("ns", "default"),)


def _listed(value: Any) -> list[Any]:
    return value.split(",") if isinstance(value, str) else list(value) if isinstance(value, list) else []


def _namespace_of(resource: Any) -> Any:
    """Return the namespace of a resource that is written out as text; None where that cannot be read."""
    try:
        metadata = yaml.safe_load(resource)["metadata"]
        return metadata.get("namespace", "default")
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return None


def choice(arguments: Arguments) -> NodeChoice:
    """Say which nodes a step picks."""
    return NodeChoice(selection.text(arguments, "name"), selection.text(arguments, "label_selector"))


def _nodes(arguments: Arguments, count: int | None) -> Target:
    chosen = choice(arguments)
    pods, namespace = selection.text(arguments, "pod_label_selector"), selection.text(arguments, "pod_namespace")
    if bool(pods) != bool(namespace):
        raise Untranslatable("'pod_label_selector' and 'pod_namespace' say something only together")
    if count is not None and count < 1:
        raise Untranslatable(f"'count' is {count}, so that nothing would be touched")
    every = count is None and not chosen.name
    return Target(
        selector=chosen.selector,
        nodes=1 if chosen.name and count is None else count or 0,
        at_once=AT_ONCE,
        hosting=f"{namespace}/{pods}" if pods else "",
        rule=Rule(kind="node", name=chosen.name, every=every, shuffled=not every),
    )
