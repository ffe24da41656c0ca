"""A DaemonSet makes no pod on a node whose taint it does not tolerate, though one may still be there."""

from __future__ import annotations

import pytest

from harness.workloads import Owners
from harness.workloads.jobs import Ending
from tests.unit.workloads.objects import Object, Server, item, pod, reference

pytestmark = pytest.mark.anyio
GPU = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}


async def unreplaced(taints: list[Object], *tolerations: Object, **more: tuple[str, ...]) -> str:
    node = item("Node", "worker", spec={"taints": taints})
    mine = pod("log-a", reference("DaemonSet", "log"), nodeName="worker", tolerations=list(tolerations))
    return await Owners(Server(item("DaemonSet", "log"), node, **more)).unreplaced(mine, Ending())


@pytest.mark.case(
    13, "a DaemonSet's pod on a node that was tainted since it came", "refused: its DaemonSet would make no other there"
)
@pytest.mark.parametrize(
    ("taint", "tolerations", "why"),
    [
        (GPU, [], "DaemonSet/log makes none on a node with the taint dedicated:NoSchedule"),
        (GPU, [{"key": "dedicated", "operator": "Equal", "value": "cpu"}], "dedicated:NoSchedule"),
        (GPU, [{"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}], "dedicated:NoSchedule"),
        (GPU, [{"key": "other", "operator": "Exists"}], "dedicated:NoSchedule"),
        (GPU, [{"key": "dedicated", "value": "gpu"}], ""),
        (GPU, [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}], ""),
        (GPU, [{"operator": "Exists"}], ""),
        ({"key": "slow", "effect": "PreferNoSchedule"}, [], ""),
        # What a node's condition, a cordon or a fault has put there goes again, and then the pod is made.
        ({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}, [], ""),
        ({"key": "chaos.harness.dev/run-1", "effect": "NoSchedule"}, [], ""),
    ],
)
async def test_a_pod_that_its_daemon_set_would_not_make_again_is_named(
    taint: Object, tolerations: list[Object], why: str
) -> None:
    said = await unreplaced([taint], *tolerations)
    assert (why in said) if why else not said


async def test_a_node_that_nobody_may_look_at_or_that_is_gone_says_nothing() -> None:
    assert await unreplaced([GPU], hidden=("/api/v1/nodes/worker",)) == ""
    mine = pod("log-a", reference("DaemonSet", "log"), nodeName="another")
    assert await Owners(Server(item("DaemonSet", "log"))).unreplaced(mine, Ending()) == ""


async def test_whoever_is_not_bound_to_a_node_is_made_elsewhere() -> None:
    node = item("Node", "worker", spec={"taints": [GPU]})
    mine = pod("db-0", reference("StatefulSet", "db"), nodeName="worker")
    assert await Owners(Server(item("StatefulSet", "db"), node)).unreplaced(mine, Ending()) == ""
