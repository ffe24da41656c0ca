"""Read steps of other drivers as faults of ours, where they mean the same.

What is translated is planned, capped, written down, undone and seen like any fault; the driver's own function is then
never called. What has no counterpart stays foreign, and the plan names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.documents.translate import chaosk8s, commands
from harness.documents.translate.commands import EVERY, change, elsewhere
from harness.documents.translate.selection import NodeChoice, Untranslatable
from harness.model.fault import FaultSpec

__all__ = ["EVERY", "NodeChoice", "Untranslatable", "change", "elsewhere", "known", "namespaces", "step"]

Arguments = Mapping[str, Any]
# How a process is named, before its path.
PROCESS = "process "
Reader = Callable[[str, Arguments], FaultSpec | NodeChoice]

READERS: Mapping[str, Reader] = {
    "chaosk8s.pod.actions.terminate_pods": chaosk8s.terminate_pods,
    "chaosk8s.pod.actions.delete_pods": chaosk8s.delete_pods,
    "chaosk8s.actions.delete_pods": chaosk8s.delete_pods,
    "chaosk8s.node.actions.cordon_node": chaosk8s.cordon_node,
    "chaosk8s.node.actions.drain_nodes": chaosk8s.drain_nodes,
    "chaosk8s.node.actions.uncordon_node": chaosk8s.uncordon_node,
}


def known(function: str) -> bool:
    """Say whether a function, named with its module, has a counterpart here."""
    return function in READERS


def step(function: str, name: str, arguments: Arguments) -> FaultSpec | NodeChoice:
    """Translate one step, called `name` in its document; a NodeChoice are the nodes that are to be uncordoned.

    Raises Untranslatable, with the reason, for arguments that the driver would refuse or that mean something else.
    """
    return READERS[function](name, arguments)


def namespaces(function: str, arguments: Any) -> tuple[str, ...]:
    """Name the namespaces that a foreign step acts in, as far as its driver is known; none when not."""
    found: Sequence[Any] = ()
    if function.startswith(PROCESS):
        found = commands.namespaces(function.removeprefix(PROCESS), arguments)
    elif function.startswith("chaosk8s.") and isinstance(arguments, Mapping):
        found = chaosk8s.namespaces(function, arguments)
    # What is known only when it runs names nothing yet.
    return tuple(dict.fromkeys(name for name in found if isinstance(name, str) and name and "$" not in name))
