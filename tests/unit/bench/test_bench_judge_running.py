"""The judge's cases on a cluster: made, watched, ended, done once more where they differ, and told on a page."""

from __future__ import annotations

import contextlib
import functools
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from bench.judge import __main__ as judge
from bench.judge import cases, drawing, judging, page, replies, server, watching
from bench.judge.cases import Case
from bench.judge.outcome import Difference, Outcome
from bench.judge.page import Row
from bench.judge.server import Script
from bench.stack_report import site
from harness.analysis.syntax import Dialect
from harness.errors import ApiError, PreconditionFailed
from tests.unit.bench.controller_stand_in import Controller


@functools.cache
def drawn() -> list[Case]:
    """Some that nobody ends once they have begun."""
    return [case for case in cases.drawn(3, 30) if not case.ends][:12]


NOW = datetime(2026, 11, 30, tzinfo=UTC)


class Cluster:
    """An API server with a controller that is done with an analysis as soon as it is made.

    What is in `spoilt` has another message so many times; what is in `stuck` never ends; `refused` is refused.
    """

    def __init__(self, drawn: list[Case]) -> None:
        self.cases = {case.number: case for case in drawn}
        self.spoilt: dict[int, int] = {}
        self.stuck: set[int] = set()
        self.refused: set[int] = set()
        self.made: dict[str, Any] = {}
        self.asked: dict[str, Any] = {}
        self.at_once = self.most = 0

    async def create(self, path: str, body: Any, **params: Any) -> Any:
        assert (path, params) == (watching.RUNS, {"fieldValidation": "Strict"})
        name = body["metadata"]["name"]
        number = int(name[1:].partition("-")[0])
        if number in self.refused:
            raise ApiError(422, "Invalid", "no such field", where=path)
        there = Controller(body, self.cases[number].script, random.Random(number), ends=self.cases[number].ends)
        _, self.asked[name] = there.run()
        status = there.told()
        if self.spoilt.get(number, 0) > 0:
            self.spoilt[number] -= 1
            status["message"] = "spoilt"
        self.made[name] = {**body, "status": {} if number in self.stuck else status}
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await anyio.sleep(0)
        return body

    async def get(self, path: str) -> Any:
        await anyio.sleep(0)
        return self.made[path.rpartition("/")[2]]

    async def get_text(self, path: str) -> str:
        head, _, name = path.rpartition("/")
        assert head == "/api/v1/namespaces/stack-report-judge/pods/replies:8080/proxy/asked"
        self.at_once -= 1
        return json.dumps(self.asked[name])


def analysed(cluster: Cluster, together: int = 3) -> tuple[list[Row], list[int]]:
    told: list[int] = []

    async def all_of_them() -> list[Row]:
        kube: Any = cluster
        drawn = [*cluster.cases.values()]
        return await judge.analysed(kube, drawn, Dialect.V1_9, together, lambda row: told.append(row.case.number))

    return anyio.run(all_of_them), told


def test_all_are_analysed_some_at_a_time_and_told_once() -> None:
    cluster = Cluster(drawn())
    rows, told = analysed(cluster)
    assert [row.case.number for row in rows] == [case.number for case in drawn()]
    assert sorted(told) == sorted(case.number for case in drawn())
    assert all(row.same and not row.first for row in rows)
    assert cluster.most <= 3
    assert len(cluster.made) == len(drawn())


def test_what_differs_is_analysed_once_more_and_that_counts() -> None:
    cluster = Cluster(drawn())
    once, twice = [case.number for case in drawn() if not case.broken][:2]
    cluster.spoilt = {once: 1, twice: 2}
    rows, told = analysed(cluster)
    by = {row.case.number: row for row in rows}
    assert by[once].same
    assert "spoilt" in by[once].first
    assert not by[twice].same
    assert any(one.there == "spoilt" for one in by[twice].differences)
    assert f"c{once}-1" in cluster.made
    assert sorted(told) == sorted(by)


def test_one_that_never_ends_or_is_refused_is_told_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "GRACE_SECONDS", 0.05)
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(judging, "judged", lambda *_: (Outcome("Successful"), 0.0))
    cluster = Cluster(drawn()[:4])
    stuck, refused = drawn()[0].number, drawn()[1].number
    cluster.stuck, cluster.refused = {stuck}, {refused}
    rows, _ = analysed(cluster)
    by = {row.case.number: row for row in rows}
    assert "had not ended" in by[stuck].why
    assert "no such field" in by[refused].why
    assert not by[stuck].same
    assert all(row.there is not None for number, row in by.items() if number not in (stuck, refused))


