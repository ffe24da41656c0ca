"""Experiments as pytest items: the real plugin, with the engine replaced at its one door."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engine import run as engine
from harness.engine.options import Options, Outcome
from harness.errors import PreconditionFailed
from harness.journal.writer import Journal
from harness.model.experiment import Experiment
from harness.model.verdict import Verdict
from harness.pytest_plugin import items  # noqa: F401 - loaded once here, not again in every inner session

pytest_plugins = ["pytester"]

DOCUMENT = """\
title: One pod is deleted
description: Deletes one pod.
tags: [pod]
method:
  - type: action
    name: delete one
    provider:
      type: python
      module: harness.chaostoolkit.actions
      func: pod_kill
      arguments: {{target: {{namespace: shop, selector: app=cart, pods: 1}}}}
extensions:
  - name: harness
    sets: [{sets}]
    load: {{workload: execute-agent, rate: 20/s}}
    objectives: {{availability: {{ratio: 99%}}}}
    blast-radius: {{namespaces: [shop], pods: 1}}
{more}
"""


@pytest.fixture(autouse=True)
def _light(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    # Other plugins are not under test, and one of them takes half a second to import in every inner session.
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest -p no:cov -p no:anyio")


def write(pytester: pytest.Pytester, name: str, *, sets: str = "local", more: str = "") -> Path:
    path = pytester.path / "experiments" / "cart" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(DOCUMENT.format(sets=sets, more=more))
    return path


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> Callable[..., list[tuple[str, Options]]]:
    """Answer the engine's door with given verdicts, by experiment name; returns the calls it will see."""

    def answer(**verdicts: Verdict | Exception) -> list[tuple[str, Options]]:
        calls: list[tuple[str, Options]] = []

        def run(experiment: Experiment, options: Options) -> Outcome:
            calls.append((experiment.name, options))
            found = verdicts[experiment.path.stem]
            if isinstance(found, Exception):
                raise found
            assert options.say
            options.say("INJECT     pod_kill on shop/cart-0")
            directory = pytester.path / "runs" / experiment.path.stem
            with Journal(directory, experiment.path.stem) as journal:
                journal.write("fault.injected", "inject", id="1", kind="pod_kill", victim="shop/cart-0", facts={})
                if found is not Verdict.INCONCLUSIVE:
                    journal.write("fault.felt", "hold", id="1", evidence={"uid": "gone"}, after=0.4)
                journal.write("fault.healed", "heal", id="1", evidence={}, after=1.5)
            right = found is experiment.expect.verdict
            return Outcome(
                verdict=found,
                exit=0 if right else int(found.exit),
                right=right,
                run=f"run-{experiment.path.stem}",
                dir=directory,
                text=f"VERDICT  {found}  of {experiment.path.stem}",
                seconds=10.0,
                overhead=2.5,
                reason="" if found is Verdict.PASS else "availability 97 %",
            )

        monkeypatch.setattr(engine, "run", run)
        return calls

    return answer


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


def test_a_set_keeps_its_experiments_and_names_itself_in_the_time_line(pytester, door):
    calls = door(a=Verdict.PASS, b=Verdict.PASS)
    write(pytester, "a", sets="local, nightly")
    write(pytester, "b", sets="nightly")
    result = pytester.runpytest("experiments", "--chaos-set=local")
    assert [name for name, _ in calls] == ["cart/a"]
    result.assert_outcomes(passed=1, deselected=1)
    result.stdout.fnmatch_lines(["set local took 7.5 s of phases + 2.5 s overhead"])


def test_a_set_that_no_experiment_is_in_is_refused_with_the_word_that_was_meant(pytester, door):
    calls = door()
    write(pytester, "a", sets="local")
    result = pytester.runpytest("experiments", "--chaos-set=locl")
    assert result.ret == 4
    assert calls == []
    result.stderr.fnmatch_lines(["*did you mean 'local'*"])


