from __future__ import annotations

import json
import os
from pathlib import Path

import jsonschema
import pytest
import yaml

from harness.checkers import OBJECTIVES
from harness.documents import document, meaning, schema
from harness.errors import UsageError
from harness.faults import FAULTS
from harness.model.experiment import BlastRadius, Expectation, Phases
from harness.model.fault import FaultSpec, Target
from harness.model.objective import AbortWhen, Objective
from harness.model.verdict import Verdict
from harness.stack import parts

ROOT = Path(__file__).parents[3]
EXPERIMENTS = sorted(
    path for folder in ("experiments", "bench", "tests/e2e/documents") for path in (ROOT / folder).rglob("*.yaml")
)
SCHEMA = ROOT / "harness" / "schema.json"


def test_a_whole_experiment_becomes_a_value(loaded, slo):
    found = loaded(defaults=slo)
    assert found.name == "cart/evict"
    assert found.faults == (
        FaultSpec("pod_evict", "evict three at once", Target("shop", "app=cart", pods=3, at_once=3), {"deadline": 0.0}),
    )
    assert found.load is not None
    assert (found.load.workload, found.load.rate, len(found.load.calls)) == ("mixed", 50.0, 4)
    assert found.phases == Phases(baseline=10.0, hold=10.0, recovery=60.0)
    assert found.abort_when == AbortWhen(0.8, 10.0)
    assert found.blast_radius == BlastRadius(("shop",), pods=3)
    assert found.sets == {"local", "nightly"}
    assert found.expect == Expectation()
    assert (found.hypothesis, len(found.probes)) == ("Enough carts are ready", 1)


def test_an_experiment_says_which_parts_of_the_stack_it_needs(loaded, slo):
    assert loaded(("sets: [local", "parts: [delivery]\n    sets: [local"), defaults=slo).parts == ("delivery",)


def test_where_the_stack_s_files_are_not_installed_any_part_is_left_to_the_cluster(loaded, slo, monkeypatch, tmp_path):
    monkeypatch.setattr(parts, "project_root", lambda: tmp_path)
    assert loaded(("sets: [local", "parts: [data]\n    sets: [local"), defaults=slo).parts == ("data",)


def test_the_stacks_objectives_hold_where_there_is_load(loaded, slo):
    assert [each.checker for each in loaded(defaults=slo).objectives] == [
        "availability",
        "latency",
        "recovery",
        "disruption-budget",
    ]
    quiet = loaded(
        ("    load: {workload: mixed, rate: 50/s}\n", ""),
        ("    abort-when: {availability-below: 80%, for: 10s}\n", ""),
        defaults=slo,
    )
    assert [each.checker for each in quiet.objectives] == ["recovery", "disruption-budget"]


def test_an_objective_that_is_stated_replaces_the_default(loaded, slo):
    stated = ("recovery: {within: 30s}", "availability: {ratio: 90%, why: one of three is gone}")
    found = {each.checker: each for each in loaded(stated, defaults=slo).objectives}
    expected = Objective("availability", {"ratio": 0.9, "minimum-operations": 30}, "one of three is gone")
    assert found["availability"] == expected


def test_a_burn_rate_spends_the_stacks_budget(loaded, slo):
    stated = ("recovery: {within: 30s}", "burn-rate: {max: 10}")
    found = {each.checker: each for each in loaded(stated, defaults=slo).objectives}
    assert found["burn-rate"].parameters == {"objective": 0.999, "max": 10.0}


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_experiment_of_the_project_loads_and_passes_the_editors_schema(editor, path):
    assert document.is_experiment(path)
    found = document.load(path, document.defaults(ROOT / "stack" / "slo.yaml"))
    assert found.objectives or not found.faults
    editor.validate(yaml.load(path.read_text(), yaml.CSafeLoader))


def test_the_editors_schema_is_the_catalogues():
    assert json.loads(SCHEMA.read_text()) == schema.build(), "python -m harness.documents.schema > harness/schema.json"
    jsonschema.Draft202012Validator.check_schema(schema.build())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("pods: 3, at", "pod: 3, at"),
        ("pods: 3, at", "pods: 0, at"),
        ("rate: 50/s", "rate: 50"),
        ("func: pod_evict", "func: pod_evikt"),
        ("disruption-budget: {name: cart}", "disruption-budget: {}"),
        ("sets: [local", "sets: [lokal"),
        ("80%", "180"),
        ("name: harness\n", "name: harnes\n"),
    ],
)
def test_the_editors_schema_refuses_what_the_loader_refuses(editor, text, loaded, old, new):
    with pytest.raises(UsageError):
        loaded((old, new))
    with pytest.raises(jsonschema.ValidationError):
        editor.validate(yaml.safe_load(text.replace(old, new)))


