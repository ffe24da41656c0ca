"""Canary runs: the seed draws releases, each is held against its declaration, and bad ones against their weights."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench import canary_runs, released, speed
from bench.released import Row
from harness.errors import Exit
from harness.journal import reader

NOW = datetime(2026, 11, 30, tzinfo=UTC)
BAD = Row(
    7, 0, "failing", "c0de", 21.0, "PASS", True, "rolled-back", 20.0, 0.079, 0.089, 781, 0.1, 0.082, "", 0
)  # fmt: skip
GOOD = dataclasses.replace(BAD, number=1, kind="good", came="promoted", met=None, at_most=None, largest=None, sent=None)
BUSY = "latency: others took 71 % of the machine's CPU for 4 of 9 s (cc1)"
RELEASE = {
    "id": "f-1",
    "kind": "workload_release",
    "victim": {"kind": "workload", "namespace": "shop", "name": "web", "owner": "Rollout/web"},
    "disturbs": ["release"],
}


def weight(at: float, value: float, newest: str = "new", **more: str) -> tuple[float, str, dict[str, Any]]:
    labels = {"stable": "old", "newest": newest, **more}
    return at, "sample", {"series": "release/shop/Rollout/web", "value": value, "labels": labels}


def finding(outcome: str, **more: Any) -> tuple[float, str, dict[str, Any]]:
    detail = {"release": "new", "outcome": outcome, "took": 20.0, "operations": 500}
    detail |= {"exposed": 0.05, "exposed_at_most": 0.06} | more
    return 60, "finding", {"checker": "canary", "state": "held", "summary": f"{outcome} after 20 s", "detail": detail}


def verdict(name: str = "PASS", *, right: bool = True, reason: str = "") -> tuple[float, str, dict[str, Any]]:
    return 61, "verdict", {"verdict": name, "right": right, "reason": reason}


COURSE = [
    (0.0, "plan", {"faults": [RELEASE]}),
    weight(5, 100.0, newest="old"),
    (10.0, "fault.injecting", {"id": "f-1"}),
    (10.5, "fault.injected", {"id": "f-1"}),
    weight(11, 0.0),
    weight(20, 10.0),
    weight(30, 0.0, aborted="yes"),
    weight(35, 100.0, newest="old"),
]


def wrote(folder: Path, *events: tuple[float, str, dict[str, Any]]) -> Path:
    """Write the journal of a run into a folder of its own."""
    directory = folder / f"run-{len([*folder.glob('*')])}"
    directory.mkdir(parents=True)
    every = [
        {"seq": number, "wall": 1.8e9 + at, "t": at, "phase": "", "type": type_, "data": data, "schema": 1}
        for number, (at, type_, data) in enumerate(events, 1)
    ]
    (directory / "journal.jsonl").write_text("".join(json.dumps(one) + "\n" for one in every))
    return directory


def read(tmp_path: Path, *events: tuple[float, str, dict[str, Any]], spared: bool = True) -> Row:
    return released.judged(Row(7, 0, "failing", "c0de"), reader.read(wrote(tmp_path, *events)), spared=spared)


def test_a_bad_release_is_held_against_the_largest_of_its_weights(tmp_path: Path) -> None:
    row = read(tmp_path, *COURSE, finding("rolled-back"), verdict())
    assert (row.verdict, row.right, row.came, row.seconds, row.requests) == ("PASS", True, "rolled-back", 20.0, 500)
    assert (row.met, row.at_most, row.largest) == (0.05, 0.06, 0.1)
    # 10 % for half of the time.
    assert row.sent == pytest.approx(0.05)
    assert row.good


@pytest.mark.parametrize(("at_most", "good"), [(0.11, True), (0.112, False)])
def test_it_may_be_met_by_no_more_than_that_and_one_per_cent(tmp_path: Path, at_most: float, good: bool) -> None:
    row = read(tmp_path, *COURSE, finding("rolled-back", exposed_at_most=at_most), verdict())
    assert (row.right, row.kept, row.good) == (True, good, good)


def test_a_good_release_may_be_met_by_all(tmp_path: Path) -> None:
    row = read(tmp_path, *COURSE, finding("promoted", exposed=0.4, exposed_at_most=0.4), verdict(), spared=False)
    assert (row.met, row.largest, row.good) == (None, None, True)


@pytest.mark.parametrize("found", [[], [finding("", release="", exposed=0.0)], [finding("rolled-back", operations=0)]])
def test_who_met_a_bad_one_must_be_known(tmp_path: Path, found: Any) -> None:
    row = read(tmp_path, *COURSE, *found, verdict())
    assert (row.met, row.kept, row.good) == (None, False, False)


@pytest.mark.parametrize(
    ("name", "reason", "apart"),
    [("INCONCLUSIVE", BUSY, True), ("INCONCLUSIVE", "no load", False), ("DEVIATED", BUSY, False)],
)
def test_what_the_machine_left_unknown_is_apart_and_no_pass(
    tmp_path: Path, name: str, reason: str, apart: bool
) -> None:
    row = read(tmp_path, *COURSE, finding("rolled-back"), verdict(name, right=False, reason=reason))
    assert (row.apart, row.good) == (apart, False)
    assert canary_runs.line(row).startswith("? " if apart else "x ")


def test_every_round_has_each_kind_once_and_the_seed_draws_the_order() -> None:
    kinds = [canary_runs.kind(1, number) for number in range(40)]
    assert kinds == [canary_runs.kind(1, number) for number in range(40)]
    assert kinds != [canary_runs.kind(2, number) for number in range(40)]
    assert set(Counter(kinds).values()) == {10}
    assert len({tuple(kinds[at : at + 4]) for at in range(0, 40, 4)}) > 2


def test_every_kind_is_an_experiment_that_ships() -> None:
    assert all((canary_runs.EXPERIMENTS / f"{name}.yaml").is_file() for name in canary_runs.KINDS.values())


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(canary_runs, "PAGE", tmp_path / "canary-runs.md")
    monkeypatch.setattr(speed, "loop", lambda: 21.0)
    return tmp_path / "canary-runs.md"


class Harness:
    """Stand in for `harness run`: every release ends as declared, but for what a test says of a number."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.other: dict[int, Any] = {}

    def __call__(self, argv: Sequence[str], log: Path) -> tuple[int, str]:
        file, folder = Path(argv[argv.index("run") + 1]), Path(argv[argv.index("--runs") + 1])
        number = len(self.asked)
        self.asked.append((file.stem, argv[argv.index("--seed") + 1]))
        other = self.other.get(number)
        if isinstance(other, BaseException):
            raise other
        if isinstance(other, str):
            return int(Exit.DIRTY if "broken" in other else Exit.USAGE), other
        ends = {"good_release": "promoted", "prometheus_gone": "given-up"}
        wrote(folder, *COURSE, finding(ends.get(file.stem, "rolled-back")), other or verdict())
        return 0, "VERDICT PASS"


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Harness:
    found = Harness()
    monkeypatch.setattr(canary_runs, "_ended", found)
    return found


