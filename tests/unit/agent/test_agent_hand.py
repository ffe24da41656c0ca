"""The engine's hand and the agent's whole program, each as it is, with an API server of this test between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio.to_thread
import pytest

from harness.errors import ApiError, InjectionFailed
from harness.faults import packets, pod_latency, pod_partition
from harness.hands.node import asking
from harness.model.fault import Hand
from harness.model.plan import PlannedFault, Victim
from harness.resources import resource
from tests.unit.agent.lab import PEER, TARGET, Lab, arrived
from tests.unit.agent.pod import Pod
from tests.unit.agent.program import Program
from tests.unit.agent.server import Server

pytestmark = pytest.mark.anyio
EFFECTS = {"pod_latency": pod_latency.effect, "pod_partition": pod_partition.effect}


class Client:
    """What the hand asks of a cluster, asked of the test's server."""

    def __init__(self, server: Server) -> None:
        self.server = server

    async def list_at(self, path: str, *, fields: str = "", **_: Any) -> tuple[list[dict[str, Any]], str]:
        found = self.server.listed(path)
        name = fields.partition("=")[2]
        items = [item for item in found["items"] if item["metadata"]["name"] == name]
        return items, found["metadata"]["resourceVersion"]

    async def watch(self, path: str, *, since: str, **_: Any) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        changes = self.server.changes(path, int(since))
        while True:
            event = await anyio.to_thread.run_sync(next, changes, abandon_on_cancel=True)
            yield event["type"], event["object"]

    async def get(self, path: str) -> dict[str, Any]:
        """Say that the node is there, which is asked where an agent takes its time."""
        assert path == "/api/v1/nodes/node-a"
        return {}

    async def patch(self, path: str, body: Any, **_: Any) -> dict[str, Any]:
        if not self.server.patched(path, body):
            raise ApiError(404, "NotFound", "", where=path)
        return self.server.get(path)


def written(server: Server, pod: Pod, kind: str, *, to_heal: bool = False, **parameters: Any) -> str:
    """Write a fault down as the engine does, or as one that is to be healed by then, and return its path."""
    fault = PlannedFault("run-1-1", kind, "break", Hand.NODE, Victim("pod", "p", pod.uid, "shop", "node-a"), parameters)
    order = {"op": "packets", "effect": EFFECTS[kind](parameters), "match": {"protocol": "udp"}, "seed": "7"}
    if parameters.get("peers"):
        order["match"] = {"peers": parameters["peers"]}
    body = resource.body(fault, "run-1", [], order)
    if to_heal:
        body["metadata"]["annotations"] = {asking.HEAL: "true"}
    server.put(resource.path(fault), body)
    return resource.path(fault)


async def test_a_fault_is_waited_for_and_healed_with_the_evidence_of_its_agent(
    lab: Lab, pod: Pod, server: Server, program: Program
):
    kube, path = Client(server), written(server, pod, "pod_latency", delay=60)
    assert "appliedAt" in await asking.applied(kube, path)  # type: ignore[arg-type]
    sender, receiver = lab.udp(TARGET), lab.udp(PEER)
    sender.sendto(b"x", receiver.getsockname())
    server.wait(path, lambda item: item["status"]["evidence"]["packets"].get("seen") == 1)
    assert arrived(receiver) == []
    ended = await asking.heal(kube, path)  # type: ignore[arg-type]
    status = ended.status
    assert ended.early == ""
    assert packets.words(status["evidence"]["packets"]) == "saw 1, delayed 1"  # it was let go before its time
    assert status["evidence"]["packets"]["missed"] == 0
    assert lab.chains() == []


async def test_an_order_that_makes_no_sense_is_refused_in_the_agents_words_and_needs_no_healing(
    lab: Lab, pod: Pod, server: Server, program: Program
):
    kube, path = Client(server), written(server, pod, "pod_latency", delay=0)
    with pytest.raises(InjectionFailed, match="delay_ms is 0"):
        await asking.applied(kube, path)  # type: ignore[arg-type]
    assert "healedAt" in (await asking.heal(kube, path)).status  # type: ignore[arg-type]


async def test_a_fault_that_is_to_be_healed_before_its_agent_saw_it_is_never_done(
    lab: Lab, pod: Pod, server: Server, program: Program
):
    kube, path = Client(server), written(server, pod, "pod_partition", to_heal=True, peers=["198.51.100.2/32"])
    ended = await asking.heal(kube, path)  # type: ignore[arg-type]
    status = ended.status
    assert ended.early == ""
    assert status["message"] == "it was never begun"
    assert "appliedAt" not in status
    assert lab.chains() == []


async def test_a_partition_is_undone_when_its_resource_goes(lab: Lab, pod: Pod, server: Server, program: Program):
    kube, path = Client(server), written(server, pod, "pod_partition", peers=["198.51.100.2/32"])
    await asking.applied(kube, path)  # type: ignore[arg-type]
    sender, receiver = lab.udp(TARGET), lab.udp(PEER)
    sender.sendto(b"x", receiver.getsockname())
    server.wait(path, lambda item: item["status"]["evidence"]["packets"].get("first"))
    server.delete(path)
    program.hear("is healed")
    assert arrived(receiver) == []
    sender.sendto(b"y", receiver.getsockname())
    assert receiver.recv(9) == b"y"
