"""The real plugin in a session of its own, with the engine replaced at its one door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cluster.host import machine
from harness.engine import method
from harness.engine import run as engine
from harness.engine.options import Options, Outcome
from harness.journal.writer import Journal
from harness.model.experiment import Experiment
from harness.model.verdict import Verdict
from harness.pytest_plugin import (
    fixture,
    items,  # noqa: F401 - loaded once here, not again in every inner session
)
from tests.plugin.block import Run
from tests.plugin.driven import DOCUMENT, Engine


@pytest.fixture
def _light(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    # To find and register the plugins of others takes longer than most inner sessions; a test names those it needs.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p harness.pytest_plugin")
    # Half a second for each inner session, and another answer on a busy machine.
    monkeypatch.setattr(machine, "warning", lambda: "")


@pytest.fixture
def door(
    _light: None, monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester
) -> Callable[..., list[tuple[str, Options]]]:
    """Answer the engine's door with given verdicts, by experiment, a list in turn; returns the calls it will see."""

    def answer(**verdicts: Verdict | Exception | list[Verdict]) -> list[tuple[str, Options]]:
        calls: list[tuple[str, Options]] = []

        def run(experiment: Experiment, options: Options) -> Outcome:
            calls.append((experiment.name, options))
            found = verdicts[experiment.path.stem]
            found = found.pop(0) if isinstance(found, list) else found
            if isinstance(found, Exception):
                raise found
            assert options.say
            options.say("INJECT     pod_kill on shop/cart-0")
            directory = pytester.path / "runs" / experiment.path.stem
            with Journal(directory, experiment.path.stem) as journal:
                journal.write("fault.injected", "inject", id="1", kind="pod_kill", victim="shop/cart-0", facts={})
                if found is not Verdict.INCONCLUSIVE:
                    journal.write("fault.felt", "hold", id="1", evidence={"uid": "gone"}, after=0.4)
                journal.write("fault.healed", "heal", id="1", evidence={}, after=1.5)
            right = found is experiment.expect.verdict
            return Outcome(
                verdict=found,
                exit=0 if right else int(found.exit),
                right=right,
                run=f"run-{experiment.path.stem}",
                dir=directory,
                text=f"VERDICT  {found}  of {experiment.path.stem}",
                seconds=10.0,
                overhead=2.5,
                reason="" if found is Verdict.PASS else "availability 97 %",
                cause="" if found is Verdict.PASS else "all 9 failures came of calls to mail",
            )

        monkeypatch.setattr(engine, "run", run)
        return calls

    return answer


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Engine], Engine]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_CONTEXT", "another")
    monkeypatch.setenv("HARNESS_LOCAL", "another")
    for name in ("HARNESS_KUBECONFIG", "KUBECONFIG", "KUBERNETES_CONTEXT"):
        monkeypatch.setenv(name, "another")
    monkeypatch.setattr("sys.argv", ["chaos", "run", "experiment.yaml"])
    (tmp_path / "experiment.yaml").write_text(DOCUMENT)

    def use(stand: Engine) -> Engine:
        monkeypatch.setattr(engine, "execute", stand)
        monkeypatch.setattr(method, "inject_in_groups", stand.inject)
        return stand

    return use


@pytest.fixture
def driven(_light: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    def use(verdict: Verdict = Verdict.PASS, refuse: Exception | None = None) -> list[str]:
        did: list[str] = []
        monkeypatch.setattr(
            fixture,
            "Live",
            type("Stand", (Run,), {"verdict": verdict, "refuse": refuse, "did": did, "experiments": []}),
        )
        return did

    return use
