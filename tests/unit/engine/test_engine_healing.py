"""Undoing: what the engine does whatever an API server, a disk, a bug or somebody else does meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest

from harness.engine import method
from harness.engine.undoing import healing, owed
from harness.errors import ApiError, ClusterUnreachable, InjectionFailed, UndoFailed
from harness.model.experiment import Phases
from harness.model.plan import PlannedFault
from tests.unit.engine.doubles import fails, fault, kinds

pytestmark = pytest.mark.anyio


async def test_a_full_disk_does_not_keep_the_undo_from_being_done(session, broken, monkeypatch) -> None:
    seen = broken().seen
    await method.inject(session, fault("a"))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(session.journal, "write", full)
    assert await healing.undo(session, fault("a"))
    assert "heal a" in seen
    assert "No space left" in session.unwritten


@pytest.mark.parametrize("hiccup", [ClusterUnreachable("away"), ApiError(503, "ServiceUnavailable", "")], ids=str)
async def test_an_api_server_that_does_not_answer_an_undo_is_asked_again(session, broken, monkeypatch, hiccup) -> None:
    monkeypatch.setattr(healing, "AGAIN_SECONDS", 0.0)
    answers = [hiccup, None]

    def heal(_: PlannedFault) -> None:
        if error := answers.pop(0):
            raise error

    broken(heal=heal)
    await method.inject(session, fault("a"))
    assert await healing.undo(session, fault("a"))
    assert session.unclean == []


async def test_what_an_api_server_that_never_answers_said_last_is_told(session, broken, monkeypatch) -> None:
    monkeypatch.setattr(healing, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(healing, "HEAL_SECONDS", 0.05)
    broken(heal=fails(ClusterUnreachable("nobody is there")))
    await method.inject(session, fault("a"))
    assert not await healing.undo(session, fault("a"))
    assert "not undone within 0.05 s: nobody is there" in session.unclean[0]


async def test_one_undo_that_breaks_does_not_cut_the_others(session, broken) -> None:
    def heal(one: PlannedFault) -> dict[str, Any]:
        if one.id == "a":
            raise RuntimeError("a bug")
        return {}

    broken(heal=heal)
    for one in session.plan.faults:
        await method.inject(session, one)
    session.enter("inject")
    await owed.undo(session)
    assert set(session.owed) == {"a"}
    assert any("a bug" in text for text in session.unclean)


async def test_an_effect_without_an_answer_is_undone_again_after_it_may_have_arrived(
    session, broken, monkeypatch
) -> None:
    monkeypatch.setattr(healing, "IN_FLIGHT_SECONDS", 0)
    seen = broken(inject=fails(ClusterUnreachable("no answer"))).seen
    with pytest.raises(InjectionFailed):
        await method.inject(session, fault("a"))
    await healing.undo(session, fault("a"))
    assert seen.count("heal a") == 2


async def test_an_effect_that_was_answered_is_undone_once(session, broken, monkeypatch) -> None:
    monkeypatch.setattr(healing, "IN_FLIGHT_SECONDS", 0)
    seen = broken().seen
    await method.inject(session, fault("a"))
    await healing.undo(session, fault("a"))
    assert seen.count("heal a") == 1


async def test_an_undo_that_is_cut_before_its_resource_is_gone_is_still_owed_and_done_again(
    session, broken, monkeypatch
) -> None:
    seen, asked, struck = broken().seen, anyio.Event(), session.kube.deleted

    async def no_answer(path: str, **_: Any) -> dict[str, Any]:
        asked.set()
        await anyio.sleep_forever()
        raise AssertionError

    await method.inject(session, fault("a"))
    with monkeypatch.context() as silent:
        silent.setattr(session.kube, "delete", no_answer)
        async with anyio.create_task_group() as together:
            together.start_soon(healing.undo, session, fault("a"))
            await asked.wait()
            together.cancel_scope.cancel()
    assert (set(session.owed), struck) == ({"a"}, [])
    assert session.unclean
    await owed.undo(session)
    assert (seen.count("heal a"), len(struck)) == (2, 1)
    assert (session.owed, session.unclean) == ({}, [])


async def test_a_resource_that_the_undo_itself_takes_away_is_no_wish_of_somebody_else(
    session, broken, monkeypatch
) -> None:
    seen, gone = broken().seen, anyio.Event()

    async def seen_gone(path: str, **_: Any) -> dict[str, Any]:
        await healing._deleted(session, fault("a"))
        gone.set()
        return {}

    await method.inject(session, fault("a"))
    monkeypatch.setattr(session.kube, "delete", seen_gone)
    assert await healing.undo(session, fault("a"))
    assert gone.is_set()
    assert seen.count("heal a") == 1


async def test_an_undo_that_is_seen_to_have_failed_leaves_the_run_dirty(session, broken) -> None:
    broken(healed=fails(UndoFailed("it came back with another address")))
    await method.inject(session, fault("a"))
    await method.settle(session, [fault("a")], 1.0)
    assert any("another address" in text for text in session.unclean)
    assert "fault.healed" not in kinds(session)


async def left(one: PlannedFault, reach: Any) -> str:
    return "two pods of it still serve"


async def hangs(one: PlannedFault, reach: Any) -> str:
    await anyio.sleep_forever()
    return ""


async def refused(one: PlannedFault, reach: Any) -> str:
    raise ApiError(403, "Forbidden", "no")


@pytest.mark.parametrize(
    ("remains", "told"),
    [(left, "two pods of it still serve"), (hangs, "nobody can say"), (refused, "403 Forbidden")],
)
async def test_what_is_still_there_when_the_run_ends_leaves_it_dirty(
    session, broken, monkeypatch, remains, told
) -> None:
    monkeypatch.setattr(healing, "FORGET_SECONDS", 0.05)
    broken(healed=lambda _: anyio.sleep_forever(), remains=remains)
    await method.inject(session, fault("a"))
    await method.settle(session, [fault("a")], 0.01)
    assert session.unclean == []
    await owed.undo(session)
    assert told in session.unclean[0]
    assert "error" in kinds(session)


async def test_a_fault_that_was_seen_healed_leaves_nothing_and_is_not_looked_for(session, broken) -> None:
    broken(remains=left)
    await method.inject(session, fault("a"))
    await method.settle(session, [fault("a")], 1.0)
    await owed.undo(session)
    assert session.unclean == []


async def test_what_an_abort_left_there_is_told_of_too(session, broken, monkeypatch) -> None:
    monkeypatch.setattr(healing, "HEAL_SECONDS", 0.01)
    session.experiment = replace(session.experiment, phases=Phases(recovery=0.05))
    broken(healed=lambda _: anyio.sleep_forever(), remains=left)
    await method.inject(session, fault("a"))
    await owed.undo(session)
    assert "two pods of it still serve" in session.unclean[0]


async def test_a_fault_whose_resource_is_deleted_while_it_is_injected_stops_there_and_stays_owed(
    session, broken
) -> None:
    begun, ended = anyio.Event(), []

    async def slow() -> None:
        begun.set()
        await anyio.sleep_forever()

    async def inject() -> None:
        try:
            await method.inject(session, fault("a"))
        except InjectionFailed as error:
            ended.append(error.what)

    broken(inject=lambda _: slow())
    async with anyio.create_task_group() as together:
        together.start_soon(inject)
        await begun.wait()
        await healing._deleted(session, session.owed["a"])
    assert "deleted while" in ended[0]
    assert set(session.owed) == {"a"}
