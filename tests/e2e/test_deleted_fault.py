"""Deleting the resource of a fault heals it while its run goes on."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from harness.cluster.local import LocalCluster
from tests.e2e.live import kubectl
from tests.e2e.test_dying import Run, broken_now, seconds_until

pytestmark = pytest.mark.e2e


def test_kubectl_delete_heals_a_fault(cluster: LocalCluster, as_found: None, tmp_path: Path) -> None:
    run = Run("cordon", tmp_path)
    try:
        run.wait_for("fault.felt")
        assert "node_cordon" in kubectl(cluster, "get", "nodefaults")
        kubectl(cluster, "delete", "nodefaults", "--all")
        seconds_until(lambda: not broken_now(cluster, "cordon"), limit=10)
        assert run.wait_for("fault.healed")
    finally:
        run.signal(signal.SIGTERM)
        run.end()
