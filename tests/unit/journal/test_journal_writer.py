from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.errors import ObservationFailed, PreconditionFailed, UsageError
from harness.journal import reader
from harness.journal.event import FILE, SCHEMA
from harness.journal.writer import Journal


def test_what_was_written_is_read_back_in_order(tmp_path: Path) -> None:
    with Journal(tmp_path, "r1") as journal:
        journal.write("run.start", "preflight", experiment="orchestrator/pod_kill")
        journal.write("sample", "hold", series="ready/prod/api", value=None, labels={"desired": "3"})
    first, second = reader.read(tmp_path)
    assert (first.seq, first.type, first.phase, first.data) == (
        1, "run.start", "preflight", {"experiment": "orchestrator/pod_kill"},
    )  # fmt: skip
    assert second.data == {"series": "ready/prod/api", "value": None, "labels": {"desired": "3"}}
    assert 0 <= first.t <= second.t
    assert first.wall <= second.wall


def test_the_first_record_names_schema_and_run(tmp_path: Path) -> None:
    with Journal(tmp_path, "r1") as journal:
        journal.write("run.start", "preflight")
        journal.write("phase.start", "plan", name="plan")
    first, second = (json.loads(line) for line in (tmp_path / FILE).read_text().splitlines())
    assert (first["schema"], first["run"]) == (SCHEMA, "r1")
    assert "schema" not in second


def test_data_may_use_the_names_type_and_phase(tmp_path: Path) -> None:
    with Journal(tmp_path, "r1") as journal:
        journal.write("k8s.event", "hold", type="Warning", phase="Failed")
    assert reader.read(tmp_path)[0].data == {"type": "Warning", "phase": "Failed"}


def test_an_event_is_on_file_before_write_returns(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from harness.journal.writer import Journal\n"
        "journal = Journal(Path(sys.argv[1]), 'r1')\n"
        "for number in range(500): journal.write('note', 'hold', number=number)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [event.data["number"] for event in reader.read(tmp_path)] == list(range(500))


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_a_cut_off_last_record_is_left_out(tmp_path: Path, cut: int) -> None:
    with Journal(tmp_path, "r1") as journal:
        for number in range(3):
            journal.write("note", "hold", number=number)
    path = tmp_path / FILE
    os.truncate(path, path.stat().st_size - cut)
    numbers = [event.data["number"] for event in reader.read(tmp_path)]
    assert numbers == ([0, 1, 2] if cut == 1 else [0, 1])


def test_a_dead_runs_journal_goes_on_where_it_ended(tmp_path: Path) -> None:
    with Journal(tmp_path, "r1") as journal:
        journal.write("run.start", "preflight")
        journal.write("fault.injected", "inject", id="f1")
    with (tmp_path / FILE).open("a") as file:
        file.write('{"seq":3,"wall":17')
    with Journal(tmp_path, "r1") as journal:
        journal.write("undo", "heal", id="f1")
    events = reader.read(tmp_path)
    assert [(event.seq, event.type) for event in events] == [(1, "run.start"), (2, "fault.injected"), (3, "undo")]
    assert events[2].t >= events[1].t


def test_a_missing_record_is_not_read_over(tmp_path: Path) -> None:
    with Journal(tmp_path, "r1") as journal:
        for number in range(3):
            journal.write("note", "hold", number=number)
    path = tmp_path / FILE
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[2])
    with pytest.raises(ObservationFailed, match="lost a record"):
        reader.read(tmp_path)


@pytest.mark.parametrize("schema", [SCHEMA + 1, "9", None])
def test_a_newer_schema_is_refused(tmp_path: Path, schema: object) -> None:
    record = {"seq": 1, "wall": 1, "t": 0, "phase": "plan", "type": "x", "schema": schema, "data": {}}
    (tmp_path / FILE).write_text(json.dumps(record) + "\n")
    with pytest.raises(UsageError, match="schema"):
        reader.read(tmp_path)


@pytest.mark.parametrize("wrong", ['"wall":NaN', '"wall":1e300', '"t":1e300', '"seq":1e400', '"wall":"abc"'])
def test_a_record_that_says_no_time_is_none(tmp_path: Path, wrong: str) -> None:
    (tmp_path / FILE).write_text(f'{{"seq":1,"wall":1,"t":0,"phase":"plan","type":"x",{wrong},"data":{{}}}}\n')
    assert reader.read(tmp_path) == []


def test_a_folder_without_journal_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no journal"):
        reader.read(tmp_path / "nowhere")


def test_threads_never_mix_their_lines(tmp_path: Path) -> None:
    with Journal(tmp_path, "r1") as journal:
        threads = [
            threading.Thread(target=lambda: [journal.write("note", "hold", text="x" * 200) for _ in range(200)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [event.seq for event in reader.read(tmp_path)] == list(range(1, 801))


def test_secrets_never_reach_the_file(tmp_path: Path) -> None:
    with Journal(tmp_path, "r1") as journal:
        journal.write("run.start", "preflight", argv=["--token", "hush-1"], headers={"Authorization": "Bearer hush-2"})
        journal.write("error", "plan", what="401 for Bearer hush-3-abcdef")
    assert "hush" not in (tmp_path / FILE).read_text()


@pytest.mark.parametrize("torn", ["", '{"seq":1,"wall":17'])
def test_a_journal_whose_first_record_was_cut_off_begins_anew(tmp_path: Path, torn: str) -> None:
    (tmp_path / FILE).write_text(torn)
    with Journal(tmp_path, "r1") as journal:
        journal.write("run.start", "preflight")
        journal.write("undo", "heal", id="f1")
    assert [(event.seq, event.type) for event in reader.read(tmp_path)] == [(1, "run.start"), (2, "undo")]


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_touched(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("no folder")
    with pytest.raises(PreconditionFailed, match="cannot be written down") as refused:
        Journal(tmp_path / "runs" / "r1", "r1")
    assert "--runs DIR" in refused.value.hint
    assert refused.value.exit == 4


def test_a_record_that_a_full_disk_cut_off_does_not_take_the_next_one_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.write
    with Journal(tmp_path, "r1") as journal:
        journal.write("run.start", "preflight")

        def full(file: int, line: bytes) -> int:
            monkeypatch.setattr(os, "write", none)
            return whole(file, line[:10])

        def none(file: int, line: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            journal.write("fault.injected", "inject", id="f1")
        monkeypatch.setattr(os, "write", whole)
        journal.write("undo", "heal", id="f1")
    assert [event.type for event in reader.read(tmp_path)] == ["run.start", "undo"]


def test_half_a_character_is_written_and_read_back(tmp_path: Path) -> None:
    path = os.fsdecode(b"/tmp/caf\xe9.yaml")
    with Journal(tmp_path, "r1") as journal:
        journal.write("run.start", "preflight", path=path, argv=["\ud83d", path])
    assert reader.read(tmp_path)[0].data == {"path": path, "argv": ["\ud83d", path]}
