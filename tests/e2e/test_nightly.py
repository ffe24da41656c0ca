"""Three nights in a row: on the third a weakened stack is named as a regression, and a slow start that passed is not.

The slow start is real: the shop's pods read from a ConfigMap how long they need, and the ConfigMap is mended between
the first run of the third night and the second.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from harness.cluster import kube as api
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.nightly import history
from tests.e2e.live import HARNESS, ROOT, harness
from tests.e2e.victims import until

pytestmark = pytest.mark.e2e

NAMESPACE = "chaos-nightly-test"
# The shop promises to be back within ten seconds.
QUICK, SLOW = "0", "20"
SERVER = """
import http.server, os, time
time.sleep(float(os.environ["START_SECONDS"]))
http.server.ThreadingHTTPServer(("", 8080), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
DOCUMENT = f"""\
title: A shop loses one of two pods
description: Deletes one pod of the shop; it is back within ten seconds.
method:
  - {{type: action, name: delete one, provider: {{type: python, module: harness.chaostoolkit.actions, func: pod_kill,
      arguments: {{target: {{namespace: {NAMESPACE}, selector: app=shop, pods: 1}}, grace: 0}}}}}}
extensions:
  - {{name: harness, sets: [nightly], phases: {{baseline: 1s, hold: 1s, recovery: 60s}},
     objectives: {{recovery: {{within: 10s}}}}, blast-radius: {{namespaces: [{NAMESPACE}], pods: 1}}}}
"""
KILL = "orchestrator/container_kill"


@pytest.fixture
def start_seconds(cluster: LocalCluster, image: str) -> Iterator[Callable[[str], None]]:
    """Two pods of a shop; gives a function that says how long each new one takes to start."""
    labels = {"app": "shop"}
    shop = {
        "name": "shop",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", "-c", SERVER],
        "env": [{"name": "START_SECONDS", "valueFrom": {"configMapKeyRef": {"name": "shop", "key": "start"}}}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    }
    template = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [shop]}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }

    async def say(seconds: str) -> None:
        data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}, "data": {"start": seconds}}
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            await kube.patch(f"/api/v1/namespaces/{NAMESPACE}/configmaps/shop", data, kind="apply")

    async def make() -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            await kube.patch(f"/api/v1/namespaces/{NAMESPACE}", namespace, kind="apply")
            await say(QUICK)
            await kube.patch(api.deployments(NAMESPACE, "shop"), deployment, kind="apply")

            async def ready() -> bool:
                found = await kube.get(api.deployments(NAMESPACE, "shop"))
                return bool(found.get("status", {}).get("readyReplicas") == 2)

            await until(ready)

    async def remove() -> None:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            await kube.delete(f"/api/v1/namespaces/{NAMESPACE}")

            async def gone() -> bool:
                return not await kube.list("/api/v1/namespaces", fields=f"metadata.name={NAMESPACE}")

            await until(gone)

    anyio.run(make)
    yield lambda seconds: anyio.run(say, seconds)
    anyio.run(remove)


@pytest.fixture
def whole_again(cluster: LocalCluster) -> Iterator[None]:
    """The stack without a weakening, whatever the test leaves."""
    yield
    harness("up", timeout=600)


def test_a_planted_regression_is_named_on_the_third_night_and_a_planted_flip_is_not(
    as_found: None, whole_again: None, start_seconds: Callable[[str], None], tmp_path: Path
) -> None:
    document = tmp_path / "shop" / "kill.yaml"
    document.parent.mkdir()
    document.write_text(DOCUMENT)
    nights, runs = tmp_path / "nights", tmp_path / "runs"
    words = ["nightly", str(document), str(ROOT / "experiments" / f"{KILL}.yaml")]
    words += ["--seed", "7", "--history", str(nights), "--runs", str(runs)]
    for _ in range(2):
        done = harness(*words)
        assert "2 of 2 experiments as declared" in done.stdout

    harness("up", "--overlay", "weak-retries-off", timeout=600)
    start_seconds(SLOW)
    said = []
    with subprocess.Popen([*HARNESS, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True) as night:
        assert night.stdout
        for line in night.stdout:
            said.append(line.rstrip())
            if line.split()[:3] == ["1/2", "x", "shop/kill"]:
                start_seconds(QUICK)
    told = "\n".join(said)
    assert night.returncode == 1, told
    (regression,) = [number for number, line in enumerate(said) if "REGRESSION" in line]
    assert said[regression].split()[1] == KILL, told
    assert "as declared in 0 of 2 runs, before in 2 of 2: 7 to 100 points less often (95 %)" in said[regression + 1]
    (flip,) = [line for line in said if "FLIP" in line]
    assert flip.split()[1:] == ["shop/kill", "FLIP", "DEVIATED,", "then", "PASS"], told

    kept = history.read(nights).records
    assert [one.experiment for one in kept if one.attempt == 2] == ["shop/kill", KILL]
    assert len(kept) == 8
    assert len({one.code.stack for one in kept}) == 2
    page = (nights / "index.html").read_text()
    assert page.count('class="cell regression" href="../runs/') == 1
    assert page.count('class="cell flip" href="../runs/') == 1
