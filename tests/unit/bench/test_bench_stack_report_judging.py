"""What the report's rows make of what they saw: right, and wrong in each way in which it can be."""

from __future__ import annotations

from typing import Any

import pytest

from bench.stack_report import quantities
from bench.stack_report.asking import Answer
from bench.stack_report.canary import judging as canary
from bench.stack_report.canary.watching import ROLLOUT, Watched
from bench.stack_report.mesh import behind, destination, identity, routing
from bench.stack_report.placement import network, nodes, probes, shares
from bench.stack_report.scaling import judging as scaling
from bench.stack_report.scaling import watching
from harness.workloads import releases


def answer(status: int = 200, at: float = 0.0, took: float = 0.01, **told: Any) -> Answer:
    names = {"by": "x-served-by", "tries": "x-envoy-attempt-count", "flags": "x-envoy-response-flags"}
    return Answer(at, took, status, {names[key]: str(value) for key, value in told.items()})


# The mesh


def test_a_share_is_one_that_chance_can_make() -> None:
    assert behind.share(30, 300, 0.1)
    assert behind.share(45, 300, 0.1)
    assert not behind.share(0, 300, 0.1)
    assert not behind.share(70, 300, 0.1)
    assert not behind.share(0, 0, 0.1)


def test_a_route_is_the_stack_s_but_for_what_is_asked() -> None:
    stack = {
        "timeout": "10s",
        "retries": {"attempts": 3},
        "headers": {"response": {"set": {"x-envoy-attempt-count": "%A%"}}},
        "route": [{"destination": {"host": "claude-orchestrator"}}],
    }
    copied = behind.route(stack, "well", retries={"attempts": 0}, shares={"a": 90, "b": 10})
    assert [(one["destination"]["subset"], one["weight"]) for one in copied["route"]] == [("a", 90), ("b", 10)]
    assert {one["destination"]["host"] for one in copied["route"]} == {"well"}
    assert (copied["timeout"], copied["retries"], copied["headers"]) == ("10s", {"attempts": 0}, stack["headers"])
    assert behind.route(stack, "well", port=8080)["route"] == [
        {"destination": {"host": "well", "port": {"number": 8080}}}
    ]


@pytest.mark.parametrize(
    ("got", "good"),
    [
        (answer(504, took=6.1, tries=4), True),
        (answer(504, took=4.0, tries=4), False),
        (answer(504, took=9.0, tries=4), False),
        (answer(504, took=6.1, tries=3), False),
        (answer(200, took=6.1, tries=4), False),
    ],
)
def test_a_request_ends_when_its_time_is_over_and_with_504(got: Answer, good: bool) -> None:
    assert routing.ended(got, 6.0, tries=4).good == good


@pytest.mark.parametrize(
    ("tries", "counted", "good"), [([4, 4], 8, True), ([4, 3], 8, False), ([4, 4], 7, False), ([1, 1], 2, False)]
)
def test_tries_are_what_the_gateway_says_and_the_pod_counts(tries: list[int], counted: float, good: bool) -> None:
    assert routing.tried([answer(500, tries=one) for one in tries], counted, 4).good == good


def test_users_meet_one_pod_each_and_others_any() -> None:
    by = {"one": {"a"}, "two": {"b"}}
    assert destination.hashed(by, {"a", "b", "c"}).good
    assert not destination.hashed({**by, "two": {"a", "b"}}, {"a", "b", "c"}).good
    assert not destination.hashed(by, {"a"}).good
    assert not destination.hashed({"one": {"a"}, "two": {"a"}}, {"a", "b", "c"}).good


def test_what_has_no_room_is_refused_by_the_gateway_and_at_once() -> None:
    served, turned = [answer(took=5)] * 200, [answer(503, flags="UO")] * 70
    assert destination.refused([*served, *turned], 200).good
    assert not destination.refused([*served, *turned], 100).good
    assert not destination.refused(served, 200).good
    assert not destination.refused([*served, *turned, answer(503, by="slow")], 200).good
    assert not destination.refused([*served, *turned, answer(503, took=4, flags="UO")], 200).good


