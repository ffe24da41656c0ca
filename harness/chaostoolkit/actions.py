"""Faults as Chaos Toolkit actions, one function each; `harness explain fault NAME` says more.

With the harness control in the document, the control's run performs them: load flows, objectives are judged, and what
is broken stays so until the method is over. Without it each action is a run of its own: plan, ledger, lease and keeper
all the same, the fault undone before the action returns, and no objective judged.

A target is a rule: `{namespace, selector, pods}` picks pods, `{nodes, selector}` or `{nodes, hosting: namespace/label}`
picks nodes; how many is a count, a share of those that match like `30%`, or `all`. `at-once` says how many are broken
together, `container` names the container where a pod has several.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = [
    "container_kill",
    "node_cordon",
    "node_drain",
    "node_freeze",
    "node_stop",
    "pod_evict",
    "pod_freeze",
    "pod_kill",
]

Target = Mapping[str, Any]
Settings = Mapping[str, Any] | None


def pod_kill(target: Target, grace: int | None = None, configuration: Settings = None) -> dict[str, Any]:
    """Delete pods; `grace` is their time to leave in seconds, 0 kills at once."""
    return _perform("pod_kill", configuration, target=target, grace=grace)


def pod_evict(target: Target, deadline: str | None = None, configuration: Settings = None) -> dict[str, Any]:
    """Ask the eviction API to remove pods; what a budget refuses is asked again until `deadline`."""
    return _perform("pod_evict", configuration, target=target, deadline=deadline)


def container_kill(target: Target, signal: str | None = None, configuration: Settings = None) -> dict[str, Any]:
    """Send a signal to the main process of one container of each pod, the default one; the kubelet restarts it."""
    return _perform("container_kill", configuration, target=target, signal=signal)


def pod_freeze(target: Target, configuration: Settings = None) -> dict[str, Any]:
    """Freeze every process of pods, sidecars too: connections stay open and nothing answers."""
    return _perform("pod_freeze", configuration, target=target)


def node_cordon(target: Target, configuration: Settings = None) -> dict[str, Any]:
    """Mark nodes unschedulable."""
    return _perform("node_cordon", configuration, target=target)


def node_drain(
    target: Target, deadline: str | None = None, local: bool | None = None, configuration: Settings = None
) -> dict[str, Any]:
    """Cordon nodes and evict their pods; what budgets refuse is asked again until `deadline`.

    `local: false` spares pods with emptyDir volumes.
    """
    return _perform("node_drain", configuration, target=target, deadline=deadline, local=local)


def node_freeze(target: Target, configuration: Settings = None) -> dict[str, Any]:
    """Freeze nodes: every process stops, requests to them hang."""
    return _perform("node_freeze", configuration, target=target)


def node_stop(target: Target, configuration: Settings = None) -> dict[str, Any]:
    """Stop nodes as a loss of power does, and start them again to heal."""
    return _perform("node_stop", configuration, target=target)


def _perform(kind: str, configuration: Settings, **arguments: Any) -> dict[str, Any]:
    from harness.chaostoolkit import live

    given = {name: value for name, value in arguments.items() if value is not None}
    running = live.current()
    if running:
        return running.perform_named()
    from harness.engine.options import Options
    from harness.engine.single import perform

    settings = configuration or {}
    kubeconfig = settings.get("chaos_kubeconfig")
    options = Options(
        kubeconfig=Path(kubeconfig) if kubeconfig else None,
        context=settings.get("chaos_context"),
        runs=Path(settings.get("chaos_runs", "runs")),
    )
    return perform(kind, given, options)
