"""Components of the control plane are paused, or slow, for a short time: felt from outside, as ever whatever dies."""

from __future__ import annotations

import signal
from pathlib import Path

import anyio
import pytest

from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.documents.target import COMPONENTS
from harness.faults import FAULTS
from harness.model.fault import Target
from harness.resources import resource
from harness.targets import components
from harness.targets.kind import Search
from harness.targets.reach import Reach
from tests.e2e.live import docker, kubectl
from tests.e2e.test_dying import HEAL_SECONDS, Run, seconds_until, tell
from tests.e2e.victims import planned, walk, written

pytestmark = pytest.mark.e2e
INJECTED_SECONDS, OVER_SECONDS = 90, 30
DELAY_SECONDS, SLOW_SECONDS = 0.5, 0.45
# Prints the state of each process of that name.
STATES = 'for dir in /proc/[0-9]*; do read -r name < $dir/comm && [ "$name" = "$1" ] && grep ^State: $dir/status; done'


def paused(cluster: LocalCluster, process: str = "kube-scheduler") -> bool:
    """Look at the process itself, not at what the harness says of it."""
    asked = ("exec", cluster.control_plane, "sh", "-c", STATES, "sh", process)
    return "T (stopped)" in docker(cluster, *asked, check=False)


def connecting(cluster: LocalCluster) -> float:
    """Return how many seconds it takes to connect to the API server from another node."""
    ask = "curl -sk -o /dev/null -m 10 -w '%{time_connect}' https://$1:6443/version"
    node = min(name for name in cluster.nodes.values() if name != cluster.control_plane)
    return float(docker(cluster, "exec", node, "sh", "-c", ask, "sh", cluster.control_plane))


@pytest.mark.anyio
async def test_a_slow_api_server_is_waited_for_and_quick_again(as_found: None, leased: Reach, kube: Kube) -> None:
    target = Target(component="kube-apiserver", of="component")
    ((victim, _),) = await components.find(Search(kube, leased.owners, target))
    assert leased.cluster
    assert connecting(leased.cluster) < SLOW_SECONDS
    given = {"delay": DELAY_SECONDS, "interfaces": ["eth0"]}
    fault, kind = planned("apiserver_latency", victim, **given), FAULTS["apiserver_latency"]
    await written(leased, fault)
    with anyio.fail_after(60):
        await kind.inject(fault, leased)
        felt = await kind.felt(fault, leased)
    assert felt
    assert "delayed" in felt["agent"]
    assert connecting(leased.cluster) >= SLOW_SECONDS
    with anyio.fail_after(60):
        await kind.heal(fault, leased)
        assert (await kind.healed(fault, leased))["leases"] == "renewed"
    await resource.delete(kube, fault)
    assert connecting(leased.cluster) < SLOW_SECONDS


@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_a_run_that_ends_meanwhile_makes_the_api_server_quick_again(
    cluster: LocalCluster, as_found: None, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run("apiserver_latency", tmp_path)
    try:
        run.wait_for("fault.injected")
        seconds_until(lambda: connecting(cluster) >= SLOW_SECONDS, limit=INJECTED_SECONDS)
        run.signal(getattr(signal, name))
        seconds = seconds_until(lambda: connecting(cluster) < SLOW_SECONDS, limit=HEAL_SECONDS)
        tell(capsys, f"{name}, apiserver_latency", seconds)
        seconds_until(lambda: kubectl(cluster, "get", "nodefaults", "-o", "name") == "", limit=OVER_SECONDS)
    finally:
        run.close()


@pytest.mark.anyio
@pytest.mark.parametrize("component", COMPONENTS)
async def test_a_paused_component_is_missed_and_goes_on(reach: Reach, kube: Kube, component: str) -> None:
    ((victim, _),) = await components.find(Search(kube, reach.owners, Target(component=component, of="component")))
    seen = await walk(reach, planned("component_pause", victim, lasts=5.0))
    assert seen["felt"]
    assert seen["healed"] == {"leases": "renewed"}
    assert reach.cluster
    assert not paused(reach.cluster, component[:15])


@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_a_run_that_ends_meanwhile_lets_it_go_on_before_its_time_is_over(
    cluster: LocalCluster, as_found: None, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run("component_pause", tmp_path)
    try:
        run.wait_for("fault.injecting")
        seconds_until(lambda: paused(cluster), limit=INJECTED_SECONDS)
        run.signal(getattr(signal, name))
        seconds = seconds_until(lambda: not paused(cluster), limit=HEAL_SECONDS)
        tell(capsys, f"{name}, component_pause", seconds)
        seconds_until(lambda: kubectl(cluster, "get", "nodefaults", "-o", "name") == "", limit=OVER_SECONDS)
    finally:
        run.close()