def test_the_evidence_table_tells_a_felt_fault_from_one_that_was_not(pytester, door):
    door(a=Verdict.PASS, b=Verdict.INCONCLUSIVE)
    write(pytester, "a")
    write(pytester, "b")
    pytester.runpytest("experiments").stdout.fnmatch_lines(
        [
            "v cart/a  PASS  10.0 s  run run-a*",
            "    v pod_kill on shop/cart-0: felt after 0.4 s, healed after 1.5 s",
            "x cart/b  INCONCLUSIVE  10.0 s  run run-b  availability 97 %",
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


SLO = "availability: {ratio: 99%}\nlatency: {p99: 1s}\n"


def test_what_an_experiment_promises_depends_on_its_own_place_and_not_on_the_sessions(pytester, door, monkeypatch):
    seen = []
    door(kill=Verdict.PASS)
    monkeypatch.setattr(
        engine,
        "run",
        lambda experiment, options, run=engine.run: (seen.append(experiment), run(experiment, options))[1],
    )
    path = write(pytester, "kill")
    (pytester.mkdir("stack") / "slo.yaml").write_text(SLO)
    assert pytester.runpytest("--rootdir", path.parent, path).ret == 0
    assert [objective.checker for objective in seen[0].objectives] == ["availability", "latency"]


def test_a_load_without_the_stacks_objectives_is_remarked_on_once(pytester, door):
    door(a=Verdict.PASS, b=Verdict.PASS)
    write(pytester, "a")
    write(pytester, "b")
    result = pytester.runpytest("experiments")
    assert [line for line in result.outlines if "promises no latency" in line] == [
        f"note: {pytester.path}/experiments/cart/a.yaml promises no latency: no stack/slo.yaml is beside or above it"
    ]


def test_files_of_other_projects_are_none_of_our_business(pytester, door):
    calls = door()
    (pytester.path / "crd.yaml").write_text("spec:\n  extensions: [{name: harness}]\n---\nkind: CRD\n")
    (pytester.path / "mkdocs.yml").write_text("markdown_extensions: [!!python/name:x.y {}]\nname: harness\n")
    (pytester.path / "large.json").write_text('{"extensions": "harness", "x": "' + "y" * 1_000_000 + '"}')
    (pytester.path / "gone.json").symlink_to("nowhere")
    pytester.makepyfile("def test_fine(): pass")
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    assert (result.ret, calls) == (0, [])


def test_a_file_that_may_not_be_read_is_none_of_our_business(pytester, monkeypatch):
    (pytester.path / "secret.json").write_text('{"extensions": [{"name": "harness"}]}')
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "secret.json":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    pytester.makepyfile("def test_fine(): pass")
    assert pytester.runpytest().ret == 0


def test_an_experiment_in_another_encoding_is_an_error_and_not_overlooked(pytester, door):
    calls = door()
    path = write(pytester, "kill")
    path.write_bytes(path.read_text().replace("Deletes", "Supprimé").encode("latin-1"))
    result = pytester.runpytest("--co")
    assert (result.ret, calls) == (4, [])
    result.stdout.fnmatch_lines(["*kill.yaml: cannot read the experiment"])


def test_documents_without_the_extension_are_left_alone(pytester, door):
    calls = door()
    (pytester.path / "values.yaml").write_text("extensions: [{name: other}]  # no harness here\n")
    pytester.makepyfile("def test_fine(): pass")
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    assert calls == []


def test_keywords_select_by_tag_and_the_marker_by_m(pytester, door):
    calls = door(kill=Verdict.PASS)
    write(pytester, "kill")
    pytester.makepyfile("def test_fine(): pass")
    pytester.runpytest("-k", "pod", "-m", "chaos", "--strict-markers").assert_outcomes(passed=1, deselected=1)
    assert [name for name, _ in calls] == ["cart/kill"]


SPREAD = """
import pytest

def pytest_addoption(parser):
    parser.addoption("--dist", default="no")
    parser.addoption("--tx", action="append", default=[])
"""


def test_several_workers_are_refused_before_anything_is_collected(pytester, door):
    calls = door()
    write(pytester, "kill")
    pytester.makeconftest(SPREAD)
    result = pytester.runpytest("--dist=load", "--tx=popen", "--tx=popen", "experiments")
    assert result.ret == 4
    assert calls == []
    result.stderr.fnmatch_lines(["*kill.yaml: experiments run one at a time*"])


def test_several_workers_are_fine_where_no_experiment_is(pytester):
    pytester.makeconftest(SPREAD)
    pytester.makepyfile("def test_fine(): pass")
    assert pytester.runpytest("--dist=load", "--tx=popen", "--tx=popen").ret == 0


@pytest.mark.parametrize("tx", ["popen", "2*popen"])
def test_one_worker_is_refused_too_because_its_verdict_would_be_lost(pytester, door, tx):
    calls = door(kill=Verdict.PASS)
    write(pytester, "kill")
    pytester.makeconftest(SPREAD)
    assert pytester.runpytest("--dist=load", f"--tx={tx}", "experiments").ret == 4
    assert calls == []


WORKER = (
    SPREAD
    + """
def pytest_sessionstart(session):
    session.config.workerinput = {"workercount": 1}
"""
)


def test_a_worker_that_meets_an_experiment_ends_the_session_with_a_usage_error(pytester, door):
    calls = door()
    late = write(pytester, "kill").rename(pytester.path / "kill.txt")
    pytester.makeconftest(f"{WORKER}    __import__('pathlib').Path({str(late)!r}).rename('kill.yaml')\n")
    result = pytester.runpytest("--dist=load", "--tx=popen", "--continue-on-collection-errors")
    assert (result.ret, calls) == (4, [])
    result.stdout.fnmatch_lines(["experiments run one at a time, in pytest's own process"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*spread.py*")


def test_a_worker_gives_no_test_its_chaos(pytester):
    pytester.makeconftest(WORKER)
    pytester.makepyfile("def test_it(chaos): pass")
    result = pytester.runpytest("--dist=load", "--tx=popen")
    result.assert_outcomes(errors=1)
    assert result.ret == 4
    result.stdout.fnmatch_lines(["experiments run one at a time, in pytest's own process"])
    result.stdout.no_fnmatch_line("*spread.py*")


WATCH = """
import sys

def pytest_unconfigure(config):
    heavy = {"kubernetes", "httpx", "anyio", "yaml", "chaoslib", "jinja2"} & set(sys.modules)
    print("HEAVY", sorted(heavy), "OURS", sorted(name for name in sys.modules if name.startswith("harness")))
"""


def test_a_session_without_experiments_imports_nothing_of_the_cluster(tmp_path):
    (tmp_path / "conftest.py").write_text(WATCH)
    (tmp_path / "test_fine.py").write_text("def test_fine(): pass\n")
    (tmp_path / "values.yaml").write_text("a: 1\n")
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "harness.pytest_plugin", "-q", "-s"],
        cwd=tmp_path,
        env=alone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "HEAVY [] OURS ['harness', 'harness.model', 'harness.pytest_plugin']" in done.stdout
