"""What the loader refuses of faults of nodes and zones, and what it takes."""

from __future__ import annotations

import pytest

from tests.unit.documents.test_documents_refusals import BUDGET, DEADLINE, FUNC, RECOVERY, TARGET

NODE = (TARGET, "{nodes: 1, hosting: shop/app=cart}")
STOP = (FUNC, "func: node_stop\n")


def node(*more):
    return (NODE, STOP, (DEADLINE, ""), (BUDGET, ""), *more)


def test_node_faults_need_a_cap_for_nodes(refused, loaded):
    assert "the faults ask for 1 node, the blast radius allows 0" in refused(*node())[0]
    assert loaded(*node(("[shop], pods: 3", "[shop], nodes: 1"))).faults[0].target.kind == "node"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{nodes: 1}", "a node target needs 'selector' or 'hosting'"),
        ("{nodes: 1, hosting: shop}", "'shop' is not namespace/selector"),
        ("{nodes: 1, hosting: shop/a=*}", "'a=*' is not a label selector"),
        ("{nodes: 1, hosting: mail/app=cart}", "namespace 'mail' is outside the blast radius"),
        ("{nodes: 1, namespace: shop, selector: a=b}", "nodes have no namespace"),
        ("{pods: 1, selector: a=b}", "node_stop is aimed at nodes, not pods"),
    ],
)
def test_wrong_node_targets_are_refused(refused, written, words):
    told = refused((TARGET, written), STOP, (DEADLINE, ""), (BUDGET, ""), ("[shop], pods: 3", "[shop], nodes: 1"))
    assert words in "\n".join(told)


def test_nodes_picked_by_label_may_carry_any_dependency(loaded):
    cap = ("[shop], pods: 3", "[shop], nodes: 1")
    breaker = (RECOVERY, "breaker: {dependency: registry}")
    assert loaded((TARGET, "{nodes: 1, selector: zone=a}"), STOP, (DEADLINE, ""), (BUDGET, ""), cap, breaker)


ZONE = (TARGET, "{zones: 1, hosting: shop/app=cart}")
OUTAGE = ((FUNC, "func: zone_outage\n"), (DEADLINE, ""), (BUDGET, ""))


def test_a_zone_has_a_node_at_the_least_and_so_needs_a_cap_for_nodes(refused, loaded):
    told = refused(ZONE, *OUTAGE)[0]
    assert told.startswith("evict.yaml:20: ")
    assert "the faults ask for 1 node, the blast radius allows 0" in told
    target = loaded(ZONE, *OUTAGE, ("[shop], pods: 3", "[shop], nodes: 1")).faults[0].target
    assert (target.kind, target.zones, target.least) == ("zone", 1, 1)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{zones: 1}", "a zone target needs 'selector' or 'hosting'"),
        ("{nodes: 1, hosting: shop/app=cart}", "zone_outage is aimed at zones, not nodes"),
        ("{zones: 1, namespace: shop, hosting: shop/app=cart}", "nodes have no namespace"),
        ("{zones: 1, hosting: mail/app=cart}", "namespace 'mail' is outside the blast radius"),
    ],
)
def test_wrong_zone_targets_are_refused(refused, written, words):
    assert words in "\n".join(refused((TARGET, written), *OUTAGE, ("[shop], pods: 3", "[shop], nodes: 1")))


def test_zones_picked_by_label_may_carry_any_dependency(loaded):
    breaker = (RECOVERY, "breaker: {dependency: registry}")
    labelled = (TARGET, "{zones: 1, selector: topology.kubernetes.io/zone=a}")
    assert loaded(labelled, *OUTAGE, ("[shop], pods: 3", "[shop], nodes: 1"), breaker)
