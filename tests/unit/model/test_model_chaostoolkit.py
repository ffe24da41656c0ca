"""Documents that were not written for us: taken as Chaos Toolkit takes them, or refused before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.model import document
from harness.model.document import Given
from harness.model.experiment import BlastRadius, Experiment
from harness.model.fault import FaultSpec, Rule

PROBE = {"type": "http", "url": "http://127.0.0.1:1/"}


def plain(method: Any = None, **top: Any) -> Experiment:
    data = {"title": "x", "description": "x", "method": method or [], **top}
    return document.loads(json.dumps(data), Path("shop/x.json"), given=Given())


def refused(method: Any = None, **top: Any) -> str:
    with pytest.raises(UsageError) as caught:
        plain(method, **top)
    return str(caught.value)


def step(module: str = "shop.steps", func: str = "act", kind: str = "action", **more: Any) -> dict[str, Any]:
    arguments = more.pop("arguments", {})
    provider = {"type": "python", "module": module, "func": func, "arguments": arguments}
    return {"type": kind, "name": more.pop("name", func), "provider": provider, **more}


def pods(**arguments: Any) -> dict[str, Any]:
    return step(
        "chaosk8s.pod.actions", "terminate_pods", arguments={"ns": "shop", "label_selector": "app=cart", **arguments}
    )


@pytest.mark.case(24, "a public document, without our extension", "taken, and run as Chaos Toolkit runs it")
def test_a_document_without_our_extension_is_taken() -> None:
    found = plain([step()], configuration={"a": {"type": "env", "key": "NOT_SET", "default": "b"}})
    assert (found.promising, found.objectives, found.blast_radius) == (False, (), BlastRadius())
    assert found.uncovered == ("step 'act', by shop.steps.act",)
    assert not found.clustered


@pytest.mark.parametrize(
    ("top", "words"),
    [
        ({"configuration": {"a": {"type": "env", "key": "NOT_SET"}}}, "the environment variable NOT_SET is not set"),
        ({"configuration": {"a": {"type": "env"}}}, "'a' needs 'key'"),
        (
            {"configuration": {"a": {"type": "env", "key": "N", "default": "x", "env_var_type": "int"}}},
            "holds is no int",
        ),
        ({"configuration": {"a": {"type": "env", "key": "N", "env_var_type": "intt"}}}, "no type of a variable"),
        ({"configuration": {"a": {"type": "file", "path": "/x"}}}, "configuration does not come from a file"),
        ({"secrets": {"a": {"b": {"type": "env", "key": "NOT_SET"}}}}, "the environment variable NOT_SET is not set"),
        ({"secrets": {"a": "b"}}, "stands outside of a group"),
        ({"secrets": {"a": {"type": "env", "key": "N"}}}, "stands outside of a group"),
        ({"secrets": {"a": {"b": {"type": "file", "path": "x"}}}}, "do not come from a file by themselves"),
        (
            {
                "configuration": {
                    "a": {"type": "probe", "provider": {"type": "python", "module": "m.actions", "func": "f"}}
                }
            },
            "acts",
        ),
        ({"runtime": {"hypothesis": {"strategy": "sometimes"}}}, "'sometimes' is no strategy"),
        ({"runtime": {"rollbacks": {"strategy": "allways"}}}, "did you mean 'always'?"),
        ({"runtime": {"python": {"version": "3.12"}}}, "unknown key 'python' in 'runtime'"),
        ({"rollback": []}, "did you mean 'rollbacks'?"),
        ({"controls": [{"name": "a", "provider": {"type": "process", "path": "x"}}]}, "is of type python"),
        ({"controls": [{"name": "a", "scope": "both", "provider": {"type": "python", "module": "m"}}]}, "is no scope"),
        ({"controls": [{"name": "a", "ref": "b"}]}, "a control needs 'provider'"),
    ],
)
def test_what_would_be_passed_over_is_refused(top: dict[str, Any], words: str) -> None:
    assert words in refused(**top)


@pytest.mark.parametrize(
    ("activity", "words"),
    [
        (step(background="yes"), "is not true or false"),
        (step(pauses={"before": "soon"}), "'soon' is not a number"),
        (step(timeout="1s"), "'1s' is not a number"),
        (step(dry="activities"), "'dry' is not read from a document"),
        (step(pause={}), "did you mean 'pauses'?"),
        ({"ref": "nobody"}, "no activity is named 'nobody'"),
        (step(arguments=[1]), "'arguments' must be a mapping"),
        (
            {"type": "probe", "name": "a", "provider": PROBE | {"expected_statu": 2, "header": {}}},
            "did you mean 'headers'?",
        ),
        (
            {"type": "probe", "name": "a", "provider": {"type": "process", "path": "x", "arguments": 5}},
            "must be a mapping or",
        ),
    ],
)
def test_a_step_that_could_not_be_run_as_written_is_refused(activity: Any, words: str) -> None:
    assert words in refused([activity])


@pytest.mark.case(16, "a tolerance that fails only when it is asked", "works, or is refused before the run")
@pytest.mark.parametrize(
    ("tolerance", "words"),
    [
        (0.5, "range: [0.5, 0.5]"),
        (None, "nothing is not a tolerance"),
        ([], "[] is not a tolerance"),
        ({"type": "regex", "pattern": "("}, "is no regular expression"),
        ({"type": "jsonpath", "path": "$.["}, "is no path"),
        ({"type": "jsonpath", "path": ""}, "is no path"),
        ({"type": "jsonpath", "path": "$.a", "count": "2"}, "is not a whole number"),
        ({"type": "range", "range": ["a", 2]}, "needs 'range'"),
        (
            {"type": "probe", "name": "a", "provider": {"type": "python", "module": "m", "func": "f"}},
            "needs 'arguments'",
        ),
        ({"type": "probe", "name": "a", "provider": {"type": "python", "module": "m.actions", "func": "f"}}, "acts"),
    ],
)
def test_a_tolerance_that_cannot_be_compared_is_refused(tolerance: Any, words: str) -> None:
    probe = {"type": "probe", "name": "a", "tolerance": tolerance, "provider": PROBE}
    assert words in refused(**{"steady-state-hypothesis": {"title": "x", "probes": [probe]}})


@pytest.mark.parametrize("tolerance", [True, 0, "x", [1, 2], {"type": "jsonpath", "path": "$.a[*]", "count": 2}])
def test_a_tolerance_that_can_be_compared_is_taken(tolerance: Any) -> None:
    probe = {"type": "probe", "name": "a", "tolerance": tolerance, "provider": PROBE}
    assert plain(**{"steady-state-hypothesis": {"title": "x", "probes": [probe]}}).probes[0].tolerance == tolerance


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        (PROBE | {"expected_status": 200}, "unknown key 'expected_status' in a http provider"),
        ({"type": "process", "path": "true", "env": {}}, "unknown key 'env' in a process provider"),
        (
            {"type": "python", "module": "harness.chaostoolkit.actions", "func": "pod_kill"}
            | {"arguments": {"target": {"namespace": "a", "selector": "a=b", "pods": 1}, "graceful": 1}},
            "unknown key 'graceful' in the arguments of pod_kill",
        ),
    ],
)
def test_words_that_would_change_what_a_step_does_are_not_passed_over(provider: Any, words: str) -> None:
    assert words in refused([{"type": "action", "name": "a", "provider": provider}])


def test_words_of_ones_own_are_ones_own() -> None:
    found = plain([step(owner="me")], team="shop", contributions={"reliability": "high"})
    assert found.method[0].name == "act"


@pytest.mark.parametrize("where", ["activity", "provider"])
def test_a_function_may_have_a_deadline(where: str) -> None:
    one = step()
    (one if where == "activity" else one["provider"])["timeout"] = 3
    [found] = plain([one]).method
    assert (found.deadline, "timeout" in found.stated["provider"]) == (3.0, False)


def test_a_reference_takes_the_step_it_names() -> None:
    found = plain([step(name="one", background=True, pauses={"after": 1}), {"ref": "one"}])
    assert [(one.name, one.background, one.pause_after) for one in found.method] == [
        ("one", True, 1),
        ("one", False, 1),
    ]


def test_variables_of_the_command_line_replace_the_stated_ones() -> None:
    data = {"title": "x", "description": "x", "method": [pods(qty="${n}")], "configuration": {"n": 1}}
    found = document.loads(json.dumps(data), Path("x.json"), given=Given(configuration={"n": 2, "m": 3}))
    assert found.faults[0].target.pods == 2
    assert found.stated["configuration"] == {"n": 2}


# -- what no plan covers --------------------------------------------------------------------------------------------

OURS: dict[str, Any] = {"name": "harness", "blast-radius": {"namespaces": ["shop"], "pods": 2}}
PROMISE = {"objectives": {"recovery": {"within": "30s"}}}


def ours(*method: Any, extension: Any = None, **top: Any) -> dict[str, Any]:
    return {"method": list(method), "extensions": [OURS | PROMISE | (extension or {})], **top}


@pytest.mark.case(
    1, "a foreign step beside a blast radius", "refused, or planned, capped and proved like a fault of ours"
)
@pytest.mark.parametrize(
    ("method", "rest", "words"),
    [
        ([step()], {}, "step 'act', by shop.steps.act is not covered"),
        ([step("shop.actions", kind="probe")], {}, "is not covered"),
        (
            [{"type": "action", "name": "a", "provider": {"type": "process", "path": "kubectl"}}],
            {},
            "by process kubectl",
        ),
        (
            [{"type": "action", "name": "a", "provider": PROBE | {"method": "POST"}}],
            {},
            "by http POST http://127.0.0.1:1/",
        ),
        ([], {"rollbacks": [step()]}, "rollback 'act', by shop.steps.act is not covered"),
        ([], {"controls": [{"name": "c", "provider": {"type": "python", "module": "m"}}]}, "control 'c', by module m"),
        ([step("chaosk8s.deployment.actions", "scale_deployment", arguments={"ns": "shop"})], {}, "is not covered"),
    ],
)
def test_a_step_that_no_plan_covers_needs_a_word(method: list[Any], rest: dict[str, Any], words: str) -> None:
    told = refused(**ours(*method, **rest))
    assert words in told
    assert "uncovered: true" in told
    found = plain(**ours(*method, extension={"uncovered": True}, **rest))
    assert len(found.uncovered) == 1


def test_a_known_step_outside_the_blast_radius_is_refused_whatever_the_document_says() -> None:
    scale = step(
        "chaosk8s.deployment.actions", "scale_deployment", arguments={"ns": "mail", "name": "x", "replicas": 0}
    )
    assert "outside the blast radius" in refused(**ours(scale, extension={"uncovered": True}))
    assert "'mail' is outside the blast radius" in refused(**ours(pods(ns="mail"), extension={"uncovered": True}))
    assert "namespace 'default' is outside" in refused(**ours(step("chaosk8s.pod.actions", "terminate_pods")))


def test_a_hypothesis_that_acts_is_refused() -> None:
    probe = step("chaosk8s.pod.actions", "terminate_pods", kind="probe", tolerance=True)
    found = ours(**{"steady-state-hypothesis": {"title": "x", "probes": [probe]}})
    assert "this probe acts: chaosk8s.pod.actions.terminate_pods" in refused(**found)


@pytest.mark.parametrize(
    ("arguments", "pods_asked", "rule"),
    [
        ({}, 1, Rule("pod")),
        ({"qty": 2}, 2, Rule("pod")),
        ({"qty": 2, "rand": True}, 2, Rule("pod", shuffled=True)),
        ({"all": True}, 0, Rule("pod", every=True)),
        ({"mode": "percentage", "qty": 50}, 0, Rule("pod", share=50)),
        ({"name_pattern": "^cart-[0-9]$", "order": "oldest"}, 1, Rule("pod", pattern="^cart-[0-9]$", order="oldest")),
    ],
)
def test_terminate_pods_is_a_pod_kill(arguments: dict[str, Any], pods_asked: int, rule: Rule) -> None:
    [fault] = plain(**ours(pods(**arguments, grace_period=3))).faults
    target = fault.target
    assert (fault.kind, target.namespace, target.selector) == ("pod_kill", "shop", "app=cart")
    assert (target.pods, target.rule, fault.parameters) == (pods_asked, rule, {"grace": 3})


def test_a_translated_step_is_held_to_the_caps() -> None:
    assert "the faults ask for 3 pods, the blast radius allows 2" in refused(**ours(pods(qty=3)))
    assert "needs 'blast-radius'" in refused([pods()], extensions=[{"name": "harness"} | PROMISE])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"qty": 0}, "nothing would be touched"),
        ({"qty": -1}, "nothing would be touched"),
        ({"qty": "2"}, "must be a whole number"),
        ({"mode": "share"}, "not fixed or percentage"),
        ({"mode": "percentage", "qty": 101}, "101 per cent"),
        ({"order": "newest"}, "not alphabetic or oldest"),
        ({"name_pattern": "("}, "is no regular expression"),
        ({"label_selector": "app=*"}, "is not a label selector"),
        ({"ns": "Shop!"}, "is not the name of a namespace"),
        ({"all": "yes"}, "must be true or false"),
        ({"quantity": 2}, "has no argument 'quantity'"),
        ({"label_selector": "app=${late}"}, "is known only when the run has asked its probe"),
    ],
)
def test_a_translated_step_whose_arguments_cannot_be_meant_is_refused(arguments: dict[str, Any], words: str) -> None:
    late = {"late": {"type": "probe", "name": "a", "provider": {"type": "process", "path": "true"}}}
    assert words in refused([pods(**arguments)], configuration=late)


@pytest.mark.parametrize(
    ("func", "arguments", "kind", "asked", "parameters"),
    [
        ("cordon_node", {"name": "n1"}, "node_cordon", 1, {}),
        ("cordon_node", {"label_selector": "zone=a"}, "node_cordon", 0, {}),
        ("drain_nodes", {"name": "n1"}, "node_drain", 1, {"deadline": 120.0, "local": False}),
        (
            "drain_nodes",
            {
                "count": 2,
                "delete_pods_with_local_storage": True,
                "timeout": 30,
                "pod_label_selector": "a=b",
                "pod_namespace": "shop",
            },
            "node_drain",
            2,
            {"deadline": 30.0, "local": True},
        ),
    ],
)
def test_node_steps_are_node_faults(func: str, arguments: Any, kind: str, asked: int, parameters: Any) -> None:
    [fault] = plain([step("chaosk8s.node.actions", func, arguments=arguments)]).faults
    assert (fault.kind, fault.target.nodes, fault.parameters) == (kind, asked, parameters)
    assert fault.target.kind == "node"


@pytest.mark.parametrize("role", ["method", "rollbacks"])
def test_an_uncordon_ends_the_cordon_it_belongs_to(role: str) -> None:
    cordon = step("chaosk8s.node.actions", "cordon_node", arguments={"name": "n1"})
    back = step("chaosk8s.node.actions", "uncordon_node", arguments={"name": "n1"})
    other = step("chaosk8s.node.actions", "uncordon_node", name="another", arguments={"name": "n2"})
    found = plain(**{"method": [cordon], role: [*([cordon] if role == "method" else []), back, other]})
    assert [one.heals for one in getattr(found, role)[-2:]] == ["cordon_node", ""]
    assert found.uncovered == (
        f"{'step' if role == 'method' else 'rollback'} 'another', by chaosk8s.node.actions.uncordon_node",
    )


def test_a_step_that_is_repeated_is_another_fault() -> None:
    assert [fault.activity for fault in plain([pods(), pods()]).faults] == ["terminate_pods", "terminate_pods (2)"]


def test_a_document_without_caps_reaches_what_it_names() -> None:
    found = plain([pods(qty=2), step("chaosk8s.deployment.actions", "scale_deployment", arguments={"ns": "mail"})])
    assert found.blast_radius == BlastRadius(("mail", "shop"), pods=2)
    assert found.clustered
    assert isinstance(found.faults[0], FaultSpec)


@pytest.mark.parametrize("extension", ["harnes", "Harness"], ids=["misspelt", "in capitals"])
def test_an_extension_that_is_meant_to_be_ours_is_not_passed_over(extension: str) -> None:
    assert "no extension named harness" in refused(extensions=[{"name": extension}])


def test_documents_are_told_by_what_they_say(tmp_path: Path) -> None:
    def told(content: str) -> bool:
        path = tmp_path / "x.yaml"
        path.write_text(content)
        return document.is_document(path)

    assert told("title: x\nmethod: []\n")
    assert told("title: [\nmethod:\n")
    assert not told("kind: Deployment\ntitle: x\n")
    assert not told("- title\n- method\n")
    assert not document.is_document(tmp_path / "missing.yaml")
