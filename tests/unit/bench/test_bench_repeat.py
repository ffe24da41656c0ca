"""`make repeat` counts every run it has seen, and an interruption loses none of them."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import hog, repeat, speed
from harness.cluster.host import machine
from harness.engine import run
from harness.engine.options import Options, Outcome
from harness.errors import UsageError
from harness.model.experiment import Experiment
from harness.model.verdict import Verdict

Ending = Verdict | BaseException | int
EXPERIMENTS = Path(__file__).parents[3] / "experiments"
SET = sum("sets: [local" in path.read_text() for path in EXPERIMENTS.rglob("*.yaml"))


@pytest.fixture(autouse=True)
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(repeat, "PAGE", tmp_path / "repeatability.md")
    monkeypatch.setattr(speed, "loop", lambda: 61.0)
    monkeypatch.setattr(repeat, "_up", lambda: None)
    monkeypatch.setattr(machine, "warning", lambda: "")
    return tmp_path / "repeatability.md"


def answer(monkeypatch: pytest.MonkeyPatch, endings: Iterator[Ending], reason: str = "machine: 61 % was taken") -> None:
    def stand_in(experiment: Experiment, options: Options) -> Outcome:
        found = next(endings)
        if isinstance(found, BaseException):
            raise found
        verdict, code = (found, int(found.exit)) if isinstance(found, Verdict) else (Verdict.ABORTED, found)
        right = verdict is experiment.expect.verdict
        return Outcome(verdict, code, right, "run", options.runs, "", 12.5, 0.5, "" if right else reason)

    monkeypatch.setattr(run, "run", stand_in)


def passing() -> Iterator[Ending]:
    while True:
        yield Verdict.PASS


def test_every_condition_is_measured_and_its_table_dated(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, passing())
    assert repeat.main(["-n", "2", "--busy", "0,1"]) == 0
    said = page.read_text()
    assert said.startswith(f"{repeat.TITLE}\n{repeat.METHOD}\n## ")
    assert f"### quiet: {2 * SET} of {2 * SET} as declared" in said
    assert f"### 1 core kept busy: {2 * SET} of {2 * SET} as declared" in said
    assert "the fixed loop took 61 ms" in said
    assert "Cut short" not in said
    assert "orchestrator/pod_kill | 2 | 2 PASS | 2 of 2 | 0.0 % | 0.0 to 65.8 % |" in said
    progress = capsys.readouterr().out.splitlines()
    assert f"    1/{4 * SET}  quiet  v agent-registry/pod_freeze  PASS  12.5 s" in progress


def test_a_verdict_that_is_not_declared_is_listed_with_its_reason_and_whether_that_names_the_machine(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, iter([Verdict.INCONCLUSIVE, UsageError("no pod | here"), *[Verdict.PASS] * (SET - 2)]))
    assert repeat.main(["-n", "1", "--busy", "0"]) == 0
    said = page.read_text()
    assert "Undeclared DEVIATED: 0. INCONCLUSIVE: 1, of which 1 name the machine." in said
    assert "| agent-registry/pod_freeze | INCONCLUSIVE | 1 | yes | machine: 61 % was taken |" in said
    assert "| agent-registry/pod_kill | no verdict | 1 | no | no pod \\| here |" in said


@pytest.mark.parametrize(("ending", "code"), [(130, 130), (KeyboardInterrupt(), 130)])
def test_an_interruption_keeps_what_there_is_and_says_so(
    ending: Ending, code: int, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, iter([Verdict.PASS, Verdict.PASS, ending]))
    assert repeat.main(["-n", "2"]) == code
    said = page.read_text()
    assert "### quiet: 2 of 2 as declared" in said
    assert f"**Cut short: 2 of {4 * SET} runs.**" in said


def test_a_command_that_is_killed_has_written_every_run_before(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, iter([Verdict.PASS, RuntimeError("as good as killed")]))
    with pytest.raises(RuntimeError):
        repeat.main(["-n", "2"])
    assert f"**Cut short: 1 of {4 * SET} runs.**" in page.read_text()


def test_what_is_left_broken_ends_the_measurement(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, iter([Verdict.DIRTY]))
    assert repeat.main(["-n", "2"]) == 6
    assert "1 DIRTY" in page.read_text()


def test_older_tables_stay_below_the_new_one(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page.write_text(f"{repeat.TITLE}\n{repeat.METHOD}\n## 2026-01-01 00:00 UTC, 2 cores\n\nold\n")
    answer(monkeypatch, passing())
    repeat.main(["-n", "1", "--busy", "0"])
    said = page.read_text()
    assert said.count(repeat.METHOD) == 1
    assert said.endswith("\n## 2026-01-01 00:00 UTC, 2 cores\n\nold\n")


def test_a_hog_that_ended_early_is_told(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = hog.busy

    @contextlib.contextmanager
    def ended(cores: int, seconds: float) -> Iterator[list[subprocess.Popen[bytes]]]:
        with busy(cores, 0.01) as hogs:
            for one in hogs:
                one.wait()
            yield hogs

    monkeypatch.setattr(hog, "busy", ended)
    answer(monkeypatch, passing())
    repeat.main(["-n", "1", "--busy", "1"])
    assert f"In {SET} runs a hog had ended before the run" in page.read_text()


@pytest.mark.parametrize("words", [["--busy", "999"], ["--busy", "x"], ["--set", "lokal"], ["more"]])
def test_what_cannot_be_measured_is_refused(words: list[str], page: Path) -> None:
    with pytest.raises(SystemExit) as refused:
        repeat.main(words)
    assert refused.value.code == 2
    assert not page.exists()
