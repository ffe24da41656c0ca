"""The stack's experiments on resources pass on a real cluster, or say that others had the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cluster.local import LocalCluster
from tests.e2e.live import harness, starved, verdict_of

pytestmark = pytest.mark.e2e
EXPERIMENTS = [
    "tool-router/cpu_stress",
    "orchestrator/memory_oom",
    "agent-registry/memory_stress",
    "tool-router/signal_stop",
    "tool-router/disk_fill",
    "agent-registry/io_stress",
]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_on_resources_passes(cluster: LocalCluster, as_found: None, tmp_path: Path, name: str) -> None:
    done = harness("run", f"experiments/{name}.yaml", "--runs", str(tmp_path), "--seed", "1", check=False)
    (folder,) = tmp_path.iterdir()
    found = verdict_of(folder)
    assert found["verdict"] == "PASS" or starved(found), done.stdout
