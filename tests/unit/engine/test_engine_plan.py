"""The blast radius is known and capped before anything is touched: a node's pods are part of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.engine.planning import caps, plan
from harness.errors import UsageError
from harness.model.experiment import BlastRadius
from harness.model.fault import Hand
from harness.model.plan import Plan, PlannedFault, Victim

SHOP = BlastRadius(namespaces=("shop",), nodes=1)
NODE = Victim("node", "worker", "uid-n", node="worker", zone="a")


def drain(*namespaces: str) -> PlannedFault:
    """Make a drain of a node that runs one pod of each namespace."""
    takes = tuple(Victim("pod", "web", f"uid-{name}", name, "worker", "a") for name in namespaces)
    return PlannedFault("run-1", "node_drain", "drain it", Hand.API, NODE, takes=takes)


def test_a_node_fault_that_reaches_a_namespace_outside_the_blast_radius_is_refused(experiment) -> None:
    caps.require(experiment(SHOP), [drain("shop")])
    with pytest.raises(UsageError, match="outside the blast radius: billing/web") as refused:
        caps.require(experiment(SHOP), [drain("shop", "billing")])
    assert "every pod on it" in refused.value.why


def test_the_plan_names_the_pods_that_go_with_a_node(experiment) -> None:
    fault = drain("shop")
    shown = plan.text(experiment(SHOP), Plan("run", 1, "kind-here", (fault,), "i", "r"))
    assert "with it shop/web  uid-shop" in shown


def test_a_plan_holds_no_commands_for_a_terminal(experiment) -> None:
    loud = replace(experiment(SHOP), title="all \x1b[2J gone", uncovered=("step 'a\x07'",))
    shown = plan.text(loud, Plan("run", 1, "kind-here", (), "i", "r"))
    assert "all \ufffd[2J gone" in shown
    assert "step 'a\ufffd'" in shown


@pytest.mark.case(
    19,
    "a pod whose first container is a proxy and whose annotation names another as its default; none is named",
    "the annotated container is hit, and plan, terminal and report name it",
)
def test_the_plan_names_the_container_that_is_hit(experiment) -> None:
    pod = Victim("pod", "web-1", "uid-1", "shop", "worker", container="web")
    fault = PlannedFault("run-1", "container_kill", "kill it", Hand.NODE, pod)
    shown = plan.text(experiment(SHOP), Plan("run", 1, "kind-here", (fault,), "i", "r"))
    assert "shop/web-1 (container web)  uid-1" in shown


def test_the_resolved_hash_tells_other_pods_on_the_same_node_apart() -> None:
    assert plan.resolved([drain("shop")]) != plan.resolved([drain("shop", "billing")])
    assert plan.resolved([drain("shop")]) == plan.resolved([drain("shop")])


def test_the_plan_names_what_must_be_whole_beyond_the_blast_radius(experiment) -> None:
    shown = plan.text(experiment(SHOP), Plan("run", 1, "kind-here", (drain("shop"),), "i", "r", around=("mesh",)))
    assert "every workload complete in mesh, too" in shown


def outage(*nodes: str) -> PlannedFault:
    """Make the outage of a zone with these nodes, on each of which one pod runs."""
    parts = [Victim("node", name, f"uid-{name}", node=name, zone="a") for name in nodes]
    pods = [Victim("pod", f"web-{name}", f"uid-web-{name}", "shop", name, "a") for name in nodes]
    zone = Victim("zone", "a", ",".join(one.uid for one in parts), zone="a")
    return PlannedFault("run-1", "zone_outage", "lose it", Hand.HOST, zone, takes=(*parts, *pods))


@pytest.mark.parametrize(("pods", "nodes"), [(1, 2), (2, 1)])
def test_every_node_of_a_zone_and_every_pod_on_it_counts_against_the_caps(experiment, pods: int, nodes: int) -> None:
    caps.require(experiment(BlastRadius(("shop",), pods=2, nodes=2)), [outage("w1", "w2")])
    with pytest.raises(UsageError, match="2 pods and 2 nodes at the same time, the blast radius allows") as refused:
        caps.require(experiment(BlastRadius(("shop",), pods=pods, nodes=nodes)), [outage("w1", "w2")])
    assert refused.value.why == "2 pods go with zone a"


def test_a_node_of_a_zone_that_is_aimed_at_beside_it_counts_once(experiment) -> None:
    beside = PlannedFault("run-2", "node_freeze", "freeze it", Hand.HOST, Victim("node", "w1", "uid-w1", node="w1"))
    caps.require(experiment(BlastRadius(("shop",), pods=1, nodes=1)), [outage("w1"), beside])


def test_the_plan_shows_the_nodes_of_a_zone(experiment) -> None:
    shown = plan.text(experiment(SHOP), Plan("run", 1, "kind-here", (outage("w1", "w2"),), "i", "r"))
    lines = [line.strip() for line in shown.splitlines()]
    assert lines[lines.index("touches") + 1 :][:5] == [
        "zone_outage    zone a  uid-w1,uid-w2  (a)",
        "with it w1  uid-w1",
        "with it w2  uid-w2",
        "with it shop/web-w1  uid-web-w1",
        "with it shop/web-w2  uid-web-w2",
    ]
