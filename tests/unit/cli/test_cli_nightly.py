"""`harness nightly` from the outside: what runs, what is kept, what is said, and what it exits with."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from harness.cli.nightly import command
from harness.engine import run
from harness.engine.options import Options, Outcome
from harness.errors import HarnessError, PreconditionFailed, UsageError
from harness.journal.writer import Journal
from harness.model.experiment import Experiment
from harness.model.verdict import Verdict
from harness.nightly import code, history
from harness.nightly.code import Code
from harness.nightly.record import Record
from tests.unit.cli.test_cli_commands import EXPERIMENT

P, D, N, A, X = Verdict.PASS, Verdict.DEVIATED, Verdict.INCONCLUSIVE, Verdict.ABORTED, Verdict.DIRTY
Ending = Verdict | BaseException | int
Door = Callable[..., list[tuple[str, Options]]]


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Door:
    """Answer the engine's door: for each experiment what its runs of one night end in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    # Whatever cluster this machine has.
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack" / "slo.yaml").write_text("latency: {p99: 1s}\n")
    folder = tmp_path / "experiments" / "cart"
    folder.mkdir(parents=True)

    def answer(**endings: list[Ending]) -> list[tuple[str, Options]]:
        calls: list[tuple[str, Options]] = []
        each: dict[str, Iterator[Ending]] = {name: iter(listed) for name, listed in endings.items()}
        for name in endings:
            (folder / f"{name}.yaml").write_text(EXPERIMENT.replace("[local]", "[local, nightly]"))

        def stand_in(experiment: Experiment, options: Options) -> Outcome:
            name = experiment.path.stem
            calls.append((name, options))
            found = next(each[name])
            if isinstance(found, BaseException):
                raise found
            verdict, number = (found, int(found.exit)) if isinstance(found, Verdict) else (A, found)
            right = verdict is P
            identity = f"run-{len(list(options.runs.glob('*')))}-{name}"
            with Journal(options.runs / identity, identity) as journal:
                journal.write("run.start", "preflight", run=identity)
                detail = {"from": 5.0, "last_bad": 6.5, "steady": True}
                journal.write("finding", "judge", checker="recovery", state="held", detail=detail)
            text, reason = f"VERDICT {verdict} of {name}", "" if right else "availability: lost <b>"
            return Outcome(verdict, number, right, identity, options.runs / identity, text, 12.0, 0.1, reason)

        monkeypatch.setattr(run, "run", stand_in)
        monkeypatch.setattr(code, "of", lambda *_: (Code("0.1.0", "aaaaaaaaaaaa", "1111"), "kind-chaos-local"))
        return calls

    return answer


def night(*words: str) -> Result:
    return CliRunner().invoke(command, words)


def kept() -> tuple[Record, ...]:
    return history.read(Path("nightly")).records


def test_a_night_in_which_all_is_as_declared_is_a_pass_and_runs_each_once(door: Door) -> None:
    calls = door(kill=[P], freeze=[P])
    done = night("--seed", "7")
    assert (done.exit_code, done.stderr) == (0, "")
    assert [(name, options.seed) for name, options in calls] == [("freeze", 7), ("kill", 7)]
    lines = done.stdout.splitlines()
    assert lines[0].endswith("  2 experiments  seed 7  kind-chaos-local  aaaaaaaaaaaa, stack 1111, harness 0.1.0")
    assert lines[1] == "  1/2  v cart/freeze  PASS  12.0 s  run run-0-freeze"
    assert "  PASS  2 of 2 experiments as declared" in done.stdout


def test_what_is_wrong_is_run_again_after_the_whole_set_with_the_same_seed(door: Door) -> None:
    calls = door(a=[D, P], b=[P], c=[UsageError("no pod"), P])
    done = night()
    assert [name for name, _ in calls] == ["a", "b", "c", "a", "c"]
    assert len({options.seed for _, options in calls}) == 1
    assert done.exit_code == 0
    assert "3 of 3 experiments as declared, 2 flips" in done.stdout
    assert "~ cart/a  FLIP  DEVIATED, then PASS" in done.stdout
    assert "~ cart/c  FLIP  no verdict, then PASS" in done.stdout
    assert "error: no pod" in done.stderr


