"""A StatefulSet that makes its pods in their order makes none while one before it is not ready."""

from __future__ import annotations

from typing import Any

import pytest

from harness.workloads import Owners
from tests.unit.workloads.objects import Object, Server, item, pod, reference

pytestmark = pytest.mark.anyio


def member(number: int, *, ready: bool = True, going: bool = False, **labels: str) -> Object:
    made = pod(f"db-{number}", reference("StatefulSet", "db"), ready=ready, going=going)
    made["metadata"]["labels"] = labels
    return made


async def held_up(mine: Object, *others: Object, **spec: Any) -> str:
    owners = Owners(Server(item("StatefulSet", "db", spec={"replicas": 4, **spec})))  # type: ignore[arg-type]
    return await owners.held_up(mine, [mine, *others])


@pytest.mark.case(
    3, "a StatefulSet one of whose first pods is broken", "a pod behind it is spared: nobody would make it again"
)
@pytest.mark.parametrize("policy", [{}, {"podManagementPolicy": "OrderedReady"}])
async def test_a_pod_behind_one_that_is_not_ready_would_not_be_made_again(policy: dict[str, str]) -> None:
    said = await held_up(member(2), member(0, ready=False), member(1), **policy)
    assert said == "its controller StatefulSet/db makes one pod after the other, and db-0 is not ready"


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ([member(0)], "db-1 is not there"),
        ([member(0), member(1, going=True)], "db-1 is on its way out"),
        ([member(0, ready=False), member(1, ready=False)], "db-0 is not ready"),
    ],
)
async def test_what_it_would_wait_for_is_named(others: list[Object], words: str) -> None:
    assert words in await held_up(member(2), *others)


@pytest.mark.parametrize(
    ("mine", "others", "spec"),
    [
        (2, [member(0), member(1), member(3, ready=False)], {}),
        (0, [member(1, ready=False)], {}),
        (2, [member(0, ready=False), member(1)], {"podManagementPolicy": "Parallel"}),
        (6, [member(5)], {"ordinals": {"start": 5}}),
        (5, [member(4, ready=False)], {"ordinals": {"start": 5}}),
    ],
)
async def test_a_pod_that_would_be_made_at_once_is_not_held_up(mine: int, others: list[Object], spec: Any) -> None:
    assert await held_up(member(mine), *others, **spec) == ""


async def test_pods_of_other_kinds_have_no_order() -> None:
    owners = Owners(Server(item("Deployment", "db")))  # type: ignore[arg-type]
    first, second = (pod(f"db-{number}", reference("Deployment", "db"), ready=bool(number)) for number in (0, 1))
    assert await owners.held_up(second, [first, second]) == ""
