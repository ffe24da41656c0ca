"""Whoever owns a pod, on a real cluster: healed, spared one by one, judged and refused by ownership."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.checkers import disruption_budget
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.faults import FAULTS
from harness.hands.healer import Nobody
from harness.model.history import History
from harness.model.plan import PlannedFault, Victim
from harness.model.verdict import State
from harness.targets import eviction
from harness.targets.reach import Reach
from tests.e2e import farm
from tests.e2e.farm import Space, budget, template, workload
from tests.e2e.live import asked, events, harness, kubectl
from tests.e2e.namespaces import emptied

pytestmark = pytest.mark.e2e
NUMBERS = itertools.count()
RECOVERY = "recovery: {within: 60s}"


@pytest.fixture(scope="module")
def spaces(cluster: LocalCluster) -> Iterator[list[str]]:
    """The definition of the custom resource; nothing is left in the namespaces that were made afterwards."""
    made: list[str] = []
    kubectl(cluster, "create", "-f", "-", given=json.dumps(farm.definition()))
    yield made
    there = kubectl(cluster, "get", "namespaces", "-o", "jsonpath={.items[*].metadata.name}").split()
    asked(cluster, lambda kube: emptied(kube, *{*made} & {*there}))
    kubectl(cluster, "delete", "crd", f"kine.{farm.GROUP}")


@pytest.fixture
def space(cluster: LocalCluster, spaces: list[str]) -> Iterator[Space]:
    """A namespace of the test's own."""
    name = f"t-workloads-{next(NUMBERS)}"
    spaces.append(name)
    kubectl(cluster, "create", "namespace", name)
    yield Space(cluster, name)
    kubectl(cluster, "delete", "namespace", name, "--wait=false")


@pytest.mark.case(
    3, "a custom resource that does not say how many pods it wants", "the next pod is spared until it is back"
)
def test_the_pods_of_a_custom_resource_are_killed_one_by_one(space: Space, image: str, tmp_path: Path) -> None:
    with farm.herded(space, "elsie", template(image, slow=3), 3):
        ran = space.run(tmp_path, "pod_kill", "selector: cow=elsie, pods: 2, at-once: 1", RECOVERY)
    assert ran.exit == 0, ran.said
    assert ran.one_by_one
    assert {one["evidence"]["owner"] for one in ran.of("fault.healed")} == {"Cow/elsie"}
    assert all(one["after"] >= 2 for one in ran.of("fault.healed"))


@pytest.mark.case(
    3, "a StatefulSet one of whose first pods is broken", "a pod behind it is spared: nobody would make it again"
)
def test_a_pod_behind_a_broken_one_of_its_set_is_spared(space: Space, image: str, tmp_path: Path) -> None:
    by_hand = {"podManagementPolicy": "OrderedReady", "updateStrategy": {"type": "OnDelete"}}
    space.make(workload("StatefulSet", "db", {"app": "db"}, template(image), **by_hand))
    space.ready(2)
    # What comes in place of the first is never Ready.
    port = "/spec/template/spec/containers/0/readinessProbe/httpGet/port"
    patch = json.dumps([{"op": "replace", "path": port, "value": 9}])
    space.kubectl("patch", "statefulset", "db", "--type=json", "-p", patch)
    space.kubectl("delete", "pod", "db-0")
    farm.until(lambda: {one["metadata"]["name"] for one in space.pods("app=db")} == {"db-0", "db-1"})
    target = "selector: statefulset.kubernetes.io/pod-name=db-1, pods: 1"
    done = harness("plan", space.document(tmp_path, "pod_kill", target, RECOVERY), check=False)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "makes one pod after the other, and db-0 is" in done.stderr


