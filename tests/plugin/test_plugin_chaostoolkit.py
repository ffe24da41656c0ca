"""Actions and the control under Chaos Toolkit, with the engine replaced at its door."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from chaoslib.discovery import discover_actions
from chaoslib.experiment import run_experiment

from harness.chaostoolkit import actions, controls, live
from harness.engine import single_action
from harness.errors import InjectionFailed, PreconditionFailed, UsageError
from harness.faults import FAULTS
from harness.model.verdict import Verdict
from probes import slo
from tests.plugin.driven import DOCUMENT, Engine


@pytest.mark.parametrize("kind", FAULTS)
def test_every_fault_is_an_action_with_the_parameters_of_the_catalogue(kind):
    parameters = set(inspect.signature(getattr(actions, kind)).parameters)
    course = {*actions.COURSE, *(("late",) if FAULTS[kind].target == "pod" else ())}
    assert parameters == {"target", "configuration", *course} | {one.name for one in FAULTS[kind].parameters}
    assert inspect.getdoc(getattr(actions, kind))


def test_actions_and_catalogue_name_the_same_faults():
    assert set(actions.__all__) == set(FAULTS)


def test_chaos_toolkit_discovers_every_action_with_its_words_and_types():
    found = {one["name"]: one for one in discover_actions(actions.__name__)}
    assert set(found) == set(FAULTS)
    drain = found["node_drain"]
    types = {one["name"]: one["type"] for one in drain["arguments"]}
    own = {"target": "mapping", "deadline": "string", "local": "boolean", "configuration": "mapping"}
    assert types == own | {"duration": "string", "times": "integer", "every": "string"}
    assert drain["doc"].startswith(FAULTS["node_drain"].summary)
    assert "emptyDir" in drain["doc"]


def test_an_action_without_the_control_is_a_run_of_its_own(monkeypatch):
    seen: list[Any] = []

    def perform(*arguments: Any) -> dict[str, Any]:
        seen.append(arguments)
        return {"run": "1"}

    monkeypatch.setattr(single_action, "perform", perform)
    target = {"namespace": "shop", "selector": "app=cart", "pods": 1}
    assert actions.pod_kill(target, grace=0, configuration={"chaos_context": "staging"}) == {"run": "1"}
    ((kind, arguments, options),) = seen
    assert (kind, arguments, options.context) == ("pod_kill", {"target": target, "grace": 0}, "staging")


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


def test_chaos_run_does_not_what_the_seed_leaves_out(stand_in):
    stand = stand_in(Engine())
    stand.left_out = ("delete one",)
    journal = chaos_run()
    assert stand.did == ["baseline", "judge"]
    assert journal["run"][0]["output"] == {"run": "run-1", "touched": [], "left out": "by seed 1"}


def test_probes_of_this_process_are_told_when_the_runs_cluster_is_the_local_one(stand_in):
    local = SimpleNamespace(kubeconfig=Path("ours"))
    stand_in(Engine(cluster=local))
    chaos_run()
    assert os.environ["HARNESS_LOCAL"] == "1"


def test_probes_and_foreign_steps_of_this_process_ask_as_the_run_does(stand_in):
    stand_in(Engine())
    chaos_run()
    assert {os.environ[name] for name in ("HARNESS_KUBECONFIG", "KUBECONFIG")} == {"handed on"}
    assert os.environ["KUBERNETES_CONTEXT"] == "kind-x"


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
).replace("  - name: harness\n", "  - name: harness\n    uncovered: true\n")


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


def test_a_document_that_is_refused_rolls_nothing_back(roll_back_run, tmp_path):
    (tmp_path / "experiment.yaml").write_text(ROLLED_BACK.replace("uncovered: true", "uncovered: false"))
    journal = roll_back_run(Engine())
    assert (journal["status"], journal["run"], rolled_back(tmp_path)) == ("interrupted", [], 0)


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


TRANSLATED = DOCUMENT.replace(
    """\
      module: harness.chaostoolkit.actions
      func: pod_kill
      arguments: {target: {namespace: shop, selector: app=cart, pods: 1}, grace: 0}
""",
    """\
      module: chaosk8s.pod.actions
      func: terminate_pods
      arguments: {ns: shop, label_selector: app=cart, grace_period: 0}
""",
)


@pytest.mark.case(1, "a step of another driver, under `chaos run`", "performed as the fault that it means")
def test_chaos_run_performs_a_step_that_means_a_fault_through_the_run(stand_in, tmp_path):
    assert "terminate_pods" in TRANSLATED
    stand = stand_in(Engine())
    (tmp_path / "experiment.yaml").write_text(TRANSLATED)
    journal = chaos_run(TRANSLATED)
    assert stand.did == ["baseline", "pod_kill shop/cart-0 1000000", "judge"]
    assert journal["run"][0]["output"] == {"run": "run-1", "touched": ["shop/cart-0"]}


FOLDED = ("name: delete one\n", "name: >\n      delete\n      one\n")


@pytest.mark.case(
    1, "a step whose name is folded over lines, under `chaos run`", "performed as the fault that it means"
)
@pytest.mark.parametrize("text", [DOCUMENT, TRANSLATED])
def test_chaos_run_finds_a_step_by_a_name_that_is_folded_over_lines(stand_in, tmp_path, text):
    stand = stand_in(Engine())
    folded = text.replace(*FOLDED)
    (tmp_path / "experiment.yaml").write_text(folded)
    journal = chaos_run(folded)
    assert journal["run"][0]["activity"]["name"] == "delete one\n"
    assert [one.partition(" ")[0] for one in stand.did] == ["baseline", "pod_kill", "judge"]


NOBODY = DOCUMENT.replace(
    "rollbacks: []\n",
    """\
  - type: action
    name: find nobody
    provider: {type: python, module: json, func: loads, arguments: {s: "[]"}}
rollbacks: []
""",
).replace("  - name: harness\n", "  - name: harness\n    uncovered: true\n")


@pytest.mark.case(2, "a foreign step that matched nothing, under `chaos run`", "no evidence: INCONCLUSIVE")
def test_a_step_that_matched_nothing_under_chaos_run_is_a_failure_of_the_run(stand_in, tmp_path):
    stand_in(Engine())
    (tmp_path / "experiment.yaml").write_text(NOBODY)
    with pytest.raises(InjectionFailed, match="not every step succeeded: find nobody"):
        chaos_run(NOBODY)


def test_what_chaos_run_was_given_decides_whom_a_fault_meets(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["chaos", "run", "--var", "ns=team-x", "http://127.0.0.1:1/experiment.yaml"])
    monkeypatch.setenv("TAG", "cart")
    stated = yaml.safe_load(DOCUMENT)
    stated["configuration"] = {"ns": "staging", "tag": {"type": "env", "key": "TAG"}}
    stated["method"][0]["provider"]["arguments"]["target"] |= {"namespace": "${ns}", "selector": "app=${tag}"}
    stated["extensions"][0]["blast-radius"]["namespaces"] = ["team-x"]
    given = controls._given(stated, {"ns": "team-x", "tag": "cart"})
    assert given.configuration == {"ns": "team-x"}
    (fault,) = controls._experiment(stated, given).faults
    assert (fault.target.namespace, fault.target.selector) == ("team-x", "app=cart")
