"""A record that was edited or damaged is refused where it is read, by file, line and what is wrong of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness.cli import report, show
from harness.errors import ObservationFailed, UsageError
from harness.journal import calls, reader
from harness.journal.event import FILE
from harness.journal.shapes import SHAPES

START = {"run": "r1", "experiment": "cart/kill", "title": "One cart", "seed": 1, "way": {"options": []}, "argv": ["a"]}
VICTIM = {"kind": "pod", "name": "a", "namespace": "shop", "node": None, "owner": ""}
PLANNED = {"id": "r1-1", "kind": "pod_kill", "victim": VICTIM, "parameters": {}, "disturbs": ["eviction"]}
LOAD = {"rate": 40, "ramp": 0.0, "stages": [{"rate": 5}], "operations": [{"name": "read"}], "record": 156}
SERIES = {"series": "breaker/b", "values": [0, None, 2.0], "start": 0.0, "step": 1, "labels": {"pod": "a"}}
# What a run writes, one of each type that somebody relies on, and one that nobody knows.
WRITTEN: dict[str, Mapping[str, Any]] = {
    "run.start": START,
    "plan": {"faults": [PLANNED], "late": [], "objectives": [{"checker": "latency", "parameters": {"p95": 1.0}}],
             "caps": {"pods": 1}, "shares": [], "left_out": []},
    "load.started": LOAD | {"origin_ns": 5},
    "load.stages": {"points": [[0.0, 5.0], [1.0, 5.0]]},
    "sample": {"series": "ready/shop/Deployment/a", "value": None, "labels": {"desired": "3"}},
    "fault.injected": {"id": "r1-1", "kind": "pod_kill", "facts": {"uid": "u"}},
    "fault.felt": {"id": "r1-1", "after": 0.1, "evidence": {"deleted": True}},
    "fault.told": {"id": "r1-1", "evidence": {"agent": "12 packets"}},
    "fault.healed": {"id": "r1-1", "after": None},
    "undo": {"id": "r1-1", "ops": [{"op": "restore", "patch": [{"op": "add"}], "argv": []}], "ok": True, "seconds": 1},
    "load.ended": {"operations": 0},
    "addresses": {"pods": {"10.0.0.1": "a"}},
    "series": SERIES,
    "calls.recorded": {"unread": {}},
    "finding": {"checker": "latency", "state": "held", "detail": {}},
    "verdict": {"verdict": "PASS", "right": True, "seconds": 3.5},
    "a type of tomorrow": {"whatever": [None]},
}  # fmt: skip
TYPES = [*WRITTEN]


def write(folder: Path, records: Mapping[str, object]) -> Path:
    folder.mkdir()
    with (folder / FILE).open("w") as file:
        for number, (type, data) in enumerate(records.items()):
            record = {"seq": number + 1, "wall": 1e9, "t": number, "phase": "hold", "type": type, "data": data}
            file.write(json.dumps(record) + "\n")
    return folder


def test_each_type_that_somebody_relies_on_is_read_as_it_is_written(tmp_path: Path) -> None:
    assert {*SHAPES} <= {*TYPES}
    assert [event.data for event in reader.read(write(tmp_path / "r1", WRITTEN))] == [*WRITTEN.values()]


@pytest.mark.parametrize(
    ("type", "wrong", "told"),
    [
        ("run.start", START | {"argv": 5}, "data.argv is 5, not a list"),
        ("run.start", START | {"way": {"runs": "x"}}, "data.way.runs is a text, not a list"),
        ("plan", {"faults": "x"}, "data.faults is a text, not a list"),
        ("plan", {"faults": [None]}, "data.faults[0] is null, not a mapping"),
        ("plan", {"faults": [PLANNED | {"victim": ["x"]}]}, "data.faults[0].victim is a list, not a mapping"),
        ("plan", {"objectives": [{"parameters": 1}]}, "data.objectives[0].parameters is 1, not a mapping"),
        ("load.started", {"rate": "40/s"}, "data.rate is a text, not a number"),
        ("load.started", {}, "data has no 'rate'"),
        ("load.stages", {"points": [["x"]]}, "data.points[0][0] is a text, not a number"),
        ("sample", {"value": 1}, "data has no 'series'"),
        ("sample", {"series": "ready/a", "value": "x"}, "data.value is a text, not a number or null"),
        ("sample", {"series": None, "value": 1}, "data.series is null, not a text"),
        ("sample", {"series": "a", "value": 1, "labels": {"pod": 1}}, "data.labels.pod is 1, not a text"),
        ("fault.injected", {"id": "r1-1", "at": float("nan")}, "data.at is nan, not a number"),
        ("fault.felt", {"id": "r1-1", "evidence": [1]}, "data.evidence is a list, not a mapping"),
        ("undo", {"id": "r1-1", "seconds": 1e300}, "data.seconds is 1e+300, not a number"),
        ("undo", {"id": "r1-1", "ops": [5]}, "data.ops[0] is 5, not a mapping"),
        ("addresses", {"pods": ["x"]}, "data.pods is a list, not a mapping"),
        ("series", SERIES | {"values": None}, "data.values is null, not a list"),
        ("finding", {"state": "held"}, "data has no 'checker'"),
        ("verdict", {"seconds": []}, "data.seconds is a list, not a number"),
    ],
)
def test_a_wrong_value_is_refused_with_its_line_by_report_and_show(
    tmp_path: Path, type: str, wrong: Mapping[str, object], told: str
) -> None:
    folder = write(tmp_path / "r1", WRITTEN | {type: wrong})
    for command in (report.command, show.command):
        done = CliRunner().invoke(command, [str(folder)])
        assert isinstance(done.exception, UsageError), done.output
        number = TYPES.index(type) + 1
        assert done.exception.where == f"{folder / FILE}:{number}"
        assert done.exception.what == f"record {number} ({type}) is not as it was written: {told}"
    assert [path.name for path in folder.iterdir()] == [FILE]


def test_calls_that_are_no_text_are_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "r1", WRITTEN)
    (folder / calls.FILE).write_bytes(b'\xff\xfe\n{"caller": \n\0\0\0')
    assert calls.read(folder, reader.read(folder)) == []


def test_what_may_be_null_takes_nobodys_time_away(tmp_path: Path) -> None:
    nulls = {"sample": {"series": "a", "value": 1, "time": None}, "fault.injected": {"id": "r1-1", "at": None}}
    folder = write(tmp_path / "r1", WRITTEN | nulls)
    assert CliRunner().invoke(report.command, [str(folder)]).exit_code == 0


@pytest.mark.parametrize("tail", [b'{"seq":18,"wa', b"\0" * 4096, b"\xff\xfe\n", b'"x"\n', b'{"seq":"x"}\n'])
def test_what_a_death_left_behind_the_last_record_is_passed_over(tmp_path: Path, tail: bytes) -> None:
    folder = write(tmp_path / "r1", WRITTEN)
    with (folder / FILE).open("ab") as file:
        file.write(tail)
    assert CliRunner().invoke(report.command, [str(folder)]).exit_code == 0


@pytest.mark.parametrize("wrong", [b"\0" * 40, b"\xff\xfe", b'{"seq":2}', b"null"])
def test_a_record_in_the_middle_that_cannot_be_read_is_missed_where_the_next_one_comes(
    tmp_path: Path, wrong: bytes
) -> None:
    folder = write(tmp_path / "r1", WRITTEN)
    lines = (folder / FILE).read_bytes().split(b"\n")
    (folder / FILE).write_bytes(b"\n".join([lines[0], wrong, *lines[2:]]))
    done = CliRunner().invoke(report.command, [str(folder)])
    assert isinstance(done.exception, ObservationFailed), done.output
    assert (done.exception.where, done.exception.what) == (f"{folder / FILE}:3", "the journal lost a record")
