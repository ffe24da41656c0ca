"""Actions and the control under Chaos Toolkit, with the engine replaced at its door."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
import yaml
from chaoslib.experiment import run_experiment

from harness.chaostoolkit import actions, controls, live
from harness.engine import method, plan, single
from harness.engine import run as engine
from harness.engine.abort import Abort
from harness.engine.options import Options, Outcome
from harness.errors import AbortTriggered, InjectionFailed, PreconditionFailed, UsageError
from harness.model.catalogue import FAULTS
from harness.model.experiment import Experiment
from harness.model.fault import Hand
from harness.model.plan import Plan, PlannedFault, Victim
from harness.model.verdict import Verdict
from harness.steps import __main__ as steps
from probes import slo

DOCUMENT = """\
title: One pod is deleted
description: Deletes one pod.
controls: [{name: harness, provider: {type: python, module: harness.chaostoolkit.controls}}]
method:
  - type: action
    name: delete one
    provider:
      type: python
      module: harness.chaostoolkit.actions
      func: pod_kill
      arguments: {target: {namespace: shop, selector: app=cart, pods: 1}, grace: 0}
rollbacks: []
extensions:
  - name: harness
    load: {workload: execute-agent, rate: 20/s}
    objectives: {availability: {ratio: 99%}}
    blast-radius: {namespaces: [shop], pods: 1}
"""


@pytest.mark.parametrize("kind", FAULTS)
def test_every_fault_is_an_action_with_the_parameters_of_the_catalogue(kind):
    parameters = set(inspect.signature(getattr(actions, kind)).parameters)
    assert parameters == {"target", "configuration"} | {one.name for one in FAULTS[kind].parameters}
    assert inspect.getdoc(getattr(actions, kind))


def test_actions_and_catalogue_name_the_same_faults():
    assert set(actions.__all__) == set(FAULTS)


def test_an_action_without_the_control_is_a_run_of_its_own(monkeypatch):
    seen: list[Any] = []

    def perform(*arguments: Any) -> dict[str, Any]:
        seen.append(arguments)
        return {"run": "1"}

    monkeypatch.setattr(single, "perform", perform)
    target = {"namespace": "shop", "selector": "app=cart", "pods": 1}
    assert actions.pod_kill(target, grace=0, configuration={"chaos_context": "staging"}) == {"run": "1"}
    ((kind, arguments, options),) = seen
    assert (kind, arguments, options.context) == ("pod_kill", {"target": target, "grace": 0}, "staging")


class Engine:
    """Stand in for `execute`: walk the method as told, inject into a list, give a verdict."""

    def __init__(self, verdict: Verdict = Verdict.PASS, refuse: Exception | None = None, cluster: Any = None) -> None:
        self.verdict, self.refuse, self.cluster = verdict, refuse, cluster
        self.did: list[str] = []
        self.wrote: list[tuple[str, dict[str, Any]]] = []

    async def baseline(self) -> None:
        """Take no time."""

    async def __call__(
        self, experiment: Experiment, options: Options, walk: Callable[[Any], Awaitable[None]]
    ) -> Outcome:
        if self.refuse:
            raise self.refuse
        victim = Victim("pod", "cart-0", "uid-0", namespace="shop")
        faults = tuple(PlannedFault("1", spec.kind, spec.activity, Hand.API, victim) for spec in experiment.faults)
        session = SimpleNamespace(
            experiment=experiment,
            kube=SimpleNamespace(context="kind-x"),
            cluster=self.cluster,
            abort=Abort(),
            plan=Plan("run-1", 1, "kind", faults, "i", "r"),
            owed={},
            dirty={},
            method_begun=False,
            rolled_back=set(),
            unclean=[],
            worker=SimpleNamespace(call=self.call),
            say=lambda line: None,
            write=lambda kind, **data: self.wrote.append((kind, data)),
        )
        await self.baseline()
        self.did.append("baseline")
        try:
            with session.abort.scope:
                await walk(session)
        finally:
            await method.roll_back(session)
        self.did.append("judge")
        verdict = Verdict.ABORTED if session.abort else self.verdict
        return Outcome(
            verdict=verdict,
            exit=int(verdict.exit),
            right=verdict is experiment.expect.verdict,
            run="run-1",
            dir=Path("runs/run-1"),
            text=f"VERDICT  {verdict}",
            seconds=1.0,
            overhead=0.1,
            reason=session.abort.reason,
        )

    async def call(self, activity: dict[str, Any], *, deadline: float) -> dict[str, Any]:
        """Run an activity as the engine's worker does."""
        assert deadline
        return steps.perform(activity, {}, {})

    async def inject(self, session: Any, faults: tuple[PlannedFault, ...], at_once: int) -> None:
        self.did += [f"{fault.kind} {fault.victim} {at_once}" for fault in faults]
        session.owed.update({fault.id: fault for fault in faults})


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Engine], Engine]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_CONTEXT", "another")
    monkeypatch.setenv("HARNESS_LOCAL", "another")
    monkeypatch.setenv("HARNESS_KUBECONFIG", "another")
    monkeypatch.setattr("sys.argv", ["chaos", "run", "experiment.yaml"])
    (tmp_path / "experiment.yaml").write_text(DOCUMENT)

    def use(stand: Engine) -> Engine:
        monkeypatch.setattr(engine, "execute", stand)
        monkeypatch.setattr(method, "inject_in_groups", stand.inject)
        return stand

    return use


