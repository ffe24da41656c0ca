"""What no plan covers is no evidence, and a document is judged by what it promised and by nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checkers import foreign, stated
from harness.model.verdict import Finding, State, fold


def step(**data: Any) -> dict[str, Any]:
    return {"name": "kill", "by": "shop.actions.kill", "acts": True, "status": "succeeded", "output": "done"} | data


def ran(pod: str, code: Any) -> dict[str, Any]:
    """Say how a command ended in a pod, as exec_in_pods of chaostoolkit-kubernetes does: a failure's code is a text."""
    return {"pod_name": pod, "exit_code": code, "cmd": "x", "stdout": "", "stderr": ""}


def kubectl(**told: str) -> dict[str, Any]:
    return {"by": "process kubectl", "output": {"status": 0, "stdout": "", "stderr": "", **told}}


@pytest.mark.case(2, "a step that touched nothing", "no evidence: INCONCLUSIVE")
@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"output": []}, "matched nothing"),
        ({"output": {}}, "matched nothing"),
        ({"output": ""}, "matched nothing"),
        ({"output": None, "changed": False}, "asked the cluster and changed nothing"),
        ({"status": "failed", "error": "no such pod"}, "failed: no such pod"),
        ({"status": "timed out"}, "timed out"),
        ({"by": "process kubectl", "output": {"status": 1, "stdout": "", "stderr": "x"}}, "ended with status 1"),
        ({"by": "http POST x", "output": {"status": 503, "body": ""}}, "was answered 503"),
        ({"acts": False, "tolerance_met": False, "output": 3}, "is outside its tolerance"),
        (kubectl(stdout="No resources found\n"), "matched nothing"),
        (kubectl(stderr="No resources found in shop namespace.\n"), "matched nothing"),
        ({"output": [ran("a", 0), ran("b", "127")]}, "ended with status 127 in b"),
        ({"output": [ran("a", "1"), ran("b", 1)]}, "ended with status 1 in a, with status 1 in b"),
        ({"output": {"exit_code": 2}}, "ended with status 2"),
    ],
)
def test_a_step_without_an_effect_is_no_evidence(data: dict[str, Any], words: str) -> None:
    [finding] = foreign.check([step(**data)], uncovered=(), promising=False, proven=True)
    assert (finding.checker, finding.state) == ("steps", State.UNKNOWN)
    assert words in finding.summary


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"output": None},
        {"output": None, "changed": True},
        {"acts": False, "changed": False},
        {"output": 0},
        {"output": False},
        {"acts": False, "output": []},
        {"output": [ran("a", 0), ran("b", "0")]},
        {"output": [ran("a", None), "b", {"exit_code": True}]},
        {"acts": False, "output": [ran("a", 1)]},
        {"by": "process kubectl", "output": {"status": 0}},
        kubectl(stdout='pod "x" deleted\n'),
        kubectl(stdout='No resources found\npod "x" deleted\n'),
        {"by": "http POST x", "output": {"status": 201}},
    ],
)
def test_a_step_that_may_have_had_one_is_not_doubted(data: dict[str, Any]) -> None:
    assert foreign.check([step(**data)], uncovered=(), promising=True, proven=False) == []


@pytest.mark.case(1, "a foreign step whose effect nobody saw", "never PASS by the hypothesis alone")
def test_the_hypothesis_alone_proves_no_uncovered_step() -> None:
    held = Finding("hypothesis", State.HELD, "held before and after")
    found = foreign.check([step()], uncovered=["step 'kill', by shop"], promising=True, proven=False)
    assert fold([held, *found], undone=True, aborted=False).value == "INCONCLUSIVE"
    found = foreign.check([step()], uncovered=["step 'kill', by shop"], promising=True, proven=True)
    assert [(one.state, one.summary) for one in found] == [(State.NOTED, "not covered: step 'kill', by shop")]


def asked(when: str, met: bool, error: str | None = None) -> dict[str, Any]:
    return {"when": when, "met": met, "probes": [{"name": "is up", "ok": met, "value": "down", "error": error}]}


@pytest.mark.parametrize(
    ("strategy", "questions", "state", "words"),
    [
        ("default", [("before", True), ("after", True)], State.HELD, "met before, after the method"),
        ("default", [("before", True), ("after", False)], State.BROKEN, "not met after the method: is up was 'down'"),
        ("default", [("before", False)], State.UNKNOWN, "not met before the method"),
        ("default", [("before", True)], State.UNKNOWN, "never asked after the method"),
        ("after-method-only", [("after", True)], State.HELD, "met after"),
        ("before-method-only", [("before", True)], State.UNKNOWN, "nobody looked at what the method did"),
        ("during-method-only", [("during", True)] * 3, State.HELD, "met during"),
        ("during-method-only", [("during", True), ("during", False)], State.BROKEN, "not met during"),
        ("continuously", [("before", True), ("after", True)], State.UNKNOWN, "never asked during"),
    ],
)
def test_a_document_is_judged_by_its_hypothesis_as_its_strategy_asks_it(
    strategy: str, questions: list[tuple[str, bool]], state: State, words: str
) -> None:
    finding, alone = stated.check([asked(*one) for one in questions], strategy=strategy, probes=True)
    assert finding.state is state
    assert words in finding.summary
    assert (alone.state, "no harness extension" in alone.summary) == (State.NOTED, True)


def test_a_probe_that_gives_no_answer_afterwards_leaves_it_open() -> None:
    finding, _ = stated.check([asked("before", True), asked("after", False, "gone")], strategy="default", probes=True)
    assert (finding.state, finding.summary) == (State.UNKNOWN, "no answer after the method: is up gone")


@pytest.mark.parametrize(("strategy", "probes"), [("default", False), ("skip", True)])
def test_where_nothing_was_promised_nothing_is_a_pass(strategy: str, probes: bool) -> None:
    [finding] = stated.check([], strategy=strategy, probes=probes)
    assert (finding.state, "nothing was promised" in finding.summary) == (State.UNKNOWN, True)
