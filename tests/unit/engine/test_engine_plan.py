"""The blast radius is known and capped before anything is touched: a node's pods are part of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.engine import plan
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
    plan.require_caps(experiment(SHOP), [drain("shop")])
    with pytest.raises(UsageError, match="outside the blast radius: billing/web") as refused:
        plan.require_caps(experiment(SHOP), [drain("shop", "billing")])
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


def test_the_resolved_hash_tells_other_pods_on_the_same_node_apart() -> None:
    assert plan.resolved([drain("shop")]) != plan.resolved([drain("shop", "billing")])
    assert plan.resolved([drain("shop")]) == plan.resolved([drain("shop")])


def test_the_plan_names_what_must_be_whole_beyond_the_blast_radius(experiment) -> None:
    shown = plan.text(experiment(SHOP), Plan("run", 1, "kind-here", (drain("shop"),), "i", "r", around=("mesh",)))
    assert "every workload complete in mesh, too" in shown
