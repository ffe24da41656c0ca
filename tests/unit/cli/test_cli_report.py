"""`harness report` says what it could not draw, and leaves nothing half drawn."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from harness.cli import report
from harness.errors import UsageError
from harness.journal.writer import Journal


def draw(folder: Path) -> Result:
    return CliRunner().invoke(report.command, [str(folder)])


def write(folder: Path) -> Path:
    """Make the folder of a run that has ended."""
    with Journal(folder, "r1") as journal:
        journal.write("run.start", "preflight", run="r1")
        journal.write("verdict", "judge", verdict="PASS", right=True)
    return folder


def test_a_view_that_cannot_be_written_is_an_error_that_names_it_and_the_others_are_drawn(tmp_path: Path) -> None:
    folder = write(tmp_path / "r1")
    (folder / "index.html").mkdir()
    done = draw(folder)
    assert isinstance(done.exception, UsageError), done.output
    assert (done.exception.where, done.exception.what) == (str(folder), "not written: index.html")
    assert done.exception.why == "Is a directory"
    assert done.output == ""
    names = ["index.html", "journal.jsonl", "junit.xml", "result.txt", "summary.md"]
    assert sorted(path.name for path in folder.iterdir()) == names


def test_what_was_drawn_before_stays_whole_where_the_disk_is_full(tmp_path: Path) -> None:
    folder = write(tmp_path / "r1")
    assert draw(folder).exit_code == 0
    before = (folder / "index.html").read_bytes()
    (folder / "index.html.new").symlink_to("/dev/full")
    done = draw(folder)
    assert isinstance(done.exception, UsageError), done.output
    assert done.exception.why == "No space left on device"
    assert (folder / "index.html").read_bytes() == before
    assert draw(folder).exit_code == 0
