"""Drive the harness as a user does, and look at the cluster beside it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio

from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.engine.preflight import scope
from harness.engine.undoing import fingerprint, undo

ROOT = Path(__file__).parents[2]
HARNESS = [sys.executable, "-m", "harness.cli"]
# The keeper undoes what it asks of the API server once more 5 s after a run's death, and strikes it off then: with one
# core taken all that took it 11 s, each of its requests being a kubectl of its own.
SETTLED_SECONDS = 25


def harness(*words: str, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    done = subprocess.run([*HARNESS, *words], cwd=ROOT, capture_output=True, text=True, timeout=timeout)
    assert not check or done.returncode == 0, (
        f"harness {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    return done


def asked(cluster: LocalCluster, what: Callable[[Kube], Awaitable[Any]]) -> Any:
    """Ask the cluster as an administrator."""

    async def inside() -> Any:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            return await what(kube)

    return anyio.run(inside)


def taken(cluster: LocalCluster) -> dict[str, str]:
    """Take the fingerprint as `harness fingerprint` does, without a process of its own."""

    async def take(kube: Kube) -> dict[str, str]:
        return await fingerprint.take(kube, cluster, await scope.of(kube, ""))

    found: dict[str, str] = asked(cluster, take)
    return found


def undone(cluster: LocalCluster) -> None:
    """Heal what an earlier test left as `harness undo` does, without a process of its own."""
    asked(cluster, lambda kube: undo.undo(kube, cluster, print))


@contextlib.contextmanager
def unchanged(cluster: LocalCluster) -> Iterator[None]:
    """Hold the fingerprint after the block against the one before, once the healer has settled."""
    before = clean(cluster)
    yield
    compared(cluster, before)


def clean(cluster: LocalCluster) -> dict[str, str]:
    """Heal what is left of earlier, and take the fingerprint."""
    undone(cluster)
    return taken(cluster)


def compared(cluster: LocalCluster, before: Mapping[str, str]) -> dict[str, str]:
    """Hold the fingerprint against the one before, once the healer has settled, and return what either tells."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while (left := fingerprint.difference(before, now := taken(cluster))) and time.monotonic() < deadline:
        pass
    assert not left, "\n".join(left)
    # A workload without a pod at the moment says nothing of its labels, and the other one does.
    return {**before, **now}


def kubectl(cluster: LocalCluster, *words: str, check: bool = True, given: str = "") -> str:
    """Ask the cluster beside the harness, through kubectl in the control plane; `given` is its standard input."""
    argv = ["docker", "exec", "-i", cluster.control_plane, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", *words]
    environment = {**os.environ, "DOCKER_HOST": cluster.docker_host}
    done = subprocess.run(argv, input=given, capture_output=True, text=True, timeout=60, env=environment)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


def docker(cluster: LocalCluster, *words: str, check: bool = True) -> str:
    """Ask the Docker daemon beside the harness."""
    environment = {**os.environ, "DOCKER_HOST": cluster.docker_host}
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60, env=environment)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


def events(directory: Path) -> list[dict[str, object]]:
    """Read a run's journal as plain lines."""
    return [json.loads(line) for line in (directory / "journal.jsonl").read_text().splitlines() if line.endswith("}")]


def verdict_of(directory: Path) -> dict[str, Any]:
    """Return what a run wrote down as its verdict."""
    (found,) = [event["data"] for event in events(directory) if event["type"] == "verdict"]
    assert isinstance(found, dict)
    return found


def broken_objectives(directory: Path) -> dict[str, str]:
    """Return the objectives a run found broken, with what was seen."""
    found = [event["data"] for event in events(directory) if event["type"] == "finding"]
    return {item["checker"]: item["summary"] for item in found if item["state"] == "broken"}  # type: ignore[index]


def starved(verdict: Mapping[str, Any]) -> bool:
    """Say whether a verdict is INCONCLUSIVE because others had the machine: right wherever that is so, never a pass."""
    return bool(verdict["verdict"] == "INCONCLUSIVE" and "of the machine's CPU" in str(verdict["reason"]))
