"""Every line that is there to be copied says the same to a shell as it was meant."""

from __future__ import annotations

import os
import subprocess

import pytest

from harness import report
from harness.journal.writer import Journal
from harness.report import terminal, words
from harness.report.html import draw
from harness.report.values import Fault, View

ODD = "my runs/caf\u00e9 'x' $HOME `id`"
ELSEWHERE = {
    "variables": ["KUBECONFIG='/home/a b/one:/two'", "HARNESS_CONTEXTS=a@b"],
    "options": ["--context", "arn:aws:eks:eu-1:1:cluster/x y", "--kubeconfig", "my config"],
    "runs": ["--runs", ODD],
}
BROKEN = Fault("f", kind="node_cordon", victim="worker", injected=1.0)


def pasted(line: str) -> list[str]:
    """Return what a shell that the line is pasted into would start: variables, program and arguments."""
    shell = (
        'harness() { printf "%s\\0" "$KUBECONFIG" harness "$@"; }\n'
        'pytest() { printf "%s\\0" "$KUBECONFIG" pytest "$@"; }\n'
    )
    done = subprocess.run(["/bin/sh", "-c", shell + line], capture_output=True, check=True, env={}, encoding="utf-8")
    return done.stdout.split("\0")[:-1]


def lines(view: View) -> list[str]:
    block = terminal.draw(view, width=40).splitlines()
    start = next(number for number, line in enumerate(block) if line.startswith("next "))
    return [line[7:].removeprefix("rerun: ") for line in block[start:]]


def test_each_line_is_one_command_that_a_shell_reads_as_it_was_meant():
    view = View(run="r1", path="my dir/x.yaml", seed="7", context="c", way=ELSEWHERE, faults=(BROKEN,))
    where = ["--context", "arn:aws:eks:eu-1:1:cluster/x y", "--kubeconfig", "my config"]
    variable = "/home/a b/one:/two"
    assert [pasted(line) for line in lines(view)] == [
        [variable, "harness", "undo", *where],
        ["", "harness", "show", "r1", "--log", "--runs", ODD],
        ["", "harness", "report", "r1", "--runs", ODD],
        [variable, "harness", "run", "my dir/x.yaml", "--seed", "7", *where, "--runs", ODD],
    ]


def test_on_the_local_cluster_with_the_usual_folder_the_lines_are_short():
    view = View(run="r1", path="x.yaml", seed="7", faults=(BROKEN,))
    assert lines(view) == [
        "harness undo",
        "harness show r1 --log",
        "harness report r1",
        "harness run x.yaml --seed 7",
    ]


def test_a_test_in_python_is_run_again_by_pytest_with_its_own_options():
    view = View(path="tests/test_a b.py::test_it[x y]", seed="7", way=ELSEWHERE)
    assert pasted(words.rerun(view))[1:] == [
        *("pytest", "tests/test_a b.py::test_it[x y]", "--chaos-seed", "7"),
        *("--chaos-context", "arn:aws:eks:eu-1:1:cluster/x y", "--chaos-kubeconfig", "my config"),
        *("--chaos-runs", ODD),
    ]


@pytest.mark.parametrize("path", ["-x.yaml", "--help/x.yaml"])
def test_a_path_that_looks_like_an_option_is_none(path):
    assert pasted(words.rerun(View(path=path)))[3] == f"./{path}"


def test_the_page_names_the_same_commands():
    page = draw(View(run="r1", path="x.yaml", way={"options": ["--context", "staging"]}, faults=(BROKEN,)))
    assert page.count("<code>harness undo --context staging</code>") == 2
    assert "harness run x.yaml --context staging" in page


def test_a_folder_whose_name_is_no_text_has_its_report_all_the_same(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    with Journal(folder, "r1") as journal:
        journal.write("run.start", "preflight", run="r1", path=str(folder))
    report.write(folder)
    assert {"index.html", "junit.xml", "summary.md", "result.txt"} <= {path.name for path in folder.iterdir()}
    assert "was not written" not in (folder / "result.txt").read_text()
