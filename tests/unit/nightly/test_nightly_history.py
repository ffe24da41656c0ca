"""The history keeps every run, whoever writes at the same time and whoever dies while writing."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.nightly import history, record
from harness.nightly.code import Code
from harness.nightly.history import FILE, append, read
from harness.nightly.record import Record
from tests.unit.nightly import stories

ROOT = Path(__file__).parents[3]
KILL = stories.run(0, "cart/kill", 1, "PASS")
numbers = st.floats(0, 1e9, allow_nan=False)
texts = st.text(max_size=20)
records = st.builds(
    Record, night=texts, experiment=texts, attempt=st.integers(1, 3), started=numbers, seconds=numbers, verdict=texts,
    expected=texts, right=st.booleans(), exit=st.integers(0, 255), reason=texts, seed=st.none() | st.integers(0),
    recovery=st.none() | numbers, faults=st.tuples(texts), code=st.builds(Code, texts, texts, texts),
)  # fmt: skip


@given(records)
def test_a_record_is_read_as_it_was_written(one: Record) -> None:
    assert record.parse(json.loads(json.dumps(one.plain()))) == one


def test_records_come_back_oldest_first(tmp_path: Path) -> None:
    late, early = stories.run(1, "cart/kill", 1, "DEVIATED"), KILL
    append(tmp_path / "new" / "folder", late)
    append(tmp_path / "new" / "folder", early)
    assert read(tmp_path / "new" / "folder").records == (early, late)


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "nowhere") == history.History()


EVERY = stories.history(kill="P P D", freeze="P DP P")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("whole")
    for one in EVERY:
        append(folder, one)
    return (folder / FILE).read_bytes()


@given(data=st.data())
def test_whatever_is_cut_off_at_the_end_costs_the_last_record_only(
    data: st.DataObject, whole: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("history")
    cut = data.draw(st.integers(0, len(whole)))
    (folder / FILE).write_bytes(whole[:cut])
    lines = whole[:cut].count(b"\n")
    found = read(folder)
    # A line that lacks nothing but its end is whole.
    assert found.records in (tuple(EVERY[:lines]), tuple(EVERY[: lines + 1]))
    assert len(found.records) + found.unread == lines + (cut > 0 and not whole[:cut].endswith(b"\n"))


def test_the_next_writer_begins_a_line_of_its_own_after_one_that_was_cut_off(tmp_path: Path) -> None:
    append(tmp_path, KILL)
    with (tmp_path / FILE).open("a") as file:
        file.write('{"schema":1,"night":"2026')
    late = stories.run(1, "cart/kill", 1, "PASS")
    append(tmp_path, late)
    assert read(tmp_path) == history.History((KILL, late), unread=1)


WRITER = """
import sys
from pathlib import Path
from harness.nightly import history
from tests.unit.nightly import stories
for number in range(40):
    history.append(Path(sys.argv[1]), stories.run(number, f"cart/{sys.argv[2]}", 1, "PASS", reason="x" * 20_000))
"""


def test_two_writers_lose_none_of_each_others_lines(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name], cwd=ROOT) for name in ("kill", "freeze")
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    found = read(tmp_path)
    assert found.unread == 0
    assert {name: sum(one.experiment == f"cart/{name}" for one in found.records) for name in ("kill", "freeze")} == {
        "kill": 40,
        "freeze": 40,
    }


def test_files_of_shards_are_read_together_and_a_record_in_two_of_them_counts_once(tmp_path: Path) -> None:
    append(tmp_path, KILL)
    (tmp_path / FILE).rename(tmp_path / "shard-1.jsonl")
    append(tmp_path, KILL)
    append(tmp_path, stories.run(0, "cart/freeze", 1, "PASS"))
    assert len(read(tmp_path).records) == 2


def test_keys_of_a_later_harness_are_left_out_and_a_newer_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps(KILL.plain() | {"weather": "rain"}) + "\n")
    assert read(tmp_path).records == (KILL,)
    (tmp_path / FILE).write_text(json.dumps(KILL.plain() | {"schema": 2}) + "\n")
    with pytest.raises(UsageError, match=r"history\.jsonl:1: the history has schema 2"):
        read(tmp_path)


def test_a_history_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="the history cannot be written"):
        append(tmp_path / "file", KILL)


def test_a_record_that_lacks_what_matters_is_counted_as_unread(tmp_path: Path) -> None:
    plain = KILL.plain()
    del plain["verdict"]
    (tmp_path / FILE).write_text(f"{json.dumps(plain)}\n[1]\n\n{json.dumps(dataclasses.asdict(KILL))}\n")
    assert read(tmp_path) == history.History((), unread=3)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("code", "abc"), ("started", float("nan")), ("started", 1e300), ("seconds", "x"), ("recovery", []),
     ("exit", float("inf")), ("schema", float("inf")), ("faults", 5), ("attempt", None)],
)  # fmt: skip
def test_a_record_with_a_wrong_value_is_counted_as_unread(tmp_path: Path, name: str, wrong: object) -> None:
    (tmp_path / FILE).write_text(json.dumps(KILL.plain() | {name: wrong}) + "\n")
    append(tmp_path, KILL)
    assert read(tmp_path) == history.History((KILL,), unread=1)


def test_what_says_nothing_of_a_night_may_be_wrong_and_is_text(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps(KILL.plain() | {"title": None, "reason": 5, "run": ["x"]}) + "\n")
    (one,) = read(tmp_path).records
    assert (one.title, one.reason, one.run) == ("", "5", "['x']")
