from __future__ import annotations

import pytest

from harness.checkers import disruption_budget
from harness.model.verdict import State

PROMISE = {"name": "cart"}
BUDGET = "pdb/shop/cart"
OWNER = "shop/Deployment/cart"
PROCESSED = "The disruption budget cart is still being processed by the server."


def answer(status, allowed=2, *, time=10.0, pod="shop/cart-7d9f-a", budget="cart", **more):
    numbers = (
        {"allowed": allowed, "healthy": 5, "desired": 3} if budget else dict.fromkeys(("allowed", "healthy", "desired"))
    )
    return {
        "time": time,
        "pod": pod,
        "status": status,
        "message": "",
        "budget": budget,
        "owner": OWNER,
        **numbers,
        **more,
    }


@pytest.fixture
def evicted(run, struck, sampled):
    """Build a history of evictions under a budget of five pods that wants three healthy."""

    def build(*answers, healthy=((0, 5), (10.1, 4), (10.2, 3), (15, 5)), ready=(), kind="pod_evict", pdb=True, **more):
        samples = sampled(f"ready/{OWNER}", ready, desired="5")
        if pdb:
            samples += sampled(f"{BUDGET}/healthy", healthy)
            samples += sampled(f"{BUDGET}/desired", [(0, 3)])
        aimed = [answer["pod"] if kind == "pod_evict" else "worker" for answer in answers]
        faults = [struck(kind, id=f"f-{n}", victim=victim) for n, victim in enumerate(aimed)]
        return run(evictions=list(answers), samples=samples, faults=faults or [struck(kind)], **more)

    return build


def test_answers_that_agree_with_the_arithmetic_hold(evicted):
    found = disruption_budget.check(
        evicted(answer(201, time=10.1), answer(201, time=10.2), answer(429, time=10.3), ready=[(0, 5), (11, 3)]),
        PROMISE,
    )
    assert (found.state, found.summary) == (State.HELD, "2 granted, 1 refused")
    assert found.baseline == "5 healthy, 3 wanted"
    assert found.in_fault == "2 granted, 1 refused, least ready 3"


def test_more_grants_than_the_budget_allows_break_it(evicted):
    found = disruption_budget.check(evicted(*(answer(201, 1, time=10 + n / 10) for n in range(3))), PROMISE)
    assert found.state is State.BROKEN
    assert "2 evictions were granted where the budget allowed 1" in found.summary


def test_a_grant_without_anything_allowed_breaks_it(evicted):
    assert disruption_budget.check(evicted(answer(201, 0)), PROMISE).state is State.BROKEN


def test_a_refusal_of_what_the_budget_allows_breaks_it(evicted):
    found = disruption_budget.check(evicted(answer(429, 2)), PROMISE)
    assert (found.state, found.summary) == (State.BROKEN, "shop/cart-7d9f-a was refused although the budget allowed 2")


def test_a_refusal_while_the_budget_is_still_being_read_is_no_breach(evicted):
    still = answer(429, 2, message=PROCESSED)
    assert disruption_budget.check(evicted(still, answer(429, 0, time=10.5)), PROMISE).state is State.HELD


def test_a_refusal_is_right_when_the_budget_was_exhausted_around_it(evicted, sampled):
    history = evicted(answer(429, 1))
    spent = sampled(f"{BUDGET}/allowed", [(0, 1), (9.8, 0)])
    assert disruption_budget.check(evicted(answer(429, 1)), PROMISE).state is State.BROKEN
    assert disruption_budget.check(_with(history, spent), PROMISE).state is State.HELD


def test_a_budget_that_refilled_between_two_grants_is_not_overdrawn(evicted, sampled):
    history = evicted(answer(201, 1, time=10.0), answer(201, 1, time=10.6))
    refilled = sampled(f"{BUDGET}/allowed", [(0, 1), (10.1, 0), (10.5, 1), (10.6, 0)])
    assert disruption_budget.check(history, PROMISE).state is State.BROKEN
    assert disruption_budget.check(_with(history, refilled), PROMISE).state is State.HELD


def _with(history, samples):
    import dataclasses

    return dataclasses.replace(history, samples=[*history.samples, *samples])


def test_healthy_pods_below_the_desired_number_break_it(evicted):
    found = disruption_budget.check(evicted(answer(201, 2), healthy=[(0, 5), (10.1, 2)]), PROMISE)
    assert (found.state, found.summary) == (State.BROKEN, "healthy pods fell to 2, the budget wants 3")


