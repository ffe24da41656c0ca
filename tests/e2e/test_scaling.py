"""Autoscaling on the real cluster, by Kubernetes' own controller: who measures, who comes, who stays, who makes room.

They bring the part up and take it down again; what the core is, it is again afterwards.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from harness.cluster.local import LocalCluster
from probes import scaling as probes
from tests.e2e.live import ROOT, events, harness, kubectl, starved, unchanged, verdict_of

pytestmark = [pytest.mark.e2e, pytest.mark.long]
NAMESPACE, ORCHESTRATORS = "claude-ecosystem-prod", "app=claude-orchestrator"
AUTOSCALER, LEAST = "claude-orchestrator-hpa", 5
EXPERIMENTS = ROOT / "experiments" / "scaling"
QUEUES = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{NAMESPACE}/pods/*/agent_queue_length"
# Who measures looks every 15 s, the autoscaler too, and it lets one go every 15 s; a recommendation takes minutes.
WITHIN_SECONDS = 240.0
# What an orchestrator asks for here, and less.
ASKED_MILLICORES, FREE_MILLICORES = 50, 20
FILLERS = "batch"
Found = TypeVar("Found")


def until(look: Callable[[], Found | None], within: float = WITHIN_SECONDS) -> Found:
    """Look until there is something to see."""
    deadline = time.monotonic() + within
    while (found := look()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return found


def at_rest(cluster: LocalCluster) -> None:
    """Wait until the autoscaler has let all go whom it had brought."""
    words = ("-n", NAMESPACE, "get", "pods", "-l", ORCHESTRATORS, "-o", "name")
    until(lambda: True if len(kubectl(cluster, *words).split()) == LEAST else None)


@pytest.fixture(scope="module")
def scaling(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """The stack with the part, and without it again after the last of them."""
    with unchanged(cluster):
        harness("up", "--parts", "core,scaling", timeout=1800)
        yield cluster
        at_rest(cluster)
        harness("down", "--parts", "scaling", timeout=600)


def listed(cluster: LocalCluster, kinds: str, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(kubectl(cluster, "get", kinds, "-o", "json", *words))["items"]
    return found


def ran(name: str, folder: Path) -> tuple[int, Path]:
    argv = ("run", str(EXPERIMENTS / f"{name}.yaml"), "--seed", "7", "--runs", str(folder))
    done = harness(*argv, check=False, timeout=1200)
    return done.returncode, next(folder.iterdir())


def found_of(directory: Path, checker: str = "scaling") -> dict[str, Any]:
    """Return what the run found out about one promise."""
    (found,) = [
        one["data"] for one in events(directory) if one["type"] == "finding" and one["data"]["checker"] == checker
    ]  # type: ignore[index]
    assert isinstance(found, dict)
    return found


def test_without_the_part_an_experiment_that_needs_it_never_begins(cluster: LocalCluster, tmp_path: Path) -> None:
    code, directory = ran("scale_out", tmp_path)
    verdict = verdict_of(directory)
    assert (code, verdict["verdict"]) == (2, "INCONCLUSIVE")
    assert "the stack lacks the part scaling" in verdict["reason"]


def test_cpu_and_memory_of_every_pod_and_node_can_be_asked_for(scaling: LocalCluster) -> None:
    assert "scaling    there" in harness("parts").stdout

    def told() -> list[str] | None:
        lines = kubectl(scaling, "top", "pods", "-n", NAMESPACE, "--no-headers", check=False).splitlines()
        return lines if len(lines) >= LEAST + 4 else None

    for line in until(told):
        _, cpu, memory = line.split()
        assert cpu.endswith("m")
        assert int(memory.removesuffix("Mi")) > 0
    assert len(kubectl(scaling, "top", "nodes", "--no-headers").splitlines()) == len(scaling.nodes)


def test_the_queue_of_every_orchestrator_is_a_metric_of_the_api(scaling: LocalCluster) -> None:
    def told() -> dict[str, str] | None:
        raw = kubectl(scaling, "get", "--raw", f"{QUEUES}?labelSelector=app%3Dclaude-orchestrator", check=False)
        items = json.loads(raw)["items"] if raw else []
        found = {one["describedObject"]["name"]: one["value"] for one in items}
        return found if len(found) == LEAST else None

    pods = {pod["metadata"]["name"] for pod in listed(scaling, "pods", "-n", NAMESPACE, "-l", ORCHESTRATORS)}
    assert until(told).keys() == pods


def test_the_autoscaler_sees_cpu_memory_and_queues_and_wants_its_least(
    scaling: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a run tells its probes.
    monkeypatch.setenv("HARNESS_KUBECONFIG", str(scaling.kubeconfig))
    monkeypatch.setenv("HARNESS_CONTEXT", scaling.context)
    assert probes.measured(NAMESPACE, AUTOSCALER, wait=WITHIN_SECONDS) == 3
    (found,) = listed(scaling, "hpa", "-n", NAMESPACE)
    conditions = {one["type"]: one["status"] for one in found["status"]["conditions"]}
    assert (conditions["ScalingActive"], conditions["AbleToScale"]) == ("True", "True")
    assert found["status"]["desiredReplicas"] == LEAST


def test_the_vertical_one_says_what_would_fit_and_changes_nothing(scaling: LocalCluster) -> None:
    def asked() -> set[str]:
        pods = listed(scaling, "pods", "-n", NAMESPACE, "-l", ORCHESTRATORS)
        return {json.dumps(pod["spec"]["containers"][0]["resources"], sort_keys=True) for pod in pods}

    before = asked()

    def recommended() -> dict[str, Any] | None:
        (found,) = listed(scaling, "vpa", "-n", NAMESPACE)
        told = (found.get("status", {}).get("recommendation") or {}).get("containerRecommendations") or []
        return dict(told[0]) if told else None

    found = until(recommended)
    assert found["containerName"] == "claude-orchestrator"
    assert {*found["target"]} == {"cpu", "memory"}
    assert asked() == before


@pytest.mark.parametrize("name", ["scale_out", "pipeline_gone", "no_room"])
def test_an_experiment_ends_as_it_declares_and_leaves_nothing(
    scaling: LocalCluster, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at_rest(scaling)
    with unchanged(scaling):
        code, directory = ran(name, tmp_path)
        at_rest(scaling)
    verdict, found = verdict_of(directory), found_of(directory)
    with capsys.disabled():
        print(f"\n    {name}: {found['summary']}", end="", flush=True)
    assert (code, verdict["verdict"]) == (0, "PASS") or starved(verdict), verdict


def test_an_autoscaler_that_is_pinned_brings_nobody_and_is_caught(
    scaling: LocalCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at_rest(scaling)
    harness("up", "--overlay", "weak-pinned-autoscaler", timeout=600)
    try:
        code, directory = ran("scale_out", tmp_path)
    finally:
        harness("up", "--parts", "scaling", timeout=600)
    found = found_of(directory)
    with capsys.disabled():
        print(f"\n    weak-pinned-autoscaler: {found['summary']}", end="", flush=True)
    assert (code, found["state"]) == (1, "broken")
    assert "TooManyReplicas" in found["summary"]


def millicores(quantity: str) -> int:
    return int(quantity.removesuffix("m")) if quantity.endswith("m") else int(float(quantity) * 1000)


def room(cluster: LocalCluster) -> dict[str, int]:
    """Return how much CPU is still to be asked for on each node that orchestrators may be on."""
    nodes = listed(cluster, "nodes", "-l", "node-type=general-compute")
    left = {one["metadata"]["name"]: millicores(one["status"]["allocatable"]["cpu"]) for one in nodes}
    for pod in listed(cluster, "pods", "-A", "--field-selector=status.phase!=Succeeded,status.phase!=Failed"):
        if (node := pod["spec"].get("nodeName")) in left:
            asked = [one.get("resources", {}).get("requests", {}).get("cpu", "0") for one in pod["spec"]["containers"]]
            left[node] -= sum(map(millicores, asked))
    return left


@pytest.fixture
def full(scaling: LocalCluster) -> Iterator[list[str]]:
    """Nodes on which batch work of low priority asks for all that is left but less than an orchestrator needs."""
    at_rest(scaling)
    pods = listed(scaling, "pods", "-n", NAMESPACE, "-l", ORCHESTRATORS)
    image = pods[0]["spec"]["containers"][0]["image"]
    made = []
    for node, left in room(scaling).items():
        container = {
            "name": "batch",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sleep", "3600"],
            "resources": {"requests": {"cpu": f"{left - FREE_MILLICORES}m", "memory": "16Mi"}},
        }
        spec = {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "priorityClassName": "low-priority",
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
        }
        metadata = {"name": f"on-{node}", "namespace": FILLERS}
        made.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    kubectl(scaling, "create", "namespace", FILLERS)
    try:
        kubectl(scaling, "apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
        kubectl(scaling, "-n", FILLERS, "wait", "pod", "--all", "--for=condition=Ready", "--timeout=50s")
        yield [one["metadata"]["name"] for one in made]
    finally:
        kubectl(scaling, "delete", "namespace", FILLERS, "--wait=true")


def test_batch_work_makes_room_for_the_orchestrators_that_come(
    scaling: LocalCluster, full: list[str], tmp_path: Path
) -> None:
    assert max(room(scaling).values()) < ASKED_MILLICORES
    code, directory = ran("scale_out", tmp_path)
    verdict = verdict_of(directory)
    assert (code, verdict["verdict"]) == (0, "PASS") or starved(verdict), verdict
    left = {pod["metadata"]["name"] for pod in listed(scaling, "pods", "-n", FILLERS)}
    assert left < {*full}
    told = kubectl(scaling, "-n", FILLERS, "get", "events", "--field-selector=reason=Preempted", "-o", "name")
    assert told.split()