@pytest.mark.case(4, "two workloads whose pods share labels", "healed counts the owner's own pods")
def test_two_deployments_with_the_same_labels_do_not_heal_each_other(space: Space, image: str, tmp_path: Path) -> None:
    for tier, slow, replicas in (("web", 2, 2), ("api", 0, 3)):
        made = workload("Deployment", tier, {"app": "shop", "tier": tier}, template(image, slow=slow), replicas)
        made["spec"]["selector"] = {"matchLabels": {"app": "shop"}}
        space.make(made)
    space.ready(5)
    ran = space.run(tmp_path, "pod_kill", "selector: tier=web, pods: 2, at-once: 1", RECOVERY)
    assert ran.exit == 0, ran.said
    assert ran.one_by_one
    assert {one["evidence"]["owner"] for one in ran.of("fault.healed")} == {"Deployment/web"}


KINDS = ("StatefulSet", "ReplicationController", "ReplicaSet", "Deployment")


@pytest.fixture(scope="module")
def slow_ones(cluster: LocalCluster, spaces: list[str], image: str) -> dict[str, Space]:
    """A workload of each kind whose pods take their time to be ready, each in its own namespace, begun together."""
    made = {kind: Space(cluster, f"t-workloads-slow-{number}") for number, kind in enumerate(KINDS)}
    for kind, space in made.items():
        spaces.append(space.name)
        kubectl(cluster, "create", "namespace", space.name)
        space.make(workload(kind, "db", {"app": "db"}, template(image, slow=3)))
    for space in made.values():
        space.ready(2)
    return made


@pytest.mark.case(5, "a workload of any kind whose pod is killed", "its missing pods deviate as a Deployment's do")
@pytest.mark.parametrize("kind", KINDS)
def test_a_recovery_that_is_too_slow_deviates_whatever_the_kind(
    kind: str, slow_ones: dict[str, Space], tmp_path: Path
) -> None:
    ran = slow_ones[kind].run(tmp_path, "pod_kill", "selector: app=db, pods: 1", "recovery: {within: 2s}")
    # On a machine that others have, nobody knows why it took so long.
    assert ran.exit in (1, 2), ran.said
    assert "ready pods were missing" in ran.finding("recovery")["summary"]
    assert ran.of("fault.healed")[0]["evidence"]["owner"] == f"{kind}/db"


@pytest.mark.case(12, "an owner of any kind", "owned")
@pytest.mark.parametrize("kind", ["ReplicationController", "ReplicaSet", "DaemonSet"])
def test_what_owns_a_pod_replaces_it(kind: str, space: Space, image: str, tmp_path: Path) -> None:
    space.make(workload(kind, "old", {"app": "old"}, template(image)))
    space.ready(2)
    ran = space.run(tmp_path, "pod_kill", "selector: app=old, pods: 1", RECOVERY)
    assert ran.exit == 0, ran.said
    assert ran.of("fault.healed")[0]["evidence"]["owner"] == f"{kind}/old"


def test_a_job_makes_another_pod_until_it_may_fail_no_more(space: Space, image: str, tmp_path: Path) -> None:
    for name, limit in (("retries", 2), ("once", 0)):
        pod = template(image, restartPolicy="Never")
        space.make(workload("Job", name, {"app": name}, pod, backoffLimit=limit))
    space.ready(2)
    refused = harness(
        "plan", space.document(tmp_path, "pod_kill", "selector: app=once, pods: 1", RECOVERY), check=False
    )
    assert refused.returncode == 4
    assert "Job/once would make no other" in " ".join(refused.stderr.split())
    ran = space.run(tmp_path, "pod_kill", "selector: app=retries, pods: 1", RECOVERY)
    assert ran.exit == 0, ran.said


