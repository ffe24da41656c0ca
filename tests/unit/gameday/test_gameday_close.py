"""Abort from another terminal, answers to deviations, and what a day is closed with."""

from __future__ import annotations

import html
import json
import threading
from pathlib import Path

import anyio
import pytest

from harness.engine import lever
from harness.engine.options import Options
from harness.errors import Exit, HarnessError, UndoFailed, UsageError
from harness.gameday import conduct, log, plan, progress
from harness.journal.writer import Journal
from harness.model.verdict import Verdict
from tests.unit.gameday.conftest import Cluster, Door, Go, go_on, kept, planned, write

P, D, N = Verdict.PASS, Verdict.DEVIATED, Verdict.INCONCLUSIVE
SCRIPT = "<script>alert(1)</script>\u202e\x1b[31m|`"


@pytest.fixture
def ended(folder: Path, gameday: Go, approved: None, door: Door) -> None:
    """A day whose first step deviated and whose second came to nothing."""
    door(D, N)
    go_on(gameday)
    go_on(gameday)


def action(gameday: Go, step: int) -> None:
    done = gameday("note", "a budget", "--step", str(step), "--owner", "Edith", "--due", "2026-12-10")
    assert done.exit_code == 0, done.output


def test_an_abort_from_another_terminal_stops_the_run_and_says_how_soon(
    folder: Path, gameday: Go, approved: None, door: Door, cluster: Cluster
) -> None:
    running = threading.Event()

    def until_the_lever(journal: Journal) -> None:
        running.set()
        assert cluster.pulled.wait(30)
        journal.write("abort", "hold", trigger="lever", why="Tim: customers call", latency=0.004)

    door(until_the_lever)
    words = [("go", ""), ("", "")]

    def drive() -> None:
        options = Options(runs=folder / plan.RUNS)
        conduct.go(folder, options, lambda *_: words.pop(0), lambda _: None)

    # Not by its command: two commands in one process would take each other's standard output.
    driver = threading.Thread(target=drive)
    driver.start()
    assert running.wait(30)
    done = gameday("abort", "--as", "Tim", "--why", "customers call")
    driver.join(30)
    assert done.exit_code == 0, done.output
    assert "run-0: its undo began " in done.stdout
    pulled = anyio.run(lever.read, cluster)
    assert pulled == {"state": "on", "who": "Tim", "reason": "customers call"}
    (stopped,) = kept(folder, progress.STOPPED)
    assert 0 <= stopped.data["after"] < 30
    (end,) = kept(folder, progress.END)
    assert end.data["abort"] == {"trigger": "lever", "why": "Tim: customers call", "latency": 0.004}
    assert "x lever" in go_on(gameday).stdout


def test_an_abort_asks_neither_for_a_plan_that_can_be_read_nor_for_something_running(
    folder: Path, gameday: Go, cluster: Cluster
) -> None:
    (folder / "gameday.yaml").write_text("title: [in the middle of an edit")
    done = gameday("abort", "--why", "no")
    assert done.exit_code == 0, done.output
    assert "nothing is running" in done.stdout
    assert cluster.pulled.is_set()
    assert [entry.data["why"] for entry in kept(folder, progress.ABORT)] == ["no"]


def test_a_deviation_without_an_answer_keeps_the_day_open(folder: Path, gameday: Go, ended: None) -> None:
    done = gameday("close")
    assert isinstance(done.exception, UsageError)
    assert done.exception.what == "2 deviations without an answer"
    assert "step 2, shop/web: INCONCLUSIVE instead of PASS" in done.exception.why
    action(gameday, 1)
    assert gameday("close").exception is not None
    assert gameday("note", "it was the machine", "--step", "2", "--accept").exit_code == 0
    assert gameday("close", "--as", "Ada").exit_code == 0
    assert [entry.who for entry in kept(folder, progress.CLOSED)] == ["Ada"]
    assert not (folder / "results.md.new").exists()


def test_a_step_that_was_not_run_is_a_deviation(folder: Path, gameday: Go, approved: None, door: Door) -> None:
    door(P)
    go_on(gameday)
    done = gameday("close")
    assert isinstance(done.exception, UsageError)
    assert "step 2, shop/web: NOT RUN" in done.exception.why


def test_an_answer_is_one_to_what_was_seen_before_it(folder: Path, gameday: Go, approved: None, door: Door) -> None:
    action(gameday, 1)
    door(D, P)
    go_on(gameday)
    go_on(gameday)
    done = gameday("close")
    assert isinstance(done.exception, UsageError)
    assert done.exception.what == "1 deviation without an answer"


@pytest.mark.parametrize(
    "words",
    [
        ["--owner", "Edith"],
        ["--due", "2026-12-10"],
        ["--owner", "Edith", "--due", "soon"],
        ["--accept"],
        ["--step", "9", "--accept"],
        ["--step", "1", "--accept", "--owner", "Edith", "--due", "2026-12-10"],
    ],
)
def test_an_answer_without_owner_date_or_step_is_none(folder: Path, gameday: Go, words: list[str]) -> None:
    assert gameday("note", "a budget", *words).exit_code == 2
    assert log.read(folder) == []


