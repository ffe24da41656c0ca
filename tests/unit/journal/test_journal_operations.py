from __future__ import annotations

import os
from pathlib import Path

from harness.journal import operations
from harness.journal.writer import Journal
from harness.load.records import Flag

SECOND = 10**9


def _write(directory: Path, count: int) -> int:
    """Write one operation a second, each 0.1 s long, and return the run's origin."""
    with Journal(directory, "r1") as journal:
        journal.write("load.started", "baseline", rate=1, origin_ns=journal.origin_ns)
        origin = journal.origin_ns
    with (directory / operations.FILE).open("wb") as file:
        for number in range(1, count + 1):
            due = origin + number * SECOND
            file.write(operations.RECORD.pack(due, due + 1000, due + SECOND // 10, 200, 2, 0, b"pod-x"))
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
            file.write(operations.RECORD.pack(due, due, due, 0, 0, flags, b""))
    assert [(one.late, one.unsent, one.punctual) for one in operations.read(tmp_path)] == [
        (False, False, True), (True, False, False), (False, True, False), (False, False, True),
    ]  # fmt: skip
