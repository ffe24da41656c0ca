"""Experiments as pytest items: their outcomes are the session's."""

from __future__ import annotations

import pytest

from harness.cluster.host import machine
from harness.engine import run as engine
from harness.errors import PreconditionFailed
from harness.model.verdict import Verdict
from harness.pytest_plugin import items  # noqa: F401 - loaded once here, not again in every inner session
from tests.plugin.documents import write

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("_light")


@pytest.mark.parametrize(
    ("verdict", "code", "outcomes"),
    [
        (Verdict.PASS, 0, {"passed": 1}),
        (Verdict.DEVIATED, 1, {"failed": 1}),
        (Verdict.INCONCLUSIVE, 2, {"failed": 1}),
        (Verdict.ABORTED, 3, {"errors": 1}),
        (Verdict.DIRTY, 6, {"errors": 1}),
    ],
)
def test_the_session_exits_with_the_code_of_the_verdict(pytester, door, verdict, code, outcomes):
    door(kill=verdict)
    write(pytester, "kill")
    result = pytester.runpytest("experiments")
    result.assert_outcomes(**outcomes)
    assert result.ret == code


def test_a_failure_shows_the_end_of_run_block_and_no_traceback(pytester, door):
    door(kill=Verdict.DEVIATED)
    write(pytester, "kill")
    result = pytester.runpytest("experiments")
    result.stdout.fnmatch_lines(["VERDICT  DEVIATED  of kill", "*chaos log*", "INJECT     pod_kill on shop/cart-0"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*items.py*")


def test_a_declared_weakness_that_shows_passes(pytester, door):
    door(kill=Verdict.DEVIATED)
    write(pytester, "kill", more="    expect: {verdict: DEVIATED, reason: the seed has no retry}")
    result = pytester.runpytest("experiments")
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["v cart/kill  DEVIATED (declared DEVIATED)*"])


def test_a_declared_weakness_that_does_not_show_fails_although_the_verdict_is_pass(pytester, door):
    door(kill=Verdict.PASS)
    write(pytester, "kill", more="    expect: {verdict: DEVIATED, reason: the seed has no retry}")
    result = pytester.runpytest("experiments")
    result.assert_outcomes(failed=1)
    assert result.ret == 1


def test_the_worst_verdict_decides_over_several_runs(pytester, door):
    door(a=Verdict.INCONCLUSIVE, b=Verdict.PASS, c=Verdict.ABORTED)
    for name in "abc":
        write(pytester, name)
    assert pytester.runpytest("experiments").ret == 3


def test_dirty_ends_the_session(pytester, door):
    calls = door(a=Verdict.DIRTY, b=Verdict.PASS)
    write(pytester, "a")
    write(pytester, "b")
    result = pytester.runpytest("experiments")
    assert [name for name, _ in calls] == ["cart/a"]
    assert result.ret == 6
    result.stdout.fnmatch_lines(["*harness undo*"])


def test_inconclusive_may_be_an_expected_failure_but_never_a_pass(pytester, door):
    door(a=Verdict.INCONCLUSIVE)
    write(pytester, "a")
    result = pytester.runpytest("experiments", "--chaos-inconclusive=xfail")
    result.assert_outcomes(xfailed=1)
    assert result.ret == 5


def test_an_expected_inconclusive_run_does_not_spoil_a_pass(pytester, door):
    door(a=Verdict.INCONCLUSIVE, b=Verdict.PASS)
    write(pytester, "a")
    write(pytester, "b")
    assert pytester.runpytest("experiments", "--chaos-inconclusive=xfail").ret == 0


def test_a_wrong_document_is_a_collection_error_with_its_line_and_exit_code_4(pytester, door):
    calls = door()
    write(pytester, "wrong", more="    bast-radius: {pods: 1}")
    result = pytester.runpytest("experiments")
    result.assert_outcomes(errors=1)
    assert result.ret == 4
    assert calls == []
    result.stdout.fnmatch_lines(["*wrong.yaml:18*bast-radius*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_missing_cluster_is_an_error_that_says_how_to_mend_it(pytester, door):
    door(kill=PreconditionFailed("no local cluster", why="`harness up` has not been run here", hint="run `make up`"))
    write(pytester, "kill")
    result = pytester.runpytest("experiments")
    result.assert_outcomes(errors=1)
    assert result.ret == 4
    result.stdout.fnmatch_lines(["no local cluster", "*fix   run `make up`"])
    result.stdout.no_fnmatch_line("*During handling*")
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_bug_in_the_harness_keeps_its_traceback_and_exits_7(pytester, door):
    door(kill=RuntimeError("boom"))
    write(pytester, "kill")
    result = pytester.runpytest("experiments")
    assert result.ret == 7
    result.stdout.fnmatch_lines(["*RuntimeError: boom*"])


def test_options_reach_the_engine(pytester, door):
    calls = door(kill=Verdict.PASS)
    write(pytester, "kill")
    pytester.runpytest("experiments", "--chaos-context=staging", "--chaos-seed=7", "--chaos-runs=out")
    ((_, options),) = calls
    assert (options.context, options.seed, options.runs) == ("staging", 7, pytester.path / "out")


def test_a_kubeconfig_that_is_no_text_is_a_usage_error(pytester):
    write(pytester, "kill")
    (pytester.path / "config").write_bytes(b"\xff\x00\xfe")
    result = pytester.runpytest("experiments", "--chaos-kubeconfig=config", "--chaos-context=staging")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["*config: the kubeconfig is not text"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_set_keeps_its_experiments_and_names_itself_in_the_time_line(pytester, door):
    calls = door(a=Verdict.PASS, b=Verdict.PASS)
    write(pytester, "a", sets="local, nightly")
    write(pytester, "b", sets="nightly")
    result = pytester.runpytest("experiments", "--chaos-set=local")
    assert [name for name, _ in calls] == ["cart/a"]
    result.assert_outcomes(passed=1, deselected=1)
    result.stdout.fnmatch_lines(["set local: 1 verdict, 1 as declared, 7.5 s of phases + 2.5 s overhead"])
    result.stdout.fnmatch_lines(["reports: */<run>/index.html"])


def test_a_set_that_no_experiment_is_in_is_refused_with_the_word_that_was_meant(pytester, door):
    calls = door()
    write(pytester, "a", sets="local")
    result = pytester.runpytest("experiments", "--chaos-set=locl")
    assert result.ret == 4
    assert calls == []
    result.stderr.fnmatch_lines(["*did you mean 'local'*"])


def test_a_set_without_an_experiment_means_nothing_ran(pytester, door):
    calls = door()
    write(pytester, "a", sets="local")
    result = pytester.runpytest("experiments", "--chaos-set=gameday")
    assert (result.ret, calls) == (5, [])
    result.assert_outcomes(deselected=1)
    result.stdout.fnmatch_lines(["no experiment is in the set gameday, they are in local"])


def test_the_evidence_table_tells_a_felt_fault_from_one_that_was_not(pytester, door):
    door(a=Verdict.PASS, b=Verdict.INCONCLUSIVE)
    write(pytester, "a")
    write(pytester, "b")
    pytester.runpytest("experiments").stdout.fnmatch_lines(
        [
            "v cart/a  PASS  10.0 s  run run-a*",
            "    v pod_kill on shop/cart-0: felt after 0.4 s, healed after 1.5 s",
            "x cart/b  INCONCLUSIVE  10.0 s  run run-b  availability 97 %",
            "    why: all 9 failures came of calls to mail",
            "    [?] pod_kill on shop/cart-0: NOT FELT, healed after 1.5 s",
        ]
    )


def test_a_verbose_session_follows_the_run(pytester, door):
    door(kill=Verdict.PASS)
    write(pytester, "kill")
    result = pytester.runpytest("experiments", "-v")
    result.stdout.fnmatch_lines(["INJECT     pod_kill on shop/cart-0", "*PASSED*"])


def test_junit_carries_verdict_run_and_report(pytester, door):
    door(kill=Verdict.DEVIATED)
    write(pytester, "kill")
    pytester.runpytest("experiments", "--junitxml=junit.xml")
    text = (pytester.path / "junit.xml").read_text()
    assert '<property name="chaos_verdict" value="DEVIATED"' in text
    assert '<property name="chaos_run" value="run-kill"' in text
    assert "index.html" in text


def test_a_dry_run_shows_plans_and_runs_nothing(pytester, door, monkeypatch):
    calls = door()
    monkeypatch.setattr(engine, "dry_run", lambda experiment, options: f"plan of {experiment.name}")
    write(pytester, "kill")
    result = pytester.runpytest("experiments", "--chaos-dry-run")
    result.assert_outcomes(skipped=1)
    assert calls == []
    assert result.ret == 0
    result.stdout.fnmatch_lines(["plan of cart/kill"])


def test_a_failing_ordinary_test_beside_a_passing_experiment_fails_the_session(pytester, door):
    door(kill=Verdict.PASS)
    write(pytester, "kill")
    pytester.makepyfile(test_plain="def test_wrong(): assert False")
    result = pytester.runpytest()
    result.assert_outcomes(passed=1, failed=1)
    assert result.ret == 1


def test_an_error_beside_a_passing_experiment_fails_the_session(pytester, door):
    door(kill=Verdict.PASS)
    write(pytester, "kill")
    pytester.makepyfile(test_broken="import nothing_of_this_name")
    result = pytester.runpytest("--continue-on-collection-errors")
    result.assert_outcomes(passed=1, errors=1)
    assert result.ret == 1


def test_a_hook_that_fails_the_set_up_of_an_experiment_fails_the_session(pytester, door):
    door(a=Verdict.PASS, b=Verdict.PASS)
    write(pytester, "a")
    write(pytester, "b")
    pytester.makeconftest("def pytest_runtest_setup(item):\n    assert item.name == 'a'")
    result = pytester.runpytest("experiments")
    result.assert_outcomes(passed=1, errors=1)
    assert result.ret == 1


def test_a_session_that_somebody_ends_after_a_pass_was_aborted(pytester, door):
    door(a=Verdict.PASS)
    write(pytester, "a")
    pytester.makepyfile("import pytest\ndef test_stop(): pytest.exit('enough')")
    assert pytester.runpytest("experiments", "test_a_session_that_somebody_ends_after_a_pass_was_aborted.py").ret == 3


def test_a_status_that_somebody_chose_stays(pytester, door):
    door(a=Verdict.PASS)
    write(pytester, "a")
    pytester.makepyfile(test_stop="import pytest\ndef test_stop(): pytest.exit('enough', returncode=42)")
    assert pytester.runpytest("experiments", "test_stop.py").ret == 42


@pytest.fixture
def busy(monkeypatch):
    """A machine that is too busy; returns how often it was looked at."""
    looks = []

    def look():
        looks.append(1)
        return "this machine is busy before anything began: 3 % idle"

    monkeypatch.setattr(machine, "warning", look)
    return looks


def test_a_busy_machine_is_told_before_the_first_experiment(pytester, door, busy):
    door(kill=Verdict.PASS, more=Verdict.PASS)
    write(pytester, "kill")
    write(pytester, "more")
    result = pytester.runpytest("experiments")
    result.stdout.fnmatch_lines(["collected 2 items", "! this machine is busy*", "*more.yaml .*"])
    assert (result.ret, busy) == (0, [1])


def test_nobody_looks_at_the_machine_when_nothing_is_run_on_it(pytester, door, busy):
    door()
    write(pytester, "kill")
    pytester.makepyfile(test_plain="def test_plain(): pass")
    for words in (["--collect-only", "experiments"], ["experiments", "-k", "nothing"], ["test_plain.py"]):
        pytester.runpytest(*words)
    assert not busy
