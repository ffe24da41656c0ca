"""`harness run` of several experiments: each gets its own chance, and the worst is what the command ends with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli.run import command
from harness.engine import run
from harness.engine.options import Options, Outcome
from harness.errors import (
    AbortTriggered,
    ApiError,
    ClusterUnreachable,
    HarnessError,
    InjectionFailed,
    ObservationFailed,
    PreconditionFailed,
    RunInProgress,
    UsageError,
)
from harness.model.experiment import Experiment
from harness.model.verdict import Verdict
from tests.unit.cli.test_cli_commands import write

Ending = Verdict | BaseException | int
Door = Callable[..., list[str]]


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Door:
    """Answer the engine's door with what each experiment ends in, one ending after the other; gives the calls seen."""
    monkeypatch.chdir(tmp_path)

    def answer(**endings: Ending | list[Ending]) -> list[str]:
        calls: list[str] = []
        each: dict[str, Iterator[Ending]] = {}
        for name, ending in endings.items():
            write(tmp_path / f"{name}.yaml")
            each[name] = iter(ending if isinstance(ending, list) else [ending])

        def stand_in(experiment: Experiment, options: Options) -> Outcome:
            name = experiment.path.stem
            calls.append(name)
            found = next(each[name])
            if isinstance(found, BaseException):
                raise found
            verdict, code = (found, int(found.exit)) if isinstance(found, Verdict) else (Verdict.ABORTED, found)
            right = verdict is Verdict.PASS
            return Outcome(verdict, code, right, f"run-{name}", options.runs, f"VERDICT {verdict} of {name}", 1.0, 0.1)

        monkeypatch.setattr(run, "run", stand_in)
        return calls

    return answer


def go(*words: str) -> Result:
    return CliRunner().invoke(command, words)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("3 pods wanted, 2 exist"), 4),
        (PreconditionFailed("the lever is on"), 4),
        (ClusterUnreachable("no answer"), 4),
        (RunInProgress("another run goes on"), 4),
        (InjectionFailed("only after about 80 s"), 2),
        (ObservationFailed("no data"), 2),
        (AbortTriggered("the lease was lost"), 3),
        (ApiError(401, "Unauthorized", "who are you"), 4),
        (ApiError(403, "Forbidden", "no right"), 4),
        (ApiError(500, "InternalError", "no answer"), 7),
        (ApiError(429, "TooManyRequests", "later"), 4),
        (ApiError(503, "ServiceUnavailable", "later"), 4),
    ],
)
def test_an_error_of_one_experiment_is_said_and_counted_and_the_next_one_runs(
    error: HarnessError, code: int, door: Door
) -> None:
    calls = door(a=error, b=Verdict.PASS)
    done = go("a.yaml", "b.yaml")
    assert (done.exit_code, done.stdout, calls) == (code, "VERDICT PASS of b\n", ["a", "b"])
    assert f"error: {error}" in done.stderr


def test_an_error_never_hides_a_worse_end(door: Door) -> None:
    door(a=Verdict.DEVIATED, b=InjectionFailed("too late"), c=Verdict.PASS)
    assert go("a.yaml", "b.yaml", "c.yaml").exit_code == 1


def test_the_second_half_of_the_set_is_not_lost_behind_an_error_in_the_middle(door: Door) -> None:
    calls = door(a=Verdict.PASS, b=UsageError("no pod"), c=Verdict.INCONCLUSIVE, d=Verdict.DEVIATED)
    assert go("a.yaml", "b.yaml", "c.yaml", "d.yaml").exit_code == 4
    assert calls == ["a", "b", "c", "d"]


@pytest.mark.parametrize(("ending", "code"), [(Verdict.DIRTY, 6), (130, 130)])
def test_what_is_still_broken_or_a_persons_wish_ends_the_set(ending: Ending, code: int, door: Door) -> None:
    calls = door(a=ending, b=Verdict.PASS)
    assert go("a.yaml", "b.yaml").exit_code == code
    assert calls == ["a"]


def test_repeats_run_in_rounds_and_end_with_the_verdicts_counted(door: Door) -> None:
    calls = door(a=[Verdict.PASS] * 3, b=[Verdict.PASS, Verdict.DEVIATED, UsageError("no pod")])
    done = go("a.yaml", "b.yaml", "--repeat", "3")
    folder = Path.cwd().name
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert done.exit_code == 4
    table = [line.split("  ") for line in done.stdout.partition("\n\n")[2].splitlines()]
    assert [[cell.strip() for cell in line if cell.strip()] for line in table] == [
        ["experiment", "runs", "verdicts", "as declared", "flip rate", "95 % interval"],
        [f"{folder}/a", "3", "3 PASS", "3 of 3", "0.0 %", "0.0 to 56.1 %"],
        [f"{folder}/b", "3", "1 PASS, 1 DEVIATED, 1 no verdict", "1 of 3", "66.7 %", "20.8 to 93.9 %"],
        ["all", "6", "4 PASS, 1 DEVIATED, 1 no verdict", "4 of 6", "33.3 %", "9.7 to 70.0 %"],
    ]


@pytest.mark.parametrize("ending", [130, KeyboardInterrupt()])
def test_an_interrupted_repeat_counts_what_it_has(ending: Ending, door: Door) -> None:
    door(a=[Verdict.PASS, ending])
    done = go("a.yaml", "--repeat", "5")
    assert done.exit_code == 130
    assert "1 PASS" in done.stdout.splitlines()[-1]


def test_a_single_round_prints_no_table(door: Door) -> None:
    door(a=Verdict.PASS, b=Verdict.PASS)
    assert go("a.yaml", "b.yaml").stdout == "VERDICT PASS of a\nVERDICT PASS of b\n"