@pytest.mark.case(13, "a pod that nobody replaces", "refused where it would be lost, allowed where it would not")
def test_a_bare_pod_is_only_hit_by_what_leaves_it(space: Space, image: str, tmp_path: Path) -> None:
    metadata = {"name": "lone", "labels": {"app": "lone"}}
    space.make({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template(image)})
    space.ready(1)
    for kind in ("pod_kill", "pod_evict"):
        objective = RECOVERY if kind == "pod_kill" else "disruption-budget: {name: none}"
        refused = harness("plan", space.document(tmp_path, kind, "selector: app=lone, pods: 1", objective), check=False)
        assert refused.returncode == 4
        assert "nothing would replace this pod" in " ".join(refused.stderr.split())
    uid = space.pods()[0]["metadata"]["uid"]
    for kind in ("pod_freeze", "container_kill"):
        ran = space.run(tmp_path / kind, kind, "selector: app=lone, pods: 1", RECOVERY)
        assert ran.exit == 0, ran.said
    assert space.pods()[0]["metadata"]["uid"] == uid


@pytest.mark.case(10, "more pods wanted during the window", "what is asked for later is no loss")
def test_a_deployment_that_is_scaled_up_beside_the_fault_is_no_loss(space: Space, image: str, tmp_path: Path) -> None:
    # No node has room for the last of them: what is asked for never comes.
    alone = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [alone]}}
    space.make(workload("Deployment", "web", {"app": "web"}, template(image, affinity=affinity), 2))
    space.ready(2)

    def scale() -> None:
        def struck() -> bool:
            found = [one for run in (tmp_path / "runs").glob("*") for one in events(run)]
            return any(one["type"] == "fault.injected" for one in found)

        farm.until(struck)
        space.kubectl("scale", "deployment/web", "--replicas=6")

    beside = threading.Thread(target=scale)
    beside.start()
    words = ("pod_kill", "selector: app=web, pods: 1", "recovery: {within: 20s}")
    ran = space.run(tmp_path, *words, hold="5s", recovery="25s")
    beside.join()
    assert space.kubectl("get", "deployment/web", "-o", "jsonpath={.spec.replicas}") == "6"
    assert ran.exit == 0, ran.said


LONG = "c" * 62


@pytest.mark.case(
    11, "a workload with a long name, or one that begins like another's", "its owner is found by reference"
)
@pytest.mark.parametrize(("kind", "name"), [("Deployment", LONG), ("StatefulSet", "keycloak-postgresql")])
def test_the_ready_pods_of_the_evicted_pods_owner_are_promised(
    kind: str, name: str, space: Space, image: str, tmp_path: Path
) -> None:
    labels = {"app": "evicted"}
    space.make(
        workload(kind, name, labels, template(image), 3),
        workload("Deployment", "keycloak", {"app": "keycloak"}, template(image), 1),
        budget("evicted", labels, minAvailable=2),
    )
    space.ready(4)
    farm.until(lambda: space.kubectl("get", "pdb/evicted", "-o", "jsonpath={.status.disruptionsAllowed}") == "1")
    promise = "disruption-budget: {name: evicted, min-available: 2}"
    ran = space.run(tmp_path, "pod_evict", "selector: app=evicted, pods: 2, at-once: 2", promise)
    assert ran.exit == 0, ran.said
    assert ran.finding("disruption-budget")["summary"] == "1 granted, 1 refused"
    assert {one["owner"] for one in ran.of("eviction")} == {f"{space.name}/{kind}/{name}"}


@pytest.mark.case(
    23, "a pod that takes long to terminate", "felt when it is going; waited for as long as its own grace"
)
def test_a_pod_that_takes_its_time_is_felt_at_once_and_waited_for(space: Space, image: str, tmp_path: Path) -> None:
    pod = template(image, grace=7, server=farm.STUBBORN)
    space.make(workload("StatefulSet", "slow", {"app": "slow"}, pod, 1))
    space.ready(1)
    ran = space.run(tmp_path, "pod_kill", "selector: app=slow, pods: 1", "recovery: {within: 5s}", recovery="10s")
    assert ran.finding("recovery")["state"] != "held", ran.said
    assert ran.of("fault.felt")[0]["after"] < 5
    assert ran.of("fault.healed")[0]["after"] > 5


