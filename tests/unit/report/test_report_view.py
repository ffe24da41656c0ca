"""The view model: what a run's events and operations say, and what they do not."""

from __future__ import annotations

import dataclasses
from html import unescape

import pytest

from harness.journal.event import Event
from harness.model.history import Operation
from harness.report import html, markdown, terminal, words
from harness.report.values import UNFINISHED
from harness.report.view import build


class Log(list):
    """Events in order, numbered as they come."""

    def add(self, t, type, phase="hold", **data):
        self.append(Event(len(self) + 1, 1_000_000.0 + t, t, phase, type, data))
        return self


def planned(log, *ids, uid="u1"):
    faults = [
        {"id": name, "kind": "pod_kill", "victim": {"namespace": "ns", "name": "pod", "uid": uid}} for name in ids
    ]
    return log.add(0.0, "plan", faults=faults, objectives=[{"checker": "availability", "parameters": {"ratio": 0.99}}])


def served(*times, latency=0.01, status=200):
    return [Operation(t, t, t + latency, status) for t in times]


def loaded(log, start, end, rate=10):
    return log.add(start, "load.started", rate=rate, workload="w").add(end, "load.ended")


def test_a_journal_without_a_verdict_is_unfinished_and_says_where_it_ends():
    view = build(Log().add(0.0, "run.start", run="r", experiment="e").add(3.0, "phase.start", name="hold"))
    assert (view.verdict, view.finished, view.right) == (UNFINISHED, False, False)
    assert view.reason == "the journal ends in phase hold after 3.0 s, before a verdict"


def test_no_event_at_all_is_a_view_too():
    assert build([]).verdict == UNFINISHED


def test_a_phase_lasts_until_the_next_one_and_the_last_to_the_end():
    log = Log().add(1.0, "phase.start", name="baseline").add(4.0, "phase.start", name="hold").add(9.0, "run.end")
    assert [(span.name, span.start, span.end) for span in build(log).phases] == [
        ("baseline", 1.0, 4.0),
        ("hold", 4.0, 9.0),
    ]


def test_a_phase_that_was_entered_twice_in_a_row_is_one():
    log = Log().add(1.0, "phase.start", name="heal").add(2.0, "phase.start", name="heal").add(5.0, "run.end")
    assert [(span.start, span.end) for span in build(log).phases] == [(1.0, 5.0)]


def test_the_window_runs_from_the_first_injection_to_the_last_healing():
    log = planned(Log(), "a", "b").add(2.5, "fault.injected", id="a", at=2.0).add(3.0, "fault.injected", id="b")
    log.add(5.0, "fault.healed", id="b").add(6.0, "fault.healed", id="a").add(9.0, "run.end")
    assert build(log).window == (2.0, 6.0)


def test_a_fault_never_seen_healed_keeps_the_window_open_to_the_end():
    log = planned(Log(), "a").add(2.0, "fault.injected", id="a").add(9.0, "run.end")
    view = build(log)
    assert view.window == (2.0, 9.0)
    assert [fault.id for fault in view.owed] == ["a"]


def test_a_failed_undo_leaves_the_fault_owed_until_one_succeeds():
    log = planned(Log(), "a").add(2.0, "fault.injected", id="a").add(3.0, "undo", id="a", ok=False, how="no answer")
    assert build(log).owed
    assert not build(log.add(4.0, "undo", id="a", ok=True, how="seen undone")).owed


def test_an_effect_on_another_uid_than_the_planned_one_is_astray():
    log = planned(Log(), "a").add(2.0, "fault.injected", id="a", kind="pod_kill", facts={"uid": "u2"})
    assert build(log).faults[0].astray
    assert not build(planned(Log(), "a").add(2.0, "fault.injected", id="a", facts={"uid": "u1"})).faults[0].astray


@pytest.mark.case(
    19,
    "a pod whose first container is a proxy and whose annotation names another as its default; none is named",
    "the annotated container is hit, and plan, terminal and report name it",
)
@pytest.mark.parametrize("draw", [terminal.draw, markdown.draw, html.draw])
def test_every_view_names_the_container_that_was_hit(draw):
    victim = {"namespace": "shop", "name": "web-1", "uid": "u1", "container": "web"}
    log = Log().add(0.0, "plan", faults=[{"id": "a", "kind": "container_kill", "victim": victim}], objectives=[])
    log.add(2.0, "fault.injected", id="a", kind="container_kill", victim="shop/web-1", container="web")
    assert "shop/web-1 (container web)" in unescape(draw(build(log)))


