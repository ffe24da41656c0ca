"""Which files are experiments, which are none of our business, and where none may run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.engine import run as engine
from harness.model.verdict import Verdict
from harness.pytest_plugin import items  # noqa: F401 - loaded once here, not again in every inner session
from tests.plugin.documents import write

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("_light")
SPREAD = ("-p", "xdist", "--dist=load")
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
    assert [line for line in result.outlines if "is not judged for latency" in line] == [
        f"note: {pytester.path}/experiments/cart/a.yaml is not judged for latency:"
        " no stack/slo.yaml is beside or above it"
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
    result.stdout.fnmatch_lines(["*kill.yaml:2: cannot read the experiment"])


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


def test_several_workers_are_refused_before_anything_is_collected(pytester, door):
    calls = door()
    write(pytester, "kill")
    result = pytester.runpytest(*SPREAD, "--tx=popen", "--tx=popen", "experiments")
    assert result.ret == 4
    assert calls == []
    result.stderr.fnmatch_lines(["*kill.yaml: experiments run one at a time*"])


def test_several_workers_are_fine_where_no_experiment_is(pytester):
    pytester.makepyfile("def test_fine(): pass")
    assert pytester.runpytest(*SPREAD, "--tx=popen", "--tx=popen").ret == 0


@pytest.mark.parametrize("tx", ["popen", "2*popen"])
def test_one_worker_is_refused_too_because_its_verdict_would_be_lost(pytester, door, tx):
    calls = door(kill=Verdict.PASS)
    write(pytester, "kill")
    assert pytester.runpytest(*SPREAD, f"--tx={tx}", "experiments").ret == 4
    assert calls == []


def test_a_worker_that_meets_an_experiment_ends_the_session_with_a_usage_error(pytester, door):
    calls = door()
    late = write(pytester, "kill").rename(pytester.path / "kill.txt")
    pytester.makeconftest(
        "def pytest_sessionstart(session):\n    if hasattr(session.config, 'workerinput'):\n"
        f"        __import__('pathlib').Path({str(late)!r}).rename({str(late.with_suffix('.yaml'))!r})\n"
    )
    result = pytester.runpytest(*SPREAD, "--tx=popen", "--continue-on-collection-errors")
    assert (result.ret, calls) == (4, [])
    result.stdout.fnmatch_lines(["experiments run one at a time, in pytest's own process"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*spread.py*")


def test_a_worker_gives_no_test_its_chaos(pytester):
    pytester.makepyfile("def test_it(chaos): pass")
    result = pytester.runpytest(*SPREAD, "--tx=popen")
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
    assert "HEAVY [] OURS ['harness', 'harness.pytest_plugin', 'harness.source']" in done.stdout


PLAIN = "title: One step\ndescription: x\nmethod: [{type: action, name: a, provider: {type: process, path: 'true'}}]\n"


@pytest.mark.case(24, "a document without our extension, named on the command line", "collected; never from a folder")
def test_a_document_without_our_extension_is_taken_only_when_it_is_named(pytester, door):
    calls = door(public=Verdict.INCONCLUSIVE)
    (pytester.path / "public.yaml").write_text(PLAIN)
    pytester.makepyfile("def test_fine(): pass")
    pytester.runpytest().assert_outcomes(passed=1)
    assert calls == []
    assert pytester.runpytest("public.yaml").ret == 2
    assert [name.rpartition("/")[2] for name, _ in calls] == ["public"]


def test_a_named_file_that_is_no_document_of_chaos_toolkits_is_left_to_others(pytester, door):
    calls = door()
    (pytester.path / "values.yaml").write_text("title: x\nkind: Deployment\n")
    assert pytester.runpytest("values.yaml").ret == pytest.ExitCode.USAGE_ERROR
    assert calls == []


def test_a_named_document_that_is_broken_shows_its_error(pytester, door):
    door()
    (pytester.path / "public.yaml").write_text("title: x\nmethod:\n- [\n")
    result = pytester.runpytest("public.yaml")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["*public.yaml:*this is not valid YAML*"])
