"""What becomes of a release of a Rollout."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from harness.probes import kubernetes
from harness.probes.settings import Settings
from harness.probes.waiting import waited
from harness.workloads import releases
from harness.workloads.releases import State


def outcome(namespace: str, rollout: str, wait: float = 0.0, secrets: Settings = None) -> str:
    """Return whether the newest release is promoted, rolled-back or under way, after so many seconds at the most.

    Until the time is up a look that nobody answers says no more than that it is under way.
    """
    look = partial(_look, namespace, rollout, secrets)
    return waited(look, lambda found: found.outcome != releases.UNDER_WAY, wait).outcome


def weight(namespace: str, rollout: str, least: float, wait: float, secrets: Settings = None) -> float:
    """Return the newest release's share of the requests in per cent, as soon as it has `least` of them or is decided.

    That is 100 for one that is promoted, 0 for one that is rolled back, and what it has after so many seconds. Until
    then a look that nobody answers says nothing.
    """
    look = partial(_look, namespace, rollout, secrets)
    found = waited(look, lambda found: found.weight >= least or found.outcome != releases.UNDER_WAY, wait)
    # Whoever gives a release up says so before the route says it.
    return 0.0 if found.outcome == releases.ROLLED_BACK else found.weight


def _look(namespace: str, rollout: str, secrets: Settings) -> State:
    item = kubernetes.custom("argoproj.io/v1alpha1", namespace, "rollouts", rollout, secrets)
    state = releases.state(item)
    if state.outcome == releases.UNDER_WAY:
        return state
    # Where it is scaled at the same time, the controller says that it has seen the template while all else that it says
    # is still of the last release.
    wanted = ((item["spec"].get("template") or {}).get("metadata") or {}).get("annotations") or {}
    if wanted and not wanted.items() <= _annotations(namespace, f"{rollout}-{state.newest}", secrets).items():
        return State()
    return state


def _annotations(namespace: str, replica_set: str, secrets: Settings) -> Mapping[str, Any]:
    found = kubernetes.replica_set(namespace, replica_set, secrets).spec.template.metadata.annotations
    return found or {}
