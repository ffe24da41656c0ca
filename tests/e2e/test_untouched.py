"""What the plan does not name is not touched: the API server's own audit log is compared with the plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.local import LocalCluster
from tests.e2e.live import ROOT, docker, events, harness

pytestmark = pytest.mark.e2e
AUDIT = "/var/log/kubernetes/audit.log"
OURS = {"faults", "nodefaults", "leases", "events"}


def audit(cluster: LocalCluster, since: int) -> list[dict[str, object]]:
    """Return what the harness asked of the API server after the log had `since` bytes."""
    text = docker(cluster, "exec", cluster.control_plane, "tail", "-c", f"+{since + 1}", AUDIT)
    entries = [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]
    return [entry for entry in entries if str(entry.get("userAgent", "")).startswith("kube-chaos-harness/")]


@pytest.mark.parametrize("name", ["orchestrator/pod_kill", "orchestrator/pod_evict", "nodes/cordon", "nodes/drain"])
def test_only_the_planned_targets_are_written_to(
    name: str, cluster: LocalCluster, as_found: None, tmp_path: Path
) -> None:
    since = int(docker(cluster, "exec", cluster.control_plane, "stat", "-c", "%s", AUDIT))
    harness("run", str(ROOT / "experiments" / f"{name}.yaml"), "--seed", "3", "--runs", str(tmp_path / "runs"))
    directory = next((tmp_path / "runs").iterdir())
    plan = next(event["data"] for event in events(directory) if event["type"] == "plan")
    faults: list[dict[str, Any]] = plan["faults"]  # type: ignore[index]
    planned = {(one["namespace"], one["name"]) for fault in faults for one in (fault["victim"], *fault["takes"])}
    entries = audit(cluster, since)
    writes = [entry["objectRef"] for entry in entries if entry["verb"] not in ("get", "list", "watch")]
    effects = {
        (ref.get("namespace", ""), ref.get("name", ""))  # type: ignore[attr-defined]
        for ref in writes
        if ref["resource"] not in OURS and ref.get("name") != "chaos-system"  # type: ignore[index, attr-defined]
    }
    assert effects, "the audit log shows no effect at all: it proves nothing"
    assert effects <= planned, f"not in the plan: {effects - planned}"