class Ended:
    """An API server with an analysis that began a while ago and is over when it is terminated."""

    def __init__(self, begun: float) -> None:
        self.status: dict[str, Any] = {
            "phase": "Running",
            "startedAt": datetime.fromtimestamp(begun, UTC).isoformat(),
        }
        self.patched: list[Any] = []

    async def create(self, *_: Any, **__: Any) -> None:
        pass

    async def get(self, _: str) -> Any:
        return {"status": self.status}

    async def patch(self, _: str, body: Any) -> None:
        self.patched.append(body)
        self.status = {**self.status, "phase": "Successful", "message": "Run Terminated"}

    async def get_text(self, _: str) -> str:
        return "[]"


def test_one_that_is_to_end_from_outside_is_terminated_at_its_time_or_it_is_no_case() -> None:
    case = Case(1, drawn()[0].template, {}, {}, ends=1.7)
    kube: Any = Ended(time.time() - 1.65)
    found = anyio.run(watching.watched, kube, case, 0, 2.0)
    assert kube.patched == [{"spec": {"terminate": True}}]
    assert (found.phase, found.message) == ("Successful", "Run Terminated")
    with pytest.raises(watching.Late, match="ended 58"):
        anyio.run(watching.watched, Ended(time.time() - 60), case, 0, 2.0)


def test_a_run_has_the_arguments_that_are_given_before_the_templates() -> None:
    spec = {"args": [{"name": "run"}, {"name": "a", "value": "1"}, {"name": "b", "value": "2"}], "metrics": []}
    item = watching.run(Case(7, {"spec": spec}, {"b": "3"}, {}, ends=0.0), 1)
    assert item["metadata"]["name"] == "c7-1"
    assert {one["name"]: one["value"] for one in item["spec"]["args"]} == {"run": "c7-1", "a": "1", "b": "3"}
    assert item["spec"]["terminate"] is True


@pytest.fixture
def asked() -> Iterator[str]:
    data = {
        "replies": {name: [one.status, one.body] for name, one in replies.REPLIES.items()},
        "cases": {"7": {"m0": ["[0.99]", "HTTP 503", "nothing"], "m1": ["web 0.7"]}},
    }
    running = server.server(Script(data), 0, "127.0.0.1")
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def test_the_server_answers_each_metric_in_its_order_and_tells_what_it_gave(asked: str) -> None:
    with httpx.Client(trust_env=False, base_url=asked) as client:
        query = {"query": 'sum(rate(asked{run="c7-0",metric="m0"}[1m]))  # note'}
        first = client.post("/api/v1/query", data=query)
        assert (first.status_code, first.json()["data"]["resultType"]) == (200, "vector")
        assert client.post("/api/v1/query", data=query).status_code == 503
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                client.post("/api/v1/query", data=query)
        assert client.get("/web/c7-0/m1").json() == {"value": 0.7}
        again = {"query": query["query"].replace("c7-0", "c7-1")}
        assert client.post("/api/v1/query", data=again).status_code == 200
        given = client.get("/asked/c7-0").json()
        assert [(metric, name) for metric, _, name in given] == [
            ("m0", "[0.99]"),
            ("m0", "HTTP 503"),
            ("m0", "nothing"),
            ("m0", "nothing"),
            ("m1", "web 0.7"),
        ]
        assert [at for _, at, _ in given] == sorted(at for _, at, _ in given)
        assert client.get("/health/ready").status_code == 200
        assert client.get("/web/c8-0/m1").status_code == 404
        assert client.post("/api/v1/query", data={"query": "up"}).status_code == 404


