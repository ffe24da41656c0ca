"""What the kinds that Kubernetes and Argo Rollouts document say of themselves: how many pods they want.

Fields as in the API reference of Kubernetes 1.34 (apps/v1, batch/v1, v1) and of Argo Rollouts 1.8 (v1alpha1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.workloads import jobs

Object = Mapping[str, Any]
What = tuple[str, str]  # group, kind

DEPLOYMENT, STATEFUL_SET, DAEMON_SET = ("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet")
REPLICA_SET, REPLICATION_CONTROLLER = ("apps", "ReplicaSet"), ("", "ReplicationController")
JOB, ROLLOUT = ("batch", "Job"), ("argoproj.io", "Rollout")
# What stands between a workload and its pods, one for each release: the one above says how many there should be.
SETS = frozenset({REPLICA_SET, REPLICATION_CONTROLLER})
# Counts of pods by which other controllers tell of themselves.
COUNTS = ("desiredReplicas", "desiredNumberScheduled", "replicas", "pods")


def current(item: Object) -> bool:
    """Say whether an object's status is about its present specification."""
    return bool(item.get("status", {}).get("observedGeneration") == item["metadata"].get("generation"))


def _replicas(item: Object) -> int:
    wanted = item.get("spec", {}).get("replicas")
    return 1 if wanted is None else int(wanted)


def _daemon_set(item: Object) -> int | None:
    return int(item.get("status", {}).get("desiredNumberScheduled", 0)) if current(item) else None


WANTED: Mapping[What, Callable[[Object], int | None]] = {
    DEPLOYMENT: _replicas,
    REPLICA_SET: _replicas,
    REPLICATION_CONTROLLER: _replicas,
    STATEFUL_SET: _replicas,
    ROLLOUT: _replicas,
    DAEMON_SET: _daemon_set,
    JOB: jobs.wanted,
}


def ends(what: What) -> bool:
    """Say whether the pods of a kind may end well; those of a kind that nobody knows may."""
    return what == JOB or what not in WANTED


def counted(item: Object) -> int | None:
    """Return the highest count of pods in the status of a kind that nobody knows; None where there is none."""
    status = item.get("status")
    values = [status.get(name) for name in COUNTS] if isinstance(status, Mapping) else []
    return max((value for value in values if isinstance(value, int) and not isinstance(value, bool)), default=None)