def test_a_budget_leaves_some_without_their_tries() -> None:
    assert destination.budgeted([answer(500, tries=1, flags="UO")] * 5 + [answer(500, tries=4)] * 5, 4).good
    assert not destination.budgeted([answer(500, tries=4)] * 10, 4).good


def ejection(errors: int, back: float | None) -> bool:
    first = [answer(500, at=float(number) / 100) for number in range(errors)] + [answer(at=1.0)] * 20
    later = [answer(at=2.0)] + ([answer(500, at=back)] if back else [])
    return destination.ejected(first, later).good


@pytest.mark.parametrize(
    ("errors", "back", "good"),
    [(5, 11.0, True), (5, 4.0, False), (5, 30.0, False), (5, None, False), (6, 11.0, False), (0, None, False)],
)
def test_a_pod_is_left_out_after_so_many_errors_for_so_long(errors: int, back: float | None, good: bool) -> None:
    assert ejection(errors, back) == good


def test_half_of_the_pods_stay_however_they_answer() -> None:
    both = [answer(500, by="a"), answer(500, by="b")]
    assert destination.halved(both, [answer(500, by="b")] * 5).good
    assert not destination.halved(both, both).good
    assert not destination.halved(both[:1], both[:1]).good


def test_a_method_is_let_in_where_a_service_answered_itself() -> None:
    got = {"GET": "200 claude-orchestrator-1", "PUT": "405 claude-orchestrator-2", "PATCH": "403 nobody"}
    assert identity.let_in(got, {"GET", "PUT"}).good
    assert not identity.let_in({**got, "PATCH": "405 claude-orchestrator-1"}, {"GET", "PUT"}).good
    assert not identity.let_in({**got, "PUT": "403 nobody"}, {"GET", "PUT"}).good
    assert not identity.let_in({**got, "PATCH": "0 TimeoutError"}, {"GET", "PUT"}).good


# The canary


def release(**more: Any) -> Watched:
    """Make a release that had 10 % from second 10 to 40 and all of it from then to 50, at ten calls a second."""
    new, old = f"{ROLLOUT}-new-1", f"{ROLLOUT}-old-1"
    weights = [(0.0, 0), (10.0, 10), (40.0, 100), (50.0, 0)]
    answers = []
    for tenth in range(600):
        at = tenth / 10
        mine = at >= 40 or (at >= 10 and tenth % 10 == 0)
        answers.append(answer(at=at, by=new if mine else old))
    about = {"newest": "new", "outcome": releases.PROMOTED, "seconds": 40.0, "weights": weights, "answers": answers}
    return Watched(**{**about, **more})


def test_each_step_s_weight_is_what_the_release_got() -> None:
    assert canary.exposed(release(), 10) == (29, 290)
    assert canary.shares(release(), [10, 100]).good
    assert not canary.shares(release(), [10, 50, 100]).good
    assert not canary.shares(release(weights=[(0.0, 0), (10.0, 50), (40.0, 100), (50.0, 0)]), [50, 100]).good
    assert not canary.shares(release(answers=[]), [10, 100]).good


def test_a_pause_is_held_at_least() -> None:
    assert canary.pauses(release(), [(10, 30.0)]).good
    assert not canary.pauses(release(), [(10, 31.0)]).good
    assert not canary.pauses(release(), [(20, 1.0)]).good


FAILED = ("success-rate", 'Failed success-rate 0.8, 0.9, 0.9 Metric "success-rate" assessed Failed due to failed (3)')


@pytest.mark.parametrize(
    ("more", "good"),
    [
        ({}, True),
        ({"outcome": releases.PROMOTED}, False),
        ({"analyses": []}, False),
        ({"analyses": [("success-rate", "Error")]}, False),
        ({"weights": [(0.0, 0), (10.0, 10), (20.0, 20)]}, False),
        ({"after": [answer(by=f"{ROLLOUT}-new-1")]}, False),
        ({"stays": (90, 10)}, False),
    ],
)
def test_a_release_is_given_up_by_an_analysis_in_time_and_nothing_of_it_stays(more: Any, good: bool) -> None:
    about: dict[str, Any] = {"outcome": releases.ROLLED_BACK, "weights": [(0.0, 0), (10.0, 10)], "analyses": [FAILED]}
    about |= {"after": [answer(by=f"{ROLLOUT}-old-1")], "stays": (100, 0)}
    assert canary.rolled_back(release(**{**about, **more}), "success-rate", 10).good == good


