"""pytest-timeout strikes while a pod is frozen: it is thawed at once, and the run has its verdict."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.local import LocalCluster
from tests.e2e.live import ROOT, asked, events, harness, kubectl
from tests.e2e.namespaces import emptied
from tests.e2e.victims import SERVER

pytestmark = pytest.mark.e2e
NS = "t-timeout"
# By then the pod is frozen, and long not over; on a machine that others have, by the second.
SECONDS = (8, 40)
FREEZE = f"""\
title: A pod is frozen for too long
description: Longer than its test may take.
method:
  - type: action
    name: freeze it
    provider: {{type: python, module: harness.chaostoolkit.actions, func: pod_freeze,
      arguments: {{target: {{namespace: {NS}, selector: app=shop, pods: all}}}}}}
extensions:
  - {{name: harness, objectives: {{recovery: {{within: 30s}}}}, phases: {{baseline: 0s, hold: 120s, recovery: 30s}},
     blast-radius: {{namespaces: [{NS}], pods: 1}}}}
"""


@pytest.fixture(scope="module")
def shop(cluster: LocalCluster, image: str) -> Iterator[None]:
    kubectl(cluster, "create", "namespace", NS)
    web = {
        "name": "web",
        "image": image,
        "command": ["python3", "-u", "-c", SERVER],
        "ports": [{"containerPort": 8080}],
    }
    labels = {"app": "shop"}
    template = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [web]}}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": NS},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }
    kubectl(cluster, "apply", "-f", "-", given=json.dumps(body))
    kubectl(cluster, "-n", NS, "rollout", "status", "deployment/shop", "--timeout=50s")
    yield
    asked(cluster, lambda kube: emptied(kube, NS))


@pytest.mark.case(
    15,
    "pytest-timeout, by a signal or from a thread, strikes while a fault is on",
    "undone within 2 s; ABORTED, a verdict is written",
)
@pytest.mark.parametrize("method", ["signal", "thread"])
@pytest.mark.usefixtures("shop")
def test_what_is_broken_is_undone_at_once_and_judged(tmp_path: Path, method: str) -> None:
    path = tmp_path / "freeze.yaml"
    path.write_text(FREEZE)
    for seconds in SECONDS:
        runs = tmp_path / f"runs-{seconds}"
        argv = [sys.executable, "-m", "pytest", str(path), "--rootdir", str(tmp_path), "--chaos-runs", str(runs)]
        argv += ["--timeout", str(seconds), "--timeout-method", method]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        seen: dict[str, Any] = {str(event["type"]): event for run in runs.glob("*") for event in events(run)}
        if "fault.felt" in seen:
            break
    assert done.returncode == 3, done.stdout + done.stderr
    (run,) = runs.iterdir()
    assert "fault.felt" in seen
    assert seen["undo"]["t"] - seen["abort"]["t"] < 2
    assert seen["abort"]["data"]["latency"] < 2
    assert seen["verdict"]["data"]["verdict"] == "ABORTED"
    assert "pytest-timeout" in (run / "result.txt").read_text()
    assert harness("faults").stdout.strip() in ("", "nothing is broken on purpose")
