"""A document without our extension gets its run, its journal and its rollbacks; without a cluster if it needs none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.documents import document
from harness.engine import clusterless, run
from harness.engine.options import Options, Outcome
from harness.errors import PreconditionFailed, UsageError
from harness.model.verdict import Verdict

MODULE = """
from pathlib import Path

LOG = Path(__file__).with_name("log")

def mark(name, value="done"):
    with LOG.open("a") as log:
        log.write(name + "\\n")
    return value

def unless(name, seen, value, otherwise):
    lines = LOG.read_text().split() if LOG.exists() else []
    return otherwise if seen in lines else value

def cluster():
    from chaosk8s import create_k8s_api_client
    create_k8s_api_client()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "plain_steps.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "ambient"))
    return tmp_path


def step(name: str, func: str = "mark", kind: str = "action", **more: Any) -> dict[str, Any]:
    arguments = {"name": name, **more.pop("arguments", {})} if func != "cluster" else {}
    provider = {"type": "python", "module": "plain_steps", "func": func, "arguments": arguments}
    return {"type": kind, "name": name, "provider": provider, **more}


def ended(folder: Path, *method: Any, probes: Any = (), **top: Any) -> tuple[Outcome, list[str], list[dict[str, Any]]]:
    data: dict[str, Any] = {"title": "x", "description": "x", "method": list(method), **top}
    if probes:
        data["steady-state-hypothesis"] = {"title": "x", "probes": list(probes)}
    path = folder / "shop.json"
    path.write_text(json.dumps(data))
    outcome = run.run(document.load(path), Options(runs=folder / "runs"))
    events = [json.loads(line) for line in (outcome.dir / "journal.jsonl").read_text().splitlines()]
    log = (folder / "log").read_text().split() if (folder / "log").exists() else []
    return outcome, log, events


HOLDS = step("up", kind="probe", tolerance="done")
BREAKS = step(
    "up", "unless", "probe", tolerance="done", arguments={"seen": "break", "value": "done", "otherwise": "no"}
)


@pytest.mark.case(24, "a public document on a machine without a cluster", "it runs, and says what was judged")
def test_a_document_that_touches_no_cluster_needs_none(folder: Path) -> None:
    outcome, log, events = ended(folder, step("one"), probes=[HOLDS], rollbacks=[step("back")])
    assert (outcome.verdict, outcome.exit) == (Verdict.PASS, 0)
    assert log == ["up", "one", "up", "back"]
    assert "judged by its own hypothesis alone" in " ".join(outcome.text.split())
    assert next(event["data"]["context"] for event in events if event["type"] == "run.start") == clusterless.CONTEXT


def test_a_deviation_is_told(folder: Path) -> None:
    outcome, log, _ = ended(folder, step("break"), probes=[BREAKS], rollbacks=[step("mend")])
    assert (outcome.verdict, log) == (Verdict.DEVIATED, ["break", "mend"])


def test_a_hypothesis_that_does_not_hold_begins_nothing(folder: Path) -> None:
    outcome, log, _ = ended(folder, step("one"), probes=[step("up", kind="probe", tolerance="other")])
    assert (outcome.verdict, outcome.begun, log) == (Verdict.INCONCLUSIVE, False, ["up"])
    assert "the hypothesis did not hold before the method" in outcome.reason


def test_a_document_that_promises_nothing_is_run_and_is_no_pass(folder: Path) -> None:
    outcome, log, _ = ended(folder, step("one"), rollbacks=[step("back")])
    assert (outcome.verdict, log) == (Verdict.INCONCLUSIVE, ["one", "back"])
    assert "nothing was promised" in outcome.reason


@pytest.mark.case(2, "a foreign step that matched nothing", "no evidence: INCONCLUSIVE")
def test_a_step_that_matched_nothing_is_no_evidence(folder: Path) -> None:
    outcome, _, _ = ended(folder, step("one", arguments={"value": []}), probes=[HOLDS])
    assert outcome.verdict is Verdict.INCONCLUSIVE
    assert "step 'one' matched nothing" in outcome.reason


def test_a_step_that_fails_is_told_and_the_next_one_runs(folder: Path) -> None:
    outcome, log, _ = ended(folder, step("one", "unless", arguments={"seen": "x", "value": 1, "otherwise": 1}) | {
        "provider": {"type": "process", "path": "false"}
    }, step("two"), probes=[HOLDS])  # fmt: skip
    assert (outcome.verdict, log) == (Verdict.INCONCLUSIVE, ["up", "two", "up"])
    assert "step 'one' ended with status 1" in outcome.reason


def test_a_rollback_that_fails_is_dirty(folder: Path) -> None:
    back = {
        "type": "action",
        "name": "back",
        "provider": {"type": "process", "path": "sleep", "arguments": "9", "timeout": 0.1},
    }
    outcome, _, _ = ended(folder, step("one"), probes=[HOLDS], rollbacks=[back])
    assert outcome.verdict is Verdict.DIRTY


