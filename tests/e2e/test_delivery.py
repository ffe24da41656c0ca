"""Canary releases on the real cluster, by the real Argo Rollouts controller: promoted, rolled back, or caught.

They bring the part up and take it down again; what the core is, it is again afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.cluster.local import LocalCluster
from harness.probes import settings
from tests.e2e.live import HARNESS, ROOT, events, harness, kubectl, starved, unchanged, verdict_of

pytestmark = pytest.mark.e2e
NAMESPACE, ROLLOUT = "claude-ecosystem-prod", "claude-orchestrator-rollout"
EXPERIMENTS = ROOT / "experiments" / "delivery"
WITHIN_SECONDS = 120.0
SHORT = {"pause": {"duration": "2s"}}


@pytest.fixture(scope="module")
def delivery(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """The stack with the part, and without it again after the last of them."""
    with unchanged(cluster):
        harness("up", "--parts", "core,delivery", timeout=1800)
        yield cluster
        harness("down", "--parts", "delivery", timeout=600)


def ran(name: str, folder: Path) -> tuple[int, Path]:
    done = harness(
        "run", str(EXPERIMENTS / f"{name}.yaml"), "--seed", "7", "--runs", str(folder), check=False, timeout=600
    )
    return done.returncode, next(folder.iterdir())


def injected(folder: Path) -> bool:
    """Say whether a run in this folder has done its fault."""
    journals = folder.glob("*/journal.jsonl")
    return any(one["type"] == "fault.injected" for path in journals for one in events(path.parent))


def canary_of(directory: Path) -> dict[str, Any]:
    """Return what the run found out about the release."""
    (found,) = [
        one["data"] for one in events(directory) if one["type"] == "finding" and one["data"]["checker"] == "canary"
    ]  # type: ignore[index]
    assert isinstance(found, dict)
    return found


def at_rest(cluster: LocalCluster) -> dict[str, Any]:
    """Return the Rollout once it is healthy and all its pods are of one release."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while True:
        found: dict[str, Any] = json.loads(kubectl(cluster, "-n", NAMESPACE, "get", "rollout", ROLLOUT, "-o", "json"))
        status = found["status"]
        rest = status.get("phase") == "Healthy" and status["stableRS"] == status["currentPodHash"]
        if rest and str(found["metadata"]["generation"]) == status["observedGeneration"]:
            return found
        assert time.monotonic() < deadline, status


def template(cluster: LocalCluster) -> Any:
    return at_rest(cluster)["spec"]["template"]


def weights(cluster: LocalCluster) -> list[int]:
    route = json.loads(
        kubectl(cluster, "-n", NAMESPACE, "get", "virtualservice", "claude-orchestrator-vs", "-o", "json")
    )
    return [one["weight"] for one in route["spec"]["http"][0]["route"]]


