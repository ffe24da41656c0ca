"""One run of a schedule: its seed, its end by a signal, and what stands in the log of it."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from harness.documents import document
from harness.engine import run
from harness.engine.abort import SIGNALS
from harness.engine.options import Options, Outcome
from harness.errors import PreconditionFailed
from harness.model.experiment import Experiment
from harness.model.schedule import Schedule
from harness.model.verdict import Verdict
from harness.schedule import log
from harness.schedule.bell import Bell
from harness.schedule.log import FAILED, MISSED, PLANNED, RAN, REFUSED, Tick
from harness.schedule.perform import perform, seed_of

DUE = datetime(2026, 11, 30, 10, 10, tzinfo=UTC)
EMPTY = "{title: x, description: x, method: [], extensions: [{name: harness, objectives: {recovery: {within: 1s}}}]}"


@pytest.fixture
def experiment() -> Experiment:
    return replace(document.loads(EMPTY, Path("shop/kill.yaml")), schedule=Schedule(every=600))


@pytest.fixture
def heard():
    """Have no signal ignored, as it is under nohup."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def bell(heard):
    found = Bell()
    with found.listening():
        yield found


def outcome(verdict: Verdict) -> Outcome:
    return Outcome(
        verdict, int(verdict.exit), verdict is Verdict.PASS, "run-1", Path("runs/run-1"), "", 1.0, 0.0, "why"
    )


def answer(monkeypatch: pytest.MonkeyPatch, *, found: Outcome | Exception) -> list[Options]:
    asked: list[Options] = []

    def stand_in(_: Experiment, options: Options) -> Outcome:
        asked.append(options)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(run, "run", stand_in)
    return asked


def test_each_time_has_its_own_seed_and_the_same_schedule_has_the_same(experiment) -> None:
    later = DUE.replace(minute=20)
    assert seed_of(1, experiment, DUE) == seed_of(1, experiment, DUE)
    assert len({seed_of(1, experiment, DUE), seed_of(1, experiment, later), seed_of(2, experiment, DUE)}) == 3


def test_a_run_is_told_with_what_makes_it_again(experiment, bell, monkeypatch) -> None:
    asked = answer(monkeypatch, found=outcome(Verdict.DEVIATED))
    tick = perform(experiment, DUE, Options(seed=7), bell, lambda _: None)
    assert (tick.state, tick.run, tick.verdict, tick.exit, tick.last) == (RAN, "run-1", "DEVIATED", 1, False)
    assert tick.seed == asked[0].seed == seed_of(7, experiment, DUE)
    assert tick.due == "2026-11-30T10:10:00Z"


def test_what_keeps_a_run_from_beginning_ends_no_schedule(experiment, bell, monkeypatch) -> None:
    answer(monkeypatch, found=PreconditionFailed("the lever is on"))
    tick = perform(experiment, DUE, Options(seed=7), bell, lambda _: None)
    assert (tick.state, tick.why, tick.exit, tick.last) == (REFUSED, "the lever is on", 4, False)


@pytest.mark.parametrize("dry", [False, True])
def test_a_bug_is_logged_as_such_and_ends_no_schedule(experiment, bell, monkeypatch, dry: bool) -> None:
    answer(monkeypatch, found=OSError(28, "No space left on device"))
    monkeypatch.setattr(run, "dry_run", run.run)
    said: list[str] = []
    tick = perform(experiment, DUE, Options(seed=7, dry_run=dry), bell, said.append)
    assert (tick.state, tick.exit, tick.last) == (FAILED, 7, False)
    assert tick.why == "OSError: [Errno 28] No space left on device"
    assert "Traceback" in said[0]


def test_something_left_broken_ends_the_schedule(experiment, bell, monkeypatch) -> None:
    answer(monkeypatch, found=outcome(Verdict.DIRTY))
    assert perform(experiment, DUE, Options(seed=7), bell, lambda _: None).last


