"""The `chaos` fixture, with the run that it drives replaced at its door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engine.options import Options, Outcome
from harness.errors import PreconditionFailed
from harness.journal.writer import Journal
from harness.model.experiment import Activity, Experiment
from harness.model.fault import Hand
from harness.model.plan import PlannedFault, Victim
from harness.model.verdict import Verdict
from harness.pytest_plugin import fixture

pytest_plugins = ["pytester"]

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
    did: list[str]

    def __init__(self, experiment: Experiment, options: Options) -> None:
        self.experiment, self.options = experiment, options

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

    def finish(self) -> Outcome:
        self.did.append("finish")
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


@pytest.fixture
def driven(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest -p no:cov -p no:anyio")

    def use(verdict: Verdict = Verdict.PASS, refuse: Exception | None = None) -> list[str]:
        did: list[str] = []
        monkeypatch.setattr(fixture, "Live", type("Stand", (Run,), {"verdict": verdict, "refuse": refuse, "did": did}))
        return did

    return use


def test_a_fault_lasts_as_long_as_its_block(pytester, driven):
    did = driven()
    pytester.makepyfile(BROKEN.format(then="assert chaos.verdict() == 'PASS'"))
    result = pytester.runpytest("--strict-markers")
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    assert did == ["start", "inject pod_kill {'grace': 0}", "heal shop/cart-0", "finish"]


def test_a_fault_is_healed_when_its_block_fails(pytester, driven):
    did = driven()
    pytester.makepyfile(BROKEN.format(then="pass").replace("assert names ==", "assert not names, names =="))
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    assert result.ret == 1
    assert did[-2:] == ["heal shop/cart-0", "finish"]


@pytest.mark.parametrize(("verdict", "code"), [(Verdict.DEVIATED, 1), (Verdict.INCONCLUSIVE, 2), (Verdict.DIRTY, 6)])
def test_a_verdict_that_nobody_asked_for_counts_all_the_same(pytester, driven, verdict, code):
    driven(verdict)
    pytester.makepyfile(BROKEN.format(then="pass"))
    result = pytester.runpytest()
    result.assert_outcomes(passed=1, errors=1)
    assert result.ret == code


def test_a_test_may_expect_a_deviation(pytester, driven):
    driven(Verdict.DEVIATED)
    pytester.makepyfile(BROKEN.format(then="assert chaos.verdict() == 'DEVIATED'"))
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    assert result.ret == 0


def test_nothing_excuses_dirty(pytester, driven):
    driven(Verdict.DIRTY)
    pytester.makepyfile(BROKEN.format(then="assert chaos.verdict() == 'DIRTY'"))
    assert pytester.runpytest().ret == 6


def test_more_than_the_marker_allows_is_refused_before_anything_begins(pytester, driven):
    did = driven()
    pytester.makepyfile(BROKEN.format(then="pass").replace('app=cart", pods=1', 'app=cart", pods=2'))
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    assert did == []
    result.stdout.fnmatch_lines(["*the faults ask for 2 pods, the blast radius allows 1"])


def test_a_misspelt_fault_is_refused_with_the_word_that_was_meant(pytester, driven):
    did = driven()
    pytester.makepyfile(BROKEN.format(then="pass").replace("pod_kill", "pod_kil"))
    pytester.runpytest().stdout.fnmatch_lines(["*did you mean 'pod_kill'*"])
    assert did == []


def test_a_run_that_may_not_begin_is_told_once(pytester, driven):
    did = driven(refuse=PreconditionFailed("no local cluster"))
    pytester.makepyfile(BROKEN.format(then="pass"))
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    assert did == []


def test_what_holds_for_the_run_is_stated_before_the_first_fault(pytester, driven):
    driven()
    pytester.makepyfile(BROKEN.format(then="chaos.load('mixed', '10/s')"))
    pytester.runpytest().stdout.fnmatch_lines(["*load must be stated before the first fault"])


def test_a_test_that_breaks_nothing_has_no_verdict(pytester, driven):
    did = driven()
    pytester.makepyfile("def test_it(chaos): pass")
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    assert (result.ret, did) == (0, [])
