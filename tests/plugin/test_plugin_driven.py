"""A run that somebody else drives ends in one outcome or one error, and never without end."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import anyio
import pytest

from harness.chaostoolkit import controls, live
from harness.engine.options import Options
from harness.engine.planning import caps, plan
from harness.errors import AbortTriggered, InjectionFailed
from harness.model.experiment import Experiment
from harness.model.fault import Hand
from harness.model.plan import Plan, PlannedFault, Victim
from harness.model.verdict import Verdict
from tests.plugin.driven import Engine


def test_a_run_that_aborts_refuses_further_faults(stand_in):
    stand_in(Engine())
    run = live.Live(controls._experiment({}), Options())
    run.start()
    assert run._session
    with pytest.raises(AbortTriggered, match="someone: enough"):
        run._call(_pull)
    assert run.finish().verdict is Verdict.ABORTED
    with pytest.raises(AbortTriggered, match="no longer takes orders"):
        run.perform_named()


async def _pull(session: Any) -> None:
    session.abort.pull("lever", "someone: enough")
    await anyio.sleep(0)


def a_run() -> live.Live:
    return live.Live(controls._experiment({}), Options())


@pytest.fixture
def asked(monkeypatch) -> list[set[str]]:
    """Pick a pod that nobody has had whenever somebody plans, and note which were taken."""
    found: list[set[str]] = []

    async def resolve(
        _: Any, experiment: Experiment, *, run: str, seed: int, taken: frozenset[str], alone: bool
    ) -> Plan:
        found.append(set(taken))
        fault = experiment.faults[0]
        number = len(found)
        victim = Victim("pod", f"cart-{number}", f"uid-{number}", namespace="shop")
        return Plan(
            run, seed, "kind", (PlannedFault(f"{run}-1", fault.kind, fault.activity, Hand.API, victim),), "", ""
        )

    monkeypatch.setattr(plan, "resolve", resolve)
    monkeypatch.setattr(caps, "require", lambda experiment, faults, left_out: None)
    return found


def test_chaos_run_has_targets_picked_late_when_it_comes_to_their_step(stand_in, asked):
    stand_in(Engine())
    run = a_run()
    (step,) = run.experiment.method
    assert step.fault
    late = replace(step, name="once more", fault=replace(step.fault, activity="once more", late=True))
    run.experiment = replace(run.experiment, method=(step, late))
    run.start()
    assert asked == []
    run.here.activity = "once more"
    assert run.perform_named()["touched"] == ["shop/cart-1"]
    # Nor does it have what the plan has for a step to come.
    assert asked == [{"uid-0"}]
    run.finish()


def test_a_fault_inside_a_fault_takes_another_target_and_the_journal_knows_both(stand_in, asked):
    stand = stand_in(Engine())
    run = a_run()
    run.start()
    outer = run.inject(run.experiment.method[0])
    run.inject(run.experiment.method[0])
    assert run._session
    run._session.owed.pop(outer[0].id)
    run.inject(run.experiment.method[0])
    run.finish()
    # Nor what a step of the document will have when its turn comes.
    assert asked == [{"uid-0"}, {"uid-0", "uid-1"}, {"uid-0", "uid-2"}]
    events = [data for kind, data in stand.wrote if kind == "plan"]
    assert [[fault["victim"]["name"] for fault in event["faults"]] for event in events] == [
        ["cart-1"],
        ["cart-2"],
        ["cart-3"],
    ]
    assert len({event["resolved"] for event in events}) == 3
    assert all(event["caps"]["pods"] == 1 and event["objectives"] for event in events)


def test_what_refuses_an_injection_is_one_error(stand_in):
    stand_in(Engine())
    run = a_run()
    run.start()

    async def refuse(_: Any) -> None:
        async with anyio.create_task_group() as together:
            together.start_soon(_refused)
            together.start_soon(_refused)

    with pytest.raises(InjectionFailed, match="no way"):
        run._call(refuse)
    run.finish()


async def _refused() -> None:
    raise InjectionFailed("no way")


class Slow(Engine):
    """An engine whose baseline does not end by itself."""

    async def baseline(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self.did.append("cut")


def test_a_run_that_does_not_begin_is_cut(stand_in, monkeypatch):
    stand = stand_in(Slow())
    monkeypatch.setattr(live.Live, "_patience", lambda *_: 0.05)
    with pytest.raises(AbortTriggered, match="cut short") as cut:
        a_run().start()
    assert "had not begun" in cut.value.why
    assert stand.did == ["cut"]


def test_an_interruption_of_the_baseline_ends_the_run(stand_in, monkeypatch):
    stand, run = stand_in(Slow()), a_run()

    def interrupted(_: float) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(run._ready, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.start()
    assert not run._thread.is_alive()
    assert stand.did in (["cut"], []), "it may not even have come to its baseline"
    assert live.current() is None


def test_an_interruption_while_the_run_ends_aborts_it(stand_in, monkeypatch):
    stand_in(Engine())
    run = a_run()
    run.start()
    join, calls = run._thread.join, []

    def interrupted_once(seconds: float) -> None:
        calls.append(seconds)
        if len(calls) == 1:
            raise KeyboardInterrupt
        join(seconds)

    monkeypatch.setattr(run._thread, "join", interrupted_once)
    monkeypatch.setattr(run, "_call", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        run.finish()
    outcome = run.finish()
    assert (outcome.verdict, outcome.reason) == (Verdict.ABORTED, "interrupted")


def test_a_step_that_does_not_end_aborts_the_run(stand_in, monkeypatch):
    stand_in(Engine())
    run = a_run()
    run.start()
    monkeypatch.setattr(run, "_patience", lambda: 0.05)

    async def hang(_: Any) -> None:
        await anyio.sleep_forever()

    with pytest.raises(AbortTriggered, match="cut short"):
        run._call(hang)
    assert run.finish().verdict is Verdict.ABORTED


def test_a_run_that_is_told_to_abort_says_why(stand_in):
    stand_in(Engine())
    run = a_run()
    run.start()
    outcome = run.finish(abort="enough")
    assert (outcome.verdict, outcome.reason) == (Verdict.ABORTED, "enough")


def test_a_bug_in_a_step_is_no_abort(stand_in):
    stand_in(Engine())
    run = a_run()
    run.start()

    async def wrong(_: Any) -> None:
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        run._call(wrong)
    assert run.finish().verdict is Verdict.PASS


def test_a_run_whose_foreign_step_failed_proves_nothing(stand_in):
    stand_in(Engine())
    run = a_run()
    run.start()
    with pytest.raises(InjectionFailed, match="not every step succeeded: scale up"):
        run.finish(failed=["scale up"])


@pytest.mark.parametrize("added", [False, True])
def test_a_step_that_is_done_many_times_has_the_time_that_all_of_them_take(stand_in, added: bool) -> None:
    once = a_run()._patience()
    run = a_run()
    (step,) = run.experiment.method
    assert step.fault
    often = replace(step, fault=replace(step.fault, duration=60.0, times=100, every=60.0))
    if not added:
        run.experiment = replace(run.experiment, method=(often,))
    recovery = run.experiment.phases.recovery
    assert run._patience(*([often] if added else [])) - once > 99 * (60 + recovery)


def test_a_run_that_may_take_for_ever_is_waited_for_no_longer_than_a_thread_can(stand_in) -> None:
    run = a_run()
    run.experiment = replace(run.experiment, phases=replace(run.experiment.phases, recovery=1e12))
    assert run._patience() == threading.TIMEOUT_MAX
