"""The command line keeps its exit code whatever it writes to and wherever it is started."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli
from harness.journal.writer import Journal

ROOT = Path(__file__).parents[3]
TITLE = "Корзина 🛒 – naïve, 籠"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A run whose title no small encoding can hold."""
    with Journal(tmp_path / "runs" / "r1", "r1") as journal:
        journal.write("run.start", "preflight", run="r1", experiment="cart/kill", title=TITLE, path="kill.yaml")
        journal.write("verdict", "judge", verdict="DEVIATED", reason=TITLE, right=False, exit=1, seconds=1.0)
        journal.write("run.end", "judge")
    return tmp_path / "runs"


def harness(*words: str, **more: object) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more.pop("env", {})}  # type: ignore[dict-item]
    argv = [sys.executable, "-m", "harness.cli", *words]
    return subprocess.run(argv, env=environment, check=False, timeout=60, **more)  # type: ignore[call-overload, no-any-return]


@pytest.mark.case(
    17,
    "the terminal's encoding cannot hold a pod's name or a title",
    "the characters are replaced, the exit code is the verdict's",
)
@pytest.mark.parametrize("encoding", ["latin-1", "ascii:strict", "utf-8"])
def test_what_an_encoding_cannot_hold_is_replaced(runs: Path, encoding: str) -> None:
    done = harness("show", "r1", "--runs", str(runs), env={"PYTHONIOENCODING": encoding}, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert held(TITLE, encoding.partition(":")[0]) in done.stdout


@pytest.mark.parametrize("encoding", ["cp1252", "gbk", "ascii", "cp437", "shift_jis", "koi8-r"])
def test_so_it_is_with_every_encoding(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    shown, errors = tmp_path / "shown", io.StringIO()
    monkeypatch.setattr(sys, "argv", ["harness", "show", "r1", "--runs", str(runs)])
    monkeypatch.setattr(sys, "stderr", errors)
    with shown.open("w", encoding=encoding) as out:
        monkeypatch.setattr(sys, "stdout", out)
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert (end.value.code, errors.getvalue()) == (0, "")
    assert held(TITLE, encoding) in shown.read_bytes()


def held(text: str, encoding: str) -> bytes:
    """Return a text as an encoding holds it, with a mark for each letter that it cannot hold."""
    return text.encode(encoding, "replace")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_what_goes_wrong_is_told_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    words = ("show", TITLE, "--runs", str(tmp_path))
    done = harness(*words, env={"PYTHONIOENCODING": encoding}, capture_output=True)
    assert done.returncode == 4
    assert b"error: " in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_standard_stream_costs_nothing(runs: Path, closed: str) -> None:
    argv = ["sh", "-c", f'"$0" -m harness.cli show r1 --runs "$1" {closed}', sys.executable, str(runs)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run(argv, env=environment, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    "env",
    [
        {"TERM": "dumb", "NO_COLOR": "1"},
        {"COLUMNS": "1", "LINES": "1"},
        {"COLUMNS": "many"},
        {"LC_ALL": "xx_YY.none", "LANG": "none"},
        {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent"},
        {"TMPDIR": "/nonexistent"},
    ],
    ids=lambda env: ",".join(env),
)
def test_surroundings_of_other_people_change_nothing(runs: Path, env: dict[str, str]) -> None:
    words = ("run", "--help") if "COLUMNS" in env else ("show", "r1", "--runs", str(runs))
    done = harness(*words, env=env, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout


DOCUMENT = """\
title: Nothing is touched
description: x
steady-state-hypothesis:
  title: x
  probes: [{type: probe, name: all is well, tolerance: 0, provider: {type: process, path: "true"}}]
method: [{type: action, name: a, provider: {type: process, path: "true"}}]
rollbacks: []
"""
# All at once: a container's user without a home, on a terminal that can do nothing.
BARE = {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "20", "TMPDIR": "/nonexistent", "HOME": "/nonexistent"}
UNSET = ("LANG", "LC_ALL", "LC_CTYPE", "USER", "LOGNAME", "HARNESS_CACHE", "XDG_CACHE_HOME", "KUBECONFIG")


def bare(tmp_path: Path, program: str) -> subprocess.CompletedProcess[bytes]:
    """Run a shell's line where next to nothing is set, with the interpreter as its first argument."""
    (tmp_path / "nothing.yaml").write_text(DOCUMENT)
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    words = ["sh", "-c", program, sys.executable]
    more = {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "-p no:hypothesispytest -p no:cov -p no:anyio"}
    return subprocess.run(
        words, cwd=tmp_path, env={**kept, **BARE, **more}, capture_output=True, check=False, timeout=120
    )


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ('"$0" -m harness.cli run nothing.yaml <&- 2>&-', 0),
        ('"$0" -m pytest nothing.yaml <&-', 0),
        ('"$0" -m harness.cli faults', 4),
    ],
)
def test_a_bare_environment_is_enough(tmp_path: Path, program: str, code: int) -> None:
    done = bare(tmp_path, program)
    assert (done.returncode, b"Traceback" in done.stderr + done.stdout) == (code, False), done.stderr + done.stdout


# One process for all: they take longer to be loaded than to find out that there is no cluster.
EACH = """
import sys
from harness import cli

for words in ("lever on", "fingerprint", "undo --context in-cluster"):
    sys.argv = ["harness", *words.split()]
    try:
        cli.main()
    except SystemExit as end:
        print(words, end.code)
"""


def test_a_bare_environment_is_enough_for_commands_that_want_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "each.py").write_text(EACH)
    done = bare(tmp_path, '"$0" each.py')
    ended = ["lever on 4", "fingerprint 4", "undo --context in-cluster 4"]
    assert (done.stdout.decode().splitlines(), b"Traceback" in done.stderr) == (ended, False), done.stderr


@pytest.mark.case(
    17,
    "the terminal's encoding cannot hold a pod's name or a title",
    "the characters are replaced, the exit code is the verdict's",
)
def test_a_run_that_its_terminal_cannot_show_ends_with_its_verdict(tmp_path: Path) -> None:
    step = 'name: a, provider: {type: process, path: "true"}'
    fails = step.replace("a,", f'"{TITLE}",').replace("true", "false")
    (tmp_path / "fails.yaml").write_text(DOCUMENT.replace(step, fails), encoding="utf-8")
    done = bare(tmp_path, 'PYTHONIOENCODING=latin-1 "$0" -m harness.cli run fails.yaml')
    assert (done.returncode, b"na\xefve, ?' ended with status 1" in done.stdout) == (2, True), done.stderr


@pytest.mark.parametrize("words", ["plan nothing.yaml", "run nothing.yaml", "explain", "list nothing.yaml"])
def test_a_reader_who_leaves_after_the_first_line_costs_nothing(tmp_path: Path, words: str) -> None:
    done = bare(tmp_path, f'{{ "$0" -m harness.cli {words}; echo $? >&3; }} 3>code | head -1')
    assert (tmp_path / "code").read_text() == "0\n", done.stderr
    assert b"Traceback" not in done.stderr
