"""The log of a run is anybody's text: nothing in it may steer the terminal or forge a line."""

from __future__ import annotations

from pathlib import Path

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
