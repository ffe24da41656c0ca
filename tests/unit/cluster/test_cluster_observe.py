"""Whoever waits for something asks an API server again that has no answer now; a refusal is an answer."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from harness.cluster import observe
from harness.cluster.paths import pods
from harness.errors import ApiError, ClusterUnreachable
from tests.unit.targets.fakes import FakeKube, pod

UNAVAILABLE = ApiError(503, "ServiceUnavailable", "")


@pytest.mark.parametrize(
    "error", [ClusterUnreachable("away"), ApiError(429, "TooManyRequests", ""), ApiError(500, "", ""), UNAVAILABLE]
)
def test_what_passes_by_itself_is_asked_again(error: Exception) -> None:
    with observe.asked_again():
        raise error


@pytest.mark.parametrize("status", [401, 403, 404, 410, 422])
def test_a_refusal_is_raised(status: int) -> None:
    with pytest.raises(ApiError), observe.asked_again():
        raise ApiError(status, "", "")


def test_a_question_that_had_no_answer_is_asked_again_at_the_next_change() -> None:
    kube: Any = FakeKube({pods("shop"): [pod()]}, [("MODIFIED", pod())])
    failures: list[Exception] = [UNAVAILABLE]

    async def judge(found: observe.Objects) -> int:
        if failures:
            raise failures.pop()
        return len(found)

    assert anyio.run(observe.until, kube, pods("shop"), judge) == 1
