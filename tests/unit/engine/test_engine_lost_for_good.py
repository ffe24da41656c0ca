"""A fault that would lose a pod for good is refused before anything is touched."""

from __future__ import annotations

from typing import Any

import pytest

from harness.engine.planning import lost_for_good
from harness.errors import UsageError
from harness.model.fault import Hand
from harness.model.plan import PlannedFault, Victim
from harness.workloads import Owners
from harness.workloads.once import Once

pytestmark = pytest.mark.anyio
POD = Victim("pod", "web-1", "uid-1", "shop", "worker", container="web")
NODE = Victim("node", "worker", "uid-n", node="worker")


class Cluster:
    """One pod that no controller owns; or none."""

    def __init__(self, *, there: bool = True) -> None:
        self.there = there

    async def list(self, path: str) -> list[dict[str, Any]]:
        assert path.endswith("/namespaces/shop/pods")
        metadata = {"name": "web-1", "namespace": "shop", "uid": "uid-1"}
        return [{"metadata": metadata, "spec": {"containers": [{"name": "web"}]}}] if self.there else []


async def require(cluster: Any, *faults: PlannedFault) -> None:
    await lost_for_good.require(cluster, Owners(Once(cluster)), faults)


def fault(kind: str) -> PlannedFault:
    if kind.startswith("node"):
        return PlannedFault("f", kind, "break it", Hand.API, NODE, takes=(POD,))
    return PlannedFault("f", kind, "break it", Hand.API, POD)


@pytest.mark.parametrize("kind", ["pod_kill", "pod_evict", "node_drain"])
async def test_a_pod_that_would_be_lost_is_refused_by_name(kind: str) -> None:
    with pytest.raises(UsageError, match="nothing would replace this pod") as refused:
        await require(Cluster(), fault(kind))
    assert (refused.value.where, refused.value.why) == (f"{kind} on shop/web-1", "no controller owns it")


@pytest.mark.case(13, "a pod that nobody replaces, and a fault that leaves it", "allowed: nothing is lost")
@pytest.mark.parametrize(
    "kind", ["pod_freeze", "container_kill", "node_cordon", "node_freeze", "node_stop", "node_disconnect"]
)
async def test_a_pod_that_stays_is_not_refused(kind: str) -> None:
    await require(Cluster(), fault(kind))


async def test_a_pod_that_went_since_is_told_of_by_its_fault() -> None:
    await require(Cluster(there=False), fault("pod_kill"))


class Batch:
    """A Job in the namespace shop and so many pods of its, or as many Jobs as pods."""

    def __init__(self, pods: int, jobs: int = 1, **spec: Any) -> None:
        self.asked: list[str] = []
        self.spec = {"parallelism": pods, "completions": pods, **spec}
        self.pods = [self._pod(number, f"job-{number % jobs}") for number in range(pods)]

    @staticmethod
    def _pod(number: int, job: str) -> dict[str, Any]:
        reference = {"apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": f"uid-{job}", "controller": True}
        metadata = {"name": f"p-{number}", "namespace": "shop", "uid": f"uid-{number}", "ownerReferences": [reference]}
        return {"metadata": metadata, "spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]}}

    async def list(self, path: str) -> list[dict[str, Any]]:
        return self.pods

    async def get(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        if path == "/apis/batch/v1":
            return {"resources": [{"name": "jobs", "kind": "Job", "namespaced": True}]}
        return {"metadata": {"uid": f"uid-{path.rpartition('/')[2]}"}, "spec": self.spec}

    def faults(self, kind: str = "pod_kill") -> list[PlannedFault]:
        """Plan to take every pod."""
        victims = [Victim("pod", one["metadata"]["name"], one["metadata"]["uid"], "shop", "w") for one in self.pods]
        return [PlannedFault(one.name, kind, "break it", Hand.API, one) for one in victims]


async def test_a_job_is_asked_whether_it_may_fail_as_often_as_the_plan_has_it_fail() -> None:
    batch = Batch(3, backoffLimit=2)
    await require(batch, *batch.faults()[:2])
    with pytest.raises(UsageError, match="nothing would replace this pod") as refused:
        await require(batch, *batch.faults())
    assert refused.value.where == "pod_kill on shop/p-2"
    assert "2 more of its pods are to go, and may fail 2 times" in refused.value.why


async def test_pods_that_a_fault_leaves_are_no_failures_of_their_job() -> None:
    batch = Batch(3, backoffLimit=1)
    await require(batch, *batch.faults("pod_freeze"), batch.faults()[0])


@pytest.mark.case(13, "two pods of a Job whose containers may be started again once", "one is killed, and not both")
async def test_a_job_is_asked_whether_containers_may_start_as_often_as_the_plan_has_them_start() -> None:
    batch = Batch(2, backoffLimit=2)
    for one in batch.pods:
        one["spec"]["restartPolicy"] = "OnFailure"
    await require(batch, batch.faults("container_kill")[0])
    with pytest.raises(UsageError, match="nothing would replace this pod") as refused:
        await require(batch, *batch.faults("container_kill"))
    assert refused.value.where == "container_kill on shop/p-1"


class Members(Batch):
    """The pods db-0, db-1 of a StatefulSet, of which those in `broken` are not ready."""

    def __init__(self, *broken: int) -> None:
        super().__init__(2)
        for number, one in enumerate(self.pods):
            reference = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "uid-db"}
            one["metadata"] |= {"name": f"db-{number}", "ownerReferences": [{**reference, "controller": True}]}
            one["status"] = {"conditions": [{"type": "Ready", "status": str(number not in broken)}]}

    async def get(self, path: str) -> dict[str, Any]:
        if path == "/apis/apps/v1":
            return {"resources": [{"name": "statefulsets", "kind": "StatefulSet", "namespaced": True}]}
        return {"metadata": {"uid": "uid-db"}, "spec": {"replicas": 2}}


async def test_a_pod_that_its_set_would_not_make_before_another_is_ready_is_refused() -> None:
    await require(Members(), *Members().faults())
    broken = Members(0)
    with pytest.raises(UsageError, match="nothing would replace this pod") as refused:
        await require(broken, broken.faults()[1])
    assert (refused.value.where, "db-0 is not ready" in refused.value.why) == ("pod_kill on shop/db-1", True)
    assert "pod_freeze" in refused.value.hint
    await require(broken, broken.faults()[0], *broken.faults("pod_freeze"))


@pytest.mark.parametrize(("pods", "jobs"), [(2, 1), (40, 1), (40, 4)])
async def test_a_plan_asks_for_each_owner_once_however_many_pods_it_has(pods: int, jobs: int) -> None:
    batch = Batch(pods, jobs, backoffLimit=100)
    await require(batch, *batch.faults())
    assert len(batch.asked) == 1 + jobs
