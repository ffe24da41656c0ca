"""What a probe may be compared with: refused where Chaos Toolkit could not, or where nothing could ever meet it."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.unit.documents.plain import PROBE, plain, refused, step


@pytest.mark.case(16, "a tolerance that fails only when it is asked", "works, or is refused before the run")
@pytest.mark.parametrize(
    ("tolerance", "words"),
    [
        (0.5, "range: [0.5, 0.5]"),
        (None, "nothing is not a tolerance"),
        ([], "[] is not a tolerance"),
        ({"type": "regex", "pattern": "("}, "is no regular expression"),
        ({"type": "jsonpath", "path": "$.["}, "is no path"),
        ({"type": "jsonpath", "path": ""}, "is no path"),
        ({"type": "jsonpath", "path": "$.a", "count": "2"}, "is not a whole number"),
        ({"type": "range", "range": ["a", 2]}, "needs 'range'"),
        (
            {"type": "probe", "name": "a", "provider": {"type": "python", "module": "m", "func": "f"}},
            "needs 'arguments'",
        ),
        ({"type": "probe", "name": "a", "provider": {"type": "python", "module": "m.actions", "func": "f"}}, "acts"),
        # What an HTTP server or a process answers is a mapping: a part of it has to be named.
        ({"type": "regex", "pattern": "x"}, "needs 'target'"),
        ({"type": "range", "range": [200, 299]}, "needs 'target'"),
        ({"type": "regex", "pattern": "x", "target": "boddy"}, "did you mean 'body'?"),
        ({"type": "regex", "pattern": "x", "target": "status"}, "'status' cannot be compared"),
        ({"type": "jsonpath", "path": "$.a", "target": "stdout"}, "'stdout' cannot be compared"),
        # What would tolerate everything, or is not looked at.
        ({"type": "probe", "name": "a", "provider": PROBE | {"arguments": {}}}, "would tolerate everything"),
        (
            {"type": "probe", "name": "a", "tolerance": 3}
            | {"provider": {"type": "python", "module": "m", "func": "f", "arguments": {}}},
            "unknown key 'tolerance' in a probe tolerance",
        ),
        ({"type": "jsonpath", "path": "$.a", "count": 2, "expect": "x"}, "2 matches are counted, and 1 expected"),
        # Where Chaos Toolkit replaces no variable.
        (["${low}", 5], "no variable is replaced in a list"),
        ([1, [2, "at ${low}"], 3], "no variable is replaced in a list"),
        (["${late}"], "no variable is replaced in a list"),
        ({"type": "regex", "pattern": "x", "target": "${part}"}, "no variable is replaced in the target"),
        # What no server ever answers, because it answers with status, headers and body.
        (True, "a http provider never answers true"),
        (False, "a http provider never answers false"),
        ("up", "a http provider never answers 'up'"),
        ("200", "200, without quotes"),
        ("${text}", "env_var_type"),
        ("at ${low}", "a http provider never answers 'at ${low}'"),
        (["200", "201"], "a http provider never answers one of ['200', '201']"),
        ([True, False], "a http provider never answers one of [True, False]"),
        # What a variable stands for is held to the same.
        ("${share}", "0.5 is not a tolerance"),
        ({"type": "regex", "pattern": "${low}", "target": "body"}, "'${low}' stands for no text"),
        ({"type": "regex", "pattern": "${open}", "target": "body"}, "'${open}' is no regular expression"),
        ("${none}", "[] is not a tolerance"),
        ("${shape}", "did you mean 'range'?"),
    ],
)
def test_a_tolerance_that_cannot_be_compared_is_refused(tolerance: Any, words: str) -> None:
    probe = {"type": "probe", "name": "a", "tolerance": tolerance, "provider": PROBE}
    late = {"type": "probe", "name": "b", "provider": {"type": "process", "path": "true"}}
    known = {"low": 1, "part": "body", "share": 0.5, "none": [], "shape": {"type": "rang"}, "late": late}
    known |= {"text": {"type": "env", "key": "NOT_SET", "default": "200"}, "open": "("}
    assert words in refused(configuration=known, **{"steady-state-hypothesis": {"title": "x", "probes": [probe]}})


@pytest.mark.case(16, "a tolerance that fails only when it is asked", "works, or is refused before the run")
def test_a_jsonpath_that_nobody_could_follow_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonpath2.path", None)
    probe = {"type": "probe", "name": "a", "tolerance": {"type": "jsonpath", "path": "$.a"}, "provider": PROBE}
    told = refused(**{"steady-state-hypothesis": {"title": "x", "probes": [probe]}})
    assert "needs the package jsonpath2" in told


@pytest.mark.parametrize(
    "tolerance",
    [
        0,
        [1, 2],
        ["a", 200, "c"],
        "${code}",
        "${late}",
        {"type": "jsonpath", "path": "$.a[*]", "count": 2},
        {"type": "jsonpath", "path": "$.a[*]", "count": 2, "expect": [1, 2]},
        {"type": "jsonpath", "path": "$.a", "count": 2, "expect": "${several}"},
        {"type": "regex", "pattern": "^${code}$", "target": "body"},
        {"type": "range", "range": [200, 299], "target": "status"},
    ],
)
def test_a_tolerance_that_can_be_compared_is_taken(tolerance: Any) -> None:
    probe = {"type": "probe", "name": "a", "tolerance": tolerance, "provider": PROBE}
    late = {"type": "probe", "name": "b", "provider": {"type": "process", "path": "true"}}
    found = plain(
        configuration={"code": 200, "several": [1, 2], "late": late},
        **{"steady-state-hypothesis": {"title": "x", "probes": [probe]}},
    )
    assert found.probes[0].tolerance == tolerance


@pytest.mark.parametrize(
    "tolerance",
    [{"type": "range", "range": [0, 1], "target": "ratio"}, True, "x", "${unknown}", ["${unknown}", "b", "c"]],
)
def test_a_function_may_answer_anything(tolerance: Any) -> None:
    probe = step(kind="probe", tolerance=tolerance)
    assert plain(**{"steady-state-hypothesis": {"title": "x", "probes": [probe]}}).probes[0].tolerance == tolerance


def test_a_process_never_answers_yes() -> None:
    probe = {"type": "probe", "name": "a", "tolerance": True, "provider": {"type": "process", "path": "true"}}
    told = refused(**{"steady-state-hypothesis": {"title": "x", "probes": [probe]}})
    assert "a process provider never answers true" in told
    assert "tolerance: 0" in told
