"""What the plan does not name is not touched: the API server's own audit log is compared with every plan of the set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.local import LocalCluster
from tests.e2e.live import docker, events
from tests.e2e.local_set import LocalSet

pytestmark = pytest.mark.e2e
AUDIT = "grep -h kube-chaos-harness/ /var/log/kubernetes/audit*.log"
OURS = {"faults", "nodefaults", "leases", "events"}
# The other faults end or stop a process on its node: the API server is asked for nothing.
WRITES = {"pod_kill", "pod_evict", "node_cordon", "node_drain"}


@pytest.fixture(scope="module")
def audit(cluster: LocalCluster, local_set: LocalSet) -> list[Mapping[str, Any]]:
    """What the harness asked of the API server to change."""
    text = docker(cluster, "exec", cluster.control_plane, "sh", "-c", AUDIT)
    entries = [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]
    return [entry for entry in entries if str(entry.get("userAgent", "")).startswith("kube-chaos-harness/")]


def asked(audit: list[Mapping[str, Any]], run: Path) -> set[tuple[str, str]]:
    """Name each object that was written to between a run's first and last word."""
    lines = events(run)
    first, last = (float(str(lines[at]["wall"])) for at in (0, -1))
    during = [entry for entry in audit if first <= _wall(entry) <= last]
    refs = [entry["objectRef"] for entry in during if entry["verb"] not in ("get", "list", "watch")]
    return {
        (ref.get("namespace", ""), ref.get("name", ""))
        for ref in refs
        if ref["resource"] not in OURS and ref.get("name") != "chaos-system"
    }


def _wall(entry: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp()


def test_only_the_planned_targets_are_written_to(local_set: LocalSet, audit: list[Mapping[str, Any]]) -> None:
    silent = {}
    for name, run in local_set.runs.items():
        faults: list[dict[str, Any]] = next(event["data"] for event in events(run) if event["type"] == "plan")["faults"]  # type: ignore[index]
        planned = {(one["namespace"], one["name"]) for fault in faults for one in (fault["victim"], *fault["takes"])}
        effects = asked(audit, run)
        assert effects <= planned, f"{name}: not in the plan: {effects - planned}"
        if not effects:
            silent[name] = {fault["kind"] for fault in faults}
    loud = {name: kinds & WRITES for name, kinds in silent.items() if kinds & WRITES}
    assert not loud, f"the audit log shows no effect at all, which proves nothing: {loud}"