def words(tmp_path: Path, count: int) -> list[str]:
    return ["--count", str(count), "--seed", "7", "--runs", str(tmp_path / "runs")]


def test_all_as_declared_is_what_passes_and_the_page_has_every_run(
    harness: Harness, page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert canary_runs.main(words(tmp_path, 4)) == 0
    assert {name for name, _ in harness.asked} == {*canary_runs.KINDS.values()}
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 5
    assert "v failing: PASS  rolled-back after 20 s, 5 % to 6 % of 500 requests met it, 11 % may" in "\n".join(said)
    assert said[-1].startswith("seed 7: 4 of 4 as declared and kept from callers; not as declared: 0;")
    text = page.read_text()
    assert text.startswith(canary_runs.TITLE)
    assert "`make canary-runs N=4 SEED=7`; the fixed loop, the fastest of 5, took 21 to 21 ms" in text
    assert "| failing | PASS | yes | rolled-back | 20 s | 5 % to 6 % of 500 | 5 % | 11 % |" in text
    assert "Cut short" not in text


def test_what_ran_is_gone_on_with_by_the_same_code_and_not_by_another(
    harness: Harness, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert canary_runs.main(words(tmp_path, 2)) == 0
    assert canary_runs.main(words(tmp_path, 3)) == 0
    assert len(harness.asked) == 3
    monkeypatch.setattr(canary_runs, "code", lambda: "another")
    assert canary_runs.main(words(tmp_path, 3)) == 0
    assert harness.asked[3:] == harness.asked[:3]


def test_one_that_is_not_as_declared_fails_the_command_and_the_others_are_made(
    harness: Harness, page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    harness.other = {
        0: verdict("DEVIATED", right=False, reason="canary: promoted"),
        1: verdict("INCONCLUSIVE", right=False, reason=BUSY),
    }
    assert canary_runs.main(words(tmp_path, 4)) == 1
    assert "2 of 4 as declared and kept from callers; not as declared: 1" in capsys.readouterr().out
    text = page.read_text()
    assert "INCONCLUSIVE that names the machine: 1.**" in text
    assert "canary: promoted" in text.partition("- run 0: x ")[2].splitlines()[0]


def test_what_is_still_broken_ends_the_series(harness: Harness, page: Path, tmp_path: Path) -> None:
    harness.other = {1: "something is still broken"}
    assert canary_runs.main(words(tmp_path, 4)) == Exit.DIRTY
    assert len(harness.asked) == 2
    assert "Cut short: 1 of 4 runs." in page.read_text()


def test_no_cluster_is_no_run(harness: Harness, page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    harness.other = {0: "error: there is no local cluster"}
    assert canary_runs.main(words(tmp_path, 4)) == Exit.USAGE
    assert "no run: error: there is no local cluster" in capsys.readouterr().out
    assert not page.exists()
    harness.other = {}
    assert canary_runs.main(words(tmp_path, 1)) == 0


def test_an_interruption_keeps_what_there_is(harness: Harness, page: Path, tmp_path: Path) -> None:
    harness.other = {1: KeyboardInterrupt()}
    assert canary_runs.main(words(tmp_path, 4)) == Exit.INTERRUPTED
    assert "Cut short: 1 of 4 runs." in page.read_text()
    assert canary_runs.main(words(tmp_path, 2)) == 0
    assert harness.asked[1] == harness.asked[2]


def test_a_line_that_was_cut_off_is_made_again(harness: Harness, page: Path, tmp_path: Path) -> None:
    whole = json.dumps(dataclasses.asdict(dataclasses.replace(BAD, code=canary_runs.code())))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "canary-runs-7.jsonl").write_text(f"{whole}\n{whole[:40]}\n[]\n")
    assert canary_runs.main(words(tmp_path, 2)) == 0
    assert len(harness.asked) == 1


def test_the_section_names_what_was_met_by_more_than_may() -> None:
    text = canary_runs.section(7, 2, [dataclasses.replace(BAD, at_most=0.12), GOOD], NOW)
    assert "1 of 2 as declared and kept from callers; not as declared: 0; met by more than may: 1" in text
    assert "| 7.9 % to 12 % of 781 | 8.2 % | **11 %** |" in text
    assert "| 1 | good | PASS | yes | promoted | 20 s |   |   |   |" in text


def test_a_run_is_waited_for_and_told(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "print('said'); raise SystemExit(3)"]
    assert canary_runs._ended(argv, tmp_path / "log") == (3, "said\n")


def test_one_that_takes_too_long_is_asked_to_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(canary_runs, "RUN_SECONDS", 0.5)
    pipe = tmp_path / "nobody-writes"
    os.mkfifo(pipe)
    waiting = f"trap 'echo undone; exit 130' TERM; while :; do read -r line < {pipe}; done 2>/dev/null"
    assert canary_runs._ended(["sh", "-c", waiting], tmp_path / "log") == (130, "undone\n")


def test_one_that_does_not_end_then_is_left_to_the_keeper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(canary_runs, "RUN_SECONDS", 0.5)
    monkeypatch.setattr(canary_runs, "END_SECONDS", 0.1)
    deaf = "trap '' TERM; echo deaf; while true; do sleep 0.05; done"
    assert canary_runs._ended(["sh", "-c", deaf], tmp_path / "log") == (-9, "deaf\n")
