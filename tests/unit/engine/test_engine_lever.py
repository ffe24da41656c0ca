"""A lever is pulled and released although the API server has no time just then, and a refusal is told at once."""

from __future__ import annotations

from typing import Any

import pytest

from harness.engine import lever
from harness.engine.preflight.scope import SYSTEM
from harness.errors import ApiError, ClusterUnreachable, HarnessError, PreconditionFailed
from tests.unit.engine.test_engine_scope import Server

pytestmark = pytest.mark.anyio
BUSY = ApiError(429, "TooManyRequests", "too many requests, please try again later")
AWAY = ClusterUnreachable("the API server does not answer", where="https://staging")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lever, "PAUSES", (0.0,) * len(lever.PAUSES))


class Busy(Server):
    """A server that answers what changes something with these errors first."""

    def __init__(self, *errors: HarnessError) -> None:
        super().__init__({})
        self.errors = [*errors]

    async def patch(self, path: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
        self._busy()
        return await super().patch(path, body, **more)

    async def delete(self, path: str, **more: Any) -> dict[str, Any]:
        self._busy()
        return await super().delete(path, **more)

    def _busy(self) -> None:
        if self.errors:
            raise self.errors.pop(0)


async def pull(server: Server) -> list[str]:
    return await lever.pull(server, who="me", reason="enough", only=SYSTEM)  # type: ignore[arg-type]


@pytest.mark.parametrize("errors", [[BUSY] * 3, [AWAY], [ApiError(503, "ServiceUnavailable", ""), BUSY]])
async def test_a_busy_server_is_asked_again(errors: list[HarnessError]) -> None:
    server = Busy(*errors)
    assert await pull(server) == [SYSTEM]
    assert (await lever.read(server) or {})["reason"] == "enough"  # type: ignore[arg-type]
    server.errors = [*errors]
    await lever.release(server, only=SYSTEM)  # type: ignore[arg-type]
    assert await lever.read(server) is None  # type: ignore[arg-type]


async def test_one_that_stays_busy_is_told_of() -> None:
    with pytest.raises(ApiError, match="try again later"):
        await pull(Busy(*[BUSY] * (len(lever.PAUSES) + 1)))


async def test_a_refusal_is_not_asked_again() -> None:
    server = Busy(ApiError(403, "Forbidden", "not granted"))
    with pytest.raises(PreconditionFailed, match="the lever could not be pulled"):
        await pull(server)
    assert await lever.read(server) is None  # type: ignore[arg-type]
