"""Bad input and bad luck end in one clear error or in INCONCLUSIVE with the reason, with the documented exit code."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from harness.cluster.local import LocalCluster
from tests.e2e.live import HARNESS, ROOT, events, harness, kubectl

pytestmark = pytest.mark.e2e
NS = "claude-ecosystem-prod"

DOCUMENT = """\
title: Bad luck
description: Something is broken, or would be.
method:
  - type: action
    name: break
    pauses: {{before: {pause}}}
    provider: {{type: python, module: harness.chaostoolkit.actions, func: {func}, arguments: {{target: {target}}}}}
extensions:
  - {{name: harness, {more} objectives: {{{objectives}}},
     phases: {{baseline: {baseline}, hold: 1s, recovery: {recovery}}},
     blast-radius: {{namespaces: [{namespace}], {cap}: 20}}}}
"""


# What nobody feels and is undone at once: all that is waited for is what is never seen to recover.
CORDON = {"func": "node_cordon", "target": "{nodes: 1, selector: node-type=general-compute}", "cap": "nodes"}


def write(folder: Path, **values: object) -> str:
    """Write a document with one thing wrong and return its path."""
    defaults = {
        "func": "pod_kill",
        "cap": "pods",
        "namespace": NS,
        "selector": "app=claude-tool-router",
        "pods": 1,
        "pause": 0,
        "baseline": "0s",
        "recovery": "30s",
        "more": "",
        "objectives": "recovery: {within: 30s}",
    }
    told = defaults | values
    target = "{{namespace: {namespace}, selector: {selector}, pods: {pods}}}".format(**told)
    path = folder / "bad_luck.yaml"
    path.write_text(DOCUMENT.format(**({"target": target} | told)))
    return str(path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"selector": "app=nobody"}, "no pod matches"),
        ({"pods": 19}, "19 pods wanted"),
        ({"namespace": "no-such-namespace"}, "does not exist"),
    ],
)
def test_a_target_that_the_cluster_does_not_have_is_a_run_that_never_begins(
    values: dict[str, object], said: str, cluster: LocalCluster, tmp_path: Path
) -> None:
    done = harness("run", write(tmp_path, **values), "--runs", str(tmp_path / "runs"), check=False)
    assert done.returncode == 2
    assert "never begun" in done.stdout
    assert said in " ".join(done.stdout.split())
    assert "Traceback" not in done.stderr


def test_a_context_that_is_not_allowed_is_refused(cluster: LocalCluster, tmp_path: Path) -> None:
    copy = tmp_path / "kubeconfig"
    copy.write_text(cluster.kubeconfig.read_text().replace(cluster.context, "somewhere-else"))
    done = harness("run", write(tmp_path), "--context", "somewhere-else", "--kubeconfig", str(copy), check=False)
    assert done.returncode == 4
    assert "not allowed" in done.stderr


def test_a_cluster_that_does_not_answer_is_one_clear_error(cluster: LocalCluster, tmp_path: Path) -> None:
    copy = tmp_path / "kubeconfig"
    lines = cluster.kubeconfig.read_text().splitlines()
    copy.write_text("\n".join("    server: https://127.0.0.1:9" if "server:" in line else line for line in lines))
    environment = {**os.environ, "HARNESS_CONTEXTS": cluster.context}
    argv = [*HARNESS, "plan", write(tmp_path), "--context", cluster.context, "--kubeconfig", str(copy)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 4
    assert "does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_target_deleted_between_plan_and_inject_is_inconclusive(
    cluster: LocalCluster, as_found: None, tmp_path: Path
) -> None:
    argv = [*HARNESS, "run", write(tmp_path, pause=5), "--runs", str(tmp_path / "runs")]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    victim, pausing = "", False
    deadline = time.monotonic() + 60
    # A pod that goes before the method begins is one that the baseline misses, which is another reason.
    while not pausing and time.monotonic() < deadline:
        for journal in (tmp_path / "runs").glob("*/journal.jsonl"):
            for event in events(journal.parent):
                if event["type"] == "plan":
                    victim = event["data"]["faults"][0]["victim"]["name"]  # type: ignore[index]
                pausing |= event["type"] == "phase.start" and event["data"] == {"name": "inject"}
    kubectl(cluster, "-n", NS, "delete", "pod", victim, "--wait=false")
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 2, output
    assert "target deleted between plan and inject" in " ".join(output.split())


def test_prometheus_down_is_inconclusive_never_a_pass(cluster: LocalCluster, as_found: None, tmp_path: Path) -> None:
    environment = {**os.environ, "HARNESS_PROMETHEUS": "http://127.0.0.1:9"}
    path = write(
        tmp_path,
        selector="app=claude-agent-registry",
        baseline="2s",
        recovery="4s",
        more="load: {workload: execute-agent, rate: 30/s},",
        objectives="breaker: {dependency: agent-registry, opens: false}",
    )
    argv = [*HARNESS, "run", path, "--runs", str(tmp_path / "runs")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "breaker" in done.stdout


def test_load_that_reaches_nobody_never_passes(cluster: LocalCluster, as_found: None, tmp_path: Path) -> None:
    environment = {**os.environ, "HARNESS_GATEWAY": "http://127.0.0.1:9"}
    path = write(
        tmp_path,
        baseline="2s",
        recovery="4s",
        **CORDON,
        more="load: {workload: execute-agent, rate: 30/s},",
        objectives="recovery: {within: 4s}",
    )
    argv = [*HARNESS, "run", path, "--runs", str(tmp_path / "runs")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
