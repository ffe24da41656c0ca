"""A run that dies in the midst of a fault of workloads, configuration, taints or quotas leaves nothing of it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from harness.cluster.local import LocalCluster
from tests.e2e.live import kubectl
from tests.e2e.test_dying import Run, seconds_until

pytestmark = pytest.mark.e2e


def broken_now(cluster: LocalCluster, document: str) -> bool:
    """Look at the target itself, not at what the harness says of it."""
    router = ("-n", "claude-ecosystem-prod", "get", "deployment", "claude-tool-router", "-o")
    if document == "scale":
        return kubectl(cluster, *router, "jsonpath={.spec.replicas}") == "0"
    if document == "rollout":
        return "chaos.invalid" in kubectl(cluster, *router, "jsonpath={.spec.template}")
    if document == "taint":
        return "chaos.harness.dev/" in kubectl(cluster, "get", "nodes", "-o", "jsonpath={.items[*].spec.taints}")
    if document == "quota":
        return "chaos-" in kubectl(cluster, "get", "resourcequotas", "-n", "claude-ecosystem-prod", "-o", "name")
    if document == "unready":
        pods = kubectl(cluster, "get", "pods", "-n", "claude-ecosystem-prod", "-l", "!app", "-o", "name")
        return "claude-tool-router" in pods
    maps = json.loads(kubectl(cluster, "get", "configmaps", "-n", "monitoring", "-o", "json"))["items"]
    named = {item["metadata"]["name"]: item.get("data") or {} for item in maps}
    return any(
        name.startswith("chaos-") or (name.startswith("prometheus-") and "prometheus.yml" not in data)
        for name, data in named.items()
    )


@pytest.mark.parametrize("document", ["scale", "rollout", "config", "taint", "quota", "unready"])
def test_a_killed_run_leaves_nothing(cluster: LocalCluster, as_found: None, tmp_path: Path, document: str) -> None:
    run = Run(document, tmp_path)
    try:
        run.wait_for("fault.injected")
        assert broken_now(cluster, document)
        run.signal(signal.SIGKILL)
        seconds_until(lambda: not broken_now(cluster, document), limit=5)
        seconds_until(lambda: kubectl(cluster, "get", "faults,nodefaults", "-A", "-o", "name") == "", limit=30)
    finally:
        run.close()
