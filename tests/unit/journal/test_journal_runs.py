from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import runs as listing
from harness.errors import UsageError
from harness.journal import reader, runs
from harness.journal.event import FILE
from harness.journal.writer import Journal


def _make(root: Path, name: str, *, verdict: str = "") -> None:
    with Journal(root / name, name) as journal:
        journal.write("run.start", "preflight", experiment="orchestrator/pod_kill")
        if verdict:
            journal.write("verdict", "judge", verdict=verdict)
            journal.write("run.end", "report")


def test_runs_are_listed_newest_first_with_their_verdict(tmp_path: Path) -> None:
    _make(tmp_path, "zulu", verdict="PASS")
    _make(tmp_path, "alpha")
    found = runs.every(tmp_path)
    assert [(run.run, run.verdict, run.experiment) for run in found] == [
        ("alpha", "", "orchestrator/pod_kill"),
        ("zulu", "PASS", "orchestrator/pod_kill"),
    ]
    assert runs.latest(tmp_path).run == "alpha"


def test_a_run_is_found_by_the_start_of_its_name(tmp_path: Path) -> None:
    for name in ("20250101-aa", "20250101-ab", "20250102-aa"):
        _make(tmp_path, name)
    assert runs.find(tmp_path, "20250102").run == "20250102-aa"
    assert runs.find(tmp_path, "latest").run == "20250102-aa"
    assert runs.find(tmp_path, str(tmp_path / "20250101-ab")).run == "20250101-ab"


def test_a_folder_of_runs_in_place_of_a_run_says_how_to_look_into_it(tmp_path: Path) -> None:
    _make(tmp_path / "downloaded", "20250101-aa")
    with pytest.raises(UsageError, match="is no run, it holds 1") as refused:
        runs.find(tmp_path / "runs", str(tmp_path / "downloaded"))
    assert refused.value.hint.startswith(f"--runs {tmp_path / 'downloaded'} looks into it")


def test_a_whole_name_wins_over_longer_ones(tmp_path: Path) -> None:
    _make(tmp_path, "a")
    _make(tmp_path, "ab")
    assert runs.find(tmp_path, "a").run == "a"


def test_an_ambiguous_or_unknown_name_is_a_usage_error_that_lists_what_there_is(tmp_path: Path) -> None:
    _make(tmp_path, "one-a")
    _make(tmp_path, "one-b")
    with pytest.raises(UsageError, match="several runs") as several:
        runs.find(tmp_path, "one")
    assert "one-a" in several.value.why
    with pytest.raises(UsageError, match="no run begins") as none:
        runs.find(tmp_path, "two")
    assert "one-b" in none.value.why
    with pytest.raises(UsageError, match="no run begins"):
        runs.find(tmp_path, "a" * 5000)


def test_no_run_at_all_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run yet"):
        runs.find(tmp_path, "abc")
    with pytest.raises(UsageError, match="no run yet"):
        runs.latest(tmp_path / "missing")


def test_a_journal_that_holds_nothing_yet_is_still_a_run(tmp_path: Path) -> None:
    Journal(tmp_path / "empty", "empty").close()
    assert runs.latest(tmp_path).verdict == ""


FIRST = '{"seq":1,"wall":1.0,"t":0.0,"phase":"plan","type":"run.start","data":{}}'
DAMAGED = {
    "wall is a text": FIRST.replace("1.0", '"abc"'),
    "wall is no time": FIRST.replace("1.0", "1e300"),
    "wall is no number": FIRST.replace("1.0", "NaN"),
    "data is a list": FIRST.replace("{}}", '["x"]}'),
    "deep": "[" * 100_000,
}


def _spoil(folder: Path, how: str) -> None:
    """Make the folder of a run that cannot be read, a minute later than any other: a file's time is a coarse one."""
    folder.mkdir()
    path = folder / FILE
    if how == "a folder":
        path.mkdir()
    elif how == "a pipe":
        os.mkfifo(path)
    elif how == "a loop":
        path.symlink_to(path)
    else:
        path.write_text(DAMAGED[how] + "\n")
        os.utime(path, (time.time() + 60,) * 2)


@pytest.mark.parametrize("how", ["a folder", "a pipe", "a loop", *DAMAGED])
def test_one_run_that_cannot_be_read_takes_no_other_away(tmp_path: Path, how: str) -> None:
    _make(tmp_path, "20250101-aa", verdict="PASS")
    _spoil(tmp_path / "20250102-aa", how)
    assert {run.run: run.verdict for run in runs.every(tmp_path)} == {"20250101-aa": "PASS", "20250102-aa": ""}
    assert runs.latest(tmp_path).run == ("20250102-aa" if how == "deep" else "20250101-aa")
    assert runs.find(tmp_path, "20250101").run == "20250101-aa"
    assert runs.find(tmp_path, "20250101-aa").verdict == "PASS"
    done = CliRunner().invoke(listing.command, ["--runs", str(tmp_path)])
    assert done.exit_code == 0
    assert "20250101-aa" in done.output
    spoilt = next(line for line in done.output.splitlines() if line.startswith("20250102-aa"))
    assert ("unfinished" if how == "deep" else "unreadable") in spoilt
    if how not in DAMAGED:
        with pytest.raises(UsageError, match="cannot be read"):
            reader.read(runs.find(tmp_path, "20250102-aa").dir)


def test_the_list_of_runs_does_not_steer_a_terminal(tmp_path: Path) -> None:
    with Journal(tmp_path / "r1\x1b[2J", "r1") as journal:
        journal.write("run.start", "preflight", experiment="a\x1b[2J\nr2  PASS")
    done = CliRunner().invoke(listing.command, ["--runs", str(tmp_path)])
    assert done.exit_code == 0
    (line,) = done.output.splitlines()
    assert line.isprintable()