def test_each_second_has_its_share_and_its_quantiles():
    log = loaded(Log(), 0.0, 2.0)
    operations = served(0.1, 0.2, 0.3, latency=0.1) + served(0.4, status=503) + served(1.5, latency=0.2)
    first, second = build(log, operations).buckets[:2]
    assert (first.operations, first.failed, first.availability) == (4, 1, 0.75)
    assert round(first.p50 or 0, 3) == 0.1
    assert (second.operations, second.availability) == (1, 1.0)


def test_a_second_without_operations_is_a_gap_not_a_number():
    log = loaded(Log(), 0.0, 5.0)
    view = build(log, served(0.5, 1.5, 4.5))
    assert [bucket.availability for bucket in view.buckets[:5]] == [1.0, 1.0, None, None, 1.0]
    assert view.gaps == ((2.0, 4.0),)


def test_a_load_that_died_leaves_a_gap_to_the_end_of_the_run():
    log = Log().add(0.0, "load.started", rate=10, workload="w").add(6.0, "run.end")
    assert build(log, served(0.5, 1.5)).gaps == ((2.0, 6.0),)


def test_a_slow_load_gets_wider_buckets_so_that_an_empty_one_means_something():
    view = build(loaded(Log(), 0.0, 20.0, rate=1), served(*range(20)))
    assert view.bucket_seconds == 5.0
    assert not view.gaps


def test_a_long_run_is_drawn_with_a_bounded_number_of_buckets():
    view = build(loaded(Log(), 0.0, 36_000.0), served(*range(0, 36_000, 10)))
    assert len(view.buckets) <= 601


def test_limits_that_a_chart_can_draw_come_from_the_plan():
    assert build(planned(Log(), "a")).limits == {"ratio": 0.99}


def test_text_from_outside_loses_what_could_steer_a_terminal():
    view = build(Log().add(0.0, "run.start", title="a\x1b[2Jb\u202ec", run="r"))
    assert view.title == "a\ufffd[2Jb\ufffdc"


def test_a_deployment_that_never_lacked_a_pod_is_not_drawn():
    def ready(log, t, name, value):
        return log.add(t, "sample", series=f"ready/ns/{name}", value=value, labels={"desired": "2"})

    log = ready(ready(ready(Log(), 0.0, "calm", 2), 0.0, "hit", 2), 1.0, "hit", 1)
    tracks = build(log).ready
    assert [(track.name, track.points, track.wanted) for track in tracks] == [("ns/hit", ((0.0, 2.0), (1.0, 1.0)), 2.0)]


def test_a_breaker_of_many_pods_is_drawn_at_its_worst():
    log = Log()
    for t, pod, value in ((1.0, "a", 0), (1.0, "b", 2), (2.0, "a", 0), (2.0, "b", 0)):
        log.add(t, "sample", series="breaker/redis", value=value, labels={"pod": pod})
    assert build(log).breakers[0].points == ((1.0, 2.0), (2.0, 0.0))


def test_samples_stay_out_of_the_log():
    log = Log().add(0.0, "sample", series="x", value=1).add(1.0, "step", name="s", status="succeeded")
    assert [line.type for line in build(log).log] == ["step"]


def test_a_fault_that_was_cut_while_being_injected_is_owed_until_its_undo():
    log = planned(Log(), "a").add(2.0, "fault.injecting", id="a").add(9.0, "phase.start", name="hold")
    view = build(log)
    assert view.window == (2.0, 9.0)
    assert [fault.id for fault in view.owed] == ["a"]
    assert words.fault_state(view.faults[0]) == "cut while being injected, not undone"
    assert "harness undo" in terminal.draw(view)
    undone = build(log.add(10.0, "undo", id="a", ok=True, how="seen undone").add(20.0, "run.end"))
    assert (undone.owed, undone.window) == ((), (2.0, 10.0))
    assert words.fault_state(undone.faults[0]) == "cut while being injected, undone"


def test_a_fault_begins_when_its_injection_begins():
    log = planned(Log(), "a").add(2.0, "fault.injecting", id="a").add(7.0, "fault.injected", id="a", at=1.9)
    fault = build(log.add(8.0, "fault.felt", id="a")).faults[0]
    assert (fault.injected, fault.applied) == (2.0, 7.0)
    assert words.fault_state(fault).startswith("felt after 1 s")


def test_a_run_that_planned_its_faults_one_by_one_shows_them_all():
    log = planned(planned(Log(), "a"), "b")
    log[-1] = dataclasses.replace(log[-1], data={"faults": log[-1].data["faults"], "resolved": "later"})
    view = build(log)
    assert [fault.id for fault in view.faults] == ["a", "b"]
    assert view.limits == {"ratio": 0.99}
    assert view.resolved == "later"


def test_evidence_is_complete_only_when_every_fault_was_seen_healed():
    log = planned(Log(), "a").add(2.0, "fault.injected", id="a").add(3.0, "fault.felt", id="a")
    assert words.evidence(build(log)) == "evidence 0 of 1"
    assert words.evidence(build(log.add(4.0, "fault.healed", id="a"))) == "evidence complete"


