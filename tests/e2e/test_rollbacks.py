"""What a document's foreign steps did is rolled back, on every way out and by whoever runs the document."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cluster.local import LocalCluster
from tests.e2e.live import ROOT, events, harness, kubectl
from tests.e2e.test_dying import DOCUMENTS, Run

pytestmark = pytest.mark.e2e


def replicas(cluster: LocalCluster) -> str:
    """Look at the Deployment itself."""
    path = "jsonpath={.spec.replicas}"
    return kubectl(cluster, "-n", "claude-ecosystem-prod", "get", "deployment", "claude-tool-router", "-o", path)


def rolled_back(directory: Path) -> list[str]:
    """Return the status of each rollback that the run wrote down."""
    return [str(event["data"]["status"]) for event in events(directory) if event["type"] == "rollback"]  # type: ignore[index]


def test_a_run_rolls_back_what_a_foreign_step_did(cluster: LocalCluster, as_found: None, tmp_path: Path) -> None:
    done = harness("run", str(DOCUMENTS / "scaled.yaml"), "--runs", str(tmp_path / "runs"), check=False)
    # No plan covered the step, and the hypothesis alone proves nothing.
    assert done.returncode == 2, done.stdout + done.stderr
    assert "no plan, cap or evidence covers" in " ".join(done.stdout.split())
    assert replicas(cluster) == "2"
    assert rolled_back(next((tmp_path / "runs").iterdir())) == ["succeeded"]


def test_a_run_that_is_terminated_rolls_back_too(cluster: LocalCluster, as_found: None, tmp_path: Path) -> None:
    run = Run("scaled", tmp_path)
    run.wait_for("step")
    assert replicas(cluster) == "3"
    run.signal(signal.SIGTERM)
    assert run.end() == 130
    assert replicas(cluster) == "2"


def test_chaos_run_rolls_back_once(cluster: LocalCluster, as_found: None, tmp_path: Path) -> None:
    document = tmp_path / "scaled.yaml"
    control = "controls: [{name: harness, provider: {type: python, module: harness.chaostoolkit.controls}}]\n"
    document.write_text(control + (DOCUMENTS / "scaled.yaml").read_text())
    chaos = [str(Path(sys.executable).parent / "chaos"), "--no-version-check", "run", str(document)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KUBECONFIG": str(cluster.kubeconfig)}
    done = subprocess.run(chaos, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "INCONCLUSIVE" in done.stdout + done.stderr
    assert replicas(cluster) == "2"
    assert rolled_back(next((tmp_path / "runs").iterdir())) == ["succeeded"]
    assert done.stderr.count("Rollback: scale back") == 0, "Chaos Toolkit rolled back a second time"
