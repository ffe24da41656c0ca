"""What the kinds that Kubernetes and Argo Rollouts document say of themselves: wanted pods, and whether they go on.

Fields as in the API reference of Kubernetes 1.34 (apps/v1, batch/v1, v1) and of Argo Rollouts 1.8 (v1alpha1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Object = Mapping[str, Any]
What = tuple[str, str]  # group, kind

DEPLOYMENT, STATEFUL_SET, DAEMON_SET = ("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet")
REPLICA_SET, REPLICATION_CONTROLLER = ("apps", "ReplicaSet"), ("", "ReplicationController")
JOB, ROLLOUT = ("batch", "Job"), ("argoproj.io", "Rollout")
# What stands between a workload and its pods, one for each release: the one above says how many there should be.
SETS = frozenset({REPLICA_SET, REPLICATION_CONTROLLER})
# Counts of pods by which other controllers tell of themselves.
COUNTS = ("desiredReplicas", "desiredNumberScheduled", "replicas", "pods")
FINISHED = frozenset({"Complete", "Failed", "SuccessCriteriaMet", "FailureTarget"})
FAILURES = "batch.kubernetes.io/job-index-failure-count"
BACKOFF_LIMIT = 6


def current(item: Object) -> bool:
    """Say whether an object's status is about its present specification."""
    return bool(item.get("status", {}).get("observedGeneration") == item["metadata"].get("generation"))


def _replicas(item: Object) -> int:
    wanted = item.get("spec", {}).get("replicas")
    return 1 if wanted is None else int(wanted)


def _daemon_set(item: Object) -> int | None:
    return int(item.get("status", {}).get("desiredNumberScheduled", 0)) if current(item) else None


def job(item: Object, ended: int = 0) -> int:
    """Count the pods that a Job keeps running: none once it is over, and none anew once a work queue has ended.

    Its status counts the pods that ended well a second or more after they did; `ended` of them were seen.
    """
    spec, status = item.get("spec", {}), item.get("status", {})
    if spec.get("suspend") or _finished(item):
        return 0
    uncounted = status.get("uncountedTerminatedPods") or {}
    succeeded = max(ended, int(status.get("succeeded", 0)) + len(uncounted.get("succeeded") or ()))
    parallel, completions = spec.get("parallelism", 1), spec.get("completions")
    if completions is None:
        return 0 if succeeded else int(parallel)
    return max(0, min(int(parallel), int(completions) - succeeded))


def _finished(item: Object) -> bool:
    conditions = item.get("status", {}).get("conditions") or []
    return any(one["type"] in FINISHED and one["status"] == "True" for one in conditions)


WANTED: Mapping[What, Callable[[Object], int | None]] = {
    DEPLOYMENT: _replicas,
    REPLICA_SET: _replicas,
    REPLICATION_CONTROLLER: _replicas,
    STATEFUL_SET: _replicas,
    ROLLOUT: _replicas,
    DAEMON_SET: _daemon_set,
    JOB: job,
}


def ends(what: What) -> bool:
    """Say whether the pods of a kind may end well; those of a kind that nobody knows may."""
    return what == JOB or what not in WANTED


def counted(item: Object) -> int | None:
    """Give the highest count of pods in the status of a kind that nobody knows; None where there is none."""
    status = item.get("status")
    values = [status.get(name) for name in COUNTS] if isinstance(status, Mapping) else []
    return max((value for value in values if isinstance(value, int) and not isinstance(value, bool)), default=None)


def given_up(what: What, item: Object, pod: Object) -> str:
    """Say why a controller that is there makes no other pod for this one; empty where it would."""
    if what != JOB:
        return ""
    spec, failed = item.get("spec", {}), int(item.get("status", {}).get("failed", 0))
    each = spec.get("backoffLimitPerIndex")
    if each is not None:
        failed = int((pod["metadata"].get("annotations") or {}).get(FAILURES, 0))
    limit = int(spec.get("backoffLimit", BACKOFF_LIMIT) if each is None else each)
    # The Job counts a pod that was deleted before its end as one that failed.
    return f"it has failed {failed} times and may fail {limit} times" if failed >= limit else ""
