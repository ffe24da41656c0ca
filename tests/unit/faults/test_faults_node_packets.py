"""Packet faults of nodes: the API server's way is spared whatever is said, and the agent's count is the evidence."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from harness.agent.resident.packets import effects, spec
from harness.cluster import paths
from harness.engine.planning import plan, rights
from harness.errors import InjectionFailed, ObservationFailed, UsageError
from harness.faults import FAULTS, nodewide, packets
from harness.model.experiment import Experiment
from harness.resources import resource
from harness.targets import nodes
from tests.unit.faults.documents import stated
from tests.unit.targets.fakes import PODS, FakeKube, node, planned, pod, reach

pytestmark = pytest.mark.anyio
FAULT = "/apis/chaos.harness.dev/v1alpha1/nodefaults"
FIRST, SECOND = "198.51.100.2", "198.51.100.3"


def control_plane(address: str) -> dict[str, Any]:
    labels = {nodes.CONTROL_PLANE: ""}
    addresses = [{"type": "Hostname", "address": "main"}, {"type": "InternalIP", "address": address}]
    return {"metadata": {"name": "main", "uid": "uid-main", "labels": labels}, "status": {"addresses": addresses}}


class Cluster(FakeKube):
    """A worker with one pod beside a control plane; the agent of a fault says the next word at each look."""

    context = "here"

    def __init__(self, *said: dict[str, Any], endpoints: tuple[str, ...] = (FIRST,), ready: bool = True) -> None:
        self.worker, self.pod = node(), pod()
        self.worker["status"]["conditions"][0]["status"] = str(ready)
        self.pod["spec"]["nodeName"] = "worker"
        super().__init__({paths.nodes("worker"): self.worker})
        self.said, self.slices = list(said), [{"endpoints": [{"addresses": [one]} for one in endpoints]}]

    async def get(self, path: str, **more: Any) -> dict[str, Any]:
        if not path.startswith(FAULT):
            return await super().get(path, **more)
        return {"status": {"evidence": {"packets": self.said.pop(0)}}}

    async def list(self, path: str, *, labels: str | None = None, fields: str | None = None) -> list[dict[str, Any]]:
        if path == nodewide.SLICES:
            assert labels == nodewide.OF_API_SERVER
            return self.slices
        if path == paths.nodes():
            main = [control_plane(SECOND)]
            return main if labels == nodes.CONTROL_PLANE else [self.worker] if fields else [*main, self.worker]
        assert path in ("/api/v1/pods", PODS)
        return [self.pod]

    async def list_at(self, path: str, *, labels: str | None = None, fields: str | None = None) -> Any:
        return await self.list(path, labels=labels, fields=fields), "1"


ALWAYS = {"interfaces": ["eth0"], "spare": [f"{FIRST}/32"]}
ORDERS = {
    "node_latency": (
        {"delay": 0.05, "direction": "ingress"},
        {"kind": "latency", "delay_ms": 50.0, "jitter_ms": 0.0, "correlation": 0.0},
        {"direction": "ingress"},
    ),
    "node_loss": (
        {"share": 0.1, "protocol": "tcp", "ports": [5432]},
        {"kind": "loss", "share": 0.1, "correlation": 0.0},
        {"protocol": "tcp", "ports": [5432]},
    ),
    "node_partition": ({"peers": ["10.1.0.0/16"]}, {"kind": "partition"}, {"peers": ["10.1.0.0/16"]}),
}


def test_every_packet_fault_of_a_node_is_tried_here():
    of_nodes = {name for name, kind in FAULTS.items() if kind.rights is nodewide.RIGHTS and kind.target == "node"}
    assert of_nodes == set(ORDERS)


@pytest.mark.parametrize("kind", ORDERS)
async def test_the_agent_is_told_what_the_document_says_and_takes_it(kind: str):
    parameters, effect, match = ORDERS[kind]
    order = FAULTS[kind].order
    assert order
    told = dict(await order(planned(kind, **parameters, **ALWAYS), reach(Cluster(), seed=7)))
    assert told == {"op": "packets", "effect": effect, "match": {**match, **ALWAYS}, "seed": "7-1"}
    del told["op"]
    effects.make(spec.read({**told, "fault": "run-1", "netns": "/n", "lease": 5.0, "seconds": 60.0}))


async def test_a_node_that_is_not_ready_to_begin_with_is_left_alone():
    order = FAULTS["node_loss"].order
    assert order
    with pytest.raises(InjectionFailed, match="not ready to begin with"):
        await order(planned("node_loss", share=0.1, **ALWAYS), reach(Cluster(ready=False)))


def test_it_is_written_down_for_the_agent_of_its_node_and_in_no_namespace():
    fault = planned("node_loss", share=0.1)
    body = resource.body(fault, "run", [], {"op": "packets"})
    assert (body["kind"], resource.path(fault)) == ("NodeFault", f"{FAULT}/run-1")
    assert body["metadata"]["labels"]["chaos.harness.dev/node"] == "worker"


@pytest.mark.parametrize("kind", ORDERS)
async def test_it_is_felt_by_the_agents_count(kind: str):
    facts = await FAULTS[kind].felt(planned(kind), reach(Cluster({}, {"seen": 9, "did": {"lost": 2}})))
    assert facts == {"agent": "saw 9, lost 2"}


@pytest.mark.parametrize("kind", ORDERS)
async def test_packets_that_passed_without_it_make_it_not_felt(kind: str):
    with pytest.raises(ObservationFailed, match="3 packets passed"):
        await FAULTS[kind].felt(planned(kind), reach(Cluster({"seen": 9, "did": {"lost": 2}, "missed": 3})))


@pytest.mark.parametrize("kind", ORDERS)
async def test_it_is_healed_when_the_node_is_ready_and_so_are_its_pods(kind: str):
    cluster = Cluster()
    fault, at = planned(kind, **ORDERS[kind][0], **ALWAYS), reach(cluster)
    order = FAULTS[kind].order
    assert order
    await order(fault, at)
    for ailing in (cluster.worker, cluster.pod):
        ailing["status"]["conditions"][0]["status"] = "False"
        with anyio.move_on_after(0.05) as waiting:
            await FAULTS[kind].healed(fault, at)
        assert waiting.cancelled_caught
        ailing["status"]["conditions"][0]["status"] = "True"
    assert await FAULTS[kind].healed(fault, at) == {"ready": True, "pods_ready": 1}


def written(kind: str, more: str) -> Experiment:
    target = "{nodes: 1, hosting: shop/app=web}"
    return stated(kind, more, target=target, radius="namespaces: [shop], nodes: 1")


GIVEN = {"node_latency": "delay: 50ms", "node_loss": "share: 10%", "node_partition": "peers: [10.1.0.0/16]"}


@pytest.mark.parametrize("kind", ORDERS)
@pytest.mark.parametrize("name", ["lo", "eth+", "-o", "an-interface-too-long"])
def test_an_interface_that_is_none_is_refused_with_its_line(kind: str, name: str):
    with pytest.raises(UsageError, match="no interface") as refused:
        written(kind, f"{GIVEN[kind]}, interfaces: ['{name}']")
    assert refused.value.where == "x.yaml:9"
    assert "never loopback" in str(refused.value)


def test_what_cannot_go_together_is_refused_of_nodes_as_of_pods():
    with pytest.raises(UsageError, match="needs a protocol"):
        written("node_loss", "share: 10%, ports: [80]")
    with pytest.raises(UsageError, match="'jitter' is above the delay"):
        written("node_latency", "delay: 10ms, jitter: 20ms")


@pytest.mark.parametrize("kind", ORDERS)
async def test_the_plan_names_the_node_and_its_pods_and_spares_the_api_server_and_its_nodes(kind: str):
    cluster: Any = Cluster()
    one = written(kind, f"{GIVEN[kind]}, spare: [192.0.2.1]")
    found = await plan.resolve(cluster, one, run="r", seed=1)
    assert found.faults[0].parameters["spare"] == ["192.0.2.1/32", f"{FIRST}/32", f"{SECOND}/32"]
    shown = plan.text(one, found)
    assert "worker  uid-n" in shown
    assert "with it shop/web-uid-1  uid-1" in shown
    assert f"not with 192.0.2.1, {FIRST}, {SECOND}; over eth0" in shown


async def test_without_a_word_of_where_the_api_server_is_it_is_refused_with_its_line():
    cluster: Any = Cluster(endpoints=())
    with pytest.raises(UsageError, match="at which addresses the API server is") as refused:
        await plan.resolve(cluster, written("node_loss", GIVEN["node_loss"]), run="r", seed=1)
    assert refused.value.where == "x.yaml:8"


def test_a_role_grants_the_api_servers_addresses_and_faults_of_nodes():
    one = written("node_partition", "peers: [{namespace: default, selector: app=web}]")
    (role,) = rights.roles_for([one])
    assert role["kind"] == "ClusterRole"
    needed = rights.needed(one)
    assert list(nodewide.RIGHTS) == list(needed[""])
    assert list(needed["default"]) == [packets.PEER_PODS, nodewide.ADDRESSES]