def steps(cluster: LocalCluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = at_rest(cluster)["spec"]["strategy"]["canary"]["steps"]
    return found


def hasten(cluster: LocalCluster) -> None:
    """Shorten the pauses in which nobody looks at anything: all but those that the first analysis gets its requests in.

    It judges by all that a release has counted since it began, as the second does: that one needs no pause of its own.
    """
    found = steps(cluster)
    first = next((number for number, step in enumerate(found) if "analysis" in step), 0)
    quick = [SHORT if "pause" in step and number >= first else step for number, step in enumerate(found)]
    patch = {"spec": {"strategy": {"canary": {"steps": quick}}}}
    kubectl(cluster, "-n", NAMESPACE, "patch", "rollout", ROLLOUT, "--type=merge", "-p", json.dumps(patch))
    at_rest(cluster)


def test_without_the_part_an_experiment_that_needs_it_never_begins(cluster: LocalCluster, tmp_path: Path) -> None:
    code, directory = ran("good_release", tmp_path)
    verdict = verdict_of(directory)
    assert (code, verdict["verdict"]) == (2, "INCONCLUSIVE")
    assert "the stack lacks the part delivery" in verdict["reason"]
    assert "`harness up --parts delivery` brings it" in verdict["reason"]
    assert not [one for one in events(directory) if one["type"] == "fault.injecting"]


def test_the_rollout_has_taken_the_deployment_s_place(delivery: LocalCluster) -> None:
    assert at_rest(delivery)["status"]["availableReplicas"] == 5
    deployments = kubectl(delivery, "-n", NAMESPACE, "get", "deployments", "-o", "name").split()
    assert "deployment.apps/claude-orchestrator" not in deployments
    assert weights(delivery) == [100, 0]
    assert "delivery   there" in harness("parts").stdout


def test_to_come_up_again_with_the_part_changes_nothing(delivery: LocalCluster) -> None:
    before = at_rest(delivery)["status"]["stableRS"]
    harness("up", "--parts", "delivery", timeout=600)
    assert at_rest(delivery)["status"]["stableRS"] == before


def released(
    delivery: LocalCluster, name: str, outcome: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[Path, dict[str, Any]]:
    """Run an experiment of a release that ends so and leaves nothing; return its folder and what is known of it."""
    hasten(delivery)
    before = template(delivery)
    with unchanged(delivery):
        code, directory = ran(name, folder)
        verdict, found = verdict_of(directory), canary_of(directory)
        with capsys.disabled():
            print(f"\n    {name}: {found['summary']}", end="", flush=True)
        assert code == 0 or starved(verdict), verdict
        assert found["detail"]["outcome"] == outcome
    assert template(delivery) == before
    assert weights(delivery) == [100, 0]
    detail: dict[str, Any] = found["detail"]
    return directory, detail


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        *(("good_release", "promoted"), ("failing_release", "rolled-back")),
        pytest.param("slow_release", "rolled-back", marks=pytest.mark.long),
    ],
)
def test_a_release_ends_as_it_should_and_nothing_of_it_stays(
    delivery: LocalCluster, name: str, outcome: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    released(delivery, name, outcome, tmp_path, capsys)


def struck(directory: Path, kind: str) -> tuple[float, str]:
    """Return when a run injected the last of its faults of a kind, in seconds of the run, and on whom."""
    every: list[Any] = [one for one in events(directory) if one["type"] == "fault.injected"]
    return max((one["t"], one["data"]["victim"]) for one in every if one["data"]["kind"] == kind)


def measured(directory: Path) -> list[str]:
    """List what the analyses of a run had measured, each time that it was told."""
    told: list[Any] = [one["data"] for one in events(directory) if one["type"] == "sample"]
    return [one["labels"]["measured"] for one in told if one["series"].startswith("analysis/") and one["labels"]]


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "kind", "outcome"),
    [
        ("registry_latency", "pod_latency", "promoted"),
        ("canary_pod_kill", "pod_kill", "promoted"),
        ("controller_kill", "container_kill", "promoted"),
        ("prometheus_away", "workload_scale", "promoted"),
        ("prometheus_gone", "workload_scale", "given-up"),
    ],
)
def test_a_release_ends_as_it_should_whatever_else_breaks_meanwhile(
    delivery: LocalCluster, name: str, kind: str, outcome: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, detail = released(delivery, name, outcome, tmp_path, capsys)
    (begun, _), (moment, victim) = struck(directory, "workload_release"), struck(directory, kind)
    assert begun < moment < begun + detail["took"]
    if kind == "workload_scale":
        assert any("Error" in one for one in measured(directory))
    if kind == "pod_kill":
        assert victim.startswith(f"{NAMESPACE}/{ROLLOUT}-{detail['release']}-")


def test_a_release_is_taken_back_when_the_engine_is_killed(delivery: LocalCluster, tmp_path: Path) -> None:
    before, runs, document = template(delivery), tmp_path / "runs", tmp_path / "failing_release.yaml"
    # Nobody judges it by what was before.
    document.write_text((EXPERIMENTS / document.name).read_text().replace("baseline: 5s", "baseline: 0s"))
    with unchanged(delivery):
        argv = [*HARNESS, "run", str(document), "--seed", "7", "--runs", str(runs)]
        engine = subprocess.Popen(
            argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            deadline = time.monotonic() + WITHIN_SECONDS
            while not injected(runs):
                assert engine.poll() is None
                assert time.monotonic() < deadline
            os.killpg(engine.pid, signal.SIGKILL)
        finally:
            engine.kill()
            engine.wait()
        deadline = time.monotonic() + WITHIN_SECONDS
        while template(delivery) != before:
            assert time.monotonic() < deadline


@pytest.fixture
def requests() -> Iterator[None]:
    """Somebody who asks the orchestrators all the while: without requests nothing is found out about a release."""
    over = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=settings.gateway(None), timeout=10, trust_env=False) as client:
            while not over.wait(0.05):
                with contextlib.suppress(httpx.HTTPError):
                    client.get("/v1/agents/agent-1", headers={"Host": settings.GATEWAY_HOST})

    asking = threading.Thread(target=ask)
    asking.start()
    yield
    over.set()
    asking.join()


def test_a_release_by_hand_is_followed_to_its_end(delivery: LocalCluster, requests: None) -> None:
    done = harness("release", "--env", "FAIL_SHARE=1", "--within", "4m", check=False, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    assert '"success-rate" assessed Failed' in done.stdout + done.stderr
    harness("up", "--parts", "delivery", timeout=600)
    assert at_rest(delivery)["status"].get("abort") is None


# Last: it goes together with the part.
def test_a_stack_whose_analysis_is_off_promotes_what_is_bad_and_is_caught(
    delivery: LocalCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    harness("up", "--overlay", "weak-no-analysis", timeout=600)
    assert not [step for step in steps(delivery) if "analysis" in step]
    hasten(delivery)
    code, directory = ran("failing_release", tmp_path)
    found = canary_of(directory)
    with capsys.disabled():
        print(f"\n    weak-no-analysis: {found['summary']}", end="", flush=True)
    assert (code, found["state"]) == (1, "broken")
    assert found["summary"].startswith("promoted after")