@pytest.mark.case(14, "a strategy of the rollbacks", "followed, or refused")
def test_a_strategy_of_the_rollbacks_is_followed(folder: Path) -> None:
    never = {"rollbacks": {"strategy": "never"}}
    _, log, _ = ended(folder, step("break"), probes=[BREAKS], rollbacks=[step("mend")], runtime=never)
    assert log == ["break"]


# Writes down for how long a step would have paused.
CLOCK = """
import types

import chaoslib.activity
from plain_steps import mark

def configure_control():
    chaoslib.activity.time = types.SimpleNamespace(sleep=lambda seconds: mark(f"pause-{seconds:g}"))
"""


@pytest.mark.case(14, "a pause on a probe of the hypothesis or on a rollback", "honoured, or refused")
def test_whatever_pauses_in_a_document_pauses(folder: Path) -> None:
    (folder / "plain_clock.py").write_text(CLOCK)
    clock = {"name": "clock", "provider": {"type": "python", "module": "plain_clock"}}
    pauses = {"pauses": {"before": 600, "after": 700}}
    rest = {"rollbacks": [step("back", **pauses)], "controls": [clock]}
    _, log, _ = ended(folder, step("one", **pauses), probes=[HOLDS | pauses], **rest)
    assert log == [line for name in ("up", "one", "up", "back") for line in ("pause-600", name, "pause-700")]


def test_no_step_finds_its_way_to_a_cluster_that_nobody_named(folder: Path) -> None:
    (folder / "ambient").write_text(
        "{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}],"
        " clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: a, user: {token: x}}]}"
    )
    _, _, events = ended(folder, step("one", "cluster"))
    told = next(event["data"] for event in events if event["type"] == "step")
    assert (told["status"], "ConfigException" in told["error"]) == ("failed", True)


def test_a_document_that_speaks_of_kubernetes_needs_a_cluster(folder: Path) -> None:
    asked = {
        "type": "action",
        "name": "a",
        "provider": {"type": "process", "path": "kubectl", "arguments": ["get", "pods"]},
    }
    with pytest.raises(PreconditionFailed, match="no local cluster"):
        ended(folder, asked)


def test_what_chaos_toolkit_refuses_is_refused_before_anything_runs(folder: Path) -> None:
    with pytest.raises(UsageError, match="Chaos Toolkit cannot run this document") as caught:
        ended(folder, step("one"), step("two", "missing"))
    assert "does not expose a function called 'missing'" in caught.value.why
    assert not (folder / "log").exists()


def test_a_plan_names_what_it_does_not_cover(folder: Path) -> None:
    path = folder / "shop.json"
    path.write_text(json.dumps({"title": "x", "description": "x", "method": [step("one")]}))
    shown = run.dry_run(document.load(path), Options())
    assert "not covered: step 'one', by plain_steps.mark" in shown
    assert "nothing is promised" in shown


@pytest.mark.case(16, "a plan of what the run would refuse", "refused as the run refuses it, and nothing is called")
@pytest.mark.parametrize(
    ("method", "top", "why"),
    [
        ([step("one", "missing")], {}, "does not expose a function called 'missing'"),
        ([step("one", arguments={"valu": 1})], {}, "valu"),
        ([{"type": "action", "name": "a", "provider": {"type": "process", "path": "/no/such"}}], {}, "/no/such"),
        ([], {"controls": [{"name": "c", "provider": {"type": "python", "module": "nowhere"}}]}, "cannot be imported"),
        ([], {"secrets": {"k8s": {"KUBERNETES_HOST": "https://x"}}}, "by its host"),
    ],
)
def test_a_plan_refuses_what_its_run_would(folder: Path, method: list[Any], top: dict[str, Any], why: str) -> None:
    asked = {"type": "probe", "name": "asked", "provider": step("asked")["provider"]}
    data = {"title": "x", "description": "x", "method": method, "configuration": {"a": asked}, **top}
    path = folder / "shop.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError, match="Chaos Toolkit cannot run this document") as caught:
        run.dry_run(replace(document.load(path), clustered=False), Options())
    assert why in caught.value.why
    assert not (folder / "log").exists()


def test_a_plan_asks_no_probe_of_the_configuration(folder: Path) -> None:
    asked = {"type": "probe", "name": "asked", "provider": step("asked")["provider"]}
    path = folder / "shop.json"
    path.write_text(
        json.dumps({"title": "x", "description": "x", "method": [step("a")], "configuration": {"b": asked}})
    )
    assert "not covered: step 'a'" in run.dry_run(document.load(path), Options())
    assert not (folder / "log").exists()