def test_the_server_is_put_into_a_pod_with_its_script_and_asked_before_anything_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put: dict[str, Any] = {}
    proxied: list[str] = []

    class Mine:
        image, namespace = "an-image", cases.NAMESPACE

        async def put(self, *items: Any) -> None:
            put.update({item["kind"]: item for item in items})

        async def ready(self, count: int) -> None:
            assert count == 1

        @property
        def kube(self) -> Any:
            return self

        async def get_text(self, path: str) -> str:
            proxied.append(path)
            return ""

    @contextlib.asynccontextmanager
    async def made(_: Any, name: str) -> AsyncIterator[Mine]:
        assert f"{site.PREFIX}-{name}" == cases.NAMESPACE
        yield Mine()

    monkeypatch.setattr(site, "made", made)

    async def answering() -> None:
        here: Any = None
        async with judge.answering(here, drawn()):
            assert proxied == ["/api/v1/namespaces/stack-report-judge/services/replies:80/proxy/"]

    anyio.run(answering)
    (container,) = put["Pod"]["spec"]["containers"]
    (mount,) = container["volumeMounts"]
    assert container["command"][2:] == [f"{mount['mountPath']}/{name}" for name in put["ConfigMap"]["data"]]
    assert put["Pod"]["spec"]["volumes"] == [{"name": mount["name"], "configMap": {"name": "replies"}}]
    assert put["Service"]["spec"]["selector"].items() <= put["Pod"]["metadata"]["labels"].items()
    # By the pod's own address, as no node has to know it first; its port is the server's then, too.
    assert put["Service"]["spec"]["clusterIP"] == "None"
    assert f"http://{put['Service']['metadata']['name']}.{cases.NAMESPACE}:{server.PORT}" == drawing.ADDRESS
    script = json.loads(put["ConfigMap"]["data"]["script.json"])
    assert Script(script).next(str(drawn()[0].number), "0", "m0")[0] in (0, *range(200, 600))


def test_the_server_needs_nothing_but_pythons_own_library() -> None:
    code = f"import runpy; runpy.run_path({server.__file__!r})"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, cwd="/")


def test_the_script_of_many_cases_fits_into_a_config_map() -> None:
    assert len(json.dumps(judge.script(cases.drawn(1, 150)))) < 512 * 1024


def test_the_version_is_the_one_that_the_stack_builds() -> None:
    version, dialect = judge.built()
    assert version.startswith(f"v{dialect}.")


def test_the_page_tells_what_was_in_it_and_what_differs() -> None:
    found, _ = analysed(Cluster(drawn()))
    text = page.section(3, "v1.9.2", Dialect.V1_9, found, 61.4, NOW)
    assert "Seed 3, Argo Rollouts v1.9.2 (dialect 1.9): **12 analyses, " in text
    assert "none judged otherwise**" in text
    assert "| `refused` | " in text
    found[0].differences = [Difference("m0 count", "1", "2")]
    text = page.section(3, "v1.9.2", Dialect.V1_9, found, 61.4, NOW)
    assert "1 judged otherwise" in text
    assert f"- c{found[0].case.number}: m0 count: '1' here, '2' there" in text


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(judge, "PAGE", tmp_path / "judge.md")
    monkeypatch.setattr(judge, "refuse_during_a_run", lambda: None)
    return tmp_path / "judge.md"


def test_the_command_writes_page_and_rows_and_fails_where_something_differs(
    pages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt = False

    async def stand_in(drawn: list[Case], *_: Any) -> list[Row]:
        cluster = Cluster(drawn)
        cluster.spoilt = {drawn[0].number: 2} if spoilt else {}
        return [await judge._row(cluster, case, Dialect.V1_9, 0) for case in drawn]  # type: ignore[arg-type]

    monkeypatch.setattr(judge, "_judge", stand_in)
    words = ["--count", "5", "--seed", "3", "--rows", str(tmp_path)]
    assert judge.main(words) == 0
    assert "5 analyses" in capsys.readouterr().out
    assert "Seed 3" in pages.read_text()
    assert len((tmp_path / "judge-3.jsonl").read_text().splitlines()) == 5
    spoilt = True
    before = pages.read_text()
    assert judge.main([*words, "--only", "c1,2"]) == 1
    assert pages.read_text() == before
    assert judge.main(words) == 1
    assert pages.read_text().count("Seed 3") == 2


def test_without_a_controller_it_says_how_to_have_one(
    pages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Bare:
        async def get(self, path: str) -> Any:
            raise ApiError(404, "NotFound", "", where=path)

    async def bare(*_: Any) -> None:
        kube: Any = Bare()
        await judge._delivered(kube)

    monkeypatch.setattr(judge, "_judge", bare)
    assert judge.main(["--count", "1", "--rows", str(tmp_path)]) == int(PreconditionFailed.exit)
    assert "harness up --parts core,delivery" in capsys.readouterr().err
    assert not pages.exists()
