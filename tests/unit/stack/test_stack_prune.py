"""What is no longer wanted goes, and a namespace that goes is waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from harness.errors import PreconditionFailed
from harness.stack import apply


class Going:
    """Namespaces of which one is deleted, and is gone with the next change unless it `stays`."""

    def __init__(self, *, stays: bool) -> None:
        self.there = [{"metadata": {"name": name, "uid": name}} for name in ("prod", "rollouts")]
        self.deleted: list[str] = []
        self.stays = stays

    async def delete(self, path: str, **_: Any) -> None:
        self.deleted.append(path)

    async def list_at(self, path: str, **_: Any) -> tuple[list[dict[str, Any]], str]:
        assert path == apply.NAMESPACES
        return self.there, "1"

    async def watch(self, path: str, **_: Any) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        if not self.stays:
            yield "DELETED", self.there.pop()
        await anyio.sleep_forever()


INSIDE, ITSELF = "/api/v1/namespaces/rollouts/serviceaccounts/x", "/api/v1/namespaces/rollouts"


def test_a_namespace_that_goes_is_waited_for() -> None:
    going = Going(stays=False)
    anyio.run(apply.prune, going, [ITSELF, INSIDE])
    assert going.deleted == [INSIDE, ITSELF]
    assert [one["metadata"]["name"] for one in going.there] == ["prod"]


def test_a_namespace_that_stays_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "GONE_SECONDS", 0.0)
    with pytest.raises(PreconditionFailed, match="still being removed after 0 s: rollouts"):
        anyio.run(apply.prune, Going(stays=True), [ITSELF])


def test_what_lies_in_a_namespace_that_stays_waits_for_nothing() -> None:
    going = Going(stays=True)
    anyio.run(apply.prune, going, [INSIDE])
    assert going.deleted == [INSIDE]
