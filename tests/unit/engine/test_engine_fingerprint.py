"""A difference names what is gone, what is new and what is other than before."""

from __future__ import annotations

from harness.engine.fingerprint import difference, digest


def test_equal_fingerprints_have_no_difference_and_one_digest() -> None:
    lines = {"node/a/cordoned": "false"}
    assert difference(lines, dict(lines)) == []
    assert digest(lines) == digest(dict(lines))


def test_each_difference_is_one_line_that_says_before_and_after() -> None:
    before, after = {"a": "1", "b": "2"}, {"b": "3", "c": "4"}
    assert difference(before, after) == ["a: 1 -> absent", "b: 2 -> 3", "c: absent -> 4"]
    assert digest(before) != digest(after)
