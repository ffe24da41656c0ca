"""Components of the control plane are paused for a short time: missed from outside, and they go on whatever dies."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.documents.target import COMPONENTS
from harness.model.fault import Target
from harness.targets import components
from harness.targets.kind import Search
from harness.targets.reach import Reach
from tests.e2e.live import docker, kubectl
from tests.e2e.test_dying import HEAL_SECONDS, Run, seconds_until, tell
from tests.e2e.victims import planned, walk

pytestmark = pytest.mark.e2e
INJECTED_SECONDS, OVER_SECONDS = 90, 30
# Prints the state of each process of that name.
STATES = 'for dir in /proc/[0-9]*; do read -r name < $dir/comm && [ "$name" = "$1" ] && grep ^State: $dir/status; done'


def paused(cluster: LocalCluster, process: str = "kube-scheduler") -> bool:
    """Look at the process itself, not at what the harness says of it."""
    asked = ("exec", cluster.control_plane, "sh", "-c", STATES, "sh", process)
    return "T (stopped)" in docker(cluster, *asked, check=False)


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