@pytest.mark.parametrize("kind", ["node_stop", "pod_failure", "workload_scale", "node_taint", "node_spot_reclaim"])
def test_pods_lost_to_another_fault_do_not_blame_the_evictions(evicted, struck, kind):
    history = evicted(answer(201, 2), healthy=[(0, 5), (10.1, 2)])
    both = type(history)(**{**_fields(history), "faults": [*history.faults, struck(kind)]})
    assert disruption_budget.check(both, PROMISE).state is State.HELD


def test_pods_that_a_budget_held_back_and_the_power_took_do_not_blame_the_evictions(evicted):
    asked = answer(201, 2), answer(429, 0, time=10.2)
    history = evicted(*asked, healthy=[(0, 5), (10.1, 3), (15, 2)], kind="node_spot_reclaim")
    assert disruption_budget.check(history, PROMISE).state is State.HELD


@pytest.mark.parametrize("kind", ["node_cordon", "admission_failure"])
def test_a_fault_beside_that_takes_no_pod_does_not_excuse_the_evictions(evicted, struck, kind):
    history = evicted(answer(201, 2), healthy=[(0, 5), (10.1, 2)])
    both = type(history)(**{**_fields(history), "faults": [*history.faults, struck(kind)]})
    assert disruption_budget.check(both, PROMISE).state is State.BROKEN


def _fields(history):
    return {name: getattr(history, name) for name in history.__slots__}


def test_a_budget_that_was_short_before_is_not_blamed_on_evictions(evicted):
    assert disruption_budget.check(evicted(answer(201, 2), healthy=[(0, 2), (10.1, 2)]), PROMISE).state is State.HELD


def test_without_the_budget_every_grant_breaks_the_promise(evicted):
    three = [answer(201, budget=None, pod=f"shop/cart-7d9f-{n}") for n in "abc"]
    found = disruption_budget.check(
        evicted(*three, pdb=False, ready=[(0, 5), (10.5, 2)]), {**PROMISE, "min-available": 3}
    )
    assert found.state is State.BROKEN
    assert found.summary == (
        "ready pods fell to 2, the promise is 3; there is no budget cart in shop: 3 evictions were granted without it"
    )


def test_a_budget_that_covers_other_pods_breaks_the_promise(evicted):
    found = disruption_budget.check(evicted(answer(201, budget="other")), PROMISE)
    assert found.summary == "cart does not cover the evicted pods: 1 evictions were granted without it"


def test_a_weaker_budget_breaks_the_promised_minimum(evicted):
    weak = evicted(answer(201, 2), ready=[(0, 5), (11, 2)])
    assert disruption_budget.check(weak, {**PROMISE, "min-available": 3}).state is State.BROKEN
    assert disruption_budget.check(weak, {**PROMISE, "min-available": 2}).state is State.HELD


def test_two_budgets_for_one_pod_are_unknown(evicted):
    found = disruption_budget.check(evicted(answer(500)), PROMISE)
    assert (found.state, found.in_fault) == (State.UNKNOWN, "0 granted, 0 refused, 1 failed")


def test_a_drain_is_judged_by_the_evictions_that_asked_the_budget(evicted):
    other = answer(201, budget="other", pod="shop/mail-5c5c-a")
    ours = answer(201, time=10.5)
    assert disruption_budget.check(evicted(other, ours, kind="node_drain"), PROMISE).state is State.HELD
    found = disruption_budget.check(evicted(other, kind="node_drain"), PROMISE)
    assert (found.state, found.summary) == (State.UNKNOWN, "no eviction asked cart")


@pytest.mark.parametrize("answers", [[], [answer(404)], [answer(201, pod="mail/x-1-a")]])
def test_no_answer_is_unknown(evicted, answers):
    found = disruption_budget.check(evicted(*answers), {**PROMISE, "namespace": "shop"})
    assert (found.state, found.summary) == (State.UNKNOWN, "no eviction was answered")


def test_without_any_watch_a_missing_budget_is_unknown(evicted):
    found = disruption_budget.check(evicted(answer(201, budget=None), pdb=False, kind="node_drain"), PROMISE)
    assert found.state is State.UNKNOWN


def test_without_a_window_the_whole_run_is_looked_at(evicted):
    found = disruption_budget.check(evicted(answer(201, 2), window=None, ready=[(0, 5), (29, 1)]), PROMISE)
    assert found.in_fault == "1 granted, 0 refused, least ready 1"


def test_a_grant_whose_budget_could_not_be_read_is_unknown(evicted):
    found = disruption_budget.check(evicted(answer(201, None), answer(429, 0, time=10.5)), PROMISE)
    assert (found.state, found.summary) == (State.UNKNOWN, "1 evictions were granted while cart could not be read")


