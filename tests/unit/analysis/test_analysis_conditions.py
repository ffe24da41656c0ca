"""Conditions come to what expr-lang makes of them, and what is not read is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.analysis import condition, syntax
from harness.analysis.checking import Mistake
from harness.analysis.syntax import Dialect

# What expr-lang 1.17.8 said, in the surroundings that Argo Rollouts gives a condition.
RECORDED = [json.loads(line) for line in (Path(__file__).parent / "conditions.jsonl").read_text().splitlines()]


def said(text: str, result: Any, dialect: Dialect = Dialect.V1_10) -> dict[str, Any]:
    values = float(result) if isinstance(result, str) else [float(one) for one in result]
    try:
        return {"holds": condition.holds(syntax.parse(text, dialect), values, dialect)}
    except Mistake as error:
        return {"error": str(error)}


def test_every_recorded_answer_is_the_same() -> None:
    wrong = [
        (one, got)
        for one in RECORDED
        if (got := said(one["condition"], one["result"])).items() > one.items() or not got.items() <= one.items()
    ]
    assert not wrong
    assert sum("error" in one for one in RECORDED) > 100
    assert {one.get("holds") for one in RECORDED} == {True, False, None}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("sum(result) > 1", "'sum'"),
        ("result matches 'a'", "'matches'"),
        ("result?.value > 1", "'?.'"),
        ("result.value > 1", "'.'"),
        ("result > 1 ? true : false", "'?'"),
        ("result | len() > 1", "'|'"),
        ("result ?? 0 > 1", "'??'"),
        ("1..3 == result", "'1..3"),
        ("let x = 1; x > 0", "'let'"),
        ("{'a': 1} == nil", "'{'"),
        ("result[0:1] == nil", "':'"),
        ("result > 1 // why", "'//'"),
        ("result > 0x10", "'0x10'"),
        ("'a\\n' == 'b'", "is not read"),
        ("99999999999999999999 > 1", "64 bits"),
        ("$env.result > 1", "'$env'"),
        ("result >=", "ends where a value is expected"),
        ("(result > 1", "ends where ')' is expected"),
        ("result > 1)", "')'"),
        ("result not 1", "'in' is expected"),
        ("# > 1", "'#'"),
        ("", "ends where"),
        ("(" * 200 + "1" + ")" * 200, "levels deep"),
    ],
)
def test_what_is_not_read_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        syntax.parse(text)
    assert named in str(refused.value)


def test_types_are_wrong_even_where_they_would_not_matter() -> None:
    assert said("true || result == 'a'", "1") == {
        "error": "invalid operation: == (mismatched types float64 and string)"
    }
    assert said("len(result) == 0 || result >= 0.95", []) == {
        "error": "invalid operation: >= (mismatched types []float64 and float64)"
    }


def test_what_the_compiler_settles_is_never_asked() -> None:
    assert said("result[0] > 1 || true", []) == {"holds": True}
    assert said("result[0] > 1 && !true", []) == {"holds": False}
    assert said("result[0] > 1 || len(result) == 0", []) == {"error": "index out of range: 0 (array length is 0)"}


def test_the_older_language_chains_no_comparison() -> None:
    assert said("0 < result < 2", "1") == {"holds": True}
    wrong = {"error": "invalid operation: < (mismatched types bool and int)"}
    assert said("0 < result < 2", "1", Dialect.V1_9) == wrong


def test_what_the_older_language_reads_wrongly_is_refused() -> None:
    assert said("-1 not in result", ["1"]) == {"holds": True}
    with pytest.raises(ValueError, match="means 'in'"):
        syntax.parse("-1 not in result", Dialect.V1_9)
