"""Several faults of one document: for how long, how often, in which choice, and under which cap."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from chaoslib.activity import ensure_activity_is_valid

from harness.documents import document
from harness.errors import UsageError
from harness.model.experiment import Choice

STEP = """\
  - type: action
    name: {name}
    {background}
    provider: {{type: python, module: harness.chaostoolkit.actions, func: {func},
               arguments: {{target: {{namespace: shop, selector: a=b, pods: 1}}, {course}}}}}
"""


def text(*steps: str, caps: str = "pods: 1", more: str = "", objective: str = "recovery: {within: 5s}") -> str:
    method = ""
    for step in steps:
        name, func, *course = step.split("|")
        background = "background: true" if name.startswith("bg ") else ""
        method += STEP.format(name=name, func=func, background=background, course="".join(course))
    return (
        f"title: x\ndescription: x\nmethod:\n{method}extensions:\n"
        f"  - {{name: harness, objectives: {{{objective}}}, blast-radius: {{namespaces: [shop], {caps}}}{more}}}\n"
    )


def loaded(*steps: str, **more: str):
    return document.loads(text(*steps, **more), Path("x.yaml"))


def refused(*steps: str, **more: str) -> str:
    with pytest.raises(UsageError) as error:
        loaded(*steps, **more)
    return str(error.value)


def test_a_fault_says_how_long_it_lasts_and_how_often_it_is_done(editor) -> None:
    steps = ("freeze|pod_freeze|duration: 10s", "kill|pod_kill|times: 3, every: 30s")
    freeze, kill = loaded(*steps).faults
    assert (freeze.duration, freeze.times, freeze.closes) == (10, 1, True)
    assert (kill.duration, kill.times, kill.every, kill.closes) == (None, 3, 30, True)
    editor.validate(yaml.safe_load(text(*steps)))


def test_such_a_step_is_one_that_chaos_toolkit_takes() -> None:
    for step in yaml.safe_load(text("kill|pod_kill|times: 3, every: 30s, duration: 1s"))["method"]:
        ensure_activity_is_valid({key: value for key, value in step.items() if value is not None})


def test_targets_may_be_picked_when_their_step_s_turn_comes(editor) -> None:
    steps = ("freeze|pod_freeze|duration: 10s", "kill|pod_kill|late: true")
    freeze, kill = loaded(*steps).faults
    assert (freeze.late, kill.late) == (False, True)
    editor.validate(yaml.safe_load(text(*steps)))
    for step in yaml.safe_load(text(*steps))["method"]:
        ensure_activity_is_valid({key: value for key, value in step.items() if value is not None})


def test_what_no_earlier_step_can_have_made_is_picked_by_the_plan() -> None:
    told = refused("kill|pod_kill|late: true")
    assert "the first step has its targets from the plan" in told
    assert refused("a|pod_freeze|duration: 1s", "b|pod_kill|late: yesterday").count("'yesterday' is not true or false")


@pytest.mark.parametrize("said", ["true", "false"])
def test_only_pods_are_picked_late_whatever_is_said_of_it(editor, said) -> None:
    steps = text("a|pod_freeze|duration: 1s", "b|node_cordon|LATE", caps="pods: 1, nodes: 1")
    before, _, after = steps.rpartition("{namespace: shop, selector: a=b, pods: 1}")
    cordon = f"{before}{{selector: a=b, nodes: 1}}{after}"
    assert document.loads(cordon.replace("LATE", ""), Path("x.yaml"))
    assert editor.is_valid(yaml.safe_load(cordon.replace("LATE", "")))
    late = cordon.replace("LATE", f"late: {said}")
    with pytest.raises(UsageError, match="'late' picks pods, not nodes"):
        document.loads(late, Path("x.yaml"))
    assert not editor.is_valid(yaml.safe_load(late))


def test_what_is_picked_late_counts_for_the_cap() -> None:
    told = refused("a|pod_freeze|", "b|pod_kill|late: true")
    assert "the faults ask for 2 pods, the blast radius allows 1" in told


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("a|pod_freeze|times: 2", "pod_freeze that is done 2 times needs 'duration'"),
        ("a|pod_kill|every: 10s", "'every' belongs to 'times'"),
        ("a|pod_kill|times: 0", "0 is not a count"),
        ("a|pod_kill|times: 101", "101 is more than 100"),
        ("a|pod_kill|duration: 31m", "is not between 0s and 30m"),
        ("a|pod_kill|duration: long", "is not a duration"),
    ],
)
def test_a_course_that_cannot_be_meant_is_refused(step, why) -> None:
    assert why in refused(step)


def test_the_cap_counts_what_may_be_broken_at_the_same_time() -> None:
    assert loaded("a|pod_freeze|duration: 1s", "b|pod_kill|")
    told = refused("a|pod_freeze|", "b|pod_kill|duration: 1s")
    assert "the faults ask for 2 pods at the same time, the blast radius allows 1" in told
    assert loaded("a|pod_freeze|", "b|pod_kill|duration: 1s", caps="pods: 2")
    assert "2 pods at the same time" in refused("bg a|pod_freeze|duration: 1s", "b|pod_kill|")


CHOICE = ", choose: [{from: [a, b], take: 1}]"


def test_a_choice_counts_as_many_as_it_takes(editor) -> None:
    found = loaded("a|pod_freeze|", "b|pod_kill|", more=CHOICE)
    assert found.choices == (Choice(("a", "b"), 1),)
    editor.validate(yaml.safe_load(text("a|pod_freeze|", "b|pod_kill|", more=CHOICE)))
    assert "2 pods" in refused("a|pod_freeze|", "b|pod_kill|", "c|pod_kill|", more=CHOICE)


@pytest.mark.parametrize(
    ("choice", "why"),
    [
        ("{from: [a, c]}", "no fault of the method is named 'c'"),
        ("{from: [a, b], take: 2}", "takes fewer than all of its 2 steps"),
        ("{from: [a, b], take: 0}", "takes fewer than all of its 2 steps"),
        ("{from: [a, b]}, {from: [b, a]}", "'b' is here twice"),
        ("{from: [a, a]}", "'a' is here twice"),
        ("{take: 1}", "a choice needs 'from'"),
        ("{from: [a, 3]}", "3 is not the name of a step"),
        ("[a, b]", "a choice must be a mapping"),
    ],
)
def test_a_choice_that_cannot_be_meant_is_refused(choice, why) -> None:
    assert why in refused("a|pod_freeze|", "b|pod_kill|", more=f", choose: [{choice}]", caps="pods: 2")


def test_a_promise_that_only_some_draws_can_break_is_refused() -> None:
    budget = "disruption-budget: {name: web}"
    told = refused("a|pod_evict|", "b|pod_kill|", more=CHOICE, objective=budget)
    assert "whether 'disruption-budget' is exercised is left to the seed" in told
    more = CHOICE.replace("take: 1", "take: 1")
    assert loaded("a|pod_evict|", "b|pod_kill|", "c|pod_evict|", more=more, objective=budget, caps="pods: 2")