def chaos_run(text: str = DOCUMENT) -> dict[str, Any]:
    journal: dict[str, Any] = run_experiment(yaml.safe_load(text))
    json.dumps(journal, default=str)
    return journal


def test_chaos_run_injects_through_the_run_of_the_control(stand_in):
    stand = stand_in(Engine())
    journal = chaos_run()
    assert stand.did == ["baseline", "pod_kill shop/cart-0 1", "judge"]
    assert journal["run"][0]["output"] == {"run": "run-1", "touched": ["shop/cart-0"]}
    assert (journal["status"], journal["deviated"]) == ("completed", False)
    assert journal["harness"]["verdict"] == "PASS"
    assert live.current() is None
    assert os.environ["HARNESS_CONTEXT"] == "kind-x", "probes of this process ask the run's cluster"
    assert os.environ["HARNESS_LOCAL"] == "0"


def test_probes_of_this_process_are_told_when_the_runs_cluster_is_the_local_one(stand_in):
    local = SimpleNamespace(kubeconfig=Path("ours"))
    stand_in(Engine(cluster=local))
    chaos_run()
    assert (os.environ["HARNESS_LOCAL"], os.environ["HARNESS_KUBECONFIG"]) == ("1", "ours")


def test_a_deviation_of_the_run_is_a_deviation_of_the_experiment(stand_in):
    stand_in(Engine(Verdict.DEVIATED))
    journal = chaos_run()
    assert journal["deviated"] is True


WEAK = DOCUMENT.replace("rollbacks: []", "rollbacks: []\n").replace(
    "  - name: harness\n", "  - name: harness\n    expect: {verdict: DEVIATED, reason: known}\n"
)


@pytest.mark.parametrize(("verdict", "deviated"), [(Verdict.DEVIATED, False), (Verdict.PASS, True)])
def test_a_declared_deviation_is_right_and_one_that_no_longer_shows_deviates(stand_in, tmp_path, verdict, deviated):
    stand_in(Engine(verdict))
    (tmp_path / "experiment.yaml").write_text(WEAK)
    journal = chaos_run(WEAK)
    assert (journal["status"], journal["deviated"]) == ("completed", deviated)
    assert journal["harness"]["right"] is not deviated


def test_what_chaos_run_promises_depends_on_the_documents_place(stand_in, tmp_path, monkeypatch, capsys):
    stand_in(Engine())
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack" / "slo.yaml").write_text("latency: {p99: 1s}\n")
    monkeypatch.setattr("sys.argv", ["chaos", "run", str(tmp_path / "experiment.yaml")])
    monkeypatch.chdir("/")
    assert [one.checker for one in controls._experiment({}).objectives] == ["availability", "latency"]
    (tmp_path / "stack" / "slo.yaml").unlink()
    chaos_run()
    assert "experiment.yaml is not judged for latency" in capsys.readouterr().err


def test_a_document_that_chaos_run_fetches_must_promise_something_as_a_file_must(stand_in, monkeypatch):
    stand_in(Engine())
    monkeypatch.setattr("sys.argv", ["chaos", "run", "http://127.0.0.1:1/experiment.yaml"])
    silent = yaml.safe_load(DOCUMENT)
    del silent["extensions"][0]["load"], silent["extensions"][0]["objectives"]
    with pytest.raises(UsageError, match="promises nothing"):
        controls._experiment(silent)
    journal = chaos_run(yaml.safe_dump(silent))
    assert (journal["status"], journal["run"]) == ("interrupted", [])


def test_a_run_without_evidence_fails_the_experiment(stand_in):
    stand_in(Engine(Verdict.INCONCLUSIVE))
    journal = chaos_run()
    assert (journal["status"], journal["deviated"]) == ("failed", False)


def test_a_run_that_may_not_begin_interrupts_the_experiment_before_its_method(stand_in):
    stand_in(Engine(refuse=PreconditionFailed("the lever is on")))
    journal = chaos_run()
    assert journal["status"] == "interrupted"
    assert journal["run"] == []


