"""Foreign steps run while the run may act, rollbacks on every way out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest

from harness.engine import activities, method
from harness.engine.undoing import owed
from harness.engine.watching import steady
from harness.errors import AbortTriggered, InjectionFailed, UsageError
from harness.model.experiment import Activity
from harness.model.fault import FaultSpec, Target
from tests.unit.documents.plain import plain, step
from tests.unit.engine.doubles import fault

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


@pytest.mark.case(14, "a rollback that looks whether all is back, and misses", "what it says counts: DIRTY")
async def test_a_rollback_outside_its_tolerance_leaves_the_run_dirty(session) -> None:
    session.experiment = replace(session.experiment, rollbacks=(Activity("probe", "is it back", {}, tolerance=3),))
    session.method_begun = True
    session.worker.answer = {"status": "succeeded", "output": 2, "tolerance_met": False}
    await activities.roll_back(session)
    assert session.unclean == ["rollback 'is it back' is outside its tolerance: 2"]


@pytest.mark.case(14, "a pause on a probe of the hypothesis or on a rollback", "honoured, or refused")
async def test_pauses_are_handed_on_and_come_on_top_of_the_deadline(session) -> None:
    pauses, asked = {"before": 300, "after": 400}, {}
    up, back = (step(name=name, kind="probe", tolerance=True, pauses=pauses) for name in ("up", "back"))
    session.experiment = plain(
        rollbacks=[back],
        extensions=[{"name": "harness", "objectives": {"recovery": {"within": "1s"}}}],
        **{"steady-state-hypothesis": {"title": "x", "probes": [up]}},
    )

    async def call(activity: dict[str, Any], *, deadline: float, **_: Any) -> dict[str, Any]:
        asked[activity["name"]] = activity["pauses"], deadline
        return {"status": "succeeded", "output": True, "tolerance_met": True}

    session.worker.call, session.method_begun = call, True
    await steady.ask(session)
    await activities.roll_back(session)
    assert asked == {"up": (pauses, steady.PROBE_SECONDS + 700), "back": (pauses, activities.STEP_SECONDS + 700)}


async def test_a_rollback_that_an_abort_cuts_is_run_again_with_those_behind_it(session) -> None:
    back = (Activity("action", "scale back", {}), Activity("action", "and this", {}))
    session.experiment = replace(session.experiment, rollbacks=back)
    session.method_begun = True
    cut = session.worker.call

    async def hang(activity: dict[str, Any], *, deadline: float, **_: Any) -> dict[str, Any]:
        session.worker.called.append(activity["name"])
        interrupted.cancel()
        await anyio.sleep_forever()
        return {}

    session.worker.call = hang
    with anyio.CancelScope() as interrupted:
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
    await owed.undo(session)
    assert session.worker.called == called


@pytest.mark.case(14, "a strategy of the rollbacks", "followed, or refused")
@pytest.mark.parametrize(
    ("strategy", "begun", "aborted", "deviated", "called"),
    [
        ("", True, True, False, True),
        ("", False, False, False, False),
        ("never", True, False, True, False),
        ("always", True, True, False, True),
        ("deviated", True, False, False, False),
        ("deviated", True, True, True, True),
        ("default", True, False, False, True),
        ("default", True, True, False, False),
    ],
)
async def test_rollbacks_follow_the_documents_strategy(
    session, strategy: str, begun: bool, aborted: bool, deviated: bool, called: bool
) -> None:
    back = (Activity("action", "scale back", {}),)
    session.experiment = replace(session.experiment, rollbacks=back, rolls_back=strategy)
    session.method_begun, session.deviated = begun, deviated
    if aborted:
        session.abort.pull("lever", "enough")
    await activities.roll_back(session)
    assert (session.worker.called == ["scale back"]) is called


class Told:
    """A child that notes what its controls are told, and interrupts where a test says so."""

    def __init__(self, forbids: str = "") -> None:
        self.told: list[str] = []
        self.forbids = forbids

    async def call(self, activity: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.told.append(activity["name"])
        return {"status": "succeeded", "output": "done"}

    async def ask(self, do: str, *, level: str = "", context: Any = None, **_: Any) -> dict[str, Any]:
        told = " ".join(word for word in (do, level, (context or {}).get("name", "")) if word)
        self.told.append(told)
        return {"status": "interrupted", "error": "not this one"} if told == self.forbids else {"status": "succeeded"}


@pytest.mark.case(
    14, "a foreign control beside our extension", "called around the method, each fault and the rollbacks"
)
async def test_controls_are_called_around_what_the_engine_does_itself(session) -> None:
    spec = FaultSpec("node_cordon", "break it", Target(nodes=1))
    session.worker = Told()
    session.plan = replace(session.plan, faults=())
    session.experiment = replace(
        session.experiment,
        method=(Activity("action", "break it", {}, fault=spec), Activity("action", "scale", {})),
        rollbacks=(Activity("action", "scale back", {}),),
        controlled=True,
    )
    await method.walk(session)
    await activities.roll_back(session)
    await activities.roll_back(session)
    assert session.worker.told == [
        "enter method",
        "enter activity break it",
        "leave activity break it",
        "scale",
        "leave method",
        "enter rollback",
        "scale back",
        "leave rollback",
    ]


async def test_a_control_that_interrupts_cuts_the_run_short_before_the_fault(session) -> None:
    spec = FaultSpec("node_cordon", "break it", Target(nodes=1))
    session.worker = Told("enter activity break it")
    step = Activity("action", "break it", {}, fault=spec)
    session.experiment = replace(session.experiment, method=(step,), controlled=True)
    with session.abort.scope:
        await method.walk(session)
    assert (session.abort.trigger, session.abort.reason) == ("control", "not this one")
    assert not any(course.injected for course in session.courses.values())


async def test_a_step_in_the_background_is_waited_for_before_the_method_ends(session) -> None:
    late, begun = anyio.Event(), []

    async def call(activity: dict[str, Any], *, sent: anyio.Event | None = None, **_: Any) -> dict[str, Any]:
        begun.append(activity["name"])
        if sent:
            sent.set()
            await late.wait()
        else:
            late.set()
        return {"status": "succeeded"}

    session.worker.call = call
    steps = (Activity("action", "late", {}, background=True), Activity("action", "soon", {}))
    session.experiment = replace(session.experiment, method=steps)
    with anyio.fail_after(30):
        await method.walk(session)
    assert begun == ["late", "soon"]


async def test_a_cordon_that_a_step_ends_is_healed_there(session, monkeypatch) -> None:
    healed: list[str] = []

    async def settle(_: Any, faults: Any, within: float) -> None:
        healed.extend(fault.id for fault in faults)

    monkeypatch.setattr(method, "settle", settle)
    for one in (fault("a"), replace(fault("b"), activity="another")):
        session.course(one).owed = True
    session.experiment = replace(session.experiment, method=(Activity("action", "uncordon", {}, heals="break it"),))
    await method.walk(session)
    assert (healed, session.worker.called) == (["a"], [])


@pytest.mark.parametrize("strategy", ["", "always", "default"])
async def test_what_was_refused_before_it_was_planned_is_not_rolled_back(session, strategy: str) -> None:
    back = (Activity("action", "uncordon everything", {}),)
    session.experiment = replace(session.experiment, rollbacks=back, rolls_back=strategy, promising=False)
    session.planned = False
    await activities.roll_back(session)
    assert session.worker.called == []


PODS = {
    "type": "python",
    "module": "probes.workload",
    "func": "ready_pods",
    "arguments": {"namespace": "shop", "selector": "app=cart"},
}


@pytest.mark.parametrize(
    ("provider", "why"),
    [
        ({**PODS, "func": "ready_podz"}, "ready_podz"),
        ({**PODS, "module": "probes.workloads"}, "probes.workloads"),
        ({**PODS, "arguments": {"namespace": "shop", "selecter": "x"}}, "selector"),
        ({"type": "process", "path": "/nowhere/probe"}, "/nowhere/probe"),
    ],
)
async def test_a_probe_that_a_run_would_not_find_is_refused_by_the_plan(provider: dict[str, Any], why: str) -> None:
    def made(provider: dict[str, Any]) -> Any:
        up = {"type": "probe", "name": "up", "tolerance": 1, "provider": provider}
        ours = {"name": "harness", "objectives": {"recovery": {"within": "1s"}}}
        return plain(extensions=[ours], **{"steady-state-hypothesis": {"title": "x", "probes": [up]}})

    await activities.check(made(PODS), {})
    with pytest.raises(UsageError, match="Chaos Toolkit cannot run this document") as refused:
        await activities.check(made(provider), {})
    assert why in refused.value.why
