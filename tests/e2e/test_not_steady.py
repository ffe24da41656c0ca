"""Nothing begins on a stack that is not whole, or where a fault would show something else than what it asks for."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.dying import workload
from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.workloads.pod import is_ready
from tests.e2e.live import ROOT, asked, events, harness, kubectl
from tests.e2e.victims import until

pytestmark = pytest.mark.e2e
NS = "istio-system"
ISTIOD = "app=istiod"

KILL = """\
title: The gateway's control plane is killed
description: What is left of the kubelet's patience shows in how long the run would have to wait.
method:
  - type: action
    name: kill
    provider: {type: python, module: harness.chaostoolkit.actions, func: container_kill,
      arguments: {target: {namespace: istio-system, selector: app=istiod, pods: 1, container: discovery}}}
extensions:
  - {name: harness, objectives: {recovery: {within: WITHIN}}, phases: {baseline: 0s, hold: 1s, recovery: 60s},
     blast-radius: {namespaces: [istio-system], pods: 1}}
"""


def kill(folder: Path, within: str) -> subprocess.CompletedProcess[str]:
    """Kill the gateway's control plane in a run that waits that long for it."""
    path = folder / "kill.yaml"
    path.write_text(KILL.replace("WITHIN", within))
    return harness("run", str(path), "--runs", str(folder / "runs"), check=False)


def istiod(cluster: LocalCluster) -> str:
    """Name the pod of the gateway's control plane."""
    return kubectl(cluster, "-n", NS, "get", "pods", "-l", ISTIOD, "-o", "jsonpath={.items[*].metadata.name}")


async def renewed(kube: Kube) -> None:
    """Replace that pod where other tests had it started again: the kubelet would wait longer than this one needs."""
    await workload.renew(kube, NS, ISTIOD)

    async def anew() -> bool:
        found = await kube.list(paths.pods(NS), labels=ISTIOD)
        return len(found) == 1 and is_ready(found[0]) and not found[0]["status"]["containerStatuses"][0]["restartCount"]

    await until(anew)


def test_a_container_that_would_be_started_again_too_late_is_not_killed_until_up_replaced_its_pod(
    cluster: LocalCluster, as_found: None, tmp_path: Path
) -> None:
    asked(cluster, renewed)
    before = istiod(cluster)
    for _ in range(2):
        done = kill(tmp_path, "60s")
        assert done.returncode == 0, done.stdout + done.stderr
    refused = kill(tmp_path, "5s")
    assert (refused.returncode, istiod(cluster)) == (2, before)
    assert "would start the container again only after about" in " ".join(refused.stdout.split())
    assert f"replacing {before}" in harness("up").stderr
    assert istiod(cluster) != before
    done = kill(tmp_path, "30s")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def incomplete(cluster: LocalCluster) -> Iterator[str]:
    """A Deployment on the way of every call that no node has room for."""
    name = "on-the-way"
    pod = {"containers": [{"name": "c", "image": "none"}], "nodeSelector": {"no-such": "node"}}
    labels = {"app": name}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": NS}, "spec": spec}
    kubectl(cluster, "create", "--raw", f"/apis/apps/v1/namespaces/{NS}/deployments", "-f", "-", given=json.dumps(body))
    yield name
    kubectl(cluster, "-n", NS, "delete", "deployment", name)


def test_no_fault_begins_while_a_part_on_the_way_of_the_calls_is_not_complete(
    cluster: LocalCluster, incomplete: str, tmp_path: Path
) -> None:
    text = (ROOT / "experiments" / "tool-router" / "pod_kill.yaml").read_text()
    path = tmp_path / "pod_kill.yaml"
    path.write_text(text.replace("phases: {", "phases: {settle: 3s, "))
    done = harness("run", str(path), "--runs", str(tmp_path / "runs"), check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"{NS}/{incomplete}" in " ".join(done.stdout.split())
    (run,) = (tmp_path / "runs").iterdir()
    seen = [event["type"] for event in events(run)]
    assert "run.end" in seen
    assert "fault.injecting" not in seen