def test_a_title_is_one_line_however_it_is_folded(loaded):
    folded = loaded(("title: Evictions stop at the budget", "title: |\n  Evictions stop\n  at the budget"))
    assert folded.title == "Evictions stop at the budget"


def test_the_digest_follows_the_meaning_and_not_the_layout(loaded, slo):
    same = loaded(("tags: [cart, pod]", "tags: [cart,   pod]  # a remark"))
    assert loaded().digest == same.digest
    assert loaded().digest != loaded(("pods: 3, at-once: 3", "pods: 2, at-once: 2")).digest
    assert loaded().digest != loaded(defaults=slo).digest


def test_only_documents_with_our_extension_are_experiments(tmp_path, text):
    def is_experiment(content):
        path = tmp_path / "x.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return document.is_experiment(path)

    assert is_experiment(text)
    assert is_experiment(text.encode("utf-16")), "as a shell on Windows writes it"
    assert is_experiment("extensions: [{name: harness}") is True, "a broken one must show its error"
    assert not is_experiment("extensions: [{name: other}]\ntitle: harness")
    assert not is_experiment("extensions: {name: harness}")
    assert not is_experiment("- extensions\n- harness")
    assert not is_experiment("kind: Deployment")
    assert not is_experiment(b"\xff\xfe")
    assert not document.is_experiment(tmp_path / "missing.yaml")
    assert not document.is_experiment(tmp_path), "a folder may be called x.yaml"


CRD = """\
spec:
  extensions: [{name: harness}]
---
kind: Deployment
"""
MKDOCS = """\
markdown_extensions:
  - emoji: {index: !!python/name:material.emoji}
nav: [{name: harness}]
"""


@pytest.mark.parametrize("other", [CRD, MKDOCS, "[" * 3000 + '"extensions harness"', "a: !!int x\nextensions: harness"])
def test_a_file_of_another_project_that_cannot_be_read_is_not_ours(tmp_path, other):
    path = tmp_path / "x.yaml"
    path.write_text(other)
    assert not document.is_experiment(path)


@pytest.mark.parametrize(
    "broken",
    [
        "title: caf\xe9\nextensions:\n- name: harness\n".encode("latin-1"),
        b'{\n  "extensions": [\n    {"name": "harness",,}\n',
        b"title: [\nextensions:\n  - name: 'harness'\n",
    ],
)
def test_a_broken_file_that_says_it_is_ours_is_shown_and_not_skipped(tmp_path, broken):
    path = tmp_path / "x.yaml"
    path.write_bytes(broken)
    assert document.is_experiment(path)
    with pytest.raises(UsageError):
        document.load(path)


def test_an_experiment_that_is_far_too_large_is_shown_and_not_skipped(tmp_path, text):
    path = tmp_path / "x.yaml"
    path.write_text(text + "# \n" * 400_000)
    assert document.is_experiment(path)
    with pytest.raises(UsageError, match=r"x\.yaml: the experiment is larger than 1000000 bytes") as caught:
        document.load(path)
    assert "it has" in caught.value.why


@pytest.mark.parametrize("other", ['{"a": "extensions harness"}', "kind: Deployment"])
def test_a_large_file_of_another_project_is_not_ours(tmp_path, other):
    path = tmp_path / "x.json"
    path.write_text(other + " " * 1_000_000)
    assert not document.is_experiment(path)


def test_what_cannot_be_read_is_shown_and_not_skipped(tmp_path, text):
    for name, leads in (("away.yaml", "nowhere.yaml"), ("loop.yaml", "loop.yaml")):
        path = tmp_path / name
        path.symlink_to(tmp_path / leads)
        assert document.is_experiment(path)
        with pytest.raises(UsageError, match=f"{name}: cannot read the experiment"):
            document.load(path)


def test_an_editors_lock_beside_a_file_is_no_experiment(tmp_path):
    path = tmp_path / ".#x.yaml"
    path.symlink_to("me@host.1:2")
    assert not document.is_experiment(path)


def test_a_pipe_is_no_experiment_and_is_not_waited_for(tmp_path):
    path = tmp_path / "x.yaml"
    os.mkfifo(path)
    assert not document.is_experiment(path)
    assert not document.is_document(path)


