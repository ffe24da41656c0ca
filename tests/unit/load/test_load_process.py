from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.errors import UsageError
from harness.journal import operations
from harness.journal.writer import Journal
from harness.load import process


def _spec(server: Any, **values: Any) -> dict[str, Any]:
    load = {"workload": "mixed", "rate": "100/s", **values.pop("load", {})}
    return {"load": load, "url": server.url, "host": "api.example", "seconds": 60, **values}


async def _recorded(directory: Path, at_least: int) -> None:
    with anyio.fail_after(20):
        while operations.count(directory) < at_least:
            await anyio.sleep(0.01)


def test_a_load_is_started_watched_and_stopped(tmp_path: Path, server: Any) -> None:
    async def main() -> tuple[dict[str, Any], bool, bool]:
        load = await process.start(_spec(server), tmp_path)
        await load.ready()
        await _recorded(tmp_path, 20)
        alive = not load.died
        return await load.stop(), alive, load.died

    summary, alive, died = anyio.run(main)
    assert (alive, died) == (True, True)
    assert summary["operations"] == operations.count(tmp_path) >= 20
    assert summary["statuses"] == {"200": summary["operations"]}
    assert {"late", "max_lateness"} <= set(summary)
    assert summary["not_sent"] == 0


def test_a_load_that_was_killed_leaves_readable_records_and_says_so(tmp_path: Path, server: Any) -> None:
    with Journal(tmp_path, "r1") as journal:
        size = operations.RECORD.size
        journal.write("load.started", "baseline", rate=100, origin_ns=journal.origin_ns, record=size)

    async def main() -> dict[str, Any]:
        load = await process.start(_spec(server), tmp_path)
        await load.ready()
        await _recorded(tmp_path, 10)
        os.kill(load.pid, signal.SIGKILL)
        return await load.stop()

    summary = anyio.run(main)
    found = operations.read(tmp_path)
    assert summary["operations"] == len(found) >= 10
    assert "-9" in summary["lost"]
    assert all(operation.ok and operation.served_by == server.name for operation in found)
    assert all(0 < operation.intended <= operation.sent <= operation.finished for operation in found)


def test_the_load_ends_when_its_parent_is_killed(tmp_path: Path, server: Any) -> None:
    program = (
        "import json, subprocess, sys\n"
        "load = subprocess.Popen([sys.executable, '-m', 'harness.load'],"
        " stdin=subprocess.PIPE, stdout=sys.stdout.buffer)\n"
        "load.stdin.write(sys.argv[1].encode() + b'\\n')\n"
        "load.stdin.flush()\n"
        "load.wait()\n"
    )
    spec = json.dumps(_spec(server, out=str(tmp_path / operations.FILE)))
    with subprocess.Popen(
        [sys.executable, "-c", program, spec], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as one:
        assert one.stdout is not None
        assert json.loads(one.stdout.readline())["ready"] is True
        one.kill()
        # The load holds the other end of this pipe: it is read to its end only when the load has ended too.
        last = json.loads(one.stdout.read().splitlines()[-1])
    assert last["done"] is True


def test_a_wrong_spec_is_refused_before_anything_starts(tmp_path: Path, server: Any) -> None:
    with pytest.raises(UsageError, match="'everything' is not known"):
        anyio.run(process.start, _spec(server, load={"workload": "everything"}), tmp_path)


def test_the_program_refuses_a_foreign_host_in_one_json_line(tmp_path: Path, server: Any) -> None:
    spec = _spec(server, url="http://shop.example", out=str(tmp_path / "x.bin"))
    done = subprocess.run(
        [sys.executable, "-m", "harness.load"],
        capture_output=True, input=json.dumps(spec).encode() + b"\n", check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert "shop.example" in json.loads(done.stdout)["error"]["what"]
    assert done.stderr == b""


def test_a_load_that_cannot_write_says_why(tmp_path: Path, server: Any) -> None:
    (tmp_path / operations.FILE).mkdir()

    async def main() -> None:
        load = await process.start(_spec(server), tmp_path)
        try:
            await load.ready()
        finally:
            await load.stop()

    with pytest.raises(UsageError, match="directory"):
        anyio.run(main)


def test_a_load_that_can_no_longer_write_ends_and_says_why(tmp_path: Path, server: Any) -> None:
    async def main() -> dict[str, Any]:
        load = await process.start(_spec(server), tmp_path)
        await load.ready()
        resource.prlimit(load.pid, resource.RLIMIT_FSIZE, (operations.RECORD.size * 3, resource.RLIM_INFINITY))
        with anyio.fail_after(20):
            while not load.died:
                await anyio.sleep(0.01)
        return await load.stop()

    summary = anyio.run(main)
    assert "File too large" in summary["lost"]
    assert summary["operations"] == operations.count(tmp_path)
    assert (tmp_path / "load.log").read_text() == "", "nothing but the reason is said"


def test_a_load_that_dies_at_once_is_an_os_error(tmp_path: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        # No interpreter gets as far as its first line without a library.
        monkeypatch.setenv("PYTHONHOME", str(tmp_path / "nowhere"))
        load = await process.start(_spec(server), tmp_path)
        try:
            await load.ready()
        finally:
            await load.stop()

    with pytest.raises(OSError, match=r"ended with status 1: .*\w"):
        anyio.run(main)