def test_a_release_passes_where_all_analyses_by_a_template_did() -> None:
    well = [("success-rate", "Successful success-rate 1, 1"), ("success-rate and latency", "Successful latency 0.1")]
    assert canary.passed(release(analyses=well), "latency").good
    assert not canary.passed(release(analyses=well[:1]), "latency").good
    assert not canary.passed(release(analyses=[*well, ("latency", "Inconclusive")]), "latency").good


# Autoscaling


def scaled(**more: Any) -> watching.Watched:
    wanted = [(0.0, 5), (30.0, 8), (90.0, 7), (105.0, 6), (120.0, 5)]
    ready = [(0.0, 5), (40.0, 8), (91.0, 7), (106.0, 6), (121.0, 5)]
    about = {"began": 0.0, "over": 50.0, "wanted": wanted, "ready": ready, "limited": "more than the maximum"}
    return watching.Watched(**{**about, "answers": [answer()] * 100, **more})


def test_queues_have_as_many_pods_come_as_may_and_go_again_slowly() -> None:
    assert all(judge(scaled()).good for judge in (scaling.out, scaling.up, scaling.down, scaling.bounds))


@pytest.mark.parametrize(
    ("judge", "more"),
    [
        (scaling.out, {"ready": [(0.0, 5), (40.0, 7)]}),
        (scaling.out, {"answers": [answer(503)] * 100}),
        (scaling.up, {"wanted": [(0.0, 5), (80.0, 8)]}),
        (scaling.up, {"wanted": [(0.0, 5)]}),
        (scaling.up, {"wanted": [(0.0, 3), (10.0, 8)]}),
        (scaling.down, {"wanted": [(0.0, 5), (30.0, 8), (90.0, 5)]}),
        (scaling.down, {"wanted": [(0.0, 5), (30.0, 8), (55.0, 7), (90.0, 6), (105.0, 5)]}),
        (scaling.down, {"ready": [(0.0, 5), (40.0, 8), (91.0, 7)]}),
        (scaling.bounds, {"wanted": [(0.0, 5), (30.0, 9)]}),
        (scaling.bounds, {"limited": ""}),
    ],
)
def test_too_few_too_many_too_fast_or_too_late_is_none_of_that(judge: Any, more: Any) -> None:
    assert not judge(scaled(**more)).good


def test_a_recommendation_is_within_its_bounds_and_nobody_acts_on_it() -> None:
    one = {"containerName": "claude-orchestrator", "target": {"cpu": "100m", "memory": "262144k"}}
    assert scaling.advised([one], changed=False).good
    assert not scaling.advised([one], changed=True).good
    assert not scaling.advised([], changed=False).good
    assert not scaling.advised([{**one, "target": {"cpu": "25m", "memory": "262144k"}}], changed=False).good


@pytest.mark.parametrize(("text", "value"), [("100m", 0.1), ("2", 2.0), ("0", 0.0)])
def test_cpus_are_read_as_kubernetes_writes_them(text: str, value: float) -> None:
    assert quantities.cores(text) == value


@pytest.mark.parametrize(("text", "value"), [("128Mi", 2**27), ("1Gi", 2**30), ("250k", 250_000), ("134217728", 2**27)])
def test_bytes_are_read_as_kubernetes_writes_them(text: str, value: float) -> None:
    assert quantities.size(text) == value


# Placement


def test_a_container_lives_for_as_long_as_its_probe_lets_it() -> None:
    assert probes.lived(55).good
    assert not probes.lived(30).good
    assert not probes.lived(100).good


