"""A run's journal says who had the machine: a hog beside the cluster is named, one inside of it is the cluster's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from harness.checkers import machine
from harness.cluster.local import LocalCluster
from harness.engine import judge
from harness.journal import reader
from harness.model.history import History
from harness.model.verdict import State
from tests.e2e.live import docker, harness

pytestmark = pytest.mark.e2e
# It ends by itself, whatever becomes of the test.
MOST_SECONDS = 90
BURN = f"import time\nend = time.monotonic() + {MOST_SECONDS}\nwhile time.monotonic() < end: pass"
NAME = "machine-hog"
# Without a program of its own on the node, which would have to be taken away again. It goes on as long as its file is
# there: a run on a busy machine begins late.
FILE = f"/run/{NAME}"
INSIDE = f"printf {NAME} > /proc/$$/comm; while [[ -e {FILE} ]] && ((SECONDS < {MOST_SECONDS})); do :; done"
DOCUMENT = """\
title: A cordon beside a hog
description: Cordons one node for a moment; what is looked at is the machine.
method:
  - {type: action, name: cordon, provider: {type: python, module: harness.chaostoolkit.actions, func: node_cordon,
      arguments: {target: {nodes: 1, selector: node-type=general-compute}}}}
extensions:
  - {name: harness, phases: {baseline: 5s, hold: 5s, recovery: 60s}, objectives: {recovery: {within: 60s}},
     blast-radius: {namespaces: [claude-ecosystem-prod], nodes: 1}}
"""


@pytest.fixture
def hog(tmp_path: Path) -> Iterator[None]:
    """A process for each CPU that does nothing but use it, under a name of its own."""
    program = tmp_path / NAME
    program.symlink_to(Path(sys.executable).resolve())
    burning = [subprocess.Popen([program, "-I", "-S", "-c", BURN]) for _ in range(os.cpu_count() or 1)]
    yield
    for process in burning:
        process.kill()
        process.wait()


def seen(tmp_path: Path) -> tuple[History, dict[str, str]]:
    """Run the experiment; give what the run saw, and what it noted of the machine."""
    document, runs = tmp_path / "beside.yaml", tmp_path / "runs"
    document.write_text(DOCUMENT)
    harness("run", str(document), "--runs", str(runs), check=False)
    events = reader.read(next(runs.iterdir()))
    noted = [dict(event.data) for event in events if event.type == "finding" and event.data["state"] == State.NOTED]
    return judge.history(events, []), next(finding for finding in noted if finding["checker"] == "machine")


def mean(history: History, name: str) -> float:
    shares = [share for reading in machine.readings(history) if (share := getattr(reading, name)) is not None]
    assert len(shares) >= 8, "the machine was not seen"
    return float(sum(shares) / len(shares))


def named(history: History) -> Collection[str]:
    return {name for reading in machine.readings(history) for name in reading.names}


def test_a_hog_beside_the_cluster_is_seen_and_named(cluster: LocalCluster, tmp_path: Path, hog: None) -> None:
    history, noted = seen(tmp_path)
    assert mean(history, "others") > 0.4
    assert machine.starved(history)
    assert NAME in named(history)
    assert NAME in noted["summary"]


def test_what_runs_inside_of_a_node_is_the_clusters(cluster: LocalCluster, tmp_path: Path) -> None:
    worker = max(set(cluster.nodes.values()) - {cluster.control_plane})
    docker(cluster, "exec", worker, "touch", FILE)
    argv = ["docker", "exec", worker, "bash", "-c", INSIDE]
    environment = {**os.environ, "DOCKER_HOST": cluster.docker_host}
    burning = [subprocess.Popen(argv, env=environment) for _ in range(os.cpu_count() or 1)]
    try:
        history, noted = seen(tmp_path)
    finally:
        docker(cluster, "exec", worker, "rm", FILE)
    for process in burning:
        assert process.wait(MOST_SECONDS) == 0
    # However busy the machine is: a control group gets its share of it.
    assert mean(history, "cluster") > 0.3
    assert NAME not in named(history)
    assert NAME not in noted["summary"]
    # Whoever took this much beside the cluster, it was somebody.
    assert mean(history, "others") < 0.4 or named(history)