def test_the_defaults_are_those_of_the_nearest_stack_above_the_document(tmp_path, monkeypatch):
    for name, ratio in (("outer", "99%"), ("outer/inner", "98%")):
        (tmp_path / name / "stack").mkdir(parents=True)
        (tmp_path / name / "stack" / "slo.yaml").write_text(f"availability: {{ratio: {ratio}}}\n")
    (tmp_path / "outer" / "inner" / "cart").mkdir()
    monkeypatch.chdir(tmp_path / "outer")
    found = document.defaults_for(Path("inner/cart/kill.yaml"))
    assert found == {"availability": {"ratio": "98%"}}
    assert document.defaults_for(Path("kill.yaml")) == {"availability": {"ratio": "99%"}}
    (tmp_path / "link.yaml").symlink_to(tmp_path / "outer" / "inner" / "kill.yaml")
    assert document.defaults_for(tmp_path / "link.yaml") == found, "a link promises what its file does"
    assert document.defaults_for(tmp_path / "kill.yaml") is None


def test_a_file_that_cannot_be_read_says_so(tmp_path):
    with pytest.raises(UsageError, match="cannot read the experiment"):
        document.load(tmp_path / "missing.yaml")
    with pytest.raises(UsageError, match="cannot read the objectives"):
        document.defaults(tmp_path / "missing.yaml")


def test_a_wrong_file_of_objectives_is_refused_by_its_line(tmp_path):
    path = tmp_path / "slo.yaml"
    path.write_text("availability:\n  ratio: 99.5\n")
    with pytest.raises(UsageError) as caught:
        document.defaults(path)
    assert caught.value.where == f"{path}:2"
    assert "write 99.5%" in str(caught.value)
    path.write_text("availabilty: {ratio: 99%}\n")
    with pytest.raises(UsageError, match="did you mean 'availability'"):
        document.defaults(path)


def test_the_objectives_of_the_stack_are_read():
    assert document.defaults(ROOT / "stack" / "slo.yaml")["availability"] == {"ratio": "99.5%"}


@pytest.mark.parametrize("content", ["null", "just text", "- a list"])
def test_something_else_than_a_mapping_is_no_experiment(content):
    with pytest.raises(UsageError, match="an experiment is a mapping"):
        document.loads(content, Path("x.yaml"))


def test_every_problem_is_told_at_once_in_the_order_of_the_lines(refused):
    lines = refused(("title: Evictions", "titel: Evictions"), ("rate: 50/s", "rate: 50"), ("pods: 3, at", "pod: 3, at"))
    told = [line for line in lines if line.startswith("evict.yaml:")]
    assert told == [
        "evict.yaml:1: unknown key 'titel' in the experiment",
        "evict.yaml:21: unknown key 'pod' in a target",
        "evict.yaml:26: 'rate': 50 is not a rate; write operations per second or minute above zero, like 50/s",
    ]
    assert "  fix   did you mean 'pods'?" in lines


def test_a_program_may_perform_a_fault_that_promises_nothing(loaded, refused):
    silent = (
        ("    load: {workload: mixed, rate: 50/s}\n", ""),
        ("    objectives:\n      disruption-budget: {name: cart}\n      recovery: {within: 30s}\n", ""),
        ("    abort-when: {availability-below: 80%, for: 10s}\n", ""),
    )
    assert loaded(*silent, promised=False).faults
    assert refused(*silent)[0].endswith("this experiment promises nothing")


def test_a_declared_weakness_names_its_verdict(loaded):
    found = loaded(("    sets:", "    expect: {verdict: DEVIATED, reason: no retries yet}\n    sets:"))
    assert found.expect == Expectation(Verdict.DEVIATED, "no retries yet")


def test_foreign_steps_pass_as_they_stand(loaded):
    step = (
        "rollbacks:\n  - {type: action, name: say, timeout: 5, pauses: {before: 1, after: 2.5},"
        "\n     provider: {type: process, path: echo}}"
    )
    known = ("    sets:", "    uncovered: true\n    sets:")
    (say,) = loaded(("rollbacks: []", step), known).rollbacks
    assert say.provider == {"type": "process", "path": "echo", "timeout": 5.0}
    assert (say.pause_before, say.pause_after, say.fault) == (1.0, 2.5, None)


def test_the_catalogue_explains_itself():
    for kind in (*FAULTS.values(), *OBJECTIVES.values()):
        assert kind.summary.endswith(".")
        assert all(parameter.summary.endswith(".") for parameter in kind.parameters)
    exercised = set().union(*(meaning.exercises(kind) for kind in FAULTS.values()))
    assert exercised == set(OBJECTIVES)