def test_a_promised_minimum_needs_readiness(evicted):
    found = disruption_budget.check(evicted(answer(201, 2)), {**PROMISE, "min-available": 3})
    assert (found.state, found.summary) == (State.UNKNOWN, "ready pods were not seen")
    assert disruption_budget.check(evicted(answer(429, 0)), {**PROMISE, "min-available": 3}).state is State.HELD


def test_a_budget_that_went_out_of_sight_after_a_grant_is_unknown(evicted):
    found = disruption_budget.check(evicted(answer(201, 2), healthy=[(0, 5), (10.1, None), (12, 4)]), PROMISE)
    assert (found.state, found.summary) == (State.UNKNOWN, "cart was out of sight after an eviction")


def test_a_server_that_had_no_time_is_no_refusal_by_the_budget(evicted):
    busy = answer(429, 2, cause="", message="too many requests")
    assert disruption_budget.check(evicted(busy), PROMISE).summary == "no eviction was answered"
    refused = answer(429, 0, time=10.5, cause="DisruptionBudget")
    found = disruption_budget.check(evicted(busy, refused), PROMISE)
    assert (found.state, found.summary) == (State.HELD, "0 granted, 1 refused")


def test_only_refusals_need_no_readiness(evicted):
    found = disruption_budget.check(evicted(answer(429, 0)), PROMISE)
    assert (found.state, found.in_fault) == (State.HELD, "0 granted, 1 refused")


WAITING = {"phase": "Running", "ready": False, "terminating": None}


@pytest.mark.case(9, "an eviction that the API server grants by its own rules", "a right answer, whatever is allowed")
@pytest.mark.parametrize(
    ("standing", "right"),
    [
        ({"phase": "Running", "ready": True}, False),
        (WAITING, True),
        ({**WAITING, "policy": "IfHealthyBudget"}, True),
        # Too few healthy pods as it is: only the other policy lets it go.
        ({**WAITING, "healthy": 2}, False),
        ({**WAITING, "healthy": 2, "policy": "AlwaysAllow"}, True),
        ({**WAITING, "healthy": 0, "desired": 0}, False),
        ({"phase": "Pending", "ready": False, "healthy": 2}, True),
        ({"phase": "Succeeded", "ready": False, "healthy": 2}, True),
        ({"phase": "Failed", "ready": False, "healthy": 2}, True),
        ({"phase": "Running", "ready": True, "terminating": "2026-01-01T00:00:00Z"}, True),
        ({"phase": "Running", "ready": True, "policy": "AlwaysAllow"}, False),
        # Nothing was recorded, as by an older harness: the arithmetic alone counts.
        ({}, False),
    ],
)
def test_a_grant_beyond_the_budget_is_right_where_the_api_server_does_not_ask_it(evicted, standing, right):
    found = disruption_budget.check(evicted(answer(201, 0, **standing)), PROMISE)
    assert found.state is (State.HELD if right else State.BROKEN)
    if right:
        assert found.summary == "1 granted, 0 refused; 1 of them not guarded by it: not ready, or on the way out"


def test_a_pod_that_costs_the_budget_nothing_leaves_it_to_the_others(evicted):
    free = answer(201, 1, pod="shop/cart-7d9f-x", time=10.0, **WAITING)
    one, two = answer(201, 1, time=10.1), answer(201, 0, pod="shop/cart-7d9f-b", time=10.2)
    assert disruption_budget.check(evicted(free, one), PROMISE).state is State.HELD
    assert disruption_budget.check(evicted(free, one, two), PROMISE).state is State.BROKEN
    refused = answer(429, 1, pod="shop/cart-7d9f-b", time=10.2)
    found = disruption_budget.check(evicted(free, refused), PROMISE)
    assert found.summary == "shop/cart-7d9f-b was refused although the budget allowed 1"


def test_healthy_pods_that_fall_are_not_blamed_on_a_pod_that_was_none_of_them(evicted):
    free = answer(201, 0, **WAITING)
    assert disruption_budget.check(evicted(free, healthy=[(0, 5), (10.5, 2)]), PROMISE).state is State.HELD
    low = evicted(free, ready=[(0, 2), (10.5, 2)])
    assert disruption_budget.check(low, {**PROMISE, "min-available": 3}).state is State.HELD


def test_a_budget_that_was_not_worked_out_anew_when_it_was_read_says_nothing(evicted):
    stale = {"observed": 1, "generation": 2}
    found = disruption_budget.check(evicted(answer(201, 0, **stale)), PROMISE)
    assert (found.state, found.summary) == (State.UNKNOWN, "1 evictions were granted while cart could not be read")
    assert disruption_budget.check(evicted(answer(429, 2, **stale)), PROMISE).state is State.HELD
    current = {"observed": 2, "generation": 2}
    assert disruption_budget.check(evicted(answer(201, 0, **current)), PROMISE).state is State.BROKEN


