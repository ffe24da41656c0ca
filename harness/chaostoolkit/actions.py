"""Faults as Chaos Toolkit actions, one function each; `harness explain fault NAME` says more.

With the harness control in the document, the control's run performs them: load flows, objectives are judged, and what
is broken stays so until the method is over. Without it each action is a run of its own: plan, ledger, lease and keeper
all the same, the fault undone before the action returns, and no objective judged.

A target is a rule: `{namespace, selector, pods}` picks pods, `{nodes, selector}` or `{nodes, hosting: namespace/label}`
picks nodes, with `zones` instead of `nodes` the zones that have such, `{namespace, selector, workloads}` what keeps the
pods that match; how many is a count, a share of those that match like `30%`, or `all`. `at-once` says how many are
broken together, `container` names the container where a pod has several. `{namespace, config: ConfigMap/name}` (or
`Secret/name`), `{namespace, route: VirtualService/name}` (or `Service/name`), `{component: etcd}` and `{namespace}`
name the one thing meant.

`duration` says how long a fault lasts before it is healed; without one it lasts until the method is over. `times` and
`every` do it again, each time with targets that are picked anew. `late: true` picks them when the step's turn comes:
pods that an earlier step makes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.faults import FAULTS, FaultKind
from harness.model.parameter import Type

__all__ = list(FAULTS)

Action = Callable[..., dict[str, Any]]
# What every fault takes besides its own parameters.
COURSE: Mapping[str, type] = {"duration": str, "times": int, "every": str}
# And one of pods.
LATE: Mapping[str, type] = {"late": bool}
# What a parameter is written as in a document, in types that Chaos Toolkit has names for.
TYPES: Mapping[Type, type] = {
    Type.DURATION: str,
    Type.INTEGER: int,
    Type.NUMBER: float,
    Type.RATIO: str,
    Type.BOOLEAN: bool,
    Type.TEXT: str,
    Type.SIGNAL: str,
    Type.BANDWIDTH: str,
    Type.NETWORKS: list,
    Type.PEERS: list,
    Type.ADDRESSES: list,
    Type.PORTS: list,
    Type.NAMES: list,
}


def __getattr__(name: str) -> Action:
    """Say what type the functions have that are made below; whatever else is asked for is not here."""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _action(kind: FaultKind) -> Action:
    """Make the function of a fault, with its parameters as they stand in its file."""
    signature = _signature(kind)

    def action(*args: Any, **kwargs: Any) -> dict[str, Any]:
        given = signature.bind(*args, **kwargs).arguments
        return _perform(kind.name, given.pop("configuration", None), **given)

    action.__name__ = action.__qualname__ = kind.name
    action.__doc__ = "\n\n".join([kind.summary, *(f"`{one.name}`: {one.summary}" for one in kind.parameters)])
    action.__annotations__ = {one.name: one.annotation for one in signature.parameters.values()} | {"return": dict}
    action.__signature__ = signature  # type: ignore[attr-defined]
    return action


def course(kind: FaultKind) -> Mapping[str, type]:
    """Return what a fault takes of how long, how often and when its targets are picked."""
    return {**COURSE, **(LATE if kind.target == "pod" else {})}


def _signature(kind: FaultKind) -> inspect.Signature:
    place = inspect.Parameter.POSITIONAL_OR_KEYWORD
    given = [inspect.Parameter(one.name, place, default=None, annotation=TYPES[one.type]) for one in kind.parameters]
    given += [inspect.Parameter(name, place, default=None, annotation=type_) for name, type_ in course(kind).items()]
    target = inspect.Parameter("target", place, annotation=dict)
    configuration = inspect.Parameter("configuration", place, default=None, annotation=dict)
    return inspect.Signature([target, *given, configuration], return_annotation=dict)


def _perform(kind: str, configuration: Mapping[str, Any] | None, **arguments: Any) -> dict[str, Any]:
    from harness.chaostoolkit import live

    given = {name: value for name, value in arguments.items() if value is not None}
    running = live.current()
    if running:
        return running.perform_named()
    from harness.engine.options import Options
    from harness.engine.single_action import perform

    settings = configuration or {}
    kubeconfig = settings.get("chaos_kubeconfig")
    options = Options(
        kubeconfig=Path(kubeconfig) if kubeconfig else None,
        context=settings.get("chaos_context"),
        runs=Path(settings.get("chaos_runs", "runs")),
    )
    return perform(kind, given, options)


globals().update({name: _action(kind) for name, kind in FAULTS.items()})