@pytest.mark.parametrize("words", [["--repeat", "0"], ["--repeat", "2", "--dry-run"]])
def test_a_repeat_that_counts_nothing_is_refused(words: list[str], door: Door) -> None:
    calls = door(a=Verdict.PASS)
    assert CliRunner().invoke(command, ["a.yaml", *words], standalone_mode=False).exception
    assert calls == []


def test_a_plan_that_cannot_be_made_costs_its_own_experiment_only(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    door(a=Verdict.PASS, b=Verdict.PASS)

    def plan(experiment: Experiment, _: Options) -> str:
        if experiment.path.stem == "a":
            raise UsageError("no pod")
        return "plan of b"

    monkeypatch.setattr(run, "dry_run", plan)
    done = go("a.yaml", "b.yaml", "--dry-run")
    assert (done.exit_code, done.stdout, done.stderr.splitlines(keepends=True)[-1]) == (
        4,
        "plan of b\n",
        "error: no pod\n",
    )


PLAIN = """\
title: One step
description: x
configuration: {word: {type: env, key: NOT_SET_HERE}}
method: [{type: action, name: a, provider: {type: process, path: echo, arguments: ["${word}"]}}]
"""


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Experiment]:
    """Write a document without our extension, and note what comes to the engine's door."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "public.yaml").write_text(PLAIN)
    found: list[Experiment] = []

    def stand_in(experiment: Experiment, options: Options) -> Outcome:
        found.append(experiment)
        return Outcome(Verdict.PASS, 0, True, "run", options.runs, "VERDICT PASS", 1.0, 0.1)

    monkeypatch.setattr(run, "run", stand_in)
    return found


def test_variables_come_from_the_command_line_and_from_files(seen: list[Experiment], tmp_path: Path) -> None:
    assert "NOT_SET_HERE is not set" in go("public.yaml").output + str(go("public.yaml").exception)
    assert go("public.yaml", "--var", "word=here").exit_code == 0
    (tmp_path / "values.yaml").write_text("configuration: {word: there}\n")
    assert go("public.yaml", "--var-file", "values.yaml").exit_code == 0
    assert [one.stated["configuration"] for one in seen] == [{"word": "here"}, {"word": "there"}]


@pytest.mark.parametrize("word", ["n:int=many", "n", ":int=1"])
def test_a_variable_that_cannot_be_read_is_a_users_mistake(word: str, seen: list[Experiment]) -> None:
    done = go("public.yaml", "--var", word)
    assert seen == []
    assert isinstance(done.exception, UsageError)


@pytest.mark.case(
    14, "a variable of the command line that nobody would take", "refused: the document's own would count"
)
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--var", "wrd=x"), "did you mean 'word'?"),
        (("--var", "word=x", "--var", "wrd:int=1"), "did you mean 'word'?"),
        (("--var-file", "flat.yaml"), "flat.yaml:1: unknown key 'word' in a file of variables"),
        (("--var-file", "broken.yaml"), "broken.yaml:2: this is not valid YAML"),
        (("--var-file", "broken.json"), "broken.json:1: this is not valid JSON"),
        (("--var-file", "others.yaml"), "others.yaml: nothing in it is stated by any document"),
        (("--var-file", "list.yaml"), "list.yaml:1: a file of variables must be a mapping"),
        (("--var-file", "words.env"), "words.env:2: 'export B=c' is not NAME=VALUE"),
        (("--var-file", "values.txt"), "values.txt:1: 'configuration:' is not NAME=VALUE"),
    ],
)
def test_a_variable_that_nobody_would_take_is_refused(
    words: tuple[str, ...], told: str, seen: list[Experiment], tmp_path: Path
) -> None:
    files = {
        "flat.yaml": "word: x\n",
        "broken.yaml": "configuration:\n\tword: x\n",
        "broken.json": "{'configuration': {}}",
        "others.yaml": "configuration: {wrd: x}\nsecrets: {group: {a: b}}\n",
        "list.yaml": "- word\n",
        "words.env": "A=b\nexport B=c\n",
        "values.txt": "configuration:\n  word: x\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    done = go("public.yaml", "--var", "word=here", *words)
    assert seen == []
    assert isinstance(done.exception, UsageError)
    assert told in str(done.exception)


def test_a_file_of_variables_may_hold_those_of_other_documents(
    seen: list[Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NOT_SET_HERE", "OTHER"):
        monkeypatch.setenv(name, "to be set anew")
    (tmp_path / "values.yaml").write_text("# of all\nconfiguration: {word: there, other: x}\n")
    (tmp_path / "words.env").write_bytes(b"# of all\r\n\r\nNOT_SET_HERE=there\r\nOTHER=a=b\r\n")
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert go("public.yaml", "--var-file", "values.yaml", "--var-file", "empty.yaml").exit_code == 0
    assert go("public.yaml", "--var-file", "words.env").exit_code == 0
    assert [one.stated["configuration"]["word"] for one in seen] == ["there", {"type": "env", "key": "NOT_SET_HERE"}]


def test_strategies_of_the_command_line_go_before_the_documents(seen: list[Experiment]) -> None:
    words = ("--var", "word=x", "--hypothesis-strategy", "skip", "--rollback-strategy", "never")
    assert go("public.yaml", *words).exit_code == 0
    assert [(one.strategy, one.rolls_back) for one in seen] == [("skip", "never")]


def test_another_strategy_beside_promises_is_refused(door: Door) -> None:
    calls = door(a=Verdict.PASS)
    done = go("a.yaml", "--hypothesis-strategy", "skip")
    assert (calls, isinstance(done.exception, UsageError)) == ([], True)
