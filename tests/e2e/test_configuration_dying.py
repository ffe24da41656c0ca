"""A run that dies in the midst of a fault of workloads, configuration, taints or quotas leaves nothing of it."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from harness.cluster.local import LocalCluster
from tests.e2e.live import kubectl
from tests.e2e.test_dying import Run, seconds_until

pytestmark = pytest.mark.e2e


def broken_now(cluster: LocalCluster, fault: str) -> bool:
    """Look at the target itself, not at what the harness says of it."""
    router = ("-n", "claude-ecosystem-prod", "get", "deployment", "claude-tool-router", "-o")
    if fault == "scale":
        return kubectl(cluster, *router, "jsonpath={.spec.replicas}") == "0"
    if fault == "rollout":
        return "chaos.invalid" in kubectl(cluster, *router, "jsonpath={.spec.template}")
    if fault == "taint":
        return "chaos.harness.dev/" in kubectl(cluster, "get", "nodes", "-o", "jsonpath={.items[*].spec.taints}")
    if fault == "quota":
        return "chaos-" in kubectl(cluster, "get", "resourcequotas", "-n", "claude-ecosystem-prod", "-o", "name")
    if fault == "unready":
        pods = kubectl(cluster, "get", "pods", "-n", "claude-ecosystem-prod", "-l", "!app", "-o", "name")
        return "claude-tool-router" in pods
    maps = json.loads(kubectl(cluster, "get", "configmaps", "-n", "monitoring", "-o", "json"))["items"]
    named = {item["metadata"]["name"]: item.get("data") or {} for item in maps}
    return any(
        name.startswith("chaos-") or (name.startswith("prometheus-") and "prometheus.yml" not in data)
        for name, data in named.items()
    )


# Two that do not meet die in one run; the first of the two is felt at once.
DOCUMENTS = ("config_and_scale", "taint_and_rollout", "unready_and_quota")
UNDONE_SECONDS, STRUCK_OFF_SECONDS = 5, 30


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_killed_run_leaves_nothing(cluster: LocalCluster, as_found: None, tmp_path: Path, document: str) -> None:
    faults = document.split("_and_")
    run = Run(document, tmp_path)
    try:
        run.wait_for_all()
        assert [broken_now(cluster, fault) for fault in faults] == [True, True]
        run.signal(signal.SIGKILL)
        killed = time.monotonic()
        for fault in faults:
            left = UNDONE_SECONDS - (time.monotonic() - killed)
            seconds_until(lambda fault=fault: not broken_now(cluster, fault), limit=left)
        nothing = ("get", "faults,nodefaults", "-A", "-o", "name")
        seconds_until(lambda: kubectl(cluster, *nothing) == "", limit=STRUCK_OFF_SECONDS)
    finally:
        run.close()
