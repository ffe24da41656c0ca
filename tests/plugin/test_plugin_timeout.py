"""What pytest-timeout ends is aborted: undone at once, with a verdict, whichever of its methods is set."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from harness.engine import run as engine
from harness.engine.options import Options, Outcome
from harness.model.experiment import Experiment
from harness.model.verdict import Verdict
from tests.plugin.documents import write

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
METHODS = ["signal", "thread"]
LATER = ["-p", "pytest_timeout", "--timeout", "600", "--timeout-method"]


def timers() -> list[threading.Timer]:
    """List the timers that run; the thread of one that was cancelled may take a moment to end."""
    return [one for one in threading.enumerate() if isinstance(one, threading.Timer) and not one.finished.is_set()]


def strike() -> None:
    """Let the timer of the item that runs strike now."""
    (timer,) = timers()
    threading.Thread(target=timer.function, args=timer.args).start()


@pytest.fixture
def _hangs(_light: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An engine whose run ends only when it is told to."""

    def run(experiment: Experiment, options: Options) -> Outcome:
        async def hang() -> str:
            assert options.stop
            strike()
            return await options.stop.asked()

        reason = anyio.run(hang)
        text = f"VERDICT  ABORTED  {reason}"
        return Outcome(Verdict.ABORTED, 3, False, "run-1", tmp_path, text, 1.0, 0.1, reason)

    monkeypatch.setattr(engine, "run", run)


@pytest.mark.case(
    15,
    "pytest-timeout, by a signal or from a thread, strikes while a fault is on",
    "undone within 2 s; ABORTED, a verdict is written",
)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.usefixtures("_hangs")
def test_an_experiment_that_is_timed_out_is_aborted(pytester: pytest.Pytester, method: str) -> None:
    path = write(pytester, "kill")
    result = pytester.runpytest_inprocess(*LATER, method, str(path))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*VERDICT  ABORTED  pytest-timeout: 600 s are over*"])
    assert result.ret == 3


@pytest.mark.parametrize("method", METHODS)
def test_the_timer_of_an_experiment_that_ends_in_time_ends_with_it(
    pytester: pytest.Pytester, door: Callable[..., list[object]], method: str
) -> None:
    door(kill=Verdict.PASS)
    write(pytester, "kill")
    assert pytester.runpytest_inprocess(*LATER, method, "experiments").ret == 0
    assert timers() == []


# The real driver with a stand-in behind it, in a process that may end itself.
DRIVEN = """
import anyio
from harness.cluster.host import machine
from harness.engine import method
from harness.engine import run as engine
from harness.engine.planning import caps, plan
from harness.model.fault import Hand
from harness.model.plan import Plan, PlannedFault, Victim
from tests.plugin.driven import Engine

machine.warning = lambda: ""
stand = Engine()


async def resolve(_, experiment, *, run, seed, taken, alone):
    one = experiment.faults[0]
    fault = PlannedFault("f", one.kind, one.activity, Hand.API, Victim("pod", "cart-0", "uid-0", namespace="shop"))
    return Plan(run, seed, "kind", (fault,), "", "")


async def settle(*_):
    await anyio.sleep_forever()


engine.execute, method.inject_in_groups, method.settle, plan.resolve = stand, stand.inject, settle, resolve
caps.require = lambda experiment, faults, left_out: None
"""
TEST = """
import signal, threading
import pytest
from tests.plugin.test_plugin_timeout import strike

@pytest.mark.chaos(namespaces=["shop"], pods=1)
def test_it(chaos):
    with chaos.fault("pod_kill", namespace="shop", selector="app=cart", pods=1):
        {strike}
        threading.Event().wait()
"""
STRIKES = {"signal": "signal.raise_signal(signal.SIGALRM)", "thread": "strike()"}


@pytest.fixture
def hanging(
    _light: None, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], pytest.RunResult]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest(DRIVEN)

    def run(method: str) -> pytest.RunResult:
        pytester.makepyfile(TEST.format(strike=STRIKES[method]))
        return pytester.runpytest_subprocess(*LATER, method)

    return run


@pytest.mark.parametrize("method", METHODS)
def test_the_run_of_a_test_that_hangs_is_aborted_first(hanging: Callable[[str], pytest.RunResult], method: str) -> None:
    result = hanging(method)
    assert "VERDICT  ABORTED" in result.stdout.str() + result.stderr.str()
    assert result.ret == 3


@pytest.mark.usefixtures("_light")
def test_a_test_without_a_run_is_left_to_pytest_timeout(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import pytest, signal\n@pytest.mark.chaos(namespaces=['shop'], pods=1)\n"
        "def test_it(chaos):\n    signal.raise_signal(signal.SIGALRM)\n"
    )
    result = pytester.runpytest_inprocess(*LATER, "signal")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Timeout*from pytest-timeout*"])
    assert result.ret == 1
