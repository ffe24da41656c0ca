"""Experiments that are run several times in one session: in rounds, each an item of its own, and counted."""

from __future__ import annotations

import pytest

from harness.errors import InjectionFailed
from harness.model.verdict import Verdict
from harness.pytest_plugin import items  # noqa: F401 - loaded once here, not again in every inner session
from tests.plugin.documents import write

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("_light")


def test_each_experiment_is_as_many_items_as_asked_for_in_rounds(pytester, door):
    calls = door(kill=Verdict.PASS, freeze=Verdict.PASS)
    write(pytester, "kill")
    write(pytester, "freeze")
    result = pytester.runpytest("experiments", "--chaos-repeat=2", "-v")
    assert [name for name, _ in calls] == ["cart/freeze", "cart/kill"] * 2
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*kill.yaml::kill[[]1] *", "*kill.yaml::kill[[]2] *"])


def test_one_turn_can_be_asked_for_by_its_name(pytester, door):
    calls = door(kill=Verdict.PASS)
    path = write(pytester, "kill")
    pytester.runpytest(f"{path}::kill[2]", "--chaos-repeat=3").assert_outcomes(passed=1)
    assert len(calls) == 1


def test_an_experiment_that_runs_once_keeps_its_name_and_is_not_counted(pytester, door):
    door(kill=Verdict.PASS)
    write(pytester, "kill")
    result = pytester.runpytest("experiments", "-v")
    result.stdout.fnmatch_lines(["*kill.yaml::kill *"])
    result.stdout.no_fnmatch_line("*flip rate*")


def test_the_session_ends_with_verdicts_counted_and_the_worst_code(pytester, door, monkeypatch):
    from harness.engine import run as engine

    door(kill=Verdict.PASS)
    good = engine.run
    turns = iter([None, Verdict.DEVIATED, InjectionFailed("too late")])

    def run(experiment, options):
        found = next(turns)
        if isinstance(found, Exception):
            raise found
        if found:
            door(kill=found)
            return engine.run(experiment, options)
        return good(experiment, options)

    def again(experiment, options):
        try:
            return run(experiment, options)
        finally:
            monkeypatch.setattr(engine, "run", again)

    monkeypatch.setattr(engine, "run", again)
    write(pytester, "kill")
    result = pytester.runpytest("experiments", "--chaos-repeat=3")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "experiment  runs  verdicts                          as declared  flip rate  95 % interval",
            "cart/kill   3     1 PASS, 1 DEVIATED, 1 no verdict  1 of 3       66.7 %     20.8 to 93.9 %",
            "all         3     1 PASS, 1 DEVIATED, 1 no verdict  *",
        ]
    )


def test_what_is_left_broken_ends_the_rounds(pytester, door):
    calls = door(kill=Verdict.DIRTY)
    write(pytester, "kill")
    assert pytester.runpytest("experiments", "--chaos-repeat=3").ret == 6
    assert len(calls) == 1


def test_junit_tells_the_turns_apart(pytester, door):
    door(kill=Verdict.PASS)
    write(pytester, "kill")
    pytester.runpytest("experiments", "--chaos-repeat=2", "--junitxml=junit.xml")
    text = (pytester.path / "junit.xml").read_text()
    assert 'name="kill[1]"' in text
    assert 'name="kill[2]"' in text
    assert text.count('<property name="chaos_verdict" value="PASS"') == 2


def test_a_set_keeps_every_turn_of_its_experiments(pytester, door):
    calls = door(a=Verdict.PASS, b=Verdict.PASS)
    write(pytester, "a", sets="local")
    write(pytester, "b", sets="nightly")
    pytester.runpytest("experiments", "--chaos-set=local", "--chaos-repeat=2").assert_outcomes(passed=2, deselected=2)
    assert [name for name, _ in calls] == ["cart/a", "cart/a"]


def test_ordinary_tests_run_once_and_stay_where_they_are(pytester, door):
    calls = door(kill=Verdict.PASS)
    write(pytester, "kill")
    pytester.makepyfile(test_plain="def test_one(): pass\ndef test_two(): pass")
    result = pytester.runpytest("experiments", "test_plain.py", "--chaos-repeat=2", "-v")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*kill[[]1]*", "*test_one*", "*test_two*", "*kill[[]2]*"])
    assert len(calls) == 2


@pytest.mark.parametrize("times", ["0", "-1", "many"])
def test_a_number_of_runs_that_there_cannot_be_is_refused(pytester, door, times):
    calls = door()
    write(pytester, "kill")
    result = pytester.runpytest("experiments", f"--chaos-repeat={times}")
    assert (result.ret, calls) == (4, [])
    result.stderr.fnmatch_lines([f"*'{times}' is no number of runs*"])
