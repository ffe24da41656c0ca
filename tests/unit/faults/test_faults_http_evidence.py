"""A fault of requests is felt and healed by what the load is answered, else the API server alone tells."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import InjectionFailed, ObservationFailed
from harness.faults import FAULTS
from harness.faults.kind import as_recorded
from harness.model.history import Operation
from tests.unit.faults.routed import (
    ABORT,
    DELAY,
    begun,
    fault,
    shop,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def in_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.targets.objects.PAUSE_SECONDS", 0.0)


class Load:
    """What a load was answered: a list for each time that it is asked, the last one for ever; None of a dead load."""

    def __init__(self, *answered: list[Operation] | None) -> None:
        self.answered = [*answered]

    def __call__(self, seconds: float) -> list[Operation] | None:
        return self.answered.pop(0) if len(self.answered) > 1 else self.answered[0]


def answers(count: int = 1, status: int = 200, seconds: float = 0.01, **more: Any) -> list[Operation]:
    """Make answers of the load."""
    return [Operation(1.0, 1.0, 1.0 + seconds, status, **more)] * count


@pytest.mark.parametrize(
    ("kind", "answered", "evidence"),
    [
        ("http_abort", answers(status=503, response_flags="FI"), {"answers": 1, "by": "response flag FI"}),
        ("http_abort", answers(status=503, response_flags="DI,FI"), {"answers": 1, "by": "response flag FI"}),
        ("http_abort", answers(3, 503), {"answers": 3, "by": "status"}),
        ("http_delay", answers(status=200, response_flags="DI"), {"answers": 1, "by": "response flag DI"}),
        ("http_delay", answers(3, seconds=0.31), {"answers": 3, "by": "time"}),
    ],
)
async def test_it_is_felt_by_what_the_load_is_answered(kind: str, answered: Any, evidence: Any) -> None:
    server = shop()
    one = fault(server, kind, callers="load")
    reach = await begun(server, one, answers=Load(answers(9), answers(9), answers(9) + answered))
    assert await FAULTS[kind].felt(one, reach) == evidence


@pytest.mark.parametrize(
    ("kind", "answered", "before"),
    [
        ("http_abort", answers(2, 503), answers()),
        ("http_abort", answers(9, 503, served_by="cart-0"), answers()),
        ("http_abort", answers(9, 500), answers()),
        ("http_abort", answers(9, 503), answers(1, 503)),
        ("http_delay", answers(9, seconds=0.29), answers()),
        ("http_delay", answers(9, seconds=0.31), answers(1, seconds=0.4)),
        ("http_delay", answers(9, 0, seconds=9.0), answers()),
    ],
)
async def test_what_may_be_something_else_is_no_evidence(kind: str, answered: Any, before: Any) -> None:
    server = shop()
    one = fault(server, kind, callers="load")
    reach = await begun(server, one, answers=Load(before, answered, answered, None))
    with pytest.raises(ObservationFailed, match="load died"):
        await FAULTS[kind].felt(one, reach)


async def test_it_is_healed_when_for_a_while_no_answer_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    server, after = shop(), answers(2)
    shows = answers(status=503, response_flags="FI")
    one = fault(server, callers="load")
    reach = await begun(server, one, answers=Load(answers(), shows, shows, [], after))
    monkeypatch.setattr("harness.faults.http.QUIET_SECONDS", 0.0)
    assert await ABORT.felt(one, reach)
    await as_recorded(one, reach)
    assert await ABORT.healed(one, reach) == {"routes": "as they were", "answers": "2 without it"}


async def test_a_load_that_died_keeps_nobody_from_seeing_the_routes_healed() -> None:
    server = shop()
    one = fault(server, callers="load")
    reach = await begun(server, one, answers=Load(answers(), None))
    await as_recorded(one, reach)
    assert await ABORT.healed(one, reach) == {"routes": "as they were"}


async def test_where_others_call_the_api_server_alone_can_tell() -> None:
    server = shop()
    one = fault(server, "http_delay", routes=["primary"])
    reach = await begun(server, one)
    assert await DELAY.felt(one, reach) == {"routes": 1, "by": "the API server alone: nobody here calls"}


async def test_a_run_without_a_load_is_refused_unless_others_call() -> None:
    server = shop()
    with pytest.raises(InjectionFailed, match="no load") as refused:
        await begun(server, fault(server, callers="load"))
    assert "callers: others" in refused.value.hint
