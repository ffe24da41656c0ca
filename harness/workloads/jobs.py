"""What a Job makes of a pod that ends before its work is done: another one, or an end of the Job itself.

As the Job controller of Kubernetes 1.34 decides it (pkg/controller/job: job_controller.go, pod_failure_policy.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.workloads.pod import is_done

Object = Mapping[str, Any]
# What SIGKILL and SIGTERM leave; a program that catches SIGTERM may leave anything else.
SIGNALLED = (137, 143)
DISRUPTED = "DisruptionTarget"
OVER = frozenset({"Complete", "Failed", "SuccessCriteriaMet", "FailureTarget"})
LOST = frozenset({"Failed", "FailureTarget"})
COUNT, IGNORE = "Count", "Ignore"
ENDS = {"FailJob": "the Job", "FailIndex": "the pod's index"}
FAILURES = "batch.kubernetes.io/job-index-failure-count"
BACKOFF_LIMIT = 6


@dataclass(frozen=True, slots=True)
class Ending:
    """How a pod comes to its end: evicted, which the API server marks on it, or not.

    `others` are pods of the same workload that end before it.
    """

    evicted: bool = False
    others: int = 0


def wanted(item: Object, ended: int = 0) -> int:
    """Count the pods that a Job keeps running: none once it is over, and none anew once a work queue has ended.

    Its status counts the pods that ended well a second or more after they did; `ended` of them were seen.
    """
    spec, status = item.get("spec", {}), item.get("status", {})
    if spec.get("suspend") or _is(item, OVER):
        return 0
    succeeded = max(ended, int(status.get("succeeded", 0)) + _uncounted(item, "succeeded"))
    parallel, completions = spec.get("parallelism", 1), spec.get("completions")
    if completions is None:
        return 0 if succeeded else int(parallel)
    return max(0, min(int(parallel), int(completions) - succeeded - _given_up(status)))


def _given_up(status: Object) -> int:
    """Count the indexes that may fail no more, written as 1,3-5."""
    spans = (part.partition("-") for part in filter(None, str(status.get("failedIndexes") or "").split(",")))
    return sum(int(last or first) - int(first) + 1 for first, _, last in spans)


def failed(item: Object) -> str:
    """Say why a Job has failed, or is about to; empty where it has not."""
    found = next((one for one in _conditions(item) if one["type"] in LOST and one["status"] == "True"), None)
    return f"the Job has failed: {found.get('message') or found.get('reason') or found['type']}" if found else ""


def given_up(item: Object, pod: Object, ending: Ending) -> str:
    """Say why a Job that goes on would make no other pod for one that ends so; empty where it would.

    A pod that is deleted before its end counts as one that failed, unless the Job's podFailurePolicy ignores it.
    """
    spec = item.get("spec", {})
    actions = {_action(spec, pod, code, ending) for code in SIGNALLED}
    for action, what in ENDS.items():
        if action in actions:
            return f"its podFailurePolicy would fail {what}"
    if actions == {IGNORE}:
        return ""
    each = spec.get("backoffLimitPerIndex")
    if each is not None:
        alone = int((pod["metadata"].get("annotations") or {}).get(FAILURES, 0))
        if alone >= int(each):
            return f"this index has failed {alone} times and may fail {each} times"
    limit = spec.get("backoffLimit", BACKOFF_LIMIT if each is None else None)
    before = int(item.get("status", {}).get("failed", 0)) + _uncounted(item, "failed")
    if limit is None or before + ending.others < int(limit):
        return ""
    more = f", {ending.others} more of its pods are to go," if ending.others else ""
    return f"it has failed {before} times{more} and may fail {limit} times"


def worn_out(item: Object, own: Iterable[Object], others: int = 0) -> str:
    """Say why a Job would end when a container of its pods is started once more; empty where it would not.

    Where containers start again that failed the Job counts each start in all of its pods that have not ended, those of
    `others` that are to come before, too.
    """
    spec, live = item.get("spec", {}), [pod for pod in own if not is_done(pod)]
    if any(pod["spec"].get("restartPolicy") != "OnFailure" for pod in live):
        return ""
    starts, limit = sum(map(_starts, live)) + others, spec.get("backoffLimit", BACKOFF_LIMIT)
    return f"its containers were started again {starts} times and may be {limit} times" if starts + 1 >= limit else ""


def _starts(pod: Object) -> int:
    status = pod.get("status", {})
    containers = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    return sum(int(one.get("restartCount", 0)) for one in containers)


def _action(spec: Object, pod: Object, code: int, ending: Ending) -> str:
    """Return what the first rule of the Job's podFailurePolicy that matches says; without one a failure counts."""
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        if _meets_code(rule.get("onExitCodes"), pod, code) or _meets_condition(rule.get("onPodConditions"), ending):
            return str(rule["action"])
    return COUNT


def _meets_code(wanted: Object | None, pod: Object, code: int) -> bool:
    if not wanted:
        return False
    spec = pod["spec"]
    containers = {one["name"] for one in (*spec.get("containers", ()), *(spec.get("initContainers") or ()))}
    if wanted.get("containerName") and wanted["containerName"] not in containers:
        return False
    return (code in (wanted.get("values") or ())) is (wanted.get("operator") == "In")


def _meets_condition(wanted: Any, ending: Ending) -> bool:
    return ending.evicted and any(one["type"] == DISRUPTED and one.get("status") == "True" for one in wanted or ())


def _uncounted(item: Object, how: str) -> int:
    return len((item.get("status", {}).get("uncountedTerminatedPods") or {}).get(how) or ())


def _conditions(item: Object) -> list[Object]:
    return list(item.get("status", {}).get("conditions") or ())


def _is(item: Object, types: frozenset[str]) -> bool:
    return any(one["type"] in types and one["status"] == "True" for one in _conditions(item))