@pytest.mark.parametrize(
    ("endings", "exit_code"), [([D, D], 1), ([N, N], 2), ([D, N], 2), ([A, A], 3), ([UsageError("no"), N], 2)]
)
def test_the_last_run_decides(endings: list[Ending], exit_code: int, door: Door) -> None:
    door(a=[P], b=endings)
    assert night().exit_code == exit_code


def test_each_run_is_in_the_history_before_the_next_one_begins(door: Door) -> None:
    door(a=[D], b=[RuntimeError("as good as killed")])
    assert isinstance(night().exception, RuntimeError)
    (one,) = kept()
    assert (one.experiment, one.verdict, one.attempt, one.exit, one.recovery) == ("cart/a", "DEVIATED", 1, 1, 1.5)
    assert one.code == Code("0.1.0", "aaaaaaaaaaaa", "1111")
    assert one.faults == ("pod_kill",)


def test_an_interrupted_night_is_drawn_as_far_as_it_came(door: Door) -> None:
    calls = door(a=[D], b=[130], c=[P])
    done = night()
    assert done.exit_code == 130
    assert [name for name, _ in calls] == ["a", "b"]
    assert "not run tonight: cart/c" in done.stdout
    door(a=[KeyboardInterrupt()])
    assert night().exit_code == 130


def test_what_is_left_broken_ends_the_night_without_a_second_run(door: Door) -> None:
    calls = door(a=[D], b=[X], c=[P])
    assert night().exit_code == 6
    assert [name for name, _ in calls] == ["a", "b"]


