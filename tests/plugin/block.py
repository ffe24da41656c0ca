"""A test that breaks something in a block, and a run that stands in for the one it would drive."""

from __future__ import annotations

from pathlib import Path

from harness.engine.options import Options, Outcome
from harness.journal.writer import Journal
from harness.model.experiment import Activity, Experiment
from harness.model.fault import Hand
from harness.model.plan import PlannedFault, Victim
from harness.model.verdict import Verdict

BROKEN = """
import pytest

@pytest.mark.chaos(namespaces=["shop"], pods=1)
def test_it(chaos):
    chaos.load("list-agents", "20/s")
    chaos.promise("availability", ratio="99%")
    with chaos.fault("pod_kill", namespace="shop", selector="app=cart", pods=1, grace=0) as names:
        assert names == ["shop/cart-0"]
    {then}
"""


class Run:
    """Stand in for a driven run: note what is asked of it, end with a verdict."""

    verdict = Verdict.PASS
    refuse: Exception | None = None
    ended = False
    outcome: Outcome | None = None
    did: list[str]
    experiments: list[Experiment]

    def __init__(self, experiment: Experiment, options: Options) -> None:
        self.experiment, self.options = experiment, options
        self.experiments.append(experiment)

    def start(self) -> None:
        if self.refuse:
            raise self.refuse
        self.did.append("start")

    def inject(self, activity: Activity) -> tuple[PlannedFault, ...]:
        assert activity.fault
        self.did.append(f"inject {activity.fault.kind} {dict(activity.fault.parameters)}")
        victim = Victim("pod", "cart-0", "uid-0", namespace="shop")
        return (PlannedFault("1", activity.fault.kind, activity.name, Hand.API, victim),)

    def heal(self, faults: tuple[PlannedFault, ...]) -> None:
        self.did.append(f"heal {faults[0].victim}")

    def finish(self, *, abort: str = "") -> Outcome:
        self.did.append(f"finish {abort}".strip())
        assert self.options.say
        self.options.say("the run says something")
        directory = self.options.runs / "run-1"
        with Journal(directory, "run-1") as journal:
            journal.write("run.end", "report")
        return Outcome(
            verdict=self.verdict,
            exit=int(self.verdict.exit),
            right=self.verdict is Verdict.PASS,
            run="run-1",
            dir=Path(directory),
            text=f"VERDICT  {self.verdict}",
            seconds=1.0,
            overhead=0.1,
        )
