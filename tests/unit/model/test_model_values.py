from __future__ import annotations

import contextlib
import enum
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.errors import Exit, UsageError
from harness.model import hashing, units
from harness.model.history import Operation
from harness.model.plan import Victim
from harness.model.verdict import Finding, State, Verdict, fold, worst
from harness.source import lines

WHERE = Path("x.yaml")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10),
        ("500ms", 0.5),
        ("2m", 120),
        ("1h", 3600),
        ("1m30s", 90),
        ("0.1s", 0.1),
        (" 5s ", 5),
        (0, 0),
        ("0s", 0),
    ],
)
def test_durations_are_read_with_their_units(text, seconds):
    assert units.duration(text) == seconds


@pytest.mark.parametrize("text", ["10", 10, "s", "10 s", "-1s", "1d", "", None, True, [], "1e3s"])
def test_a_duration_without_its_unit_is_refused(text):
    with pytest.raises(ValueError, match="is not a duration"):
        units.duration(text)


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_the_parts_of_a_duration_add_up(hours, minutes, seconds, millis):
    found = units.duration(f"{hours}h{minutes}m{seconds}s{millis}ms")
    assert found == pytest.approx(hours * 3600 + minutes * 60 + seconds + millis / 1000)


@given(
    st.one_of(st.text(), st.integers(), st.floats(allow_nan=True), st.booleans(), st.none(), st.lists(st.integers()))
)
@example("1" * 400 + "%")
def test_any_value_is_read_or_refused_in_words(value):
    for reader in (units.duration, units.rate, units.ratio, units.integer, units.number, units.text, units.signal):
        with contextlib.suppress(ValueError):
            reader(value)


@given(st.integers(0, 100_000))
def test_per_cent_is_exact(thousandths):
    text = f"{thousandths // 1000}.{thousandths % 1000:03}%"
    assert units.ratio(text) == thousandths / 100_000


def test_a_ratio_written_as_per_cent_without_its_sign_is_told_so():
    assert units.ratio(0.995) == units.ratio("99.5%") == 0.995
    with pytest.raises(ValueError, match=r"write 99.5%"):
        units.ratio(99.5)
    for wrong in ("101%", -0.1, 101, True, "half"):
        with pytest.raises(ValueError, match=r"ratio|outside"):
            units.ratio(wrong)


@pytest.mark.parametrize(("text", "rate"), [("50/s", 50), ("300/m", 5), ("0.5 / s", 0.5)])
def test_rates_are_operations_per_second(text, rate):
    assert units.rate(text) == rate


@pytest.mark.parametrize("text", [50, "50", "0/s", "50/h", "/s"])
def test_a_rate_without_its_unit_is_refused(text):
    with pytest.raises(ValueError, match="is not a rate"):
        units.rate(text)


def test_signals_are_named_without_their_prefix():
    assert units.signal("SIGTERM") == units.signal("TERM") == "TERM"
    with pytest.raises(ValueError, match="name of a signal"):
        units.signal("9; rm")


def test_booleans_are_true_or_false():
    assert units.boolean(True)
    with pytest.raises(ValueError, match="'yes' is not true or false"):
        units.boolean("yes")


def test_values_are_shown_as_they_were_written():
    assert [units.shown(value) for value in (True, None, "a", 3)] == ["true", "nothing", "'a'", "3"]
    assert len(units.shown("x" * 500)) == 60


def test_a_shortfall_is_never_shown_as_whole():
    assert units.percent(0.99999999) == "99.999999 %"
    assert [units.percent(value) for value in (1, 0.995, 0)] == ["100 %", "99.50 %", "0 %"]
    assert [units.percent(value) for value in (0.99999, 0.9999, 0.9995, 0.99958, 0.96414)] == [
        "99.999 %", "99.99 %", "99.95 %", "99.958 %", "96.41 %",
    ]  # fmt: skip
    assert [units.seconds(value) for value in (0.0412, 3.25, 30, 4.0)] == ["41 ms", "3.2 s", "30 s", "4 s"]


def test_a_number_is_shown_with_the_digits_that_tell_it_from_its_limit():
    assert [units.apart(value, 14.4, 1) for value in (14.44, 20, 14.4)] == ["14.44", "20.0", "14.4"]
    assert units.seconds(30.4, beside=30) == "30.4 s"
    assert units.seconds(30.02, beside=30) == "30.02 s"
    assert units.seconds(1.04, beside=1) == "1.04 s"
    assert units.seconds(0.1004, beside=0.1) == "100.4 ms"
    assert [units.seconds(value, beside=30) for value in (30, 41.3, 0.2)] == ["30 s", "41 s", "200 ms"]


def test_lines_are_remembered_for_every_value():
    found = lines.read("a:\n  b: 1\n  c:\n    - x\n    - y: 2\n", WHERE)
    assert found.data == {"a": {"b": 1, "c": ["x", {"y": 2}]}}
    assert [found.line(place) for place in (("a", "b"), ("a", "c", 1), ("a", "c", 1, "y"), ("a", "d"), ())] == [
        2,
        5,
        5,
        1,
        1,
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\na: 2\n", 2, "the key 'a' is here twice"),
        ("a: [1\nb: 2", 2, "not valid YAML"),
        ("a: !!binary eA==\n", 1, "binary values are not read"),
        ("? [1, 2]\n: 3\n", 1, "a key must be a text"),
        ("a: &a {b: 1}\nc:\n  <<: 5\n", 3, "'<<' takes over a mapping"),
        ("a: &a\n  - *a\n", 1, "contains itself"),
    ],
)
def test_what_json_cannot_say_is_refused_by_line(text, line, words):
    with pytest.raises(UsageError) as caught:
        lines.read(text, WHERE)
    assert caught.value.where == f"x.yaml:{line}"
    assert words in str(caught.value)


