"""What is lost when orchestrators go on purpose: nothing, counted; and where something would be, that is caught.

A promotion on the stack as it should be is in test_delivery.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.local import LocalCluster
from tests.e2e.live import ROOT, broken_objectives, events, harness, kubectl, starved, unchanged, verdict_of

pytestmark = [pytest.mark.e2e, pytest.mark.long]
NAMESPACE, ORCHESTRATORS = "claude-ecosystem-prod", "app=claude-orchestrator"
# How many of the five go at least.
GO = {"orchestrator/rollout_restart": 5, "orchestrator/scale_down": 2, "nodes/drain_under_way": 1}


def ran(name: str, folder: Path) -> tuple[int, Path]:
    argv = ("run", str(ROOT / "experiments" / f"{name}.yaml"), "--seed", "7", "--runs", str(folder))
    done = harness(*argv, check=False, timeout=600)
    return done.returncode, next(folder.iterdir())


def counted(directory: Path) -> dict[str, Any]:
    """Return what a run found out about its operations."""
    (found,) = [
        one["data"]
        for one in events(directory)
        if one["type"] == "finding" and one["data"]["checker"] == "availability"  # type: ignore[index]
    ]
    assert isinstance(found, dict)
    return found


def orchestrators(cluster: LocalCluster) -> set[str]:
    found = json.loads(kubectl(cluster, "-n", NAMESPACE, "get", "pods", "-l", ORCHESTRATORS, "-o", "json"))["items"]
    return {pod["metadata"]["uid"] for pod in found if "deletionTimestamp" not in pod["metadata"]}


@pytest.mark.parametrize("name", GO)
def test_nothing_is_lost(cluster: LocalCluster, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = orchestrators(cluster)
    with unchanged(cluster):
        code, directory = ran(name, tmp_path)
    verdict, found = verdict_of(directory), counted(directory)
    with capsys.disabled():
        print(f"\n    {name}: {found['summary']}", end="", flush=True)
    assert (code, verdict["verdict"]) == (0, "PASS") or starved(verdict), verdict
    assert found["detail"]["bad"] == 0 or starved(verdict), found
    assert len(before - orchestrators(cluster)) >= GO[name]


@pytest.fixture
def emptied(cluster: LocalCluster) -> Iterator[None]:
    """A Rollout whose canaries nobody reaches, and the stack without it afterwards."""
    with unchanged(cluster):
        harness("up", "--overlay", "weak-empty-canary", timeout=1800)
        yield
        harness("down", "--parts", "delivery", timeout=600)


def test_a_canary_that_nobody_reaches_loses_requests_and_is_caught(
    emptied: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, directory = ran("delivery/good_release", tmp_path)
    broken = broken_objectives(directory)
    with capsys.disabled():
        print(f"\n    weak-empty-canary: {broken.get('availability')}", end="", flush=True)
    assert code == 1, verdict_of(directory)
    assert "availability" in broken


# Last: this overlay stays until the module is over.
@pytest.fixture(scope="module")
def undrained(cluster: LocalCluster) -> Iterator[None]:
    """A stack whose orchestrators drop what they are doing, and the whole one after the last of its tests."""
    harness("up", "--overlay", "weak-no-drain", timeout=600)
    yield
    harness("up", timeout=600)


@pytest.mark.parametrize("name", GO)
def test_a_stack_that_drops_what_is_under_way_is_caught(
    undrained: None, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, directory = ran(name, tmp_path)
    broken = broken_objectives(directory)
    with capsys.disabled():
        print(f"\n    weak-no-drain, {name}: {broken.get('availability')}", end="", flush=True)
    assert code == 1, verdict_of(directory)
    assert "availability" in broken
