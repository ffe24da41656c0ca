"""`harness report` says what it could not draw, and leaves nothing half drawn."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli import report
from harness.errors import UsageError
from harness.journal import operations
from harness.journal.writer import Journal


def draw(folder: Path) -> Result:
    return CliRunner().invoke(report.command, [str(folder)])


def write(folder: Path, runs: Sequence[str] = ()) -> Path:
    """Make the folder of a run that has ended."""
    with Journal(folder, "r1") as journal:
        journal.write("run.start", "preflight", run="r1", way={"runs": runs})
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


def test_a_journal_without_events_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    Journal(tmp_path / "r1", "r1").close()
    done = draw(tmp_path / "r1")
    assert isinstance(done.exception, UsageError), done.output
    assert done.exception.what == "this run wrote nothing down"
    assert [path.name for path in (tmp_path / "r1").iterdir()] == ["journal.jsonl"]


def loaded(folder: Path) -> Path:
    """Make the folder of a run whose load made 40 operations, one a tenth of a second."""
    with Journal(folder, "r1") as journal:
        journal.write("run.start", "preflight", run="r1")
        journal.write("load.started", "settle", rate=10, origin_ns=journal.origin_ns, record=operations.RECORD.size)
        journal.write("load.ended", "recovery", operations=40)
        journal.write("verdict", "judge", verdict="PASS", right=True)
        due = [journal.origin_ns + number * 10**8 for number in range(40)]
    records = [operations.RECORD.pack(one, one, one + 1000, 200, 1, 0, b"", b"", b"", 0, 0) for one in due]
    (folder / operations.FILE).write_bytes(b"".join(records))
    return folder


def test_whole_records_are_drawn_without_a_word(tmp_path: Path) -> None:
    done = draw(loaded(tmp_path / "r1"))
    assert (done.exit_code, done.stderr) == (0, "")


DAMAGES: dict[str, tuple[bytes | None, str]] = {
    "gone": (None, "the load made 40 operations, 0 records of them can be read"),
    "empty": (b"", "the load made 40 operations, 0 records of them can be read"),
    "cut": (b"cut", "the load made 40 operations, 20 records of them can be read"),
    "random": (random.Random(1).randbytes(5000), "the load made 40 operations, 0 records of them can be read"),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_records_that_lack_are_told_by_the_command_and_by_the_report(tmp_path: Path, how: str) -> None:
    content, told = DAMAGES[how]
    folder = loaded(tmp_path / "r1")
    path = folder / operations.FILE
    if content is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 20 * operations.RECORD.size] if content == b"cut" else content)
    done = draw(folder)
    assert done.exit_code == 0, done.output
    assert done.stderr == f"note: {folder}: {told}\n"
    assert told in " ".join((folder / "result.txt").read_text().split())
    assert told in (folder / "index.html").read_text()


def test_a_copy_is_drawn_as_itself_wherever_its_run_was_made(tmp_path: Path) -> None:
    made = write(tmp_path / "made" / "r1", runs=["--runs", "/home/ci/runs"])
    copy = made.rename(tmp_path / "downloaded")
    assert draw(copy).exit_code == 0
    for name in ("index.html", "result.txt"):
        text = (copy / name).read_text()
        assert "r1 --runs /home/ci/runs" not in text
        assert f"harness {'report' if name == 'index.html' else 'show'} {copy}" in text