def test_a_run_that_never_began_says_so_where_a_promise_would_stand():
    log = Log().add(1.0, "verdict", verdict="INCONCLUSIVE", begun=False, reason="run: never begun: no pod matches")
    assert (words.score(build(log)), words.evidence(build(log))) == ("never begun", "nothing was touched")


def test_a_pod_that_vanished_does_not_keep_its_breaker_open():
    log = Log()
    for t in range(1, 21):
        for pod in ("a", "b"):
            if pod == "a" or t < 5:
                value = 2 if pod == "b" else 0
                log.add(float(t), "sample", series="breaker/redis", value=value, labels={"pod": pod})
    assert build(log).breakers[0].points == ((1.0, 2.0), (5.0, 0.0))
    alone = [event for event in log if event.data["labels"] == {"pod": "b"}]
    gone = Log(alone).add(30.0, "run.end")
    assert build(gone).breakers[0].points == ((1.0, 2.0), (5.0, None))


def test_a_deployment_is_drawn_as_it_was_until_it_changes():
    log = Log()
    for t, value in ((0.0, 2), (10.0, 1), (40.0, 2)):
        log.add(t, "sample", series="ready/ns/hit", value=value, labels={"desired": "2"})
    assert build(log).ready[0].points == ((0.0, 2.0), (10.0, 1.0), (40.0, 2.0))


def test_waiting_for_the_last_answers_is_no_gap():
    log = loaded(Log(), 0.0, 9.0)
    assert build(log, served(0.5, 1.5, 2.5)).gaps == ()
    lost = Log().add(0.0, "load.started", rate=10, workload="w").add(9.0, "load.ended", lost="killed")
    assert build(lost, served(0.5, 1.5, 2.5)).gaps == ((3.0, 9.0),)


def test_what_the_load_itself_held_up_is_drawn_as_not_seen():
    held_up = [Operation(1.5, 1.5, 1.5, 0, unsent=True), Operation(2.5, 2.5, 3.0, 200, late=True)]
    view = build(loaded(Log(), 0.0, 4.0), [*served(0.5, 3.5), *held_up])
    assert view.gaps == ((1.0, 3.0),)
    assert sum(bucket.failed for bucket in view.buckets) == 0


def machine(log, t, **shares):
    for name, value in shares.items():
        log.add(t + 0.01, "sample", series=f"machine/{name}", value=value, labels={}, time=t)
    return log


def test_the_machine_is_in_the_view_where_it_was_seen():
    log = machine(Log(), 1.0, idle=0.6, others=0.1, cluster=0.3)
    assert [(one.start, one.end, one.idle) for one in build(machine(log, 2.0, idle=0.5)).machine] == [
        (0.0, 1.0, 0.6),
        (1.0, 2.0, 0.5),
    ]
    assert build(machine(Log(), 1.0, idle=None)).machine == ()


def test_what_is_only_noted_is_no_objective():
    log = Log().add(1.0, "finding", checker="recovery", state="held")
    view = build(log.add(1.0, "finding", checker="machine", state="noted", summary="others took 48 % of the CPU"))
    assert [finding.checker for finding in view.objectives] == ["recovery"]
    assert words.score(view) == "1 of 1 held"
    assert "i machine" in terminal.draw(view)


def test_a_host_has_a_lane_when_it_was_ejected_and_none_when_it_never_was():
    log = Log()
    for name, values in (("web-1", [0.0, 1.0, 1.0, 0.0]), ("web-2", [0.0] * 4)):
        log.add(9.0, "series", series=f"ejected/{name}", labels={"pod": "gateway"}, start=2.0, step=1, values=values)
    assert [(track.name, track.points) for track in build(log).ejections] == [
        ("web-1", ((2.0, 0.0), (3.0, 1.0), (5.0, 0.0)))
    ]


def test_the_end_of_a_container_stands_among_the_cluster_s_events_and_is_grave():
    log = Log().add(1.0, "k8s.event", kind="Pod", name="web-1", reason="Killing", message="so")
    log.add(2.0, "restart", pod="web-1", container="web", reason="OOMKilled", exit_code=137)
    assert [(mark.title, mark.text, mark.grave) for mark in build(log).kubernetes] == [
        ("Pod web-1: Killing", "so", False),
        ("web-1: web ended", "OOMKilled, exit code 137", True),
    ]


def test_the_cause_is_told_once_beside_what_the_table_says():
    log = Log().add(1.0, "finding", checker="availability", state="broken", summary="5 of 9 failed")
    log.add(2.0, "verdict", verdict="DEVIATED", reason="availability: 5 of 9 failed", cause="all 5 failures ...")
    view = build(log)
    block = terminal.draw(view)
    assert block.count("5 of 9 failed") == 1
    assert "why    all 5 failures ..." in block
    assert words.why(view) == "availability: 5 of 9 failed. Why: all 5 failures ..."


