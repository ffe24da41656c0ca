from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from harness.errors import ObservationFailed, UsageError
from harness.journal import operations
from harness.journal.writer import Journal
from harness.load.records import Flag

SECOND = 10**9


def record(*values: int | bytes) -> bytes:
    """Pack one record whose texts are empty where none are given."""
    return operations.RECORD.pack(*values, *[b""] * (9 - len(values)), 0, 0)


def _write(directory: Path, count: int) -> int:
    """Write one operation a second, each 0.1 s long, and return the run's origin."""
    with Journal(directory, "r1") as journal:
        journal.write("load.started", "baseline", rate=1, origin_ns=journal.origin_ns, record=operations.RECORD.size)
        origin = journal.origin_ns
    with (directory / operations.FILE).open("wb") as file:
        for number in range(1, count + 1):
            due = origin + number * SECOND
            file.write(record(due, due + 1000, due + SECOND // 10, 200, 2, 0, b"pod-x"))
    return origin


def test_records_become_operations_on_the_runs_own_time(tmp_path: Path) -> None:
    _write(tmp_path, 3)
    found = operations.read(tmp_path)
    assert [round(operation.intended, 6) for operation in found] == [1.0, 2.0, 3.0]
    assert round(found[0].latency, 6) == 0.1
    assert (found[0].status, found[0].attempts, found[0].served_by) == (200, 2, "pod-x")


def test_a_cut_off_last_record_is_left_out(tmp_path: Path) -> None:
    _write(tmp_path, 3)
    os.truncate(tmp_path / operations.FILE, 3 * operations.RECORD.size - 5)
    assert len(operations.read(tmp_path)) == operations.count(tmp_path) == 2


def test_a_run_without_load_has_no_operations(tmp_path: Path) -> None:
    Journal(tmp_path, "r1").close()
    assert operations.read(tmp_path) == []
    assert operations.tail(tmp_path, 0, since=0) == []


def test_the_tail_is_what_was_due_lately(tmp_path: Path) -> None:
    origin = _write(tmp_path, 10_000)
    assert [round(operation.intended) for operation in operations.tail(tmp_path, origin, since=9997.5)] == [
        9998, 9999, 10_000,
    ]  # fmt: skip
    assert len(operations.tail(tmp_path, origin, since=3000.5)) == 7000
    assert len(operations.tail(tmp_path, origin, since=0)) == 10_000


def test_what_the_load_held_up_is_marked(tmp_path: Path) -> None:
    origin = _write(tmp_path, 1)
    late, unsent, refused = Flag.LATE, Flag.NOT_SENT, Flag.REFUSED
    with (tmp_path / operations.FILE).open("ab") as file:
        for number, flags in enumerate((late, unsent, refused), 2):
            due = origin + number * SECOND
            file.write(record(due, due, due, 0, 0, flags))
    assert [(one.late, one.unsent, one.punctual) for one in operations.read(tmp_path)] == [
        (False, False, True), (True, False, False), (False, True, False), (False, False, True),
    ]  # fmt: skip


def test_an_operation_says_who_was_tried_and_why_it_failed(tmp_path: Path) -> None:
    origin = _write(tmp_path, 0)
    due = origin + SECOND
    with (tmp_path / operations.FILE).open("ab") as file:
        file.write(record(due, due, due, 503, 4, 0, b"pod-x", b"URX", b"breaker open: mail"))
        file.write(record(due, due, due, 504, 1, Flag.TRIED, b"10.0.0.7:8080", b"UT"))
        for flag in (Flag.REFUSED, Flag.CUT, Flag.TIMED_OUT):
            file.write(record(due, due, due, 0, 0, flag))
    said, tried, *lost = operations.read(tmp_path)
    assert (said.served_by, said.tried, said.response_flags, said.because) == ("pod-x", "", "URX", "breaker open: mail")
    assert (tried.served_by, tried.tried, tried.response_flags, tried.because) == ("", "10.0.0.7:8080", "UT", "")
    assert [one.unanswered for one in (said, *lost)] == ["", "refused", "cut off", "timed out"]


def test_an_operation_says_whether_it_was_what_the_load_expects(tmp_path: Path) -> None:
    origin = _write(tmp_path, 1)
    due = origin + SECOND
    rows = [(404, b"", 1, 3), (200, b"json state differs", 2, 0), (500, b"timeout: mail", 2, 0), (0, b"no HTTP", 0, 1)]
    with (tmp_path / operations.FILE).open("ab") as file:
        for status, why, outcome, call in rows:
            flags = 0 if status else Flag.CUT
            file.write(operations.RECORD.pack(due, due, due, status, 1, flags, b"", b"", why, outcome, call))
    found = operations.read(tmp_path)
    assert [(one.ok, one.amiss, one.because, one.unanswered, one.call) for one in found] == [
        (True, "", "", "", 0),
        (True, "", "", "", 3),
        (False, "json state differs", "", "", 0),
        (False, "", "timeout: mail", "", 0),
        (False, "", "", "no HTTP", 1),
    ]


def test_the_records_of_an_older_harness_are_read_without_what_it_did_not_record(tmp_path: Path) -> None:
    with Journal(tmp_path, "r1") as journal:
        journal.write("load.started", "baseline", rate=1, origin_ns=journal.origin_ns)
        due = journal.origin_ns + SECOND
    old = struct.Struct("<QQQHBB64s")
    content = b"".join(old.pack(due, due, due, status, 1, 0, b"pod-x") for status in (200, 503))
    (tmp_path / operations.FILE).write_bytes(content + b"cut")
    found = operations.read(tmp_path)
    assert [(one.status, one.served_by, one.response_flags, one.because) for one in found] == [
        (200, "pod-x", "", ""), (503, "pod-x", "", ""),
    ]  # fmt: skip


def test_the_records_of_a_newer_harness_are_refused(tmp_path: Path) -> None:
    with Journal(tmp_path, "r1") as journal:
        size = operations.RECORD.size + 8
        journal.write("load.started", "baseline", rate=1, origin_ns=journal.origin_ns, record=size)
    (tmp_path / operations.FILE).write_bytes(bytes(size))
    with pytest.raises(UsageError, match="158 bytes long, this harness reads up to 150"):
        operations.read(tmp_path)


@pytest.mark.parametrize(
    "told", [{}, {"origin_ns": "x"}, {"origin_ns": 1, "record": 0}, {"origin_ns": 1, "record": -9}]
)
def test_a_journal_that_does_not_say_how_to_read_the_records_is_refused(
    tmp_path: Path, told: dict[str, object]
) -> None:
    with Journal(tmp_path, "r1") as journal:
        journal.write("load.started", "baseline", rate=1, **told)
    (tmp_path / operations.FILE).write_bytes(bytes(operations.RECORD.size))
    with pytest.raises(ObservationFailed, match="does not say how to read the load's records") as refused:
        operations.read(tmp_path)
    assert refused.value.where == f"{tmp_path / 'journal.jsonl'}: record 1"


def test_a_record_of_a_time_that_the_run_did_not_have_is_left_out(tmp_path: Path) -> None:
    origin = _write(tmp_path, 3)
    far = origin + 10**7 * SECOND
    with (tmp_path / operations.FILE).open("ab") as file:
        file.write(record(far, far, far, 200, 1, 0) + record(0, 0, 0, 200, 1, 0))
    found = operations.read(tmp_path)
    assert [round(one.intended) for one in found][:3] == [1, 2, 3]
    assert max(one.intended for one in found) < 4000