# What the API server says, how ready the pod is, and what a budget of it allows.
STANDINGS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "never ready": ({"minAvailable": 1}, {"readinessProbe": None}, 201),
    "never ready, too few": ({"minAvailable": 2}, {"readinessProbe": None}, 429),
    "always allowed": (
        {"minAvailable": 2, "unhealthyPodEvictionPolicy": "AlwaysAllow"},
        {"readinessProbe": None},
        201,
    ),
    "pending": ({"minAvailable": 2}, {"image": "none.example/none", "readinessProbe": None}, 201),
    "ready": ({"minAvailable": 2}, {}, 429),
}  # fmt: skip
NEVER = {"exec": {"command": ["false"]}, "periodSeconds": 1}


@pytest.mark.case(9, "an eviction that the API server grants by its own rules", "a right answer")
@pytest.mark.parametrize("standing", STANDINGS)
def test_an_eviction_is_judged_as_the_api_server_decides_it(
    standing: str, cluster: LocalCluster, space: Space, image: str
) -> None:
    spec, different, status = STANDINGS[standing]
    labels = {"app": "web"}
    odd = template(image)
    if different:
        odd["containers"][0] |= {**different, "readinessProbe": NEVER}
    space.make(
        workload("ReplicaSet", "good", {**labels, "tier": "good"}, template(image), 1),
        workload("ReplicaSet", "odd", {**labels, "tier": "odd"}, odd, 1),
        budget("web", labels, **spec),
    )
    space.ready(1 if different else 2)
    phase = "Pending" if "image" in different else "Running"
    farm.until(lambda: [one["status"]["phase"] for one in space.pods("tier=odd")] == [phase])
    farm.until(lambda: space.kubectl("get", "pdb/web", "-o", "jsonpath={.status.expectedPods}") == "2")
    farm.until(lambda: space.kubectl("get", "pdb/web", "-o", "jsonpath={.status.disruptionsAllowed}") == "0")
    seen: list[dict[str, Any]] = []

    async def evict() -> None:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            reach = Reach(kube, Nobody(), cluster, emit=lambda kind, data: seen.append({"time": 1.0, **data}))
            (pod,) = await kube.list(f"/api/v1/namespaces/{space.name}/pods", labels="tier=odd")
            await eviction.evict(reach, pod, deadline=0, owner=await reach.owners.of(pod))

    anyio.run(evict)
    assert [one["status"] for one in seen] == [status], seen
    assert seen[0]["owner"] == f"{space.name}/ReplicaSet/odd"
    assert disruption_budget.check(History(0.0, 2.0, (0.0, 2.0), evictions=seen), {"name": "web"}).state is State.HELD


def test_a_drain_of_a_pod_that_was_never_ready_is_healed_when_its_workload_has_what_it_had(
    cluster: LocalCluster, space: Space, image: str
) -> None:
    odd = template(image)
    odd["containers"][0]["readinessProbe"] = NEVER
    space.make(workload("ReplicaSet", "odd", {"app": "odd"}, odd, 1))
    farm.until(lambda: [one["status"]["phase"] for one in space.pods()] == ["Running"])

    async def drain() -> dict[str, Any]:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            reach = Reach(kube, Nobody(), cluster)
            (pod,) = await kube.list(f"/api/v1/namespaces/{space.name}/pods")
            node = await kube.get(f"/api/v1/nodes/{pod['spec']['nodeName']}")
            metadata = pod["metadata"]
            taken = Victim("pod", metadata["name"], metadata["uid"], space.name, node["metadata"]["name"])
            name = node["metadata"]["name"]
            target, hand = Victim("node", name, node["metadata"]["uid"], node=name), FAULTS["node_drain"].hand
            fault = PlannedFault("t-drain", "node_drain", "a test", hand, target, takes=(taken,))
            kind = FAULTS["node_drain"]
            try:
                await kind.inject(fault, reach)
            finally:
                await kind.heal(fault, reach)
            with anyio.fail_after(60):
                return await kind.healed(fault, reach)

    healed = anyio.run(drain)
    assert healed["owners"] == [{"owner": "ReplicaSet/odd", "ready": 0, "desired": 0}]
