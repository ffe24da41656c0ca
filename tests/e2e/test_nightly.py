"""Three nights in a row: on the third a weakened stack is named as a regression, and a shop that was mended is not.

The shop's disruption budget is away in the first run of the third night and back before the second: no busy machine
excuses an eviction that nothing limits. That the weakening is caught, and by which objective, is shown by the way.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from bench.dying import workload
from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.nightly import history
from tests.e2e.live import HARNESS, ROOT, asked, broken_objectives, harness
from tests.e2e.namespaces import emptied
from tests.e2e.victims import until

pytestmark = pytest.mark.e2e

NAMESPACE = "chaos-nightly-test"
DOCUMENT = f"""\
title: One of a shop's two pods is evicted
description: Evicts one pod of the shop; its disruption budget lets one go.
method:
  - {{type: action, name: evict one, provider: {{type: python, module: harness.chaostoolkit.actions, func: pod_evict,
      arguments: {{target: {{namespace: {NAMESPACE}, selector: app=shop, pods: 1}}}}}}}}
extensions:
  - {{name: harness, sets: [nightly], phases: {{baseline: 1s, hold: 1s, recovery: 60s}},
     objectives: {{disruption-budget: {{name: shop}}}}, blast-radius: {{namespaces: [{NAMESPACE}], pods: 1}}}}
"""
KILL, WEAKENED = "orchestrator/container_kill", "weak-retries-off"
PROD, ORCHESTRATORS = "claude-ecosystem-prod", "app=claude-orchestrator"


@pytest.fixture
def limited(cluster: LocalCluster, image: str) -> Iterator[Callable[[bool], None]]:
    """Two pods of a shop; gives a function that puts their disruption budget up or takes it away."""
    labels = {"app": "shop"}
    shop = {
        "name": "shop",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "http.server", "8080"],
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
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "shop"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}},
    }
    path = f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets/shop"

    async def limit(on: bool) -> None:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            if not on:
                await kube.delete(path)
                return
            await kube.patch(path, budget, kind="apply")

            async def allows() -> bool:
                return bool((await kube.get(path)).get("status", {}).get("disruptionsAllowed"))

            await until(allows)

    async def make() -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            await kube.patch(f"/api/v1/namespaces/{NAMESPACE}", namespace, kind="apply")
            await kube.patch(paths.deployments(NAMESPACE, "shop"), deployment, kind="apply")
        await limit(True)

    async def remove() -> None:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            await emptied(kube, NAMESPACE)

    anyio.run(make)
    yield lambda on: anyio.run(limit, on)
    anyio.run(remove)


@pytest.fixture
def whole_again(cluster: LocalCluster) -> Iterator[None]:
    """The stack without a weakening, whatever the test leaves."""
    yield
    harness("up", timeout=600)


def rested(cluster: LocalCluster) -> None:
    """Replace the orchestrators that were killed, so that the next run does not wait for a kubelet's back-off."""
    asked(cluster, lambda kube: workload.renew(kube, PROD, ORCHESTRATORS))


def test_a_planted_regression_is_named_on_the_third_night_and_a_planted_flip_is_not(
    cluster: LocalCluster,
    as_found: None,
    whole_again: None,
    limited: Callable[[bool], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = tmp_path / "shop" / "evict.yaml"
    document.parent.mkdir()
    document.write_text(DOCUMENT)
    nights, runs = tmp_path / "nights", tmp_path / "runs"
    words = ["nightly", str(document), str(ROOT / "experiments" / f"{KILL}.yaml")]
    words += ["--seed", "7", "--history", str(nights), "--runs", str(runs)]
    assert "2 of 2 experiments as declared" in harness(*words).stdout
    rested(cluster)
    assert "2 of 2 experiments as declared" in harness(*words).stdout

    harness("up", "--overlay", WEAKENED, timeout=600)
    limited(False)
    said = []
    with subprocess.Popen([*HARNESS, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True) as night:
        assert night.stdout
        for line in night.stdout:
            said.append(line.rstrip())
            if line.split()[:3] == ["1/2", "x", "shop/evict"]:
                limited(True)
            if line.split()[:3] == ["2/2", "x", KILL]:
                rested(cluster)
    told = "\n".join(said)
    assert night.returncode == 1, told
    (regression,) = [number for number, line in enumerate(said) if "REGRESSION" in line]
    assert said[regression].split()[1] == KILL, told
    assert "as declared in 0 of 2 runs, before in 2 of 2: 7 to 100 points less often (95 %)" in said[regression + 1]
    (flip,) = [line for line in said if "FLIP" in line]
    assert flip.split()[1:] == ["shop/evict", "FLIP", "DEVIATED,", "then", "PASS"], told

    kept = history.read(nights).records
    caught = next(one for one in kept if one.night == kept[-1].night and one.experiment == KILL)
    broken = broken_objectives(runs / caught.run)
    with capsys.disabled():
        print(f"\n    {WEAKENED}: {broken.get('availability', broken)}", end="", flush=True)
    assert "availability" in broken, told
    again = [one for one in kept if one.attempt == 2]
    # On a machine that others had, an experiment of an earlier night may have had a second run, too: a flip, no more.
    assert [one.experiment for one in again if one.night == kept[-1].night] == ["shop/evict", KILL]
    assert len(kept) == 6 + len(again)
    assert len({one.code.stack for one in kept}) == 2
    page = (nights / "index.html").read_text()
    assert page.count('class="cell regression" href="../runs/') == 1
    assert page.count('class="cell flip" href="../runs/') == len(again) - 1
