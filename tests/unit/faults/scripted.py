"""A pod that answers or not as its script says, and what its agent says of the fault."""

from __future__ import annotations

from typing import Any

from harness.errors import ApiError
from tests.unit.targets.fakes import PODS, FakeKube, web

FAULT = "/apis/chaos.harness.dev/v1alpha1/namespaces/shop/faults"
CUT = ApiError(503, "ServiceUnavailable", "error trying to reach service: context deadline exceeded")
HEAL = {"metadata": {"annotations": {"chaos.harness.dev/heal": "true"}}}


class Over(Exception):
    """A test's script has come to its end: whoever waits would wait for ever."""


class Scripted(FakeKube):
    """One pod: each request to it takes the next of its script, which is what it answers or an error.

    `asked` is where the requests went, `status` what the fault's agent says.
    """

    context = "here"

    def __init__(self, target: dict[str, Any], *script: Any) -> None:
        own = f"{PODS}/{target['metadata']['name']}"
        super().__init__({PODS: [target], f"{PODS}/web-1": target, own: target, **web()})
        self.script, self.asked, self.status = list(script), list[str](), dict[str, Any]()

    async def get_text(self, path: str) -> str:
        self.asked.append(path)
        if not self.script:
            raise Over
        if isinstance(said := self.script.pop(0), Exception):
            raise said
        return str(said)

    async def get(self, path: str, **more: Any) -> dict[str, Any]:
        return {"status": self.status} if path.startswith(FAULT) else await super().get(path, **more)


class Ended(FakeKube):
    """A fault that its agent has undone once it is asked to; `before` is what it had said of it until then."""

    def __init__(self, status: dict[str, Any], before: dict[str, Any] | None = None) -> None:
        super().__init__({FAULT: [{"metadata": {"uid": "u", "name": "run-1"}, "status": status}]})
        self.before = before or {}

    async def patch(self, path: str, body: Any, **_: Any) -> dict[str, Any]:
        await super().patch(path, body)
        return {"status": self.before}
