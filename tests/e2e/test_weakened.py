"""Each weakening of the stack is caught by the experiment that is named for it, and by the objective that should."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cluster.local import LocalCluster
from tests.e2e.live import ROOT, events, harness, starved, verdict_of

pytestmark = pytest.mark.e2e

PAIRS = (
    ("weak-no-pdb", "orchestrator/pod_evict", "disruption-budget"),
    ("weak-one-replica", "one_replica/pod_kill", "availability"),
    ("weak-retries-off", "orchestrator/container_kill", "availability"),
    ("weak-breaker-never-opens", "agent-registry/pod_freeze", "breaker"),
    ("weak-no-limit", "orchestrator/overload", "latency"),
    ("weak-no-readiness", "orchestrator/rolling_kill", "retries"),
)


@pytest.fixture
def weakened(request: pytest.FixtureRequest, cluster: LocalCluster) -> object:
    """The stack with one weakening, put back afterwards."""
    harness("up", "--overlay", request.param, timeout=600)
    yield request.param
    harness("up", timeout=600)


def broken_objectives(directory: Path) -> dict[str, str]:
    """Return the objectives a run found broken, with what was seen."""
    found = [event["data"] for event in events(directory) if event["type"] == "finding"]
    return {item["checker"]: item["summary"] for item in found if item["state"] == "broken"}  # type: ignore[index]


def document(name: str) -> Path:
    """Find an experiment of the repository, or one made for a weakened stack."""
    own = Path(__file__).parent / "documents" / f"{name}.yaml"
    return own if own.exists() else ROOT / "experiments" / f"{name}.yaml"


@pytest.mark.parametrize(("weakened", "experiment", "objective"), PAIRS, indirect=["weakened"])
def test_a_weakening_is_caught(
    weakened: str, experiment: str, objective: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = harness("run", str(document(experiment)), "--seed", "7", "--runs", str(tmp_path), check=False)
    directory = next(tmp_path.iterdir())
    broken = broken_objectives(directory)
    with capsys.disabled():
        print(f"\n    {weakened}: {broken.get(objective, broken)}", end="", flush=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert objective in broken, done.stdout


@pytest.mark.parametrize(
    ("name", "objective"), [(pair[1], pair[2]) for pair in PAIRS if pair[1] != "one_replica/pod_kill"]
)
def test_the_same_experiment_passes_on_the_healthy_stack(
    cluster: LocalCluster, name: str, objective: str, tmp_path: Path
) -> None:
    done = harness("run", str(document(name)), "--seed", "7", "--runs", str(tmp_path), check=False)
    assert done.returncode == 0 or starved(verdict_of(next(tmp_path.iterdir()))), done.stdout + done.stderr
