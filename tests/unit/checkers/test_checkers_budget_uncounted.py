"""A budget that decides nothing, one that is asked in two namespaces, and pods that nobody wants any more."""

from __future__ import annotations

import pytest

from harness.checkers import disruption_budget
from harness.model.history import Sample
from harness.model.verdict import State

PROMISE = {"name": "cart"}
PROCESSED = "Cannot evict pod; The disruption budget cart is still being processed by the server."
NEVER = {"allowed": None, "healthy": None, "desired": None, "observed": None, "generation": 1}


def answer(status, allowed=1, *, namespace="shop", time=10.0, **more):
    said = {"time": time, "pod": f"{namespace}/cart-a", "status": status, "message": "", "budget": "cart"}
    numbers = {"allowed": allowed, "healthy": 4, "desired": 3}
    return {**said, **numbers, "owner": f"{namespace}/Deployment/cart", **more}


@pytest.mark.case(9, "a budget whose pods nobody can count, so that it refuses every eviction", "no evidence: unknown")
def test_a_budget_that_was_never_worked_out_has_decided_nothing(run, struck):
    refused = answer(429, **NEVER, message=PROCESSED) | {"allowed": 0}
    found = disruption_budget.check(run(evictions=[refused], faults=[struck("pod_evict")]), PROMISE)
    assert (found.state, found.summary) == (State.UNKNOWN, f"the numbers of cart were never worked out: {PROCESSED}")


@pytest.mark.case(9, "budgets of one name in two namespaces", "each is judged by its own arithmetic")
def test_budgets_of_one_name_are_judged_each_in_its_namespace(run, struck):
    both = [answer(201), answer(201, namespace="mail", time=10.1)]
    history = run(evictions=both, faults=[struck("node_drain")])
    assert disruption_budget.check(history, PROMISE).state is State.HELD
    beyond = run(evictions=[*both, answer(201, 0, namespace="mail", time=10.2)], faults=[struck("node_drain")])
    found = disruption_budget.check(beyond, PROMISE)
    assert (found.state, found.detail["namespace"]) == (State.BROKEN, "mail")
    assert disruption_budget.check(beyond, {**PROMISE, "namespace": "shop"}).state is State.HELD


@pytest.mark.case(10, "a workload that is scaled down below what its budget wants", "no eviction took these pods")
@pytest.mark.parametrize(("healthy", "state"), [(2, State.HELD), (1, State.BROKEN)])
def test_pods_that_are_wanted_no_more_are_not_blamed_on_the_evictions(run, struck, sampled, healthy, state):
    told = [(0, "4"), (11, "3")]
    samples = [Sample(time, "ready/shop/Deployment/cart", 4, {"desired": wanted}) for time, wanted in told]
    samples += sampled("pdb/shop/cart/healthy", [(0, 4), (10.1, 3), (12, healthy)])
    samples += sampled("pdb/shop/cart/desired", [(0, 3)])
    fault = struck("pod_evict", victim="shop/cart-a")
    found = disruption_budget.check(run(evictions=[answer(201)], samples=samples, faults=[fault]), PROMISE)
    assert found.state is state
