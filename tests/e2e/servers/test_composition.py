"""Several faults in one run on the real cluster: one beside others, one twice, one by the seed, under one cap."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cluster.local import LocalCluster
from tests.e2e.live import ROOT, events, harness, verdict_of
from tests.e2e.victims import APP, NAMESPACE

pytestmark = pytest.mark.e2e
TARGET = {"namespace": NAMESPACE, "selector": f"app={APP}", "pods": 1}


def step(name: str, func: str, target: dict[str, Any], **more: Any) -> dict[str, Any]:
    background = {"background": True} if more.pop("background", False) else {}
    arguments = {"target": target, **more}
    provider = {"type": "python", "module": "harness.chaostoolkit.actions", "func": func, "arguments": arguments}
    return {"type": "action", "name": name, **background, "provider": provider}


DOCUMENT = {
    "title": "Web servers go one after the other while a node takes no pods",
    "description": "Two kills, then a freeze or another kill, beside a cordon; one pod is missing at a time.",
    "controls": [{"name": "harness", "provider": {"type": "python", "module": "harness.chaostoolkit.controls"}}],
    "method": [
        step(
            "cordon", "node_cordon", {"nodes": 1, "hosting": f"{NAMESPACE}/app={APP}"}, duration="3s", background=True
        ),
        step("kill twice", "pod_kill", TARGET, times=2, every="1s"),
        step("freeze", "pod_freeze", TARGET, duration="2s"),
        step("kill", "pod_kill", TARGET, duration="0s"),
    ],
    "rollbacks": [],
    "extensions": [
        {
            "name": "harness",
            "phases": {"baseline": "0s", "hold": "0s", "recovery": "60s"},
            "objectives": {"recovery": {"within": "60s"}},
            "choose": [{"from": ["freeze", "kill"], "take": 1}],
            "blast-radius": {"namespaces": [NAMESPACE], "pods": 1, "nodes": 1},
        }
    ],
}


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "shop" / "several.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(DOCUMENT, sort_keys=False))
    return path


def held(directory: Path) -> None:
    """Hold a run's journal against what the document asks for."""
    seen = events(directory)
    assert verdict_of(directory)["verdict"] == "PASS", verdict_of(directory)
    plans = [event["data"] for event in seen if event["type"] == "plan"]
    planned: dict[str, dict[str, Any]] = {one["id"]: one for plan in plans for one in plan["faults"]}  # type: ignore[index]
    (left,) = plans[0]["left_out"]  # type: ignore[index]
    told = [
        (event["type"], planned[str(event["data"]["id"])]["activity"])  # type: ignore[index]
        for event in seen
        if event["type"] in ("fault.injected", "fault.healed")
    ]
    pods = [(kind, name) for kind, name in told if name != "cordon"]
    drawn = "kill" if left == "freeze" else "freeze"
    # Each is healed before the next begins: no two pods are missing at the same time.
    assert pods == [
        pair
        for name in ("kill twice", "kill twice", drawn)
        for pair in (("fault.injected", name), ("fault.healed", name))
    ]
    assert [kind for kind, name in told if name == "cordon"] == ["fault.injected", "fault.healed"]
    victims = [one["victim"]["uid"] for one in planned.values() if one["activity"] == "kill twice"]
    assert len(set(victims)) == 2


@pytest.mark.parametrize("seed", ["1", "2"])
def test_a_composition_keeps_to_its_cap_and_heals_each_fault_in_its_own_time(
    as_found: None, workload: LocalCluster, document: Path, tmp_path: Path, seed: str
) -> None:
    planned = harness("plan", str(document), "--seed", seed).stdout
    assert "time line, at the earliest" in planned
    assert "together at most 1 pods and 1 nodes; the caps allow 1 and 1" in planned
    harness("run", str(document), "--seed", seed, "--runs", str(tmp_path / "runs"))
    (directory,) = (tmp_path / "runs").iterdir()
    held(directory)
    (drawn,) = [line for line in planned.splitlines() if line.startswith("  drawn")]
    (plan, *_) = [event["data"] for event in events(directory) if event["type"] == "plan"]
    assert drawn.endswith(f"left out: {plan['left_out'][0]}")  # type: ignore[index]


def test_chaos_run_does_the_same(as_found: None, workload: LocalCluster, document: Path, tmp_path: Path) -> None:
    chaos = [str(Path(sys.executable).parent / "chaos"), "--no-version-check", "run", str(document)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(chaos, cwd=tmp_path, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    (directory,) = (tmp_path / "runs").iterdir()
    held(directory)
