"""Why operations failed or were slow is said from what was recorded, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from harness.checkers import availability, latency, recovery
from harness.checkers.cause import why
from harness.model.history import History, Operation, Sample
from harness.model.verdict import Finding, State

A, B = (f"web-7d9f6c5b4-{end}" for end in ("x2x4z", "b5c6d"))
MAIL = "mail-6c7d8f9b5-z4x2w"
Run = Callable[..., History]
Ops = Callable[..., list[Operation]]
Sampled = Callable[..., list[Sample]]


def broken(checker: str = "availability") -> list[Finding]:
    return [Finding(checker, State.BROKEN, "it was not kept")]


def between(start: float, end: float, **told: Any) -> Callable[[float], dict[str, Any]]:
    """Let operations that are due between two times be different, others are served by A."""
    return lambda at: told if start <= at < end else {"served_by": A}


def slow(history: History, p95: float = 0.1) -> str:
    found = latency.check(history, {"p95": p95})
    assert found.state is State.BROKEN
    return why(history, [found])


@pytest.fixture
def opened(sampled: Sampled) -> list[Sample]:
    """Breakers towards mail that opened at 13 s in A and at 14 s in B, after five attempts each."""
    states = [
        one
        for pod, since in ((A, 13), (B, 14))
        for one in sampled("breaker/mail", [(t, 2.0 if t >= since else 0.0) for t in range(31)], pod=pod)
    ]
    tried = [
        one
        for pod in (A, B)
        for outcome, most in (("timeout", 5), ("reset", 1))
        for one in sampled(
            "client_attempts/mail", [(t, max(0, min(most, t - 10))) for t in range(31)], pod=pod, outcome=outcome
        )
    ]
    return states + tried


def test_an_open_breaker_is_named_with_its_pod_its_dependency_and_since_when(
    run: Run, ops: Ops, opened: list[Sample]
) -> None:
    refused = between(13.4, 18, status=503, served_by=A, because="breaker open: mail", response_flags="URX")
    assert why(run(operations=ops(refused), samples=opened), broken()) == (
        "after node_freeze on worker at 10 s, all 46 failures were refused at once by"
        f" {A}, whose breaker towards mail was open from 13 s (5 attempts had timed out)"
    )


def test_breakers_of_several_pods_are_counted(run: Run, ops: Ops, opened: list[Sample]) -> None:
    def refused(at: float) -> dict[str, Any]:
        pod = A if int(at * 10) % 2 else B
        return {"served_by": pod} | ({"status": 503, "because": "breaker open: mail"} if 15 <= at < 16 else {})

    told = why(run(operations=ops(refused), samples=opened), broken())
    assert f"by {B} and {A}, whose breakers towards mail were open from 13 s (10 attempts had timed out)" in told


def test_an_ejected_host_is_named_for_what_was_lost_on_it(run: Run, ops: Ops, sampled: Sampled) -> None:
    lost = between(10, 14, status=504, tried="10.0.0.7:8080", response_flags="UT")
    ejected = sampled(f"ejected/{A}", [(t, float(t >= 13)) for t in range(31)], pod="gateway")
    ejected += sampled(f"ejected/{B}", [(t, 0.0) for t in range(31)], pod="gateway")
    history = run(operations=ops(lost), samples=ejected, addresses={"10.0.0.7": A})
    assert why(history, broken()) == (
        f"after node_freeze on worker at 10 s, all 40 failures were lost on {A} (flags UT),"
        " which the gateway ejected at 13 s"
    )


def test_operations_that_were_slow_because_they_were_tried_again_name_the_host_that_was_ejected(
    run: Run, ops: Ops, sampled: Sampled
) -> None:
    again = between(10, 13, served_by=B, attempts=2, took=1.6)
    ejected = sampled(f"ejected/{A}", [(t, float(t >= 13)) for t in range(31)], pod="gateway")
    assert slow(run(operations=ops(again), samples=ejected)) == (
        "after node_freeze on worker at 10 s, all 30 operations slower than 100 ms were tried again by the gateway,"
        f" which ejected {A} at 13 s"
    )


def test_a_gateway_that_only_counts_its_ejections_is_told_without_the_host(
    run: Run, ops: Ops, sampled: Sampled
) -> None:
    again = between(10, 13, served_by=B, attempts=2, took=1.6)
    counted = sampled("ejections/outbound", [(t, float(t >= 13)) for t in range(31)], pod="gateway")
    assert "which ejected a host at 13 s" in slow(run(operations=ops(again), samples=counted))


@pytest.fixture
def killed() -> list[Mapping[str, Any]]:
    return [{"time": 11.0, "pod": A, "container": "envoy", "reason": "Error", "exit_code": 137}]


@pytest.mark.parametrize(
    "told",
    [
        {"status": 0, "unanswered": "refused"},
        {"status": 0, "unanswered": "cut off"},
        {"status": 503, "tried": "10.0.0.7:8080", "response_flags": "UF"},
        {"status": 502, "served_by": A},
    ],
)
def test_a_process_that_was_killed_is_named_with_its_exit_code(
    run: Run, ops: Ops, sampled: Sampled, killed: list[Any], told: dict[str, Any]
) -> None:
    ready = sampled(f"pod/shop/{A}", [(0, 1.0), (11, 0.0), (15, 1.0)], ip="10.0.0.7")
    assert why(run(operations=ops(between(10.5, 14, **told)), samples=ready, restarts=killed), broken()) == (
        f"after node_freeze on worker at 10 s, all 35 failures came while {A} was down"
        " (envoy ended with exit code 137 at 11 s)"
    )


def test_a_process_that_ran_out_of_memory_is_said_to_have(run: Run, ops: Ops, killed: list[Any]) -> None:
    killed[0] |= {"reason": "OOMKilled"}
    history = run(operations=ops(between(10.5, 14, status=502, served_by=A)), restarts=killed)
    assert "(envoy ran out of memory at 11 s)" in why(history, broken())


def test_a_process_that_ended_long_before_or_after_explains_nothing(run: Run, ops: Ops, killed: list[Any]) -> None:
    for start, end in ((2, 4), (25, 27)):
        lost = ops(between(start, end, status=0, unanswered="refused"))
        told = why(run(operations=lost, restarts=killed, window=None), broken())
        assert told == "no cause seen: 20 operations failed without an answer (refused)"


def throttled(sampled: Sampled, pod: str, share: float, every: int = 5) -> list[Sample]:
    """Sample a container of 10 periods a second, read every few seconds, from 14 s on held back in a share of them."""
    readings = [(t, t // every * every) for t in range(31)]
    return [
        *sampled("cpu_periods/shop", [(t, 10.0 * read) for t, read in readings], pod=pod, container="c"),
        *sampled(
            "cpu_throttled_periods/shop",
            [(t, 10.0 * share * max(0, read - 14)) for t, read in readings],
            **{"pod": pod, "container": "c"},
        ),
    ]


def test_a_pod_that_its_cpu_limit_held_back_is_named_with_the_share(run: Run, ops: Ops, sampled: Sampled) -> None:
    history = run(operations=ops(between(14, 20, served_by=A, took=0.4)), samples=throttled(sampled, A, 1.0))
    assert slow(history) == (
        f"after node_freeze on worker at 10 s, all 60 operations slower than 100 ms came to {A},"
        " held back by its CPU limit in up to 80 % of its scheduling periods, seen from 15 s"
    )


def test_what_a_limit_did_before_the_first_reading_may_be_of_long_ago(run: Run, ops: Ops, sampled: Sampled) -> None:
    history = run(operations=ops(between(14, 20, served_by=A, took=0.4)), samples=throttled(sampled, A, 1.0, every=20))
    assert slow(history) == "no cause seen: 60 operations took longer than 100 ms"


def test_a_limit_that_hardly_held_back_explains_nothing(run: Run, ops: Ops, sampled: Sampled) -> None:
    history = run(operations=ops(between(14, 20, served_by=A, took=0.4)), samples=throttled(sampled, A, 0.2))
    assert slow(history) == "no cause seen: 60 operations took longer than 100 ms"


def paced(sampled: Sampled, service: str, pod: str, before: float, inside: float) -> list[Sample]:
    """Sample ten calls a second whose time changes at 10 s."""
    took = [(t, 10 * (before * min(t, 10) + inside * max(0, t - 10))) for t in range(31)]
    return [
        *sampled(f"requests/{service}", [(t, 10.0 * t) for t in range(31)], pod=pod),
        *sampled(f"request_seconds/{service}", took, pod=pod),
    ]


def test_a_slow_dependency_is_named_with_its_time_before_and_now(run: Run, ops: Ops, sampled: Sampled) -> None:
    samples = paced(sampled, "web", A, 0.02, 0.4) + paced(sampled, "mail", MAIL, 0.004, 0.35)
    samples += paced(sampled, "shop", "shop-1", 0.004, 0.005)
    history = run(operations=ops(between(10, 20, served_by=A, took=0.4)), samples=samples)
    assert slow(history) == (
        "after node_freeze on worker at 10 s, all 100 operations slower than 100 ms waited for mail,"
        " which took 350 ms a call instead of 4 ms, from 10 s"
    )


def test_a_slow_dependency_that_its_limit_held_back_is_told_with_it(run: Run, ops: Ops, sampled: Sampled) -> None:
    samples = paced(sampled, "mail", MAIL, 0.004, 0.35) + throttled(sampled, MAIL, 1.0)
    told = slow(run(operations=ops(between(10, 20, served_by=A, took=0.4)), samples=samples))
    assert f"waited for mail, which took 350 ms a call instead of 4 ms, from 10 s ({MAIL} held back by" in told


def test_a_service_that_hardly_saw_the_wait_explains_it_only_where_its_limit_held_it_back(
    run: Run, ops: Ops, sampled: Sampled
) -> None:
    samples, slower = paced(sampled, "mail", MAIL, 0.004, 0.03), between(10, 20, served_by=A, took=0.4)
    assert "no cause seen" in slow(run(operations=ops(slower), samples=samples))
    samples += throttled(sampled, MAIL, 1.0)
    assert "waited for mail, which took 30 ms a call" in slow(run(operations=ops(slower), samples=samples))
    # As seen of a router with a twentieth of a CPU: held back nearly always, and in its own eyes as good as quick.
    samples = paced(sampled, "mail", MAIL, 0.0013, 0.0058) + throttled(sampled, MAIL, 0.92)
    assert "waited for mail, which took 6 ms a call" in slow(run(operations=ops(slower), samples=samples))


def test_calls_that_a_slow_dependency_let_time_out_name_it(run: Run, ops: Ops, sampled: Sampled) -> None:
    failing = between(12, 14, status=503, served_by=A, because="timeout: mail")
    history = run(operations=ops(failing), samples=paced(sampled, "shop-mail", MAIL, 0.004, 0.3))
    assert why(history, broken()) == (
        "after node_freeze on worker at 10 s, all 20 failures came of calls to mail that timed out, from 12 s"
        " (mail took 300 ms a call instead of 4 ms)"
    )


def test_without_a_visible_cause_nothing_is_guessed(run: Run, ops: Ops) -> None:
    failing = ops(between(12, 13.2, status=503, response_flags="UF"))
    assert why(run(operations=failing), broken()) == (
        "no cause seen: 12 operations failed with 503 (flags UF), answered by the gateway"
    )
    failing = ops(between(12, 13.2, status=500, served_by=A))
    assert why(run(operations=failing), broken()) == f"no cause seen: 12 operations failed with 500, answered by {A}"


def test_failures_that_nothing_explains_are_told_by_how_they_ended(run: Run, ops: Ops) -> None:
    def failing(at: float) -> dict[str, Any]:
        return {"status": 500, "served_by": A} if 12 <= at < 13 else {"status": 0} if 14 <= at < 16 else {}

    assert why(run(operations=ops(failing)), broken()) == (
        "no cause seen: of 30 operations that failed, 20 ended without an answer and"
        f" 10 ended with 500, answered by {A}"
    )


def test_an_operation_that_was_tried_again_for_no_visible_reason_is_said_to_be(run: Run, ops: Ops) -> None:
    history = run(operations=ops(between(12, 14, served_by=B, attempts=2, took=1.6)))
    assert slow(history) == "no cause seen: 20 operations took longer than 100 ms (20 tried more than once)"


def test_two_causes_are_told_in_the_order_in_which_they_came(run: Run, ops: Ops, opened: list[Sample]) -> None:
    def failing(at: float) -> dict[str, Any]:
        if 12 <= at < 13.5:
            return {"status": 503, "served_by": A, "because": "timeout: mail"}
        return {"served_by": A} | ({"status": 503, "because": "breaker open: mail"} if 13.5 <= at < 18 else {})

    assert why(run(operations=ops(failing), samples=opened), broken()) == (
        "after node_freeze on worker at 10 s, 15 of 60 failures came of calls to mail that timed out, from 12 s;"
        f" 45 were refused at once by {A}, whose breaker towards mail was open from 13 s (5 attempts had timed out)"
    )


def test_what_a_cause_does_not_explain_is_said_to_have_none(run: Run, ops: Ops, opened: list[Sample]) -> None:
    def failing(at: float) -> dict[str, Any]:
        if 10 <= at < 12:
            return {"status": 500, "served_by": B}
        return {"served_by": A} | ({"status": 503, "because": "breaker open: mail"} if 13.5 <= at < 18 else {})

    assert why(run(operations=ops(failing), samples=opened), broken()).endswith(
        f"(5 attempts had timed out); no cause seen for 20 others (with 500, answered by {B})"
    )


def test_a_breaker_that_opened_because_its_own_pod_got_no_time_is_told_with_that(
    run: Run, ops: Ops, opened: list[Sample], sampled: Sampled
) -> None:
    refused = between(13.4, 18, status=503, served_by=A, because="breaker open: mail")
    told = why(run(operations=ops(refused), samples=opened + throttled(sampled, A, 1.0)), broken())
    assert f"(5 attempts had timed out; {A} held back by its CPU limit in up to 80 % of its scheduling periods)" in told


def test_a_host_that_was_ejected_because_its_limit_held_it_back_is_told_with_that(
    run: Run, ops: Ops, sampled: Sampled
) -> None:
    lost = between(14, 18, status=504, tried="10.0.0.7:8080", response_flags="UT")
    samples = sampled(f"ejected/{A}", [(t, float(t >= 17)) for t in range(31)], pod="gateway")
    history = run(operations=ops(lost), samples=samples + throttled(sampled, A, 1.0), addresses={"10.0.0.7": A})
    assert why(history, broken()).endswith(
        f"which the gateway ejected at 17 s ({A} held back by its CPU limit in up to 80 % of its scheduling periods)"
    )


def test_a_pod_that_is_not_ready_because_its_limit_held_it_back_is_told_with_that(
    run: Run, ops: Ops, sampled: Sampled
) -> None:
    failing = between(14, 18, status=503, served_by=A)
    ready = sampled(f"pod/shop/{A}", [(t, float(not 16 <= t <= 20)) for t in range(31)])
    told = why(run(operations=ops(failing), samples=ready + throttled(sampled, A, 1.0)), broken())
    assert f"came while {A} was down (not ready from 16 s; {A} held back by its CPU limit" in told


def test_what_explains_next_to_nothing_is_left_out(run: Run, ops: Ops) -> None:
    def failing(at: float) -> dict[str, Any]:
        if at == 10.5:
            return {"status": 504, "tried": "10.0.0.7:8080", "response_flags": "UT"}
        return {"served_by": A} | ({"status": 503, "because": "timeout: mail"} if 12 <= at < 18 else {})

    told = why(run(operations=ops(failing)), broken())
    assert "60 of 61 failures came of calls to mail that timed out, from 12 s" in told
    assert "time limit" not in told


def test_the_end_of_a_process_behind_an_open_breaker_is_told_with_it(
    run: Run, ops: Ops, opened: list[Sample], sampled: Sampled
) -> None:
    refused = between(13.4, 18, status=503, served_by=A, because="breaker open: mail")
    ended = [{"time": 11.0, "pod": MAIL, "container": "mail", "reason": "Error", "exit_code": 137}]
    told = why(run(operations=ops(refused), samples=opened, restarts=ended), broken())
    assert told.endswith(f"(5 attempts had timed out; {MAIL}: mail ended with exit code 137 at 11 s)")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"response_flags": "UH"}, "were refused by the gateway (flags UH), which had no host left, from 12 s"),
        ({"response_flags": "UO"}, "were refused by the gateway (flags UO), which had too many under way, from 12 s"),
        ({"response_flags": "UT", "tried": "10.0.0.9:80"},
         "ran into the gateway's time limit on 10.0.0.9 (flags UT), from 12 s"),
        ({"because": "overloaded", "served_by": A}, f"were refused by {A}, which had no room for more, from 12 s"),
        ({"because": "connect-failure: mail", "served_by": A}, "came of calls to mail that found nobody, from 12 s"),
    ],
)  # fmt: skip
def test_what_an_answer_says_itself_is_a_cause(run: Run, ops: Ops, told: dict[str, Any], words: str) -> None:
    history = run(operations=ops(between(12, 14, status=503, **told)))
    assert why(history, broken()) == f"after node_freeze on worker at 10 s, all 20 failures {words}"


def test_one_failure_is_spoken_of_as_one(run: Run, ops: Ops) -> None:
    def once(**told: Any) -> History:
        return run(operations=ops(lambda at: {"status": 503, **told} if at == 12 else {}))

    assert "the only failure came of calls to mail" in why(once(because="timeout: mail"), broken())
    assert "the only failure was refused by the gateway" in why(once(response_flags="UH"), broken())
    assert "1 operation failed with 503," in why(once(), broken())
    ended = [{"time": 12.0, "pod": pod, "container": "c", "reason": "Error", "exit_code": 1} for pod in (A, B)]
    history = run(operations=ops(lambda at: {"status": 0} if at == 12 else {}), restarts=ended)
    assert f"the only failure came while {B} and {A} were down" in why(history, broken())


def test_promises_that_were_kept_have_no_cause(run: Run, ops: Ops) -> None:
    failing = ops(between(12, 13, status=503))
    held = availability.check(run(operations=failing), {"ratio": 0.5})
    assert (held.state, why(run(operations=failing), [held])) == (State.HELD, "")


@pytest.mark.parametrize("checker", ["evidence", "disruption-budget", "hypothesis", "breaker", "run"])
def test_what_is_not_about_operations_speaks_for_itself(run: Run, ops: Ops, checker: str) -> None:
    assert why(run(operations=ops(between(12, 13, status=503))), broken(checker)) == ""


def test_a_load_that_nobody_served_says_how_it_was_answered(run: Run, ops: Ops) -> None:
    seen = run(operations=ops(lambda at: {"status": 404}))
    assert why(seen, [Finding("load", State.UNKNOWN, "never served")]).startswith("no cause seen: ")


def test_a_promise_without_a_failing_operation_has_no_cause(run: Run) -> None:
    assert why(run(), broken()) == ""
    assert why(run(operations=[]), broken()) == ""


def test_of_a_recovery_only_what_failed_afterwards_is_explained(run: Run, ops: Ops) -> None:
    def failing(at: float) -> dict[str, Any]:
        return {"status": 503, "served_by": A, "because": "timeout: mail"} if 12 <= at < 15 or 25 <= at < 27 else {}

    history = run(operations=ops(failing))
    found = recovery.check(history, {"within": 5.0})
    assert found.state is State.BROKEN
    assert "all 20 failures came of calls to mail that timed out, from 25 s" in why(history, [found])


def test_a_broken_promise_is_explained_before_one_that_nobody_could_judge(run: Run, ops: Ops) -> None:
    def change(at: float) -> dict[str, Any]:
        return {"took": 0.4} if 14 <= at < 20 else {"status": 503} if 12 <= at < 13 else {}

    history = run(operations=ops(change))
    unknown = Finding("availability", State.UNKNOWN, "nobody knows")
    assert "slower than" not in why(history, [unknown])
    assert "took longer than 100 ms" in why(history, [unknown, latency.check(history, {"p95": 0.1})])