def test_dates_stay_text_and_keys_stay_as_written():
    assert lines.read("when: 2024-01-02\non: 1\n1: x\n", WHERE).data == {"when": "2024-01-02", "on": 1, "1": "x"}


def test_json_is_yaml_and_an_empty_document_is_nothing():
    assert lines.read('{"a": [1, 2.5, null, true]}', WHERE).data == {"a": [1, 2.5, None, True]}
    assert lines.read("# nothing\n", WHERE).data is None


def test_a_document_that_unfolds_without_end_is_refused():
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 8)
    )
    with pytest.raises(UsageError, match="more than 50000 values"):
        lines.read(bomb, WHERE)


def test_control_characters_are_refused_without_a_traceback():
    with pytest.raises(UsageError, match="not valid YAML"):
        lines.read("a: \x00", WHERE)


class Colour(enum.Enum):
    RED = "red"


def test_a_digest_reads_values_whatever_holds_them():
    one = {"b": Victim("pod", "cart", "u"), "a": {3, 1}, "c": Colour.RED, "d": Path("x/y"), "e": 5.0, "f": (None, True)}
    two = {"f": [None, True], "e": 5, "d": "x/y", "c": "red", "a": frozenset({1, 3}), "b": Victim("pod", "cart", "u")}
    assert hashing.digest(one) == hashing.digest(two)
    assert hashing.digest(one) != hashing.digest({**one, "e": 5.5})
    assert len(hashing.digest(None)) == 64


@given(st.dictionaries(st.text(), st.integers()))
def test_a_digest_does_not_depend_on_the_order_of_keys(values):
    assert hashing.digest(values) == hashing.digest(dict(reversed(values.items())))


def finding(state):
    return Finding("availability", state, "")


ANY = st.lists(st.sampled_from(State).map(finding))


@given(ANY, st.booleans())
def test_what_was_not_undone_is_dirty_whatever_held(findings, aborted):
    assert fold(findings, undone=False, aborted=aborted) is Verdict.DIRTY


@given(ANY, st.booleans())
def test_verdicts_follow_the_worst_finding(findings, aborted):
    states = {found.state for found in findings} - {State.NOTED}
    verdict = fold(findings, undone=True, aborted=aborted)
    if State.BROKEN in states:
        assert verdict is Verdict.DEVIATED
    elif aborted:
        assert verdict is Verdict.ABORTED
    else:
        assert (verdict is Verdict.PASS) == (states == {State.HELD})


def test_no_finding_is_never_a_pass():
    assert fold([], undone=True, aborted=False) is Verdict.INCONCLUSIVE


def test_what_is_only_noted_decides_nothing():
    noted = finding(State.NOTED)
    assert fold([noted], undone=True, aborted=False) is Verdict.INCONCLUSIVE
    assert fold([noted, finding(State.HELD)], undone=True, aborted=False) is Verdict.PASS


def test_every_verdict_has_its_exit_code():
    assert [int(verdict.exit) for verdict in Verdict] == [6, 1, 3, 2, 0]


@given(st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7])))
def test_the_worst_exit_code_of_several_runs_wins(codes):
    order = [6, 7, 4, 1, 3, 2, 5, 0]
    assert worst(codes) == (min(codes, key=order.index) if codes else Exit.NOTHING_RAN)


def test_an_interruption_wins_unless_something_is_left_behind():
    assert worst([0, 130, 1]) == 130
    assert worst([130, 6]) == 6
    assert worst([130, 7]) == 7
    assert worst([4, 130]) == 130


@pytest.mark.parametrize(("status", "ok"), [(0, False), (200, True), (302, True), (404, False), (500, False)])
def test_an_operation_is_ok_when_its_caller_got_what_it_asked_for(status, ok):
    operation = Operation(1.0, 1.5, 2.0, status)
    assert (operation.ok, operation.latency) == (ok, 1.0)


def test_a_victim_is_named_with_its_namespace():
    assert str(Victim("pod", "cart-1", "u", namespace="shop")) == "shop/cart-1"
    assert str(Victim("node", "worker", "u")) == "worker"


@given(st.integers(0, 10**9))
def test_a_span_is_read_back_as_what_it_was(milliseconds):
    assert round(units.duration(units.span(milliseconds / 1000)) * 1000) == milliseconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.1, "100ms"), (10, "10s"), (90, "1m30s"), (31622400, "8784h")]
)
def test_a_span_is_written_as_people_do(seconds, text):
    assert units.span(seconds) == text


def test_a_duration_that_is_out_of_bounds_is_refused_with_bounds_that_can_be_written():
    with pytest.raises(ValueError, match="'1s' is not between 10s and 8784h"):
        units.bounded(units.duration, 31622400.0, 10.0)("1s")