def test_the_day_is_not_closed_while_something_is_broken(
    folder: Path, gameday: Go, ended: None, cluster: Cluster
) -> None:
    action(gameday, 1)
    action(gameday, 2)
    cluster.kept["/apis/chaos.harness.dev/v1/faults/run-1"] = {"metadata": {"name": "run-1"}}
    done = gameday("close", "--differs", "it may stay so")
    assert isinstance(done.exception, UndoFailed)
    assert done.exception.exit == Exit.DIRTY
    assert "run-1" in done.exception.why
    assert kept(folder, progress.CLOSED) == []
    assert not (folder / "results.md").exists()


def test_the_day_is_not_closed_while_the_cluster_differs_unless_somebody_says_why(
    folder: Path, gameday: Go, ended: None, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.gameday.closing.SETTLED_SECONDS", 0.0)
    action(gameday, 1)
    action(gameday, 2)
    cluster.fingerprint["deployments/shop/cart"] = "1"
    done = gameday("close")
    assert isinstance(done.exception, UndoFailed)
    assert "deployments/shop/cart: 2 -> 1" in done.exception.why
    assert gameday("close", "--differs", "scaled at 10:40").exit_code == 0
    said = html.unescape((folder / "results.md").read_text())
    assert "deployments/shop/cart: 2 -> 1" in said
    assert "it may stay so: scaled at 10:40" in said


def test_a_closed_day_goes_nowhere_and_can_be_drawn_again(folder: Path, gameday: Go, ended: None) -> None:
    action(gameday, 1)
    action(gameday, 2)
    assert gameday("close").exit_code == 0
    before = (folder / "results.html").read_text()
    assert isinstance(go_on(gameday).exception, UsageError)
    assert "the day is closed" in gameday("status").stdout
    gameday("note", "forgotten")
    assert gameday("close").exit_code == 0
    after = (folder / "results.html").read_text()
    assert "forgotten" in after
    assert "forgotten" not in before


def test_results_name_verdicts_recovery_deviations_and_answers(folder: Path, gameday: Go, ended: None) -> None:
    action(gameday, 1)
    action(gameday, 2)
    gameday("close")
    for name in ("results.md", "results.html"):
        said = (folder / name).read_text()
        for word in (
            "DEVIATED",
            "INCONCLUSIVE",
            "0 of 2 steps as expected",
            "1.4 s",
            "a budget",
            "2026-12-10",
            "Barbara",
        ):
            assert word in said, (name, word)
    assert '<body class="deviated">' in (folder / "results.html").read_text()


def test_what_others_wrote_is_inert_in_every_view(folder: Path, gameday: Go, door: Door) -> None:
    write(
        folder,
        planned() | {"title": SCRIPT.replace("\x1b", "").replace("\u202e", ""), "goals": [SCRIPT.replace("\x1b", "")]},
    )
    for name in ("Barbara", "Ken"):
        gameday("approve", "--as", name)
    door(P, P)
    go_on(gameday)
    go_on(gameday)
    gameday("note", SCRIPT, "--as", SCRIPT)
    assert gameday("close").exit_code == 0
    told = gameday("status").stdout + gameday("announce").stdout + gameday("check", "--offline").stdout
    for text in (told, *((folder / name).read_text() for name in ("results.md", "results.html"))):
        assert "\x1b" not in text
        assert "\u202e" not in text
    for name in ("results.md", "results.html"):
        assert "<script" not in (folder / name).read_text()


def test_a_report_that_lies_there_is_linked(folder: Path, gameday: Go, approved: None, door: Door) -> None:
    door(P, P)
    go_on(gameday)
    go_on(gameday)
    (folder / "runs" / "run-1" / "index.html").write_text("the report")
    gameday("close")
    said = (folder / "results.html").read_text()
    assert said.count('<a href="runs/') == 1
    assert 'href="runs/run-1/index.html"' in said


def test_a_fingerprint_that_is_none_is_refused(folder: Path, gameday: Go, ended: None) -> None:
    (folder / "fingerprint.json").write_text("[1]")
    assert isinstance(gameday("close").exception, UsageError)


def test_the_fingerprint_is_of_before_the_first_step(folder: Path, gameday: Go, ended: None, cluster: Cluster) -> None:
    assert json.loads((folder / "fingerprint.json").read_text()) == {"deployments/shop/cart": "2"}
    assert len(kept(folder, progress.FINGERPRINT)) == 1


@pytest.mark.parametrize("verb", ["note", "status", "close", "go", "announce", "abort"])
def test_a_folder_without_a_day_is_left_alone(tmp_path: Path, gameday: Go, folder: Path, verb: str) -> None:
    (folder / "gameday.yaml").unlink()
    done = gameday(verb, *(["x"] if verb == "note" else []))
    assert isinstance(done.exception, HarnessError)
    assert "there is no game day here" in str(done.exception)
    assert [*folder.iterdir()] == []