def test_what_is_not_ready_is_left_out_in_time_and_comes_back() -> None:
    both, one = {"w-1", "w-2"}, {"w-2"}
    assert probes.readied([both, one, both], [9.0, 4.0], "w").good
    assert not probes.readied([both, both, both], [9.0, 4.0], "w").good
    assert not probes.readied([both, one, one], [9.0, 4.0], "w").good
    assert not probes.readied([both, one, both], [35.0, 4.0], "w").good


def test_a_rule_is_seen_where_there_would_be_most_room_without_it() -> None:
    assert nodes.apart(["a", "b", "c"], ["a", "a", "a"], "a").good
    assert not nodes.apart(["a", "b", "b"], ["a", "a", "a"], "a").good
    assert not nodes.apart(["a", "b", "c"], ["a", "b", "c"], "a").good


def test_pods_go_to_the_nodes_that_are_left() -> None:
    assert nodes.spread_out(["a", "b", "c"], ["b", "c", "b"], "a", {"a": 2, "b": 2, "c": 1}).good
    assert not nodes.spread_out(["a", "b", "b"], ["b", "c", "b"], "a", {"a": 2, "b": 3}).good
    assert not nodes.spread_out(["a", "b", "c"], ["a", "c", "b"], "a", {"a": 2, "b": 3}).good
    assert not nodes.spread_out(["a", "b", "c"], ["b", "c", "b"], "a", {"a": 5}).good


def test_a_pod_asks_for_what_runs_together_or_for_what_comes_before() -> None:
    def asks(cpu: str, **more: str) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    pod = {"spec": {"containers": [asks("50m"), asks("1")], "initContainers": [asks("100m", restartPolicy="Always")]}}
    assert nodes.asked_cpu(pod) == pytest.approx(1.15)
    assert nodes.asked_cpu({"spec": {"containers": [{}], "initContainers": [asks("2")]}}) == 2
    assert nodes.asked_cpu({"spec": {"containers": [{}]}}) == 0


def test_evictions_end_at_the_budget() -> None:
    assert shares.evicted([201, 201, 429], 201).good
    assert not shares.evicted([201, 201, 201], 201).good
    assert not shares.evicted([201, 429, 429], 201).good
    assert not shares.evicted([201, 201, 429], 429).good


def test_a_quota_is_full_when_there_was_room_for_none_more() -> None:
    hard, said = dict(shares.COUNTED), '403 Forbidden: pods "x" is forbidden: exceeded quota: copied'
    assert shares.full({"pods": (0, said)}, hard).good
    assert not shares.full({"pods": (3, said)}, hard).good
    assert not shares.full({"pods": (-1, "one more was let in")}, hard).good
    assert not shares.full({"pods": (0, "500 Internal error")}, hard).good
    assert not shares.full({"pods": (0, said)}, {**hard, "pods": "200"}).good


@pytest.mark.parametrize("plural", shares.COUNTED)
def test_what_is_counted_is_of_the_kind_that_is_counted(plural: str) -> None:
    made = shares.counted_object(plural, 7, "image")
    assert f"{made['kind'].lower()}s" == plural
    assert made["metadata"]["name"] == "counted-7"


def test_who_is_listed_gets_through_and_for_the_others_there_is_silence() -> None:
    got = {"listed": "connected", "other": "silence"}
    assert network.knocked(got, {"listed"}).good
    assert not network.knocked({**got, "other": "connected"}, {"listed"}).good
    assert not network.knocked({**got, "other": "ConnectionRefusedError"}, {"listed"}).good
    assert not network.knocked({**got, "listed": "silence"}, {"listed"}).good


def test_a_service_is_reached_where_it_answered_itself_and_would_answer_another() -> None:
    got = {"registry": "200 claude-agent-registry-1", "outside": "0 TimeoutError"}
    assert network.reached(got, {"registry"}, "200 outside").good
    assert not network.reached({**got, "outside": "200 outside"}, {"registry"}, "200 outside").good
    assert not network.reached(got, {"registry"}, "0 TimeoutError").good
    assert not network.reached({**got, "registry": "503 nobody"}, {"registry"}, "200 outside").good
