"""The agents as a hand: where they must be, what they owe, and how they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.cluster.local import LocalCluster
from harness.errors import ApiError, ClusterUnreachable, PreconditionFailed
from harness.hands.kind import Place
from harness.hands.node.hand import HAND
from harness.model.fault import FaultSpec, Filter, Target
from tests.unit.targets.fakes import CLUSTER, FakeKube

pytestmark = pytest.mark.anyio
AGENTS, NODES, PODS = "/api/v1/namespaces/chaos-system/pods", "/api/v1/nodes", "/api/v1/namespaces/shop/pods"
CUT = FaultSpec("pod_partition", "cut", Target("shop", "app=web", pods=1))


def at(node: str, name: str = "web", *, ready: bool = True) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": {"name": name}, "spec": {"nodeName": node}, "status": {"conditions": conditions}}


class Cluster(FakeKube):
    """Pods, nodes and agents; `owes` is what the agent of each pod says of itself."""

    context = "staging"

    def __init__(self, *agents: dict[str, Any], owes: Any = "0", offers: Any = None, **more: Any) -> None:
        nodes = [{"metadata": {"name": name}} for name in ("a", "b")]
        super().__init__({AGENTS: list(agents), NODES: nodes, PODS: [at("a"), at("b")], **more})
        self.owes, self.offers = owes, offers or {}

    async def get_text(self, path: str) -> str:
        if isinstance(self.owes, Exception):
            raise self.owes
        if path.endswith(":9320/proxy/offers"):
            return json.dumps(self.offers.get(path.split("/")[-3].partition(":")[0], {}))
        assert path.endswith(":9320/proxy/metrics")
        return f"# TYPE chaos_agent_faults_owed gauge\nchaos_agent_faults_owed {self.owes}\nchaos_agent_workers 3\n"


def place(kube: Cluster, cluster: LocalCluster | None = None) -> Place:
    return Place(kube, cluster)  # type: ignore[arg-type]


async def test_the_hand_is_ready_where_each_node_of_a_target_has_an_agent():
    await HAND.ready(place(Cluster(at("a"), at("b"))), [CUT])


@pytest.mark.parametrize("agents", [[at("a")], [at("a"), at("b", ready=False)]], ids=["none", "one that is not ready"])
async def test_a_node_of_a_target_without_a_ready_agent_is_told_with_what_mends_it(agents):
    with pytest.raises(PreconditionFailed, match="no agent is ready on b") as refused:
        await HAND.ready(place(Cluster(*agents)), [CUT])
    assert refused.value.hint == "harness agent install --context staging --image IMAGE"
    with pytest.raises(PreconditionFailed) as refused:
        await HAND.ready(place(Cluster(*agents), CLUSTER), [CUT])
    assert refused.value.hint == "harness agent install"


async def test_a_node_without_a_target_needs_no_agent():
    kube = Cluster(at("a"))
    kube.objects[PODS] = [at("a")]
    await HAND.ready(place(kube), [CUT])


def evicted(node: str, name: str = "web") -> dict[str, Any]:
    return {**at(node, name, ready=False), "status": {"phase": "Failed", "reason": "Evicted"}}


async def test_a_node_whose_target_was_evicted_needs_no_agent():
    kube = Cluster(at("a"))
    kube.objects[PODS] = [at("a"), evicted("b")]
    await HAND.ready(place(kube), [CUT])


async def test_an_agent_that_was_evicted_is_asked_nothing_beside_the_one_in_its_place():
    kube = Cluster(at("a", "agent-1"), evicted("a", "agent-0"))
    asked: list[str] = []

    async def get_text(path: str) -> str:
        asked.append(path)
        if "agent-0" in path:
            raise ApiError(404, "NotFound", "")
        return "chaos_agent_faults_owed 0\n"

    kube.get_text = get_text  # type: ignore[method-assign]
    assert await HAND.residue(place(kube)) == {"agent/a/owes": "0"}
    assert len(asked) == 1


async def test_a_target_in_several_namespaces_needs_an_agent_on_each_of_its_nodes():
    kube = Cluster(at("a"))
    kube.objects[PODS] = [at("a")]
    kube.objects["/api/v1/namespaces/mail/pods"] = [at("b")]
    cut = FaultSpec("pod_partition", "cut", Target(namespaces=("shop", "mail"), filter=Filter("cut=me"), pods=1))
    with pytest.raises(PreconditionFailed, match="no agent is ready on b"):
        await HAND.ready(place(kube), [cut])


async def test_a_node_that_hosts_what_is_meant_needs_an_agent():
    cut = FaultSpec("node_partition", "cut", Target(hosting="shop/app=web", nodes=1))
    with pytest.raises(PreconditionFailed, match="no agent is ready on b"):
        await HAND.ready(place(Cluster(at("a"))), [cut])
    await HAND.ready(place(Cluster(at("a"), at("b"))), [cut])


async def test_agents_that_may_not_be_looked_at_are_found_out_about_at_the_injection():
    kube = Cluster()
    kube.failures = [ApiError(403, "Forbidden", "")]
    await HAND.ready(place(kube), [CUT])
    assert kube.failures == []


async def test_outside_of_the_one_namespace_that_may_be_looked_at_nothing_is():
    kube = Cluster()
    kube.failures = [AssertionError("it was asked")]
    await HAND.ready(Place(kube, None, "shop"), [CUT])  # type: ignore[arg-type]
    assert await HAND.checks(Place(kube, None, "shop")) == []  # type: ignore[arg-type]


async def test_what_an_agent_owes_is_a_line_of_the_fingerprint():
    assert await HAND.residue(place(Cluster(at("a"), owes="2"))) == {"agent/a/owes": "2"}
    assert await HAND.residue(place(Cluster())) == {}


async def test_an_agent_that_does_not_answer_is_unseen():
    kube = Cluster(at("a"), owes=ClusterUnreachable("no answer"))
    assert await HAND.residue(place(kube)) == {"unseen/agent/a": "away"}
    kube.failures = [ApiError(403, "Forbidden", "")]
    assert await HAND.residue(place(kube)) == {"unseen/agents": "forbidden"}


@pytest.mark.parametrize(
    ("agents", "said", "warning"),
    [
        ([at("a"), at("b")], "ready on 2 of 2 nodes", False),
        ([at("a")], "1 of 2 nodes; faults inside of pods, and of nodes' packets, need one on b", True),
    ],
)
async def test_the_doctor_warns_of_nodes_without_an_agent(agents, said, warning):
    (check,) = await HAND.checks(place(Cluster(*agents)))
    assert check.ok
    assert said in check.said
    assert check.warning is warning


async def test_the_doctor_says_what_each_node_lets_its_agent_do():
    good = {"packets": {"ok": True, "said": "iptables-nft"}, "freezing": {"ok": True, "said": "cgroup v1"}}
    bad = {**good, "packets": {"ok": False, "said": "a netfilter queue cannot be had: EPROTONOSUPPORT"}}
    agents = at("a", "agent-a"), at("b", "agent-b")
    (check,) = await HAND.checks(place(Cluster(*agents, offers={"agent-a": good, "agent-b": good})))
    assert (check.said, check.warning) == (
        "ready on 2 of 2 nodes; freezing by cgroup v1; packets by iptables-nft",
        False,
    )
    (check,) = await HAND.checks(place(Cluster(*agents, offers={"agent-a": good, "agent-b": bad})))
    assert "b cannot do packets: a netfilter queue cannot be had: EPROTONOSUPPORT" in check.said
    assert check.warning


async def test_an_agent_that_does_not_say_what_it_can_do_is_no_trouble():
    (check,) = await HAND.checks(place(Cluster(at("a"), at("b"), owes=ClusterUnreachable("no answer"))))
    assert (check.said, check.warning) == ("ready on 2 of 2 nodes", False)
