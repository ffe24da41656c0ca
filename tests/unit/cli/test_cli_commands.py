"""The command line answers in words a user can act on, with the documented exit code."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness import cli
from harness.checkers import OBJECTIVES
from harness.cli import COMMANDS, explain
from harness.errors import Exit
from harness.faults import FAULTS

EXPERIMENT = """\
title: One pod is deleted
description: Deletes one pod.
method:
  - type: action
    name: delete one
    provider:
      type: python
      module: harness.chaostoolkit.actions
      func: pod_kill
      arguments: {target: {namespace: shop, selector: app=cart, pods: 1}}
extensions:
  - name: harness
    sets: [local]
    load: {workload: execute-agent, rate: 20/s}
    objectives: {availability: {ratio: 99%}}
    blast-radius: {namespaces: [shop], pods: 1}
"""


def write(path: Path) -> None:
    """Write an experiment."""
    path.write_text(EXPERIMENT)


def harness(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line here, as the installed script does; it takes longer to start than to answer."""
    out, err = io.StringIO(), io.StringIO()
    streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(cwd or Path.cwd()), streams[0], streams[1]:
        patch.setattr(sys, "argv", ["harness", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert isinstance(end.value.code, int)
    return subprocess.CompletedProcess(words, end.value.code, out.getvalue(), err.getvalue())


@pytest.mark.parametrize("command", ["up", "down"])
def test_a_part_that_there_is_not_is_refused_with_those_that_there_are(command: str) -> None:
    done = harness(command, "--parts", "core,delivry")
    assert done.returncode == Exit.USAGE
    assert "'--parts': no part 'delivry', one of core, delivery" in done.stderr


def test_help_names_every_command_and_every_exit_code() -> None:
    # One of them is called as a built-in function is, which it must not replace.
    for name in COMMANDS:
        importlib.import_module(f"harness.cli.{name}")
    done = harness("--help")
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout
    assert [name for name in COMMANDS if f"\n  {name} " not in said] == [], said
    assert "6 DIRTY" in said
    assert "130 interrupted" in said


def test_every_command_that_is_written_can_be_called() -> None:
    files = Path(cli.__file__).parent.glob("*.py")
    assert {file.stem for file in files if "\ndef command(" in file.read_text()} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    done = harness(name, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ")


def test_a_misspelt_command_gets_a_suggestion() -> None:
    done = harness("fingerprnt")
    assert done.returncode == 4
    assert "Did you mean 'fingerprint'?" in done.stderr
    assert "Did you mean 'approve'?" in harness("gameday", "aprove").stderr


def test_a_stack_that_is_not_wanted_has_no_parts() -> None:
    done = harness("up", "--cluster-only", "--parts", "delivery", "--overlay", "weak-no-pdb")
    assert done.returncode == Exit.USAGE
    assert "--cluster-only brings no stack" in done.stderr


LIGHT = """
import sys
from harness.cli import group

for words in (["--help"], ["explain"], ["explain", "6"], ["explain", "flip"]):
    group.main(words, standalone_mode=False)
heavy = ("kubernetes", "httpx", "asyncio", "ssl", "yaml", "harness.engine", "harness.keeper", "harness.cluster.kube")
print([name for name in heavy if name in sys.modules])
"""


def test_help_and_explanations_import_neither_a_cluster_client_nor_the_engine() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_broken_experiment_is_one_error_with_file_and_line_and_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("title: x\ndescription: y\nmethud: []\nextensions: [{name: harness}]\n")
    done = harness("plan", str(path))
    assert done.returncode == 4
    assert f"{path}:3" in done.stderr
    assert "method" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    done = harness("run", str(tmp_path / "nowhere.yaml"))
    assert done.returncode == 4
    assert "does not exist" in done.stderr


@pytest.mark.parametrize("command", ["run", "plan", "list"])
def test_an_empty_folder_means_nothing_ran(tmp_path: Path, command: str) -> None:
    done = harness(command, str(tmp_path))
    assert done.returncode == 5
    assert f"{tmp_path}: no experiment here" in done.stderr


def test_a_set_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    done = harness("list", "--set", "lokal")
    assert done.returncode == 4
    assert "'local'" in done.stderr


def test_a_set_without_an_experiment_means_nothing_ran(tmp_path: Path) -> None:
    write(tmp_path / "kill.yaml")
    done = harness("list", "--set", "gameday", str(tmp_path))
    assert done.returncode == 5
    assert "none is in the set gameday" in done.stderr


def test_experiments_of_every_suffix_are_found_and_named_for_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "cart"
    folder.mkdir()
    for name in ("a.yaml", "b.yml"):
        write(folder / name)
    (folder / "c.json").write_text(json.dumps(yaml.safe_load(EXPERIMENT)))
    names = [line.split()[0] for line in harness("list", str(tmp_path)).stdout.splitlines()]
    assert names == ["cart/a", "cart/b", "cart/c"]
    assert harness("list", "a.yaml", cwd=folder).stdout.split()[0] == "cart/a"


def test_an_experiment_in_another_encoding_is_an_error_and_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "kill.yaml").write_bytes(EXPERIMENT.replace("Deletes", "Supprimé").encode("latin-1"))
    done = harness("list", str(tmp_path))
    assert done.returncode == 4
    assert f"{tmp_path / 'kill.yaml'}:2: cannot read the experiment" in done.stderr


def test_a_load_without_the_stacks_objectives_is_remarked_on_once(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        write(tmp_path / name)
    (tmp_path / "work").mkdir()
    done = harness("list", str(tmp_path), cwd=tmp_path / "work")
    assert (
        done.stderr == f"note: {tmp_path}/a.yaml is not judged for latency: no stack/slo.yaml is beside or above it\n"
    )
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack" / "slo.yaml").write_text("latency: {p99: 1s}\n")
    assert harness("list", str(tmp_path), cwd=tmp_path / "work").stderr == ""


def test_a_kubeconfig_that_is_no_text_is_refused_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "config").write_bytes(b"\xff\x00\xfe")
    done = harness("doctor", "--kubeconfig", str(tmp_path / "config"))
    assert done.returncode == 4
    assert "is no kubeconfig" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_definitions_of_the_resources_are_yaml_that_kubectl_takes() -> None:
    done = harness("crds")
    found = list(yaml.safe_load_all(done.stdout))
    assert [item["kind"] for item in found] == ["CustomResourceDefinition"] * 2
    assert [item["apiVersion"] for item in found] == ["apiextensions.k8s.io/v1"] * 2
    assert [item["spec"]["names"]["kind"] for item in found] == ["Fault", "NodeFault"]
    assert (done.returncode, done.stderr) == (0, "")


def into_a_closed_pipe(*argv: str) -> tuple[int, str]:
    """Run a program whose reader has left already."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(argv, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    finally:
        os.close(writing)
    return done.returncode, done.stderr


def test_a_listing_that_nobody_reads_to_its_end_is_fine() -> None:
    assert into_a_closed_pipe(sys.executable, "-m", "harness.cli", "explain") == (0, "")


def onto_a_full_disk(*argv: str) -> tuple[int, str]:
    """Run a program whose output nothing has room for."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", [["explain"], ["--help"], ["crds"]])
def test_a_listing_that_cannot_be_written_is_one_line_and_not_a_bug(words: list[str]) -> None:
    code, said = onto_a_full_disk(sys.executable, "-m", "harness.cli", *words)
    assert said == "error: standard output: not everything could be written: No space left on device\n"
    assert code == 4


RUN = """
import sys
from pathlib import Path
from types import SimpleNamespace
from harness import cli
from harness.engine import run
from harness.model.verdict import Verdict

def stand_in(experiment, options):
    options.say("a line")
    print(experiment.name, file=open("ran", "a"))
    return SimpleNamespace(text="VERDICT", exit=2, verdict=Verdict.INCONCLUSIVE)

run.run = stand_in
sys.argv[1:] = ["run", *sys.argv[1:]]
cli.main()
"""


def test_a_run_that_nobody_reads_goes_on_and_keeps_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.yaml", "b.yaml"):
        write(tmp_path / name)
    code, _ = into_a_closed_pipe(sys.executable, "-c", RUN, "a.yaml", "b.yaml")
    assert code == 2
    assert (tmp_path / "ran").read_text().split() == [f"{tmp_path.name}/a", f"{tmp_path.name}/b"]


def test_a_run_whose_output_cannot_be_written_goes_on_and_keeps_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.yaml", "b.yaml"):
        write(tmp_path / name)
    code, said = onto_a_full_disk(sys.executable, "-c", RUN, "a.yaml", "b.yaml")
    assert (code, said.splitlines()[-1][:6]) == (2, "error:")
    assert len((tmp_path / "ran").read_text().split()) == 2


KNOWN = ["pod_kill", "availability", "dirty", "6", "RunInProgress", "load", "evidence", "hypothesis"]


@pytest.mark.parametrize("word", KNOWN)
def test_explain_knows_faults_objectives_rows_verdicts_codes_and_errors(word: str) -> None:
    done = harness("explain", word)
    assert done.returncode == 0
    assert len(done.stdout.split()) > 3


@pytest.mark.parametrize("code", list(Exit))
def test_explain_says_what_a_code_means_and_what_to_do(code: Exit) -> None:
    said = harness("explain", str(int(code))).stdout.splitlines()
    assert len(said) == 3
    assert said[2].startswith("  fix   ")


def test_explain_without_a_word_lists_every_kind_of_word() -> None:
    said = harness("explain").stdout
    assert all(word in said for word in ("pod_kill", "availability", "hypothesis", "DIRTY", "UsageError", "130"))


@pytest.mark.parametrize("word", [*FAULTS, *OBJECTIVES])
def test_explain_lines_up_every_parameter_and_says_which_are_required(word: str) -> None:
    parameters = (FAULTS.get(word) or OBJECTIVES[word]).parameters
    lines = explain._texts()[word]().splitlines()[2:]
    columns = set()
    for one in parameters:
        line = next(line for line in lines if line.split()[0] == one.name)
        columns.add(line.index(one.summary))
        assert line.endswith("(required)") is one.required
        assert "None" not in line
        assert line[line.index(one.summary) - 2 :].startswith("  ")
    assert len(columns) <= 1


def test_explain_says_what_can_be_explained() -> None:
    done = harness("explain", "nope")
    assert done.returncode == 4
    assert "fix   name a fault, an objective, a row" in done.stderr


@pytest.mark.parametrize("command", ["runs", "show", "report"])
def test_a_file_is_no_folder_of_runs(tmp_path: Path, command: str) -> None:
    write(tmp_path / "a.yaml")
    done = harness(command, "--runs", str(tmp_path / "a.yaml"))
    assert done.returncode == 4
    assert "a.yaml' is a file" in done.stderr


def test_explain_suggests_what_was_meant() -> None:
    done = harness("explain", "pod_kil")
    assert done.returncode == 4
    assert "pod_kill" in done.stderr


def test_what_is_not_counted_is_explained_by_its_name():
    assert "config: ConfigMap/settings" in harness("explain", "config_change").stdout
    assert "workloads: 3" in harness("explain", "workload_scale").stdout


def test_the_list_of_experiments_does_not_steer_a_terminal(tmp_path: Path) -> None:
    title = 'title: "One pod \\u001b[2J\\nforged  PASS"'
    (tmp_path / "a\x1b[2J.yaml").write_text(EXPERIMENT.replace("title: One pod is deleted", title))
    (line,) = harness("list", str(tmp_path)).stdout.splitlines()
    assert line.isprintable()


def test_every_word_that_is_given_is_explained() -> None:
    said = harness("explain", "pod_kill", "latency").stdout
    assert [part.split()[0] for part in said.split("\n\n")] == ["pod_kill", "latency"]
    done = harness("explain", "pod_kil", "latency")
    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert "pod_kill" in done.stderr


def test_what_kind_of_word_it_is_may_stand_before_it() -> None:
    assert harness("explain", "exit", "code", "6").stdout == harness("explain", "6").stdout
    assert harness("explain", "fault", "pod_kill").stdout == harness("explain", "pod_kill").stdout


@pytest.mark.parametrize("word", ["UNFINISHED", "unfinished", "INTERNAL", "usage", "NOTHING_RAN", "nothing ran"])
def test_what_a_report_or_the_help_says_in_capitals_is_explained(word: str) -> None:
    done = harness("explain", word)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("  fix   ")


def test_a_verdicts_name_is_the_verdict_and_not_only_its_code() -> None:
    assert harness("explain", "dirty").stdout.startswith("DIRTY  exit code 6\n")


def test_the_summaries_of_a_groups_commands_are_whole() -> None:
    said = " ".join(harness("agent", "--help").stdout.split())
    said = said.partition(" Commands: ")[2]
    assert "..." not in said
    assert "remove Take the agents out of the cluster; refused while a fault is in their hand." in said


@pytest.mark.parametrize("command", ["list", "plan", "run"])
def test_an_error_about_a_document_does_not_steer_a_terminal(tmp_path: Path, command: str) -> None:
    path = tmp_path / "a\x07\u202e.yaml"
    path.write_text(EXPERIMENT.replace("rate: 20/s", 'rate: "\\a"'))
    done = harness(command, str(path))
    assert done.returncode == Exit.USAGE
    assert "is not a rate" in done.stderr
    assert all(line.isprintable() for line in done.stderr.splitlines())
