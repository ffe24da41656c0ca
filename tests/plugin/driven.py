"""A run that stands in for the engine's, driven from outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio

from harness.engine import activities
from harness.engine.abort import Abort
from harness.engine.course import Course
from harness.engine.options import Options, Outcome
from harness.engine.preflight.scope import Scope
from harness.model.experiment import Experiment
from harness.model.fault import Hand
from harness.model.plan import Plan, PlannedFault, Victim
from harness.model.verdict import Verdict
from harness.steps import __main__ as steps

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


class Engine:
    """Stand in for `execute`: walk the method as told, inject into a list, give a verdict."""

    def __init__(self, verdict: Verdict = Verdict.PASS, refuse: Exception | None = None, cluster: Any = None) -> None:
        self.verdict, self.refuse, self.cluster = verdict, refuse, cluster
        self.left_out: tuple[str, ...] = ()
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
        due = [spec for spec in experiment.faults if not spec.late]
        faults = tuple(PlannedFault("1", spec.kind, spec.activity, Hand.API, victim) for spec in due)
        session = SimpleNamespace(
            experiment=experiment,
            kube=SimpleNamespace(context="kind-x", server="https://x", kubeconfig=None),
            kubeconfig=Path("handed on"),
            planned=True,
            scope=Scope(),
            cluster=self.cluster,
            abort=Abort(),
            plan=Plan("run-1", 1, "kind", faults, "i", "r", left_out=self.left_out),
            owed={},
            courses={},
            picking=anyio.Lock(),
            unrolled={},
            method_begun=False,
            deviated=False,
            unanswered_probe=False,
            told_of_rollbacks=False,
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
            await activities.roll_back(session)
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

    async def call(self, activity: dict[str, Any], *, deadline: float, role: str = "method") -> dict[str, Any]:
        """Run an activity as the engine's worker does."""
        assert deadline
        return steps.perform(activity)

    async def inject(
        self, session: Any, faults: tuple[PlannedFault, ...], at_once: int, lasting: float | None = None
    ) -> None:
        session.courses.update({fault.id: Course(fault) for fault in faults})
        self.did += [f"{fault.kind} {fault.victim} {at_once}" for fault in faults]
        session.owed.update({fault.id: fault for fault in faults})
