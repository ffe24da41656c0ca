from __future__ import annotations

import asyncio
import resource
import socket
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from harness.journal.operations import RECORD
from harness.load import generator as generators
from harness.load import spec as specs
from harness.load.generator import Generator, Summary
from harness.load.records import Flag, Writer
from tests.unit.load.conftest import driven

Record = tuple[int, int, int, int, int, int, bytes, bytes, bytes, int, int]


def _send(
    tmp_path: Path,
    url: str,
    *,
    during: Callable[[], None] | None = None,
    until: Callable[[], bool] | None = None,
    **values: Any,
) -> tuple[Summary, list[Record]]:
    """Run one load to its end, or until something is true, and return its summary and its records."""
    out = tmp_path / "operations.bin"
    load = {"workload": values.pop("workload", "execute-agent"), "rate": f"{values.pop('rate', 200)}/s"}
    if "timeout" in values:
        load["timeout"] = f"{values.pop('timeout') * 1000:.0f}ms"
    known = {"load": load, "seconds": 0.5, "host": "api.example", **values}
    spec = specs.from_mapping({"url": url, "out": out, **known})

    async def main(writer: Writer) -> Summary:
        return await driven(Generator(spec, writer), until)

    helper = threading.Thread(target=during or (lambda: None))
    with Writer(out) as writer:
        helper.start()
        summary = asyncio.run(main(writer))
        helper.join()
    return summary, list(RECORD.iter_unpack(out.read_bytes()))


def test_every_operation_that_was_due_is_recorded(tmp_path: Path, server: Any) -> None:
    summary, records = _send(tmp_path, server.url)
    assert summary.operations == len(records) == 100
    assert {record[3] for record in records} == {200}
    assert all(intended <= sent <= finished for intended, sent, finished, *_ in records)


