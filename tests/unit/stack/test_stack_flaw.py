"""A release that is bad on purpose fails exactly its share, whenever one measures, and never its health."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from claude_services.flaw import Flaw
from claude_services.room import Message, Receive, Send


async def well(scope: Message, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def ask(flaw: Flaw, path: str = "/v1/agents") -> int:
    said: list[dict[str, Any]] = []

    async def send(message: Message) -> None:
        said.append(dict(message))

    async def receive() -> Message:
        return {"type": "http.request"}

    await flaw({"type": "http", "path": path}, receive, send)
    return int(said[0]["status"])


@pytest.mark.parametrize(("share", "failed"), [(0.0, 0), (0.1, 1), (0.25, 2), (0.5, 5), (1.0, 10)])
def test_any_ten_requests_fail_as_often_as_any_others(share: float, failed: int) -> None:
    async def run() -> list[int]:
        flaw = Flaw(well, fail_share=share, delay_seconds=0)
        return [await ask(flaw) for _ in range(1000)]

    codes = asyncio.run(run())
    assert codes.count(500) == round(share * 1000)
    assert {codes[start : start + 10].count(500) for start in range(0, 1000, 10)} <= {failed, failed + (share == 0.25)}


def test_health_is_answered_well_and_at_once() -> None:
    async def run() -> int:
        async with asyncio.timeout(60):
            return await ask(Flaw(well, fail_share=1, delay_seconds=3600), "/health/ready")

    assert asyncio.run(run()) == 200


def test_a_slow_one_keeps_each_request_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    assert asyncio.run(ask(Flaw(well, fail_share=0, delay_seconds=0.7))) == 200
    assert waited == [0.7]