def test_an_experiment_that_is_interrupted_cuts_its_run_short(stand_in, monkeypatch):
    stand = stand_in(Engine())

    def interrupted(**_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(actions, "pod_kill", interrupted)
    journal = chaos_run()
    assert stand.did == ["baseline", "judge"]
    assert journal["status"] == "aborted"
    assert (journal["harness"]["verdict"], journal["harness"]["reason"]) == ("ABORTED", "chaos run was interrupted")


ROLLED_BACK = DOCUMENT.replace(
    "rollbacks: []",
    """\
steady-state-hypothesis:
  title: All is well
  probes:
    - {type: probe, name: share, tolerance: 1, provider: {type: python, module: probes.slo, func: availability}}
rollbacks:
  - {type: action, name: note, provider: {type: process, path: sh, arguments: [-c, "echo once >> rolled-back"]}}""",
)


def rolled_back(tmp_path: Path) -> int:
    """Count how often the document was rolled back."""
    note = tmp_path / "rolled-back"
    return len(note.read_text().splitlines()) if note.exists() else 0


@pytest.fixture(params=["default", "always"])
def roll_back_run(request, stand_in, tmp_path, monkeypatch) -> Callable[..., dict[str, Any]]:
    """Run the document with a rollback, by either strategy of Chaos Toolkit."""
    (tmp_path / "experiment.yaml").write_text(ROLLED_BACK)
    monkeypatch.setattr(slo, "availability", lambda: 1)

    def run(stand: Engine) -> dict[str, Any]:
        stand_in(stand)
        settings = {"runtime": {"rollbacks": {"strategy": request.param}}}
        journal: dict[str, Any] = run_experiment(yaml.safe_load(ROLLED_BACK), settings)
        return journal

    return run


def test_the_run_rolls_back_and_chaos_toolkit_does_not_do_it_again(roll_back_run, tmp_path):
    journal = roll_back_run(Engine())
    assert (journal["status"], rolled_back(tmp_path)) == ("completed", 1)


def test_a_method_that_is_interrupted_is_rolled_back_once(roll_back_run, tmp_path, monkeypatch):
    def interrupted(**_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(actions, "pod_kill", interrupted)
    roll_back_run(Engine())
    assert rolled_back(tmp_path) == 1


def test_a_run_that_is_interrupted_before_its_method_rolls_nothing_back(roll_back_run, tmp_path, monkeypatch):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(slo, "availability", interrupted)
    journal = roll_back_run(Engine())
    assert (journal["status"], journal["run"], rolled_back(tmp_path)) == ("aborted", [], 0)


def test_an_unsteady_system_rolls_nothing_back(roll_back_run, tmp_path, monkeypatch):
    monkeypatch.setattr(slo, "availability", lambda: 0)
    journal = roll_back_run(Engine())
    assert (journal["run"], rolled_back(tmp_path)) == ([], 0)


def test_the_method_of_a_run_that_is_over_does_not_begin(roll_back_run, tmp_path, monkeypatch):
    def enough() -> int:
        run = live.current()
        assert run
        run._pull("enough")
        run._thread.join()
        return 1

    monkeypatch.setattr(slo, "availability", enough)
    journal = roll_back_run(Engine())
    assert (journal["run"], rolled_back(tmp_path)) == ([], 0)
    assert (journal["status"], journal["harness"]["reason"]) == ("aborted", "enough")


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


def test_a_fault_inside_a_fault_takes_another_target_and_the_journal_knows_both(stand_in, monkeypatch):
    stand, asked = stand_in(Engine()), []

    async def resolve(_: Any, experiment: Experiment, *, run: str, seed: int, taken: frozenset[str]) -> Plan:
        asked.append(set(taken))
        fault = experiment.faults[0]
        number = len(asked)
        victim = Victim("pod", f"cart-{number}", f"uid-{number}", namespace="shop")
        return Plan(
            run, seed, "kind", (PlannedFault(f"{run}-1", fault.kind, fault.activity, Hand.API, victim),), "", ""
        )

    monkeypatch.setattr(plan, "resolve", resolve)
    monkeypatch.setattr(plan, "require_caps", lambda experiment, faults: None)
    run = a_run()
    run.start()
    outer = run.inject(run.experiment.method[0])
    run.inject(run.experiment.method[0])
    assert run._session
    run._session.owed.pop(outer[0].id)
    run.inject(run.experiment.method[0])
    run.finish()
    assert asked == [set(), {"uid-1"}, {"uid-2"}]
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
    monkeypatch.setattr(live.Live, "_patience", lambda _: 0.05)
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
