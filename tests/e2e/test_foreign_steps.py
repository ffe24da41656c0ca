"""Steps of other drivers on the real cluster: what means a fault is planned, capped and proved as one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from tests.e2e.live import events, harness, kubectl
from tests.e2e.namespaces import emptied
from tests.e2e.victims import SERVER, until

pytestmark = pytest.mark.e2e
INSIDE, OUTSIDE = "t-foreign-a", "t-foreign-b"


@pytest.fixture(scope="module")
def shops(cluster: LocalCluster, image: str) -> Iterator[LocalCluster]:
    """Two web servers in each of two namespaces."""
    web = {
        "name": "web",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", "-c", SERVER],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    }
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [web]}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }

    async def make() -> None:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            for name in (INSIDE, OUTSIDE):
                namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
                await kube.patch(f"/api/v1/namespaces/{name}", namespace, kind="apply")
                await kube.patch(paths.deployments(name, "web"), deployment, kind="apply")

                async def ready(name: str = name) -> bool:
                    found = await kube.get(paths.deployments(name, "web"))
                    return found.get("status", {}).get("readyReplicas") == 2

                await until(ready)

    async def remove() -> None:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            await emptied(kube, INSIDE, OUTSIDE)

    anyio.run(make)
    yield cluster
    anyio.run(remove)


def uids(cluster: LocalCluster, namespace: str) -> set[str]:
    """Look which pods there are."""
    words = ("-n", namespace, "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.uid}")
    return set(kubectl(cluster, *words).split())


def terminate(**arguments: Any) -> dict[str, Any]:
    provider = {"type": "python", "module": "chaosk8s.pod.actions", "func": "terminate_pods", "arguments": arguments}
    return {"type": "action", "name": "terminate", "provider": provider}


def ready(namespace: str) -> dict[str, Any]:
    arguments = {"name": "web", "ns": namespace}
    provider = {
        "type": "python",
        "module": "chaosk8s.deployment.probes",
        "func": "deployment_available_and_healthy",
        "arguments": arguments,
    }
    return {"type": "probe", "name": "web is there", "tolerance": True, "provider": provider}


def run(folder: Path, *method: Any, ours: bool = True, **extension: Any) -> tuple[int, str, list[dict[str, Any]]]:
    """Run a document and return its exit code, what was said, and the journal."""
    data: dict[str, Any] = {
        "title": "Steps of another driver",
        "description": "On namespaces of its own.",
        "steady-state-hypothesis": {"title": "The web is there", "probes": [ready(INSIDE)]},
        "method": list(method),
        "rollbacks": extension.pop("rollbacks", []),
    }
    if ours:
        caps = {"namespaces": [INSIDE], "pods": 1}
        promises = {
            "phases": {"baseline": "0s", "hold": "0s", "recovery": "40s"},
            "objectives": {"recovery": {"within": "40s"}},
        }
        data["extensions"] = [{"name": "harness", "blast-radius": caps, **promises, **extension}]
    path = folder / "foreign.json"
    path.write_text(json.dumps(data))
    done = harness("run", str(path), "--runs", str(folder / "runs"), check=False)
    runs = sorted((folder / "runs").iterdir()) if (folder / "runs").exists() else []
    return done.returncode, " ".join((done.stdout + done.stderr).split()), events(runs[-1]) if runs else []  # type: ignore[return-value]


@pytest.mark.case(
    1, "a foreign step beside a blast radius", "refused, or planned, capped and proved like a fault of ours"
)
def test_a_step_outside_the_blast_radius_touches_nobody(shops: LocalCluster, tmp_path: Path) -> None:
    before = uids(shops, OUTSIDE)
    code, told, _ = run(tmp_path, terminate(all=True, ns=OUTSIDE), uncovered=True)
    assert (code, f"namespace '{OUTSIDE}' is outside the blast radius" in told) == (4, True), told
    assert uids(shops, OUTSIDE) == before


def test_a_step_that_asks_for_more_than_the_cap_touches_nobody(shops: LocalCluster, tmp_path: Path) -> None:
    before = uids(shops, INSIDE)
    code, told, _ = run(tmp_path, terminate(all=True, ns=INSIDE))
    assert (code, "the plan touches 2 pods" in told) == (2, True), told
    assert uids(shops, INSIDE) == before


def test_a_step_inside_it_is_planned_felt_and_healed(shops: LocalCluster, tmp_path: Path) -> None:
    before, beside = uids(shops, INSIDE), uids(shops, OUTSIDE)
    code, told, journal = run(tmp_path, terminate(label_selector="app=web", ns=INSIDE, grace_period=0))
    assert code == 0, told
    plan = next(event["data"] for event in journal if event["type"] == "plan")
    planned = {fault["victim"]["uid"] for fault in plan["faults"]}
    assert before - uids(shops, INSIDE) == planned
    assert len(planned) == 1
    assert [event["type"] for event in journal if event["type"] in ("fault.felt", "fault.healed")] == [
        "fault.felt",
        "fault.healed",
    ]
    assert uids(shops, OUTSIDE) == beside


@pytest.mark.case(2, "a selector that matches nothing", "no evidence: INCONCLUSIVE")
def test_a_step_that_matches_nobody_is_no_pass(shops: LocalCluster, tmp_path: Path) -> None:
    code, told, _ = run(tmp_path, terminate(label_selector="app=nobody", ns=INSIDE))
    assert (code, "INCONCLUSIVE" in told, "no pod matches" in told) == (2, True, True), told
    code, told, _ = run(tmp_path, terminate(label_selector="app=nobody", ns=INSIDE), ours=False)
    assert (code, "no pod matches" in told) == (2, True), told


@pytest.mark.case(24, "a public document about pods", "it runs, with plan, ledger and evidence")
def test_a_public_document_gets_its_run(shops: LocalCluster, tmp_path: Path) -> None:
    before = uids(shops, INSIDE)
    # What is asked right after the kill may find a pod missing, under Chaos Toolkit, too.
    pause = {"pauses": {"after": 10}}
    code, told, journal = run(tmp_path, terminate(label_selector="app=web", ns=INSIDE, qty=2) | pause, ours=False)
    assert code == 0, told
    assert not before & uids(shops, INSIDE)
    assert "judged by its own hypothesis alone" in told
    assert sum(event["type"] == "fault.felt" for event in journal) == 2


@pytest.mark.case(24, "a document that kills all pods twice", "the second time those that came since")
def test_what_is_killed_twice_is_killed_twice(shops: LocalCluster, tmp_path: Path) -> None:
    before = uids(shops, INSIDE)
    everyone = terminate(label_selector="app=web", ns=INSIDE, all=True, grace_period=0) | {"pauses": {"after": 10}}
    code, told, journal = run(tmp_path, everyone, {**everyone, "name": "once more"}, ours=False)
    assert code == 0, told
    assert f"all of {INSIDE}/app=web, picked when its turn comes" in told
    plans = [event["data"]["faults"] for event in journal if event["type"] == "plan"]
    killed = {fault["victim"]["uid"] for planned in plans for fault in planned}
    assert (len(killed), sum(event["type"] == "fault.felt" for event in journal)) == (4, 4)
    assert before < killed
    assert not killed & uids(shops, INSIDE)


def test_a_cordon_is_undone_and_its_rollback_has_nothing_left_to_do(
    shops: LocalCluster, as_found: None, tmp_path: Path
) -> None:
    node = kubectl(shops, "-n", INSIDE, "get", "pods", "-o", "jsonpath={.items[0].spec.nodeName}")
    provider = {"type": "python", "module": "chaosk8s.node.actions", "arguments": {"name": node}}
    cordon = {"type": "action", "name": "cordon", "provider": {**provider, "func": "cordon_node"}}
    back = {"type": "action", "name": "back", "provider": {**provider, "func": "uncordon_node"}}
    code, told, journal = run(tmp_path, cordon, ours=False, rollbacks=[back])
    assert code == 0, told
    assert [event["data"]["output"] for event in journal if event["type"] == "rollback"] == [
        "undone with step 'cordon'"
    ]
    assert kubectl(shops, "get", "node", node, "-o", "jsonpath={.spec.unschedulable}") == ""


def test_an_uncovered_step_is_no_pass_by_the_hypothesis_alone(shops: LocalCluster, tmp_path: Path) -> None:
    arguments = {"name": "web", "ns": INSIDE, "replicas": 2}
    provider = {
        "type": "python",
        "module": "chaosk8s.deployment.actions",
        "func": "scale_deployment",
        "arguments": arguments,
    }
    scale = {"type": "action", "name": "scale", "provider": provider}
    code, told, _ = run(tmp_path, scale, objectives={})
    assert (code, "is not covered" in told) == (4, True), told
    code, told, _ = run(tmp_path, scale, objectives={}, uncovered=True)
    assert (code, "the hypothesis alone proves nothing" in told) == (2, True), told
