"""What pods recorded of their calls is fetched when an objective asks, kept beside the journal, and read back."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from harness.engine import clusterless, judge
from harness.engine.planning import rights
from harness.engine.watching import recording
from harness.errors import ApiError, ClusterUnreachable
from harness.journal import calls, reader
from harness.journal.writer import Journal
from harness.model.calls import Outcome, Recorded
from harness.model.experiment import BlastRadius, Experiment, Phases
from harness.model.objective import Objective

PODS = "/api/v1/namespaces/shop/pods"
LIMITS = {"failure_threshold": 5, "recovery_timeout": 10.0}
RAN_SECONDS = 50.0
# When each run here began, for what pods tell as for its journal, whatever lies between the two.
BEGAN = time.time() - RAN_SECONDS
CONFORMS = Objective("breaker", {"dependency": "registry", "conforms": True})


class Kube:
    """A namespace of pods; each answers what it is told to, for ever silent where that is None."""

    def __init__(
        self, answers: Mapping[str, Any], *, plain: tuple[str, ...] = (), ended: Mapping[str, str] | None = None
    ) -> None:
        self.answers, self.plain, self.ended = answers, plain, ended or {}
        self.asked: dict[str, float] = {}

    async def list(self, path: str) -> list[dict[str, Any]]:
        assert path == PODS
        marks = {name: {recording.ANNOTATION: "9090"} for name in self.answers} | dict.fromkeys(self.plain)
        return [
            {"metadata": {"name": name, "annotations": mark}, "status": self._status(name)}
            for name, mark in marks.items()
        ]

    def _status(self, name: str) -> dict[str, Any]:
        if name not in self.ended:
            return {"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]}
        return {"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"finishedAt": self.ended[name]}}}]}

    async def get_text(self, path: str, *, since: float) -> str:
        name, _, rest = path.removeprefix(f"{PODS}/").partition(":")
        assert rest == "9090/proxy/debug/calls"
        self.asked[name] = since
        answer = self.answers[name]
        if answer is None:
            await anyio.sleep_forever()
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, str) else json.dumps(answer)


def told(caller: str, *spans: tuple[float, float | None, str]) -> dict[str, Any]:
    """What a pod answers; times count from the beginning of the run."""
    found = [
        [number, "registry", "GET", BEGAN + start, None if end is None else BEGAN + end, outcome, []]
        for number, (start, end, outcome) in enumerate(spans, 1)
    ]
    declared = {"breaker": LIMITS, "client": {"deadline": 0.7}}
    return {
        "caller": caller,
        "declared": declared,
        "from": BEGAN,
        "whole": True,
        "now": BEGAN + RAN_SECONDS,
        "calls": found,
    }


def session(directory: Path, journal: Journal, kube: Any, *objectives: Objective) -> Any:
    experiment = SimpleNamespace(objectives=objectives, blast_radius=BlastRadius(namespaces=("shop",)))
    write = lambda kind, **data: journal.write(kind, "judge", **data)  # noqa: E731
    return SimpleNamespace(experiment=experiment, kube=kube, journal=journal, directory=directory, write=write)


def collected(directory: Path, kube: Any, *objectives: Objective) -> list[Recorded]:
    """Collect, and read back from the folder alone."""
    with Journal(directory, "r1") as journal:
        journal.origin_ns = time.monotonic_ns() - int((time.time() - BEGAN) * 1e9)
        journal.write("run.start", "preflight")
        anyio.run(recording.collect, session(directory, journal, kube, *objectives or (CONFORMS,)))
    return calls.read(directory, reader.read(directory))


def unread(directory: Path) -> Mapping[str, str]:
    events = reader.read(directory)
    return judge.history(events, (), calls.read(directory, events)).unread


def test_what_pods_recorded_is_read_back_from_the_folder_on_the_runs_axis(tmp_path: Path) -> None:
    kube = Kube({"web-1": told("web-1", (1.0, 1.5, "ok"), (2.0, None, ""))}, plain=("db-1",))
    (one,) = collected(tmp_path, kube)
    assert [(call.id, call.caller, call.outcome) for call in one.calls] == [
        ("web-1/1", "web-1", Outcome.OK), ("web-1/2", "web-1", Outcome.ABANDONED),
    ]  # fmt: skip
    assert [round(at, 1) for call in one.calls for at in (call.start, call.end)] == [1.0, 1.5, 2.0, RAN_SECONDS]
    assert one.declared["breaker"] == LIMITS
    assert (list(kube.asked), unread(tmp_path)) == (["web-1"], {})
    (event,) = [event for event in reader.read(tmp_path) if event.type == calls.EVENT]
    assert (event.data["file"], event.data["pods"]) == ("calls.jsonl", ["web-1"])
    assert (tmp_path / "calls.jsonl").exists()


def test_a_minute_before_the_run_is_asked_for_too(tmp_path: Path) -> None:
    kube = Kube({"web-1": told("web-1")})
    collected(tmp_path, kube)
    began = next(event.wall - event.t for event in reader.read(tmp_path))
    assert kube.asked["web-1"] == pytest.approx(began - 60, abs=1)


def test_who_tells_nothing_is_named_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "PATIENT_SECONDS", 0.0)
    answers = {"mute": None, "shut": ApiError(503, "ServiceUnavailable", "no route"), "else": {"message": "metrics"}}
    answers |= {"page": "# HELP metrics", "list": "[]"}
    assert collected(tmp_path, Kube({**answers, "lost": ClusterUnreachable("the API server is away")})) == []
    whys = unread(tmp_path)
    assert set(whys) == set(answers) | {"lost"}
    assert whys["mute"] == "no answer within 0 s"
    assert "the API server" in whys["shut"]
    assert all("no record of calls" in whys[name] for name in ("else", "page", "list"))


def test_a_pod_that_had_ended_before_the_run_is_not_asked_and_one_that_ended_in_it_is(tmp_path: Path) -> None:
    gone = ApiError(404, "NotFound", "")
    ended = {"before": "2026-01-01T00:00:00Z", "within": datetime.now(UTC).isoformat(timespec="seconds")}
    assert collected(tmp_path, Kube({"before": gone, "within": gone}, ended=ended)) == []
    assert list(unread(tmp_path)) == ["within"]


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    collected(tmp_path, Kube({"web-1": told("web-1"), "web-2": told("web-2")}))
    file = tmp_path / calls.FILE
    file.write_text(file.read_text()[:-20])
    assert [one.caller for one in calls.read(tmp_path, reader.read(tmp_path))] == ["web-1"]


def test_what_finds_no_room_is_left_out_and_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = told("web-1")
    monkeypatch.setattr(recording, "MOST_BYTES", len(json.dumps(one, separators=(",", ":"))) + 10)
    read = collected(tmp_path, Kube({"web-1": one, "web-2": told("web-2")}))
    assert [one.caller for one in read] == ["web-1"]
    assert "beyond" in unread(tmp_path)["web-2"]


@pytest.mark.parametrize("objective", [Objective("breaker", {"dependency": "registry"}), Objective("availability")])
def test_nobody_is_asked_where_no_objective_asks(tmp_path: Path, objective: Objective) -> None:
    kube = Kube({"web-1": told("web-1")})
    assert collected(tmp_path, kube, objective) == []
    assert (kube.asked, (tmp_path / calls.FILE).exists()) == ({}, False)


def test_a_run_without_a_cluster_has_nobody_to_ask(tmp_path: Path) -> None:
    assert collected(tmp_path, clusterless.Nowhere()) == []


@pytest.mark.parametrize(("objective", "asks"), [(CONFORMS, True), (Objective("breaker", {"dependency": "x"}), False)])
def test_the_right_to_ask_pods_is_listed_where_an_objective_asks(objective: Objective, asks: bool) -> None:
    one = Experiment(
        path=Path("shop/x.yaml"), title="x", description="", tags=(), hypothesis="", probes=(), method=(), rollbacks=(),
        sets=frozenset(), load=None, phases=Phases(), abort_when=None, blast_radius=BlastRadius(namespaces=("shop",)),
        objectives=(objective,),
    )  # fmt: skip
    (role,) = rights.roles_for([one])
    assert (rights.CALLS in role["rules"]) is asks
    assert (rights.CALLS in rights.needed(one)["shop"]) is asks
