"""Nodes by the commands of a table, as on another cluster: here they are Docker's, and the keeper is one of our own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.engine.lease import SECONDS
from harness.faults import FAULTS
from harness.hands import healer as healers
from harness.keeper.client import Keeper
from harness.targets.reach import Reach
from tests.e2e.live import docker
from tests.e2e.test_dying import HEAL_SECONDS, seconds_until
from tests.e2e.victims import node_of, planned

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]
TABLE = """
context: elsewhere
nodes: {{{nodes}}}
commands:
  state: [docker, -H, "{host}", inspect, -f, "{{{{.State.Status}}}}", "{{node}}"]
  stop: [docker, -H, "{host}", stop, -t, "0", "{{node}}"]
  start: [docker, -H, "{host}", start, "{{node}}"]
  pause: [docker, -H, "{host}", pause, "{{node}}"]
  unpause: [docker, -H, "{host}", unpause, "{{node}}"]
  exec: [docker, -H, "{host}", exec, "{{node}}", sh, -c, "{{command}}"]
states: {{running: running, paused: paused, exited: stopped}}
"""


@pytest.fixture
def socket(cluster: LocalCluster, tmp_path: Path) -> Iterator[Path]:
    """Where a keeper listens that knows the workers of the cluster."""
    workers = {node: name for node, name in cluster.nodes.items() if name != cluster.control_plane}
    nodes = ", ".join(f"{node}: {name}" for node, name in workers.items())
    table, at = tmp_path / "nodes.yaml", tmp_path / "keeper.sock"
    table.write_text(TABLE.format(nodes=nodes, host=cluster.docker_host))
    argv = [sys.executable, "-m", "harness.cli", "keeper", str(table), "--socket", str(at)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        seconds_until(at.exists, limit=30)
        yield at
    finally:
        process.kill()
        process.wait()


@pytest.fixture
async def keeper(socket: Path, workload: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Keeper]:
    monkeypatch.setenv(healers.NAMED, str(socket))
    found = await healers.begin(None, "elsewhere-1", 10 * SECONDS)
    assert isinstance(found, Keeper)
    yield found
    await found.end()


def paused(cluster: LocalCluster, node: str) -> bool:
    return docker(cluster, "inspect", "-f", "{{.State.Paused}}", cluster.nodes[node]).strip() == "true"


@pytest.mark.parametrize("kind", ["node_freeze", "kubelet_stop"])
async def test_a_node_is_lost_and_back_by_commands(keeper: Keeper, kube: Kube, as_found: None, kind: str) -> None:
    reach = Reach(kube, keeper)
    fault, about = planned(kind, await node_of(kube)), FAULTS[kind]
    await reach.by(fault).register(fault.id, about.undo(fault, reach))
    await about.inject(fault, reach)
    felt = await about.felt(fault, reach)
    assert felt
    assert felt["kubelet"] == "silent"
    await about.heal(fault, reach)
    assert (await about.healed(fault, reach))["ready"] is True
    await reach.by(fault).forget(fault.id)


async def test_a_run_that_dies_gives_the_node_back(
    keeper: Keeper, kube: Kube, cluster: LocalCluster, as_found: None
) -> None:
    reach = Reach(kube, keeper)
    fault, about = planned("node_freeze", await node_of(kube)), FAULTS["node_freeze"]
    await reach.by(fault).register(fault.id, about.undo(fault, reach))
    await about.inject(fault, reach)
    assert paused(cluster, fault.victim.name)
    await keeper._close()
    seconds_until(lambda: not paused(cluster, fault.victim.name), limit=HEAL_SECONDS)
    await about.healed(fault, reach)
