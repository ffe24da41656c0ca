"""Torment: the seed draws every turn, none is taken twice, and one that was not clean fails the command."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench import tables, torment
from bench.torment import Row
from harness.errors import PreconditionFailed
from harness.faults import FAULTS

CLEAN = Row(7, 0, "pod_kill", ["engine"], 1.5, 12.0, [], "- -9")
NOW = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Number the turns that are taken; the third leaves something, and the fourth cannot be taken."""
    numbers: list[int] = []

    async def stand_in(seed: int, number: int) -> Row:
        numbers.append(number)
        left = ["lease/holder: a -> b"] if number == 2 else []
        return dataclasses.replace(CLEAN, seed=seed, number=number, left=left, why="no cluster" * (number == 3))

    monkeypatch.setattr(torment, "_take", stand_in)
    monkeypatch.setattr(torment, "PAGE", tmp_path / "torment.md")
    return numbers


def test_seed_and_number_draw_a_turn_and_all_faults_and_victims_come() -> None:
    turns = [torment.turn(1, number, list(FAULTS)) for number in range(300)]
    assert turns == [torment.turn(1, number, [*reversed(FAULTS)]) for number in range(300)]
    assert turns != [torment.turn(2, number, list(FAULTS)) for number in range(300)]
    assert {turn.fault for turn in turns} == set(FAULTS)
    assert {name for turn in turns for name in turn.victims} == set(torment.VICTIMS)
    assert {len(turn.victims) for turn in turns} == {1, 2}
    assert all(0 <= turn.after <= torment.WINDOW_SECONDS for turn in turns)


def test_no_turn_is_taken_twice_but_one_that_was_none(
    taken: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--seed", "7", "--count", "4", "--rows", str(tmp_path)]
    assert torment.main(words) == 1
    assert "2 of 4 clean, seed 7" in capsys.readouterr().out
    assert torment.main(["--seed", "7", "--count", "5", "--rows", str(tmp_path)]) == 1
    assert taken == [0, 1, 2, 3, 3, 4]
    assert "3 of 5 clean, seed 7" in capsys.readouterr().out


def test_all_clean_is_what_passes(taken: list[int], tmp_path: Path) -> None:
    assert torment.main(["--seed", "7", "--count", "2", "--rows", str(tmp_path)]) == 0
    assert "Seed 7: **2 of 2 clean**." in (tmp_path / "torment.md").read_text()


def test_a_turn_that_was_cut_off_in_its_file_is_taken_again(taken: list[int], tmp_path: Path) -> None:
    whole = json.dumps(dataclasses.asdict(CLEAN))
    (tmp_path / "torment-7.jsonl").write_text(f"{whole}\n{whole[:40]}\n[]\n")
    assert torment.main(["--seed", "7", "--count", "2", "--rows", str(tmp_path)]) == 0
    assert taken == [1]


def test_an_interruption_keeps_what_there_is(monkeypatch: pytest.MonkeyPatch, taken: list[int], tmp_path: Path) -> None:
    take = torment._take

    async def interrupted(seed: int, number: int) -> Row:
        if number == 1:
            raise KeyboardInterrupt
        return await take(seed, number)

    monkeypatch.setattr(torment, "_take", interrupted)
    assert torment.main(["--seed", "7", "--count", "9", "--rows", str(tmp_path)]) == 130
    assert "Cut short: 1 turns were taken." in (tmp_path / "torment.md").read_text()


def test_no_cluster_is_an_error_and_no_turn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torment.place.local, "current", lambda: None)
    assert torment.main(["--rows", str(tmp_path)]) == int(PreconditionFailed.exit)
    assert "there is no local cluster" in capsys.readouterr().err


def test_the_section_counts_by_who_died_and_names_what_was_not_clean() -> None:
    rows = [
        CLEAN,
        dataclasses.replace(CLEAN, number=1, struck=["engine", "keeper"], seconds=30.0, left=["lever: off -> on"]),
        dataclasses.replace(CLEAN, number=2, struck=[]),
    ]
    text = torment.section(7, 3, rows, NOW)
    assert "Seed 7: **2 of 3 clean**." in text
    assert "| engine | 2 | 1 | 30 s |" in text
    assert "| nobody | 1 | 1 | 12 s |" in text
    assert "- turn 1: x pod_kill: engine and keeper after 1.50 s  - -9  lever: off -> on" in text


def test_the_load_has_somebody_to_ask() -> None:
    import httpx

    with torment.answering() as address:
        assert httpx.get(address, trust_env=False, timeout=60).status_code == 204


def test_older_sections_stay_below_the_new_one(tmp_path: Path) -> None:
    page, title = tmp_path / "page.md", "# Page\n\nSaid.\n"
    for section in ("## first\n", "## second\n"):
        tables.on_top(page, title, section, tables.older(page, title))
    assert page.read_text() == "# Page\n\nSaid.\n\n## second\n\n## first\n"
