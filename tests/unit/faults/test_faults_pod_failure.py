"""A pod stays dead where it is by an image that nobody can have, and gets its own back, and no other."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from harness.engine.planning import plan
from harness.errors import InjectionFailed, ObservationFailed, UsageError
from harness.faults import FAULTS
from harness.model.plan import Victim
from harness.targets import containers
from harness.targets.pods import Fate
from harness.workloads.pod import MIRROR
from tests.unit.faults.documents import stated
from tests.unit.faults.recorded import elsewhere, injected
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import PODS, planned, web

pytestmark = pytest.mark.anyio
KIND = FAULTS["pod_failure"]
VICTIM = Victim("pod", "web-uid-0", "uid-0", "shop", "worker", owner="Deployment/web", container="web")
FAULT, POD = planned("pod_failure", VICTIM), f"{PODS}/web-uid-0"
NOWHERE = "chaos.invalid/run-1:none"
WAITS = {"waiting": {"reason": "ErrImagePull"}}


def shop() -> Server:
    """Make two pods with a proxy each before their web server."""
    server = Server(web(2))
    for number in (0, 1):
        pod = server.objects[f"{PODS}/web-uid-{number}"]
        pod["spec"] = {"nodeName": "worker", "containers": [{"name": "proxy", "image": "proxy:1"}]}
        pod["spec"]["containers"].append({"name": "web", "image": "web:1"})
        pod["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
        state(pod, {"running": {}}, ready=True)
    return server


def state(pod: dict[str, Any], found: dict[str, Any], *, ready: bool) -> None:
    """Say of a pod's web server what its kubelet says."""
    statuses = [{"name": "proxy", "state": {"running": {}}}, {"name": "web", "state": found}]
    conditions = [{"type": "Ready", "status": str(ready)}]
    pod["status"] = {"conditions": conditions, "containerStatuses": statuses}


def images(server: Server) -> list[str]:
    return [one["image"] for one in server.objects[POD]["spec"]["containers"]]


async def test_the_container_that_is_meant_gets_an_image_that_nobody_can_have_and_its_own_again() -> None:
    server = shop()
    reach = await injected(server, FAULT)
    assert images(server) == ["proxy:1", NOWHERE] == ["proxy:1", containers.nowhere(FAULT)]
    for _ in range(2):
        assert await elsewhere(server, reach, FAULT) == []
        assert images(server) == ["proxy:1", "web:1"]


async def test_an_undo_before_the_effect_changes_nothing() -> None:
    server, reach = shop(), await injected(shop(), FAULT)
    assert await elsewhere(server, reach, FAULT) == []
    assert server.requests == []


async def test_an_image_that_somebody_else_has_set_meanwhile_stays_and_is_told_of() -> None:
    server = shop()
    reach = await injected(server, FAULT)
    server.objects[POD]["spec"]["containers"][1]["image"] = "web:2"
    for _ in range(2):
        (left,) = await elsewhere(server, reach, FAULT)
        assert images(server) == ["proxy:1", "web:2"]
        assert "web:2" in left


async def test_a_pod_that_is_gone_is_undone() -> None:
    server = shop()
    reach = await injected(server, FAULT)
    await server.delete(POD)
    assert await elsewhere(server, reach, FAULT) == []


async def test_it_is_felt_when_the_container_does_not_run_and_the_pod_is_not_ready() -> None:
    server = shop()
    reach, pod = await injected(server, FAULT), server.objects[POD]
    for found, ready in (({"running": {}}, True), ({"running": {}}, False), (WAITS, True)):
        state(pod, found, ready=ready)
        with anyio.move_on_after(0.05) as waiting:
            await KIND.felt(FAULT, reach)
        assert waiting.cancelled_caught
    state(pod, WAITS, ready=False)
    assert await KIND.felt(FAULT, reach) == {"state": "waiting", "reason": "ErrImagePull"}
    await server.delete(POD)
    with pytest.raises(ObservationFailed, match="went away before it was seen dead"):
        await KIND.felt(FAULT, reach)


async def test_it_is_healed_when_the_container_runs_and_the_pod_is_ready() -> None:
    server = shop()
    reach, pod = await injected(server, FAULT), server.objects[POD]
    for found, ready in ((WAITS, False), ({"running": {}}, False)):
        state(pod, found, ready=ready)
        with anyio.move_on_after(0.05) as waiting:
            await KIND.healed(FAULT, reach)
        assert waiting.cancelled_caught
    state(pod, {"running": {}}, ready=True)
    assert await KIND.healed(FAULT, reach) == {"ready": True}


async def test_a_pod_that_somebody_deleted_is_healed_by_the_one_in_its_place() -> None:
    server = shop()
    reach = await injected(server, FAULT)
    server.objects[f"{PODS}/web-uid-2"] = server.objects.pop(POD)
    server.objects[f"{PODS}/web-uid-2"]["metadata"] |= {"name": "web-uid-2", "uid": "uid-2"}
    assert await KIND.healed(FAULT, reach) == {"pod": "replaced", "owner": "Deployment/web", "ready": 2, "desired": 2}


async def test_a_container_that_does_not_run_to_begin_with_is_left_alone() -> None:
    server = shop()
    state(server.objects[POD], WAITS, ready=False)
    with pytest.raises(InjectionFailed, match="container web does not run"):
        await injected(server, FAULT)
    assert images(server) == ["proxy:1", "web:1"]


@pytest.mark.parametrize(
    ("policy", "fate"), [("Always", Fate.RESTARTED), ("OnFailure", Fate.GONE), ("Never", Fate.GONE)]
)
def test_a_pod_whose_container_does_not_start_again_would_be_lost(policy: str, fate: Fate) -> None:
    pod = {"spec": {"containers": [{"name": "web"}], "restartPolicy": policy}}
    assert KIND.fate(FAULT, pod) is fate


async def planned_text(server: Any, container: str = "") -> str:
    named = f", container: {container}" if container else ""
    target = f"{{namespace: shop, selector: app=web, pods: 2{named}}}"
    one = stated("pod_failure", target=target, radius="namespaces: [shop], pods: 2")
    return plan.text(one, await plan.resolve(server, one, run="r", seed=1, alone=True))


async def test_the_plan_names_the_container_that_is_meant() -> None:
    assert "shop/web-uid-0 (container web)" in await planned_text(shop(), "web")
    assert "shop/web-uid-0 (container proxy)" in await planned_text(shop())


async def test_what_cannot_be_changed_is_refused_by_the_plan() -> None:
    server = shop()
    for number in (0, 1):
        server.objects[f"{PODS}/web-uid-{number}"]["spec"]["initContainers"] = [
            {"name": "mesh", "image": "mesh:1", "restartPolicy": "Always"}
        ]
    with pytest.raises(UsageError, match="container mesh cannot be changed"):
        await planned_text(server, "mesh")
    for number in (0, 1):
        server.objects[f"{PODS}/web-uid-{number}"]["metadata"]["annotations"] = {MIRROR: "x"}
    with pytest.raises(UsageError, match="cannot be changed"):
        await planned_text(server)