@pytest.mark.case(
    11, "a workload with a long name, or one that begins like another's", "its owner is found by reference"
)
@pytest.mark.parametrize(
    ("owner", "pod", "other"),
    [
        (f"Deployment/{'c' * 62}", f"{'c' * 47}-abcde", "Deployment/cart"),
        ("StatefulSet/keycloak-postgresql", "keycloak-postgresql-0", "Deployment/keycloak"),
    ],
)
def test_the_ready_pods_are_those_of_the_evicted_pods_owner_whatever_its_name(evicted, sampled, owner, pod, other):
    one = answer(201, 2, owner=f"shop/{owner}", pod=f"shop/{pod}")
    promise = {**PROMISE, "min-available": 2}
    ready = [
        *sampled(f"ready/shop/{owner}", [(0, 3), (10.5, 2)]),
        *sampled(f"ready/shop/{other}", [(0, 3), (10.5, 0)]),
    ]
    found = disruption_budget.check(_with(evicted(one), ready), promise)
    assert (found.state, found.in_fault) == (State.HELD, "1 granted, 0 refused, least ready 2")


def test_evictions_from_several_workloads_are_promised_their_ready_pods_together(evicted, sampled):
    other = answer(201, 2, owner="shop/StatefulSet/cart", pod="shop/cart-0", time=10.2)
    ready = sampled("ready/shop/StatefulSet/cart", [(0, 2), (10.3, 1)])
    history = _with(evicted(answer(201, 2), other, ready=[(0, 2), (10.4, 1)]), ready)
    assert disruption_budget.check(history, {**PROMISE, "min-available": 2}).state is State.HELD
    found = disruption_budget.check(history, {**PROMISE, "min-available": 3})
    assert found.summary == "ready pods fell to 2, the promise is 3"


def test_ready_pods_of_an_owner_that_nobody_saw_are_unknown(evicted):
    found = disruption_budget.check(
        evicted(answer(201, 2, owner=""), ready=[(0, 5), (11, 4)]), {**PROMISE, "min-available": 3}
    )
    assert (found.state, found.summary) == (State.UNKNOWN, "ready pods were not seen")


def test_a_server_in_trouble_is_not_two_budgets(evicted):
    trouble = answer(500, 2, cause="", message="etcdserver: request timed out")
    granted = answer(201, 2, time=10.5)
    assert disruption_budget.check(evicted(trouble, granted), PROMISE).summary == "1 granted, 0 refused"
    twice = answer(500, 2, cause="SeveralBudgets")
    assert "more than one budget" in disruption_budget.check(evicted(twice, granted), PROMISE).summary


@pytest.mark.case(9, "a budget that is changed while it is asked", "its numbers are known again at once")
def test_a_budget_that_was_worked_out_anew_at_once_was_never_out_of_sight(evicted):
    changed = evicted(answer(201, 2), healthy=[(0, 5), (10.1, 4), (11, None), (11.2, 4)])
    assert disruption_budget.check(changed, PROMISE).state is State.HELD
    deleted = evicted(answer(201, 2), healthy=[(0, 5), (10.1, 4), (11, None)])
    assert disruption_budget.check(deleted, PROMISE).state is State.UNKNOWN


@pytest.mark.case(9, "a budget that is deleted between two evictions", "what was granted without it breaks the promise")
@pytest.mark.parametrize("kind", ["pod_evict", "node_drain"])
@pytest.mark.parametrize("instead", [None, "other"])
def test_a_pod_of_the_same_workload_that_went_without_the_budget_breaks_the_promise(evicted, kind, instead):
    asked = [answer(201, 2), answer(201, budget=instead, pod="shop/cart-7d9f-b", time=12)]
    found = disruption_budget.check(evicted(*asked, healthy=[(0, 5), (10.1, 4), (11, None)], kind=kind), PROMISE)
    assert (found.state, found.summary) == (
        State.BROKEN,
        "cart did not cover shop/cart-7d9f-b any more: 1 evictions were granted without it",
    )


@pytest.mark.parametrize(
    "without",
    [
        {"owner": "shop/Deployment/mail"},
        {"owner": ""},
        {"phase": "Running", "ready": True, "terminating": "2026-01-01T00:00:00Z"},
        {"status": 429},
    ],
)
def test_an_eviction_without_the_budget_that_costs_it_nothing_breaks_no_promise(evicted, without):
    other = answer(201, budget=None, pod="shop/cart-7d9f-b", time=12) | without
    assert disruption_budget.check(evicted(answer(201, 2), other), PROMISE).state is State.HELD
