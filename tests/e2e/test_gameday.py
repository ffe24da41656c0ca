"""A game day of two experiments on the real stack: two approvals, a go, an abort in the midst of a run, and its end."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cluster.local import LocalCluster
from tests.e2e.live import HARNESS, ROOT, harness, kubectl, verdict_of

pytestmark = pytest.mark.e2e

NAMESPACE = "claude-ecosystem-prod"
PROBE = {
    "type": "probe",
    "name": "ready registries",
    "tolerance": {"type": "range", "range": [1, 20]},
    "provider": {
        "type": "python",
        "module": "probes.workload",
        "func": "ready_replicas",
        "arguments": {"namespace": NAMESPACE, "deployment": "claude-agent-registry"},
    },
}


def experiment(kind: str, hold: str) -> dict[str, Any]:
    target = {"namespace": NAMESPACE, "selector": "app=claude-agent-registry", "pods": 1}
    provider = {
        "type": "python",
        "module": "harness.chaostoolkit.actions",
        "func": kind,
        "arguments": {"target": target},
    }
    ours = {
        "name": "harness",
        "phases": {"baseline": "0s", "hold": hold, "recovery": "30s"},
        "objectives": {"recovery": {"within": "30s"}},
        "blast-radius": {"namespaces": [NAMESPACE], "pods": 1},
    }
    return {
        "title": f"One registry: {kind}",
        "description": "One of two registries is lost for a moment.",
        "steady-state-hypothesis": {"title": "a registry is ready", "probes": [PROBE]},
        "method": [{"type": "action", "name": kind, "provider": provider}],
        "extensions": [ours],
    }


@pytest.fixture
def day(tmp_path: Path) -> Path:
    now = datetime.now(UTC)
    begins, ends = (f"{now + timedelta(minutes=minutes):%Y-%m-%d %H:%M}" for minutes in (-1, 30))
    for kind, hold in (("pod_kill", "0s"), ("pod_freeze", "120s")):
        path = tmp_path / "registry" / f"{kind}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(experiment(kind, hold)))
    plan = {
        "title": "A registry goes, and one hangs",
        "goals": ["we can stop it"],
        "window": {"from": begins, "to": ends, "timezone": "UTC"},
        "roles": {
            **{"owner": "Ada", "coordinator": "Grace", "driver": "Linus", "scribe": "Edith"},
            "approvers": ["Barbara", "Ken"],
        },
        "risks": ["none"],
        "abort-when": ["anybody says so"],
        "rollback": "kubectl rollout restart",
        "communication": "nobody",
        "experiments": [
            {"file": f"../registry/{kind}.yaml", "expected": "nobody notices"} for kind in ("pod_kill", "pod_freeze")
        ],
    }
    folder = tmp_path / "day"
    folder.mkdir()
    (folder / "gameday.yaml").write_text(yaml.safe_dump(plan))
    return folder


@pytest.fixture
def lever_off(cluster: LocalCluster) -> Iterator[None]:
    yield
    harness("lever", "off")


@pytest.fixture
def gameday(day: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    return lambda verb, *words, **more: harness("gameday", verb, "-d", str(day), *words, **more)


def entries(day: Path, type: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (day / "log.jsonl").read_text().splitlines()]
    return [entry for entry in found if entry["type"] == type]


def frozen(day: Path) -> bool:
    return any(
        '"fault.felt"' in path.read_text() for path in day.glob("runs/*/journal.jsonl") if "freeze" in path.read_text()
    )


def test_a_day_of_two_steps_of_which_one_is_aborted(
    as_found: None, lever_off: None, day: Path, cluster: LocalCluster, gameday: Callable[..., Any]
) -> None:
    assert gameday("check").stdout.count(f"{NAMESPACE}/claude-agent-registry-") >= 2
    for name in ("Barbara", "Ken"):
        gameday("approve", "--as", name)
    first = gameday("go", "--continue", "--as", "Grace")
    assert "v hypothesis" in first.stdout
    assert "stopped at hold point 2" in first.stdout

    argv = [*HARNESS, "gameday", "go", "-d", str(day), "--continue", "--as", "Grace"]
    driver = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        deadline = time.monotonic() + 60
        while not frozen(day):
            assert driver.poll() is None, driver.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        aborted = gameday("abort", "--as", "Tim", "--why", "customers call")
        told, _ = driver.communicate(timeout=60)
    finally:
        driver.kill()
    assert driver.returncode == 3, told
    assert "its undo began" in aborted.stdout
    (stopped,) = entries(day, "stopped")
    assert stopped["after"] < 2
    ended = entries(day, "end")
    assert [(one["step"], one["verdict"]) for one in ended] == [(1, "PASS"), (2, "ABORTED")], told
    assert ended[1]["abort"]["why"] == "Tim: customers call"
    assert verdict_of(day / "runs" / ended[1]["run"])["verdict"] == "ABORTED"

    assert gameday("go", "--continue", "--as", "Grace", check=False).returncode == 4
    harness("lever", "off")
    refused = gameday("close", check=False)
    assert (refused.returncode, "1 deviation without an answer" in refused.stderr) == (4, True), refused.stderr
    gameday("note", "it was to be aborted", "--step", "2", "--accept", "--as", "Ada")
    assert "results.html" in gameday("close", "--as", "Ada").stdout
    assert "customers call" in (day / "results.md").read_text()
    assert kubectl(cluster, "get", "faults,nodefaults", "-A", "-o", "name") == ""
