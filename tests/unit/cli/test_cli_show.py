"""The log of a run is anybody's text: nothing in it may steer the terminal or forge a line."""

from __future__ import annotations

import os
import pty
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import show
from harness.errors import UsageError
from harness.journal.writer import Journal

HOSTILE = "\x1b]52;c;aGk=\x07\x1b[2J\u202ea\n    9.999  verdict"


def test_a_run_without_events_is_said_to_be_one(tmp_path: Path) -> None:
    Journal(tmp_path / "r1", "r1").close()
    for words in ([], ["--log"]):
        done = CliRunner().invoke(show.command, ["r1", "--runs", str(tmp_path), *words])
        assert isinstance(done.exception, UsageError)
        assert done.exception.where == str(tmp_path / "r1")
        assert done.output == ""


def test_the_log_shows_each_event_on_one_inert_line(tmp_path: Path) -> None:
    with Journal(tmp_path / "r1", "r1") as journal:
        journal.write(f"k8s.event{HOSTILE}", f"hold{HOSTILE}", message=HOSTILE, labels={HOSTILE: [HOSTILE]})
        journal.write("run.end", "judge")
    done = CliRunner().invoke(show.command, ["r1", "--log", "--runs", str(tmp_path)])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert "message=" in lines[0]
    assert lines[1].split() == [lines[1].split()[0], "judge", "run.end"]


def write(folder: Path, *runs: str) -> None:
    with Journal(folder, "r1") as journal:
        journal.write("run.start", "preflight", run="r1", way={"runs": runs})
        journal.write("verdict", "judge", verdict="DEVIATED", reason="the registry did not answer " * 6, right=False)


def commands(output: str) -> list[str]:
    """Return the lines after `next`."""
    lines = output.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("next "))
    return [line[7:] for line in lines[start:]]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["r1"], "r1"),
        (["runs/r1"], "r1"),
        (["r1", "--runs", "art/my runs"], "'art/my runs/r1'"),
        (["--runs", "art/my runs"], "'art/my runs/r1'"),
        (["art/my runs/r1"], "'art/my runs/r1'"),
        (["-x"], "./-x"),
    ],
)
def test_what_comes_next_is_about_the_folder_that_was_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], named: str
) -> None:
    """Also of a run that was copied: it still says where it was made."""
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/r1", "art/my runs/r1", "-x"):
        write(tmp_path / folder, "--runs", "elsewhere")
    done = CliRunner().invoke(show.command, ["--", *words] if words == ["-x"] else words)
    assert done.exit_code == 0, done.output
    assert commands(done.output) == [f"harness show {named} --log", f"harness report {named}"]


@pytest.mark.parametrize("columns", [0, 1, 60, 150])
def test_on_a_terminal_the_lines_are_as_wide_as_it_is(tmp_path: Path, columns: int) -> None:
    write(tmp_path / "r1")
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    argv = [sys.executable, "-m", "harness.cli", "show", str(tmp_path / "r1")]
    done = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = b""
    try:
        while chunk := os.read(ours, 65536):
            said += chunk
    except OSError:
        pass  # Linux says so when the last writer of a terminal has gone.
    os.close(ours)
    assert done.wait(timeout=30) == 0, said
    assert b"\x1b[1;31m" in said
    told = next(line for line in said.decode().splitlines() if line.startswith("why "))
    wide = {0: 80, 1: 40}.get(columns, columns)
    assert wide - 20 < len(told) <= wide