def test_without_a_cluster_nothing_is_tried_and_nothing_kept(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = door(a=[P])

    def of(*_: object) -> None:
        raise PreconditionFailed("no local cluster")

    monkeypatch.setattr(code, "of", of)
    done = night()
    assert isinstance(done.exception, HarnessError)
    assert calls == []
    assert not Path("nightly").exists()


def test_a_regression_on_the_third_night_is_named_and_a_flip_is_not(door: Door) -> None:
    door(kill=[P, P, D, D], freeze=[P, P, N, P])
    night()
    night()
    done = night()
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert "x cart/kill    REGRESSION  DEVIATED, then DEVIATED" in lines
    assert "~ cart/freeze  FLIP  INCONCLUSIVE, then PASS" in lines
    named = lines[lines.index("x cart/kill    REGRESSION  DEVIATED, then DEVIATED") + 1]
    assert named.endswith("as declared in 0 of 2 runs, before in 2 of 2: 7 to 100 points less often (95 %)")
    assert "freeze: as declared" not in done.stdout


def test_a_second_flip_soon_after_the_first_fails_the_night(door: Door) -> None:
    door(kill=[P, N, P, D, P])
    assert [night().exit_code for _ in range(3)] == [0, 0, 1]
    text = Path("nightly/junit.xml").read_text()
    assert 'failures="1"' in text


def test_a_night_leaves_a_page_a_summary_and_a_suite_that_can_be_drawn_again(door: Door) -> None:
    calls = door(kill=[D, D], freeze=[N, P])
    first = night()
    drawn = {name: Path("nightly", name).read_text() for name in ("index.html", "summary.md", "junit.xml")}
    for name in drawn:
        Path("nightly", name).unlink()
    again = night("--draw")
    assert again.exit_code == first.exit_code == 1
    assert len(calls) == 4
    assert {name: Path("nightly", name).read_text() for name in drawn} == drawn
    assert "<b>" not in drawn["index.html"]
    assert 'href="../runs/run-3-kill/index.html"' not in drawn["index.html"]
    Path("runs/run-3-kill/index.html").write_text("the report")
    night("--draw")
    assert 'href="../runs/run-3-kill/index.html"' in Path("nightly/index.html").read_text()


def test_the_suite_has_one_case_an_experiment_and_tells_a_flip(door: Door) -> None:
    door(kill=[D, D], freeze=[N, P], cordon=[P], drain=[A, A])
    night()
    suite = ElementTree.parse("nightly/junit.xml").getroot()[0]
    assert {key: suite.get(key) for key in ("tests", "failures", "errors")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
    }
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert cases["kill"][1].tag == "failure"
    assert cases["drain"][1].tag == "error"
    assert cases["freeze"][1].tag == "system-out"
    properties = {item.get("name"): item.get("value") for item in cases["freeze"].iter("property")}
    assert properties["chaos_state"] == "flip"
    assert (properties["chaos_first_verdict"], properties["chaos_verdict"]) == ("INCONCLUSIVE", "PASS")


def test_a_job_gets_its_summary_appended_with_nothing_that_could_run(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door(kill=[D, D])
    job = tmp_path / "summary"
    job.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(job))
    night()
    said = job.read_text()
    assert said.startswith("before\n### ❌ Night ")
    assert "| ✖️ | cart/kill | wrong | DEVIATED, then DEVIATED |" in said
    assert "<b>" not in said
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    assert "was not written" in night("--draw").stdout


def test_shards_of_one_night_run_all_of_it_and_are_drawn_as_one(door: Door) -> None:
    calls = door(a=[P], b=[P], c=[D, D])
    codes = [night("--shard", f"{part}/2", "--night", "monday").exit_code for part in (1, 2)]
    assert codes[-1] == 1
    assert sorted(name for name, _ in calls) == ["a", "b", "c", "c"]
    assert "NIGHT monday  DEVIATED  2 of 3 experiments as declared, 1 wrong" in night("--draw").stdout


def test_an_empty_shard_means_nothing_ran(door: Door) -> None:
    door(a=[P])
    done = night("--shard", "2/2")
    assert isinstance(done.exception, HarnessError)
    assert done.exception.exit == 5


@pytest.mark.parametrize("words", [["--shard", "0/2"], ["--shard", "3/2"], ["--shard", "x"], ["--set", "nachtly"]])
def test_an_option_that_means_nothing_is_refused_before_anything_runs(words: list[str], door: Door) -> None:
    calls = door(a=[P])
    assert night(*words).exit_code == 2
    assert calls == []


def test_a_night_that_there_was_not_is_refused_before_anything_runs(door: Door) -> None:
    calls = door(a=[P, P])
    night()
    done = night("--since", "1999")
    assert isinstance(done.exception, UsageError)
    assert len(calls) == 1


def test_a_night_can_be_compared_with_one_that_is_named(door: Door) -> None:
    door(a=[P, P])
    night("--night", "monday")
    assert "against night monday (up to night monday): 0 experiments differ, of 1 " in night("--since", "mon").stdout


def test_a_history_without_a_night_has_nothing_to_draw(door: Door) -> None:
    door(a=[P])
    done = night("--draw")
    assert done.exit_code == 5
    assert "nothing ran" in done.stderr


def test_a_line_that_was_cut_off_is_told(door: Door) -> None:
    door(a=[P])
    night()
    with Path("nightly/history.jsonl").open("a") as file:
        file.write('{"schema":1,"night"')
    assert "note: lines of the history that could not be read, and count nothing: 1" in night("--draw").stdout


def test_without_experiments_there_is_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = night()
    assert isinstance(done.exception, HarnessError)
    assert done.exception.hint == "name a file or a folder"


def test_a_flip_that_passes_is_no_green_silence(door: Door) -> None:
    door(kill=[D, P], freeze=[P])
    assert night().exit_code == 0
    assert Path("nightly/summary.md").read_text().startswith("### 🔁 Night")
    page = Path("nightly/index.html").read_text()
    assert '<body class="inconclusive">' in page
    assert '<div class="stamp" aria-hidden="true">~</div>' in page


def test_a_history_that_cannot_be_written_does_not_hide_what_was_left_broken(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path, line: bytes) -> None:
        if line:
            raise OSError(errno.ENOSPC, "No space left on device")

    door(kill=[X])
    monkeypatch.setattr(history, "append_line", full)
    done = night()
    assert isinstance(done.exception, UsageError)
    assert "VERDICT DIRTY of kill" in done.stdout


def test_a_history_that_cannot_be_written_is_said_before_the_night(door: Door) -> None:
    calls = door(kill=[P])
    Path("nightly").write_text("no folder")
    done = night("--history", "nightly/kept")
    assert (calls, type(done.exception)) == ([], UsageError)
