"""Foreign steps run while the run may act, rollbacks on every way out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest

from harness.engine import activities, run
from harness.errors import AbortTriggered, InjectionFailed
from harness.model.experiment import Activity

pytestmark = pytest.mark.anyio


async def test_a_run_that_lost_its_lease_takes_no_foreign_step(session) -> None:
    session.lease.lost = True
    with pytest.raises(AbortTriggered):
        await activities.step(session, Activity("action", "scale", {}))
    assert session.worker.called == []


async def test_a_probe_of_the_method_must_keep_its_tolerance(session) -> None:
    session.worker.answer = {"status": "succeeded", "output": 3, "tolerance_met": False}
    with pytest.raises(InjectionFailed, match="tolerance"):
        await activities.step(session, Activity("probe", "count", {}))


async def test_rollbacks_run_once_and_one_that_fails_leaves_the_run_dirty(session) -> None:
    back = (Activity("action", "scale back", {}), Activity("action", "and this", {}))
    session.experiment = replace(session.experiment, rollbacks=back)
    session.method_begun = True
    session.worker.answer = {"status": "failed", "error": "no such deployment"}
    await activities.roll_back(session)
    await activities.roll_back(session)
    assert session.worker.called == ["scale back", "and this"]
    assert len(session.unclean) == 2


async def test_a_rollback_that_an_abort_cuts_is_run_again_with_those_behind_it(session) -> None:
    back = (Activity("action", "scale back", {}), Activity("action", "and this", {}))
    session.experiment = replace(session.experiment, rollbacks=back)
    session.method_begun = True
    cut = session.worker.call

    async def hang(activity: dict[str, Any], *, deadline: float, **_: Any) -> dict[str, Any]:
        session.worker.called.append(activity["name"])
        await anyio.sleep_forever()
        return {}

    session.worker.call = hang
    with anyio.move_on_after(0.01):
        await activities.roll_back(session)
    session.worker.call = cut
    await activities.roll_back(session)
    assert session.worker.called == ["scale back", "scale back", "and this"]
    assert session.unclean == []


async def test_a_rollback_whose_child_cannot_be_started_leaves_the_run_dirty_and_the_next_one_runs(session) -> None:
    back = (Activity("action", "scale back", {}), Activity("action", "and this", {}))
    session.experiment = replace(session.experiment, rollbacks=back)
    session.method_begun = True
    answer = session.worker.call

    async def broken_once(activity: dict[str, Any], *, deadline: float, **_: Any) -> dict[str, Any]:
        if activity["name"] == "scale back":
            raise OSError(24, "Too many open files")
        return await answer(activity, deadline=deadline)

    session.worker.call = broken_once
    await activities.roll_back(session)
    assert session.worker.called == ["and this"]
    assert "Too many open files" in session.unclean[0]


@pytest.mark.parametrize(("begun", "called"), [(False, []), (True, ["scale back"])])
async def test_rollbacks_run_on_every_way_out_once_the_method_began(session, begun: bool, called: list[str]) -> None:
    session.experiment = replace(session.experiment, rollbacks=(Activity("action", "scale back", {}),))
    session.method_begun = begun
    await run._undo(session)
    assert session.worker.called == called