def test_a_verdict_without_a_cause_says_its_reason_alone():
    assert words.why(build(Log().add(2.0, "verdict", verdict="DEVIATED", reason="so"))) == "so"


def test_a_breaker_that_stayed_closed_has_a_lane_only_where_it_is_judged():
    log = Log().add(0.0, "plan", objectives=[{"checker": "breaker", "parameters": {"dependency": "mail"}}])
    for name, values in (("mail", [0.0, 0.0]), ("registry", [0.0, 0.0]), ("router", [0.0, 2.0])):
        log.add(9.0, "series", series=f"breaker/{name}", labels={"pod": "a"}, start=2.0, step=1, values=values)
    assert [track.name for track in build(log).breakers] == ["mail", "router"]


WAY = {
    "variables": ["HARNESS_CONTEXTS=staging", "KUBECONFIG='/a b:/c'"],
    "surroundings": ["HARNESS_GATEWAY=http://here"],
    "options": ["--context", "staging", "--kubeconfig", "/a b"],
    "scope": ["--namespace", "shop"],
}


@pytest.mark.case(6, "the commands that a report prints", "they name the cluster that they are about")
def test_what_is_printed_to_be_pasted_names_its_cluster():
    log = planned(Log().add(0.0, "run.start", run="r-1", path="x y.yaml", seed=7, way=WAY), "a")
    view = build(log.add(2.0, "fault.injecting", id="a"))
    before = "HARNESS_CONTEXTS=staging KUBECONFIG='/a b:/c'"
    options = "--context staging --kubeconfig '/a b'"
    assert words.heal(view) == f"{before} harness undo --namespace shop {options}"
    assert words.rerun(view) == f"{before} HARNESS_GATEWAY=http://here harness run 'x y.yaml' --seed 7 {options}"
    assert words.heal(view) in terminal.draw(view)
    given = dataclasses.replace(view, argv=("pytest", "x y.yaml", "--chaos-var", "a=1", "--chaos-var-file=b.yaml"))
    assert words.rerun(given).endswith(f"{options} --var a=1 --var-file=b.yaml")
    test = dataclasses.replace(view, path="test_cart.py::test_one")
    assert words.rerun(test).endswith(
        "pytest test_cart.py::test_one --chaos-seed 7 --chaos-context staging --chaos-kubeconfig '/a b'"
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"status": 201}, ""),
        ({"status": 429, "budget": "cart", "phase": "Running", "ready": True}, "cart; Running, ready"),
        ({"status": 201, "budget": "cart", "phase": "Pending"}, "cart; Pending; not guarded by it"),
        (
            {"status": 201, "budget": "cart", "policy": "AlwaysAllow", "phase": "Running", "ready": False},
            "cart, AlwaysAllow; Running, not ready; not guarded by it",
        ),
        (
            {"status": 201, "budget": "cart", "phase": "Running", "ready": False, "healthy": 1, "desired": 2},
            "cart; Running, not ready",
        ),
        (
            {"status": 201, "budget": "cart", "phase": "Running", "ready": False, "healthy": 2, "desired": 2},
            "cart; Running, not ready; not guarded by it",
        ),
        ({"status": 404, "budget": "cart", "terminating": "2026-01-01T00:00:00Z"}, "cart; terminating"),
        (
            {"status": 429, "budget": "cart", "generation": 4, "observed": 3},
            "cart, not worked out anew: generation 3 of 4",
        ),
        ({"status": [1], "phase": {}, "ready": "yes", "healthy": "many", "desired": True, "observed": "x"}, ""),
    ],
)
def test_what_decided_an_eviction_is_told(answer, said):
    assert words.decided(answer) == said


def test_an_undo_by_requests_says_what_it_writes_and_where_and_nothing_that_is_kept_apart():
    patch = [{"op": "test", "path": "/spec", "value": {}}, {"op": "add", "path": "/spec/replicas", "value": 3}]
    ops = [
        {"op": "restore", "path": "/web/scale", "patch": patch},
        {"op": "restore", "path": "/secrets/db", "patch": patch[:1], "copy": "/secrets/chaos-f"},
        {"op": "untaint", "path": "/nodes/w", "key": "k"},
    ]
    log = planned(Log(), "a").add(2.0, "undo", id="a", ops=ops, ok=True, how="seen undone", seconds=0.1)
    (undo,) = build(log).undo
    assert undo.operations == (
        "restore /web/scale add /spec/replicas 3",
        "restore /secrets/db from /secrets/chaos-f",
        "untaint /nodes/w k",
    )