def test_a_dry_run_shows_the_plan_with_the_seed_that_a_run_would_have(experiment, bell, monkeypatch) -> None:
    monkeypatch.setattr(run, "dry_run", lambda _, options: f"plan of seed {options.seed}")
    answer(monkeypatch, found=AssertionError("a dry run ran"))
    said: list[str] = []
    tick = perform(experiment, DUE, Options(seed=7, dry_run=True), bell, said.append)
    assert tick.state == PLANNED
    assert said == [f"plan of seed {tick.seed}"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_in_a_run_has_it_undone_and_ends_the_schedule(experiment, bell, monkeypatch, number) -> None:
    begun: list[str] = []

    def stand_in(_: Experiment, options: Options) -> Outcome:
        begun.append(threading.current_thread().name)
        os.kill(os.getpid(), number)
        assert options.stop
        begun.append(anyio.run(options.stop.asked))
        return outcome(Verdict.ABORTED)

    monkeypatch.setattr(run, "run", stand_in)
    tick = perform(experiment, DUE, Options(seed=7), bell, lambda _: None)
    # Not the thread that hears signals: there the engine would take them for itself.
    assert begun[0] != threading.main_thread().name
    assert begun[1] == f"{signal.Signals(number).name} was received"
    assert (tick.exit, tick.last) == (130, True)


def test_a_signal_wakes_whoever_waits_and_is_remembered(bell) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    assert bell.wait(3600) == "SIGTERM"
    assert bell.wait(3600) == "SIGTERM"


def test_a_run_that_ends_wakes_the_scheduler_and_asks_for_nothing(bell) -> None:
    bell.ring()
    assert bell.wait(3600) == ""


def test_a_signal_that_is_ignored_stays_ignored(heard) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    bell = Bell()
    with bell.listening():
        os.kill(os.getpid(), signal.SIGHUP)
        assert bell.wait(0) == ""
        os.kill(os.getpid(), signal.SIGTERM)
        assert bell.wait(3600) == "SIGTERM"
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_the_signals_are_given_back(heard) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Bell().listening():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_log_says_when_each_experiment_was_last_accounted_for_whatever_was_cut_off(tmp_path) -> None:
    log.append(tmp_path, Tick("shop/kill", "2026-11-30T10:10:00Z", "2026-11-30T10:11:00Z", RAN))
    log.append(tmp_path, Tick("shop/kill", "2026-11-30T11:00:00Z", "2026-11-30T11:00:00Z", MISSED, count=4))
    log.append(tmp_path, Tick("shop/other", "2026-11-30T11:00:00Z", "2026-11-30T12:00:00Z", RAN))
    with (tmp_path / log.FILE).open("a") as file:
        file.write('{"experiment": "shop/kill", "at": "2026-')
    assert log.last_seen(tmp_path, ["shop/kill"]) == {"shop/kill": datetime(2026, 11, 30, 11, tzinfo=UTC)}
    assert log.last_seen(tmp_path / "nowhere", ["shop/kill"]) == {}


@pytest.mark.parametrize("left", ['{"experiment": "shop/kill", "at": "2026-', '{"experiment": "caf\xc3'])
def test_what_is_logged_after_a_line_that_was_cut_off_is_read(tmp_path, left: str) -> None:
    (tmp_path / log.FILE).write_bytes(left.encode("latin-1"))
    ticks = [Tick("shop/kill", "2026-11-30T10:10:00Z", f"2026-11-30T1{hour}:11:00Z", RAN) for hour in (0, 1)]
    for tick in ticks:
        log.append(tmp_path, tick)
    assert list(log.read(tmp_path)) == ticks


def test_what_is_no_name_of_a_run_removes_nothing(tmp_path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folder := tmp_path / "runs").mkdir()
    for name in ("..", ".", "../elsewhere", str(tmp_path / "elsewhere"), 5):
        log.append(folder, Tick("shop/kill", "2026-11-30T10:10:00Z", "2026-11-30T10:11:00Z", RAN, run=name))
    log.thin(folder, 0)
    assert (folder / log.FILE).exists()
    assert (tmp_path / "elsewhere").exists()


def test_only_folders_of_runs_that_are_no_evidence_are_removed_the_oldest_first(tmp_path) -> None:
    ended = {"run-1": 0, "run-2": 1, "run-3": 2, "run-4": 0, "run-5": 0, "run-6": 3}
    for name, code in ended.items():
        (tmp_path / name).mkdir()
        log.append(
            tmp_path, Tick("shop/kill", "2026-11-30T10:10:00Z", "2026-11-30T10:11:00Z", RAN, run=name, exit=code)
        )
    log.append(tmp_path, Tick("shop/kill", "2026-11-30T11:00:00Z", "2026-11-30T11:00:00Z", REFUSED, exit=4))
    log.thin(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["run-2", "run-4", "run-5", "run-6"]
    log.thin(tmp_path, 2)