def test_a_load_that_is_held_up_at_its_beginning_leaves_none_out(
    tmp_path: Path, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady = generators.rate.steady

    def held_up(*asked: Any) -> Any:
        threading.Event().wait(0.05)
        return steady(*asked)

    monkeypatch.setattr(generators.rate, "steady", held_up)
    summary, _ = _send(tmp_path, server.url, rate=100, seconds=0.1)
    assert summary.operations == 10


def test_operations_are_due_at_the_rate_whatever_the_answers(tmp_path: Path, server: Any) -> None:
    _, records = _send(tmp_path, server.url, rate=100, seconds=0.3)
    due = sorted(record[0] for record in records)
    gaps = {later - earlier for earlier, later in pairwise(due)}
    assert all(abs(gap - 10_000_000) < 1000 for gap in gaps)


def test_a_stall_is_charged_to_everything_due_meanwhile(tmp_path: Path, server: Any) -> None:
    def stall() -> None:
        server.heard.wait(30)
        threading.Event().wait(1.0)
        server.stall(False)

    server.stall(True)
    _, records = _send(tmp_path, server.url, rate=100, seconds=1.5, during=stall)
    latencies = sorted((finished - intended) / 1e9 for intended, _, finished, *_ in records)
    slow = sum(1 for latency in latencies if latency > 0.4)
    # A closed loop would have waited with its next request and seen a single slow one.
    assert len(latencies) == 150
    assert slow > 40
    assert latencies[int(0.99 * len(latencies))] > 0.9


def test_who_served_and_how_often_the_gateway_tried_is_kept(tmp_path: Path, server: Any) -> None:
    server.attempts = 3
    _, records = _send(tmp_path, server.url, seconds=0.05)
    assert {record[4] for record in records} == {3}
    assert {record[6].rstrip(b"\0") for record in records} == {server.name.encode()}


def test_a_gateway_that_counts_no_attempts_is_no_single_attempt(tmp_path: Path, server: Any) -> None:
    server.attempts = None
    _, records = _send(tmp_path, server.url, seconds=0.05)
    assert {(record[3], record[4]) for record in records} == {(200, 0)}


def test_a_gateway_that_found_nobody_to_try_has_counted_all_the_same(tmp_path: Path, server: Any) -> None:
    server.attempts = 0
    _, records = _send(tmp_path, server.url, seconds=0.05)
    assert {record[4] for record in records} == {1}


def test_of_a_long_name_the_pods_own_part_is_kept(tmp_path: Path, server: Any) -> None:
    server.name = "a" * 80 + "-x2x4z"
    _, records = _send(tmp_path, server.url, seconds=0.02)
    assert records[0][6].endswith(b"-x2x4z")


@pytest.mark.parametrize("chunked", [False, True])
def test_connections_are_kept_and_used_again(tmp_path: Path, server: Any, chunked: bool) -> None:
    server.chunked = chunked
    # Several at once go out each over one of its own.
    _, records = _send(tmp_path, server.url, rate=50, seconds=60, until=lambda: len(server.seen) > server.connections)
    reused = sum(1 for record in records if record[5] & Flag.REUSED)
    assert reused > 0
    assert server.connections == len(records) - reused


def test_a_server_that_closes_is_connected_to_again(tmp_path: Path, server: Any) -> None:
    server.close = True
    _, records = _send(tmp_path, server.url, rate=50, seconds=0.2)
    assert {record[3] for record in records} == {200}
    assert server.connections == len(records)


def test_no_listener_is_status_0_and_refused(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        _, records = _send(tmp_path, url, seconds=0.05)
    assert len(records) == 10
    assert all(record[3] == 0 and record[5] & Flag.REFUSED for record in records)


def test_an_answer_that_is_cut_is_status_0(tmp_path: Path, server: Any) -> None:
    server.cut = True
    _, records = _send(tmp_path, server.url, seconds=0.05)
    assert all(record[3] == 0 and record[5] & Flag.CUT for record in records)


def test_no_answer_in_time_is_status_0_and_ends(tmp_path: Path, server: Any) -> None:
    server.stall(True)
    _, records = _send(tmp_path, server.url, seconds=0.05, timeout=0.1)
    server.stall(False)
    assert len(records) == 10
    assert all(record[3] == 0 and record[5] & Flag.TIMED_OUT for record in records)


def test_a_server_error_is_recorded_with_its_status(tmp_path: Path, server: Any) -> None:
    server.status = "503 Service Unavailable"
    summary, records = _send(tmp_path, server.url, seconds=0.05)
    assert {record[3] for record in records} == {503}
    assert summary.statuses == {503: 10}


def test_above_the_cap_operations_are_recorded_as_not_sent_and_counted(tmp_path: Path, server: Any) -> None:
    def go_on() -> None:
        until = time.monotonic() + 30
        while (not out.exists() or out.stat().st_size < 15 * RECORD.size) and time.monotonic() < until:
            threading.Event().wait(0.01)
        server.stall(False)

    out = tmp_path / "operations.bin"
    server.stall(True)
    summary, records = _send(tmp_path, server.url, rate=100, seconds=0.2, timeout=60, in_flight=5, during=go_on)
    not_sent = [record for record in records if record[5] & Flag.NOT_SENT]
    assert (len(records), len(not_sent), summary.not_sent) == (20, 15, 15)
    assert all(record[3] == 0 for record in not_sent)


def test_a_generator_that_lags_sends_everything_and_says_that_it_was_late(
    tmp_path: Path, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, held = Generator._begin, []

    def slow_once(self: Generator, due: int, request: Any) -> None:
        if not held:
            held.append(threading.Event().wait(0.3))
        begin(self, due, request)

    monkeypatch.setattr(generators.Generator, "_begin", slow_once)
    summary, records = _send(tmp_path, server.url, rate=100, seconds=0.5)
    assert len(records) == 50
    assert summary.late >= 20
    assert summary.max_lateness_ns >= 290_000_000
    assert sum(1 for record in records if record[5] & Flag.LATE) == summary.late


@pytest.mark.parametrize("spare", [0, 50])
def test_a_disk_that_takes_no_more_ends_the_load_and_leaves_whole_records(
    tmp_path: Path, server: Any, spare: int
) -> None:
    # A limit on file sizes does what a full disk does: the last write is cut short, the next one refused.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5 * RECORD.size + spare, before[1]))
    try:
        with pytest.raises(OSError, match=r"cut short|too large"):
            _send(tmp_path, server.url, seconds=60)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [record[3] for record in RECORD.iter_unpack((tmp_path / "operations.bin").read_bytes())] == [200] * 5


def test_requests_carry_the_host_and_a_user(tmp_path: Path, server: Any) -> None:
    _send(tmp_path, server.url, seconds=0.2)
    assert {headers["host"] for _, headers in server.seen} == {"api.example"}
    assert len({headers["x-user-id"] for _, headers in server.seen}) > 5
    assert all(line.startswith("POST /api/v1/agents/agent-") for line, _ in server.seen)


def test_the_same_seed_asks_the_same(tmp_path: Path, server: Any) -> None:
    asked = []
    for number, seed in enumerate((7, 7, 8)):
        server.seen.clear()
        (tmp_path / str(number)).mkdir()
        _send(tmp_path / str(number), server.url, rate=20, seconds=0.5, seed=seed, workload="mixed")
        # What is under way at once arrives in any order.
        asked.append(sorted(line for line, _ in server.seen))
    assert asked[0] == asked[1]
    assert asked[0] != asked[2]


@pytest.mark.parametrize(
    ("name", "headers", "told"),
    [
        ("pod-x", {"x-envoy-response-flags": "-", "x-envoy-upstream-host": "10.0.0.7:8080"}, ("pod-x", 0, "", "")),
        ("", {"x-envoy-response-flags": "URX,UF", "x-envoy-upstream-host": "10.0.0.7:8080"},
         ("10.0.0.7:8080", Flag.TRIED, "URX,UF", "")),
        ("", {"x-envoy-response-flags": "UH", "x-envoy-upstream-host": "-"}, ("", 0, "UH", "")),
        ("pod-x", {"x-dependency": "mail", "x-breaker": "open"}, ("pod-x", 0, "", "breaker open: mail")),
        ("pod-x", {"x-dependency": "mail", "x-failure": "timeout"}, ("pod-x", 0, "", "timeout: mail")),
        ("pod-x", {"x-dependency": "mail"}, ("pod-x", 0, "", "mail")),
        ("pod-x", {"x-overload": "1", "x-dependency": "mail"}, ("pod-x", 0, "", "overloaded: mail")),
        ("pod-x", {"x-overload": "1"}, ("pod-x", 0, "", "overloaded")),
        ("p" * 80, {"x-failure": "f" * 80}, ("p" * 64, 0, "", "f" * 40)),
    ],
)  # fmt: skip
def test_an_answer_says_who_was_asked_and_what_went_wrong(
    tmp_path: Path, server: Any, name: str, headers: dict[str, str], told: tuple[str, int, str, str]
) -> None:
    server.name, server.headers = name, "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    _, records = _send(tmp_path, server.url, seconds=0.05)
    flags, *texts = records[0][5:9]
    assert (flags & Flag.TRIED, *(text.rstrip(b"\0").decode() for text in texts)) == (told[1], told[0], *told[2:])
