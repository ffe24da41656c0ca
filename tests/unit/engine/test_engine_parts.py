"""A run that needs a part of the stack begins only where that is known to be there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.engine.watching import settle
from harness.errors import ApiError, NeverBegun


class Cluster:
    """An API server that tells what was remembered of the last deployment."""

    context = "kind-here"
    server = "https://here"
    kubeconfig = None

    def __init__(self, remembered: dict[str, str]) -> None:
        self.remembered = remembered

    async def get(self, path: str) -> dict[str, Any]:
        return {"data": self.remembered}


@pytest.mark.parametrize(
    ("remembered", "why", "hint"),
    [
        ({}, "no stack of ours", "--parts delivery"),
        ({"key": "k"}, "there is core", "--parts delivery"),
        ({"key": "k", "parts": "core,data"}, "there is core, data", "--parts data,delivery"),
        # An `up` that was cut short brought nothing whole.
        ({"key": "", "parts": "core,delivery"}, "no stack of ours", "--parts delivery"),
    ],
)
async def test_a_part_that_lacks_is_named_with_the_command_that_brings_it(session, remembered, why, hint):
    session.kube = Cluster(remembered)
    session.experiment = replace(session.experiment, parts=("delivery",))
    with pytest.raises(NeverBegun) as error:
        await settle.require_parts(session)
    assert error.value.what == "the stack lacks the part delivery"
    assert why in error.value.why
    assert f"`harness up {hint}`" in error.value.why


async def test_a_part_that_is_there_is_enough(session):
    session.kube = Cluster({"key": "k", "parts": "core,delivery"})
    session.experiment = replace(session.experiment, parts=("delivery",))
    await settle.require_parts(session)


async def test_where_nobody_may_read_which_parts_there_are_that_right_lacks_and_no_part(session):
    class Closed(Cluster):
        async def get(self, path: str) -> dict[str, Any]:
            raise ApiError(403, "Forbidden", 'configmaps "harness-stack" is forbidden', where=f"GET {path}")

    session.kube = Closed({})
    session.experiment = replace(session.experiment, parts=("delivery",))
    with pytest.raises(NeverBegun) as error:
        await settle.require_parts(session)
    assert error.value.what == "nobody may look which parts the stack has"
    assert "configmaps/harness-stack" in error.value.where
    assert "harness plan --role" in error.value.hint
