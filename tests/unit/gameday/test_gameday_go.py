"""Approvals, hold points, the look both ways, and a day that goes on whatever died."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness.engine.preflight.scope import LEASE, LEASES, SYSTEM
from harness.errors import RunInProgress
from harness.gameday import conduct, log, plan, progress
from harness.model.verdict import Verdict
from tests.unit.gameday.conftest import Cluster, Door, Go, error, go_on, kept, planned, ran, write

P, D, N, A, X = Verdict.PASS, Verdict.DEVIATED, Verdict.INCONCLUSIVE, Verdict.ABORTED, Verdict.DIRTY
ROOT = Path(__file__).parents[3]
PROBE = """\
steady-state-hypothesis:
  title: it is there
  probes:
    - {type: probe, name: there, tolerance: true,
       provider: {type: python, module: os.path, func: isdir, arguments: {s: PLACE}}}
"""


def test_two_approvals_of_the_plan_as_it_is_let_it_begin(folder: Path, gameday: Go, door: Door) -> None:
    door(P)
    assert gameday("approve", "--as", "barbara").exit_code == 0
    assert go_on(gameday).exit_code == 4
    assert kept(folder, progress.BEGIN) == []
    gameday("approve", "--as", "Ken")
    done = go_on(gameday)
    assert (done.exit_code, ran(folder)) == (0, [(1, "PASS")])
    assert [(entry.who, entry.data["role"]) for entry in kept(folder, "approval")] == [
        ("Barbara", "approver"),
        ("Ken", "approver"),
    ]


@pytest.mark.parametrize(
    ("name", "what"), [("Ada", "is the owner"), ("Linus", "is the driver"), ("Kenn", "did you mean 'Ken'")]
)
def test_nobody_else_approves(gameday: Go, folder: Path, name: str, what: str) -> None:
    assert what in str(error(gameday("approve", "--as", name)))
    assert log.read(folder) == []


@pytest.mark.parametrize(
    ("edited", "part"), [("plan", "rollback"), ("experiment", "experiment 2, shop/web"), ("driver", "roles")]
)
def test_an_edit_after_the_approval_is_no_go_and_is_named(
    folder: Path, gameday: Go, approved: None, door: Door, edited: str, part: str
) -> None:
    calls = door(P)
    found = planned()
    if edited == "experiment":
        Path("shop/web.yaml").write_text(Path("shop/web.yaml").read_text().replace("5s", "50s"))
    elif edited == "plan":
        write(folder, found | {"rollback": "nothing"})
    else:
        found["roles"]["driver"] = "Margaret"
        write(folder, found)
    done = go_on(gameday)
    assert (done.exit_code, calls) == (4, [])
    assert f"void, since then changed: {part}" in done.stdout
    assert part in gameday("status").stdout


def test_an_edit_between_two_steps_stops_the_second(folder: Path, gameday: Go, approved: None, door: Door) -> None:
    calls = door(P, P)
    assert go_on(gameday).exit_code == 0
    write(folder, planned() | {"title": "another"})
    assert (go_on(gameday).exit_code, len(calls)) == (4, 1)


def test_each_hold_point_has_its_own_word_and_the_same_seed(
    folder: Path, gameday: Go, approved: None, door: Door
) -> None:
    calls = door(P, D)
    first = go_on(gameday)
    assert "HOLD POINT 1 of 2  shop/cart" in first.stdout
    assert "stopped at hold point 2" in first.stdout
    second = go_on(gameday)
    assert "before    the scribe is ready" in second.stdout
    assert second.exit_code == 1
    assert {options.seed for options in calls} == {plan.read(folder).seed}
    assert {options.runs for options in calls} == {folder / "runs"}
    assert ran(folder) == [(1, "PASS"), (2, "DEVIATED")]
    assert [entry.who for entry in kept(folder, progress.WORD)] == ["Grace", "Grace"]
    assert "every step is done" in go_on(gameday).stdout


def test_only_the_coordinator_gives_the_word(gameday: Go, approved: None, door: Door) -> None:
    calls = door(P)
    assert "that is Grace" in str(error(gameday("go", "--continue", "--as", "Linus")))
    assert "that is Grace" in str(error(gameday("go", "--skip", "no time")))
    assert calls == []


def test_without_a_terminal_and_a_word_it_looks_and_stops(
    folder: Path, gameday: Go, approved: None, door: Door
) -> None:
    calls = door(P)
    done = gameday("go")
    assert (done.exit_code, calls) == (5, [])
    assert "  v lever        off" in done.stdout
    assert kept(folder, progress.WORD) == []
    (look,) = kept(folder, progress.LOOK)
    assert look.data["no_go"] == []


@pytest.mark.parametrize("ending", [N, A])
def test_a_run_that_says_nothing_of_the_system_stays_at_its_hold_point(
    folder: Path, gameday: Go, approved: None, door: Door, ending: Verdict
) -> None:
    door(ending, P)
    assert go_on(gameday).exit_code == ending.exit
    assert f"last run  {ending}" in gameday("go").stdout
    assert go_on(gameday).exit_code == 0
    assert ran(folder) == [(1, str(ending)), (1, "PASS")]


def test_a_step_that_is_skipped_is_said_so_and_the_next_one_comes(
    folder: Path, gameday: Go, approved: None, door: Door
) -> None:
    door(P)
    done = gameday("go", "--skip", "no time", "--as", "grace")
    assert "HOLD POINT 2 of 2" in done.stdout
    assert go_on(gameday).exit_code == 0
    assert ran(folder) == [(2, "PASS")]
    assert "1 shop/cart  expected PASS, is NOT RUN (skipped)" in gameday("status").stdout


def test_what_could_not_begin_is_said_and_stays_at_its_hold_point(
    folder: Path, gameday: Go, approved: None, door: Door
) -> None:
    door(RunInProgress("another run goes on"), P)
    done = go_on(gameday)
    assert (done.exit_code, ran(folder)) == (4, [])
    assert "error: another run goes on" in done.stdout
    assert go_on(gameday).exit_code == 0


def test_what_is_left_broken_ends_it(folder: Path, gameday: Go, approved: None, door: Door) -> None:
    door(X)
    assert go_on(gameday).exit_code == 6


@pytest.mark.parametrize(("hours", "said"), [((1, 2), "has not begun"), ((-2, -1), "is over")])
def test_outside_of_the_window_there_is_no_go(
    folder: Path, gameday: Go, door: Door, hours: tuple[int, int], said: str
) -> None:
    calls = door(P)
    now = datetime.now(UTC)
    begins, ends = (f"{now + timedelta(hours=one):%Y-%m-%d %H:%M}" for one in hours)
    write(folder, planned() | {"window": {"from": begins, "to": ends, "timezone": "UTC"}})
    for name in ("Barbara", "Ken"):
        gameday("approve", "--as", name)
    done = go_on(gameday)
    assert (done.exit_code, calls) == (4, [])
    assert said in done.stdout


def test_the_end_of_the_window_stops_what_is_running(
    folder: Path, gameday: Go, approved: None, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Now(threading.Timer):
        def __init__(self, seconds: float, *words: Any) -> None:
            assert 3000 < seconds <= 3600
            super().__init__(0.0, *words)

    calls = door(lambda journal: journal.write("abort", "hold", trigger="stop", why=waited(), latency=0.01))

    def waited() -> str:
        import anyio

        stop = calls[0].stop
        assert stop
        return anyio.run(stop.asked)

    monkeypatch.setattr(conduct.threading, "Timer", Now)
    assert go_on(gameday).exit_code == 3
    (ended,) = kept(folder, progress.END)
    assert ended.data["abort"] == {"trigger": "stop", "why": "the window of the game day is over", "latency": 0.01}


def test_the_lever_another_run_and_what_is_left_broken_are_no_go(
    folder: Path, gameday: Go, approved: None, door: Door, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = door(P)
    cluster.kept[f"/api/v1/namespaces/{SYSTEM}/configmaps/chaos-lever"] = {
        "metadata": {"name": "chaos-lever"}, "data": {"state": "on", "who": "Tim", "reason": "a release"},
    }  # fmt: skip
    cluster.kept["/apis/chaos.harness.dev/v1/faults/run-1"] = {"metadata": {"name": "run-1"}}
    lease = {"metadata": {"name": LEASE, "resourceVersion": "1"}, "spec": {"holderIdentity": "run-9"}}
    versions = iter(range(2, 99))
    path = f"{LEASES.format(SYSTEM)}/{LEASE}"
    get = cluster.get

    async def renewed(asked: str) -> dict[str, Any]:
        if asked == path:
            lease["metadata"]["resourceVersion"] = str(next(versions))
            return lease
        return await get(asked)

    async def at_once(_: float) -> None: ...

    monkeypatch.setattr(cluster, "get", renewed)
    monkeypatch.setattr("harness.engine.lease.anyio.sleep", at_once)
    done = go_on(gameday)
    assert (done.exit_code, calls) == (4, [])
    assert "x lever        the lever is on: Tim: a release" in done.stdout
    assert "x other runs   run run-9 is going on" in done.stdout
    assert "no go: lever, other runs" in done.stdout


def test_what_is_still_written_down_as_broken_is_no_go(
    gameday: Go, approved: None, door: Door, cluster: Cluster
) -> None:
    calls = door(P)
    cluster.kept["/apis/chaos.harness.dev/v1/faults/run-1"] = {"metadata": {"name": "run-1"}}
    done = go_on(gameday)
    assert (done.exit_code, calls) == (4, [])
    assert "x left broken  something is still broken on purpose: run-1" in done.stdout


@pytest.mark.parametrize(("there", "code"), [(True, 0), (False, 4)])
def test_the_hypothesis_is_asked_before(folder: Path, gameday: Go, door: Door, there: bool, code: int) -> None:
    door(P)
    path = Path("shop/cart.yaml")
    path.write_text(PROBE.replace("PLACE", "/" if there else "/gone") + path.read_text())
    for name in ("Barbara", "Ken"):
        gameday("approve", "--as", name)
    done = go_on(gameday)
    assert done.exit_code == code, done.output
    assert f"{'v' if there else 'x'} hypothesis   there: {there}" in done.stdout


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """A Prometheus with these alerting rules."""
    import json

    found: list[dict[str, Any]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"status": "success", "data": {"groups": [{"rules": found}]}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("HARNESS_PROMETHEUS", f"http://127.0.0.1:{server.server_address[1]}")
        yield found
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("fires", "code", "said"),
    [
        ({}, 0, "? alerts       no alerting rule there"),
        ({"Slow": ("inactive", "page")}, 0, "v alerts       none of 1 fires"),
        ({"Slow": ("firing", "page"), "Watchdog": ("firing", "none")}, 4, "x alerts       firing: Slow"),
        (
            {"Known": ("firing", "page"), "Watchdog": ("firing", "none")},
            0,
            "none of 2 fires but Known, tolerated",
        ),
    ],
)
def test_an_alert_that_fires_is_no_go(
    folder: Path,
    gameday: Go,
    door: Door,
    rules: list[dict[str, Any]],
    fires: dict[str, tuple[str, str]],
    code: int,
    said: str,
) -> None:
    door(P)
    write(folder, planned() | {"tolerated-alerts": ["Known"]})
    for name in ("Barbara", "Ken"):
        gameday("approve", "--as", name)
    rules += [{"name": name, "state": state, "labels": {"severity": how}} for name, (state, how) in fires.items()]
    done = go_on(gameday)
    assert done.exit_code == code, done.output
    assert said in done.stdout
