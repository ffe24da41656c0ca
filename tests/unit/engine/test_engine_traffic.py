"""The load of a run goes to the cluster that the run breaks, or nowhere."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from harness.documents import document
from harness.engine import judge
from harness.engine.planning import plan
from harness.engine.session import Session
from harness.engine.watching import traffic
from harness.errors import PreconditionFailed, UsageError
from harness.journal import operations, reader
from harness.journal.writer import Journal
from harness.model.experiment import BlastRadius
from harness.model.load import record
from harness.model.plan import Plan

KUBE: Any = SimpleNamespace(context="staging")
LOCAL: Any = SimpleNamespace(name="chaos-local")


def test_the_local_cluster_answers_at_its_own_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_GATEWAY", raising=False)
    assert traffic.gateway(KUBE, LOCAL) == traffic.GATEWAY
    monkeypatch.setenv("HARNESS_GATEWAY", "http://127.0.0.1:9")
    assert traffic.gateway(KUBE, LOCAL) == "http://127.0.0.1:9"


def test_another_cluster_is_not_judged_by_the_local_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_GATEWAY", raising=False)
    with pytest.raises(PreconditionFailed, match="nobody said"):
        traffic.gateway(KUBE, None)
    monkeypatch.setenv("HARNESS_GATEWAY", "https://staging.example")
    assert traffic.gateway(KUBE, None) == "https://staging.example"


def test_the_local_cluster_is_not_judged_by_another_ones_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_GATEWAY", "https://staging.example")
    with pytest.raises(PreconditionFailed, match="HARNESS_GATEWAY names"):
        traffic.gateway(KUBE, LOCAL)


WRONG = ["http://127.0.0.1:99999", "http://[::", "staging.example", "ftp://staging.example", "http://", "http://:80"]


@pytest.mark.parametrize("url", WRONG)
def test_a_gateway_that_is_no_address_is_refused_by_its_variable(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HARNESS_GATEWAY", url)
    for load in (_load("{url: /cart, rate: 1/s}"), _load("{url: 'https://shop.example/', rate: 1/s}"), None):
        with pytest.raises(UsageError, match=r"HARNESS_GATEWAY: .* is no"):
            traffic.require(KUBE, None, load)


def test_a_gateway_with_a_path_is_refused_where_a_load_would_lose_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_GATEWAY", "https://staging.example/shop")
    with pytest.raises(UsageError, match="HARNESS_GATEWAY: the gateway's URL is more than scheme, host and port"):
        traffic.require(KUBE, None, _load("{url: /cart, rate: 1/s}"))
    traffic.require(KUBE, None, None)


def _load(text: str) -> Any:
    ours = f"{{name: harness, objectives: {{recovery: {{within: 1s}}}}, load: {text}}}"
    return document.loads(f"{{title: x, description: x, method: [], extensions: [{ours}]}}", Path("x.yaml")).load


def test_a_load_that_names_its_host_needs_no_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_GATEWAY", raising=False)
    traffic.require(KUBE, None, _load("{url: 'https://shop.example/', rate: 1/s}"))
    for text in ("{url: /cart, rate: 1/s}", "{workload: mixed, rate: 1/s}"):
        with pytest.raises(PreconditionFailed, match="nobody said"):
            traffic.require(KUBE, None, _load(text))
    traffic.require(KUBE, None, _load("{workload: mixed, url: 'https://shop.example', rate: 1/s}"))


def test_a_header_from_the_environment_is_asked_for_before_anything_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_TOKEN", raising=False)
    load = _load("{url: 'https://shop.example/', rate: 1/s, headers: {authorization: {env: SHOP_TOKEN}}}")
    with pytest.raises(UsageError, match="SHOP_TOKEN is not set"):
        traffic.require(KUBE, None, load)
    monkeypatch.setenv("SHOP_TOKEN", "s3cret")
    traffic.require(KUBE, None, load)


def test_a_certificate_that_cannot_be_used_is_told_before_anything_is_touched(tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n")
    load = _load(f"{{url: 'https://shop.example/', rate: 1/s, tls: {{ca: {broken}}}}}")
    with pytest.raises(UsageError, match="the load cannot speak TLS"):
        traffic.require(KUBE, None, load)


SECRETS = (
    "{url: 'http://127.0.0.1:1/?token=s3cret', rate: 5/s}",
    "{url: 'http://127.0.0.1:1/', rate: 5/s, headers: {x-api-key: s3cret, x-auth: s3cret}}",
)


@pytest.mark.parametrize("load", SECRETS)
def test_neither_plan_nor_journal_tells_a_secret(tmp_path: Path, experiment: Any, load: str) -> None:
    made = replace(experiment(BlastRadius()), load=_load(load))
    shown = plan.text(made, Plan("run", 1, "kind-here", (), "i", "r"))
    assert "load     GET http://127.0.0.1:1/" in shown
    assert made.load is not None
    with Journal(tmp_path, "r1") as journal:
        journal.write("load.started", "settle", workload=made.load.workload, **record(made.load))
    written = (tmp_path / "journal.jsonl").read_text()
    assert "http://127.0.0.1:1/" in written
    assert "s3cret" not in shown + written


@pytest.mark.anyio
async def test_a_run_starts_a_load_of_ones_own_and_begins_its_stages(session: Session) -> None:
    lines: list[bytes] = []

    async def serve(heard: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await heard.readline():
            lines.append(head.strip())
            await heard.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()

    shop = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = shop.sockets[0].getsockname()[1]
    stages = "stages: [{rate: 20/s, for: 1s}, {rate: 50/s}]"
    text = f"{{url: 'http://127.0.0.1:{port}/cart', {stages}}}"
    session.experiment = replace(session.experiment, load=_load(text))
    # What a fault may ask for its evidence.
    assert session.reach.answers(60) is None
    await traffic.start(session)
    await traffic.begin(session)
    with anyio.fail_after(60):
        while operations.count(session.directory) < 40:
            await anyio.sleep(0.01)
    answered = session.reach.answers(60)
    assert answered is not None
    assert {one.status for one in answered} == {200}
    await traffic.stop(session)
    assert session.reach.answers(60) is None
    shop.close()
    events = {event.type: event.data for event in reader.read(session.directory)}
    seen = judge.history(reader.read(session.directory), operations.read(session.directory))
    assert events["load.ended"]["operations"] == len(seen.operations) == len(lines)
    assert set(lines) == {b"GET /cart HTTP/1.1"}
    start = events["load.stages"]["points"][0][0]
    assert seen.due(start, start + 2) == pytest.approx(70)
    assert traffic.due(session, start, start + 2) == pytest.approx(70)
