"""The command line answers in words a user can act on, with the documented exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import COMMANDS


def harness(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    argv = [sys.executable, "-m", "harness.cli", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=cwd)


def test_help_names_every_command_and_every_exit_code() -> None:
    said = harness("--help").stdout
    assert all(f"\n  {name} " in said for name in COMMANDS)
    assert "6 DIRTY" in said
    assert "130 interrupted" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    done = harness(name, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ")


def test_a_misspelt_command_gets_a_suggestion() -> None:
    done = harness("fingerprnt")
    assert done.returncode == 4
    assert "Did you mean 'fingerprint'?" in done.stderr


def test_help_imports_neither_a_cluster_client_nor_the_engine() -> None:
    code = "import sys; from harness.cli import group; group.main(['--help'], standalone_mode=False);"
    code += "print([m for m in sys.modules if m.split('.')[0] in ('kubernetes', 'httpx', 'anyio', 'yaml')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
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


def test_an_empty_folder_means_nothing_ran(tmp_path: Path) -> None:
    assert harness("run", str(tmp_path)).returncode == 5


@pytest.mark.parametrize("word", ["pod_kill", "availability", "DIRTY", "6", "RunInProgress"])
def test_explain_knows_faults_objectives_verdicts_codes_and_errors(word: str) -> None:
    done = harness("explain", word)
    assert done.returncode == 0
    assert len(done.stdout.split()) > 3


def test_explain_suggests_what_was_meant() -> None:
    done = harness("explain", "pod_kil")
    assert done.returncode == 4
    assert "pod_kill" in done.stderr
