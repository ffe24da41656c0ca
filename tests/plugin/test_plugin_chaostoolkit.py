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
from harness.engine import method, single
from harness.engine import run as engine
from harness.engine.abort import Abort
from harness.engine.options import Options, Outcome
from harness.errors import AbortTriggered, PreconditionFailed
from harness.model.catalogue import FAULTS
from harness.model.experiment import Experiment
from harness.model.fault import Hand
from harness.model.plan import Plan, PlannedFault, Victim
from harness.model.verdict import Verdict

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

    def __init__(self, verdict: Verdict = Verdict.PASS, refuse: Exception | None = None) -> None:
        self.verdict, self.refuse = verdict, refuse
        self.did: list[str] = []

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
            cluster=None,
            abort=Abort(),
            plan=Plan("run-1", 1, "kind", faults, "i", "r"),
            owed={},
        )
        self.did.append("baseline")
        with session.abort.scope:
            await walk(session)
        self.did.append("judge")
        verdict = Verdict.ABORTED if session.abort else self.verdict
        return Outcome(
            verdict=verdict,
            exit=int(verdict.exit),
            right=verdict is Verdict.PASS,
            run="run-1",
            dir=Path("runs/run-1"),
            text=f"VERDICT  {verdict}",
            seconds=1.0,
            overhead=0.1,
            reason=session.abort.reason,
        )

    async def inject(self, _: Any, faults: tuple[PlannedFault, ...], at_once: int) -> None:
        self.did += [f"{fault.kind} {fault.victim} {at_once}" for fault in faults]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Engine], Engine]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_CONTEXT", "another")
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


def test_a_deviation_of_the_run_is_a_deviation_of_the_experiment(stand_in):
    stand_in(Engine(Verdict.DEVIATED))
    journal = chaos_run()
    assert journal["deviated"] is True


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
