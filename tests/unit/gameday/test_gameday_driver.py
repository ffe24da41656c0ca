"""One driver at a time; whatever happens to his terminal, the day goes on at its hold point."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import PreconditionFailed, UsageError
from harness.gameday import conduct, log, progress
from harness.journal.writer import Journal
from harness.model.verdict import Verdict
from tests.unit.gameday.conftest import Door, Go, begin, end, error, go_on, kept, planned, ran, write

P, D, N, A, X = Verdict.PASS, Verdict.DEVIATED, Verdict.INCONCLUSIVE, Verdict.ABORTED, Verdict.DIRTY
ROOT = Path(__file__).parents[3]


def test_a_second_driver_is_refused_and_one_that_died_is_none(
    folder: Path, gameday: Go, approved: None, door: Door
) -> None:
    door(P)
    with conduct.alone(folder):
        assert isinstance(error(go_on(gameday)), PreconditionFailed)
        assert "where it is driven" in gameday("status").stdout
    assert go_on(gameday).exit_code == 0


class Driver:
    """`harness gameday go` on a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.master, slave = pty.openpty()
        self.said = ""
        argv = [sys.executable, "-m", "harness.cli", "gameday", "go", "-d", str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"}
        streams = {"stdin": slave, "stdout": slave, "stderr": slave}
        self.process = subprocess.Popen(argv, **streams, env=environment, start_new_session=True)
        os.close(slave)

    def until(self, word: str, answer: str = "") -> None:
        """Read until it says a word, and type an answer."""
        while word not in self.said:
            self.said += os.read(self.master, 4096).decode()
        self.said = self.said.partition(word)[2]
        os.write(self.master, answer.encode())


@pytest.fixture
def driver(folder: Path, approved: None) -> Iterator[Driver]:
    found = Driver(folder)
    yield found
    found.process.kill()
    found.process.wait()
    os.close(found.master)


def test_a_driver_that_is_killed_at_a_hold_point_costs_nothing(
    folder: Path, gameday: Go, driver: Driver, door: Door
) -> None:
    driver.until("HOLD POINT 1 of 2")
    driver.until("Grace, the word")
    assert conduct.driven(folder)
    driver.process.send_signal(signal.SIGKILL)
    driver.process.wait(60)
    door(P)
    assert not conduct.driven(folder)
    assert go_on(gameday).exit_code == 0
    assert ran(folder) == [(1, "PASS")]


def test_on_a_terminal_the_word_is_asked_for_at_each_hold_point(folder: Path, driver: Driver) -> None:
    # There is no cluster here: a look says so, and go is none.
    for answer in ("\n", "go\n"):
        driver.until("x cluster")
        driver.until("Grace, the word", answer)
    driver.until("no go: cluster")
    driver.until("Grace, the word", "skip\n")
    driver.until("why", "no cluster\n")
    driver.until("HOLD POINT 2 of 2")
    driver.until("Grace, the word", "stop\n")
    driver.until("why", "lunch\n")
    assert driver.process.wait(60) == 4
    words = [(entry.data["word"], entry.data["why"]) for entry in kept(folder, progress.WORD)]
    assert words == [("skip", "no cluster"), ("stop", "lunch")]


def test_a_driver_that_is_killed_during_a_run_resumes_at_its_hold_point(
    folder: Path, gameday: Go, approved: None, door: Door
) -> None:
    log.append(folder, progress.BEGIN, "Linus", step=1, experiment="shop/cart", context="")
    assert "shop/cart was cut" in gameday("status").stdout
    journal = Journal(folder / "runs" / "run-dead", "run-dead")
    begin(journal, "shop/cart")
    journal.close()
    door(P)
    assert go_on(gameday).exit_code == 0
    assert ran(folder) == [(1, "UNFINISHED"), (1, "PASS")]
    assert kept(folder, progress.END)[0].data["run"] == "run-dead"


def test_a_run_that_ended_before_its_driver_could_say_so_counts(
    folder: Path, gameday: Go, approved: None, door: Door
) -> None:
    log.append(folder, progress.BEGIN, "Linus", step=1, experiment="shop/cart", context="")
    with Journal(folder / "runs" / "run-done", "run-done") as journal:
        begin(journal, "shop/cart")
        end(journal, D)
    door(P)
    assert go_on(gameday).exit_code == 0
    assert ran(folder) == [(1, "DEVIATED"), (2, "PASS")]


def test_a_driver_that_died_before_its_run_began_has_run_nothing(
    folder: Path, gameday: Go, approved: None, door: Door
) -> None:
    log.append(folder, progress.BEGIN, "Linus", step=1, experiment="shop/cart", context="")
    door(P)
    go_on(gameday)
    assert ran(folder) == [(1, "PASS")]
    (refused,) = kept(folder, progress.REFUSED)
    assert "died before" in refused.data["why"]


def test_a_day_that_has_begun_keeps_its_order(folder: Path, gameday: Go, approved: None, door: Door) -> None:
    door(P)
    go_on(gameday)
    found = planned()
    found["experiments"].reverse()
    write(folder, found)
    assert "step 1 was shop/cart in the log, and is shop/web now" in str(error(gameday("status")))


def test_another_cluster_than_the_approved_one_is_refused(gameday: Go, approved: None, door: Door) -> None:
    assert isinstance(error(gameday("go", "--context", "production")), UsageError)


def test_a_line_of_the_log_that_was_cut_off_costs_no_other(folder: Path, gameday: Go, approved: None) -> None:
    with (folder / log.FILE).open("a") as file:
        file.write('{"at": "2026')
    assert gameday("note", "hello").exit_code == 0
    assert [entry.type for entry in log.read(folder)] == ["approval", "approval", "unreadable", "note"]


def test_no_secret_gets_into_the_log(folder: Path, gameday: Go) -> None:
    gameday("note", "it says Authorization: Bearer abcdefghijkl", "--as", "Edith")
    said = (folder / log.FILE).read_text()
    assert "abcdefghijkl" not in said
    assert "[redacted]" in said
