"""Steps of other drivers: read as faults where they mean one, named and held to the blast radius where they do not."""

from __future__ import annotations

from typing import Any

import pytest

from harness.model.experiment import BlastRadius
from harness.model.fault import FaultSpec, Rule
from tests.unit.documents.plain import PROBE, PROMISE, ours, plain, pods, refused, step

TARGET = {"namespace": "shop", "selector": "a=b", "pods": 1}


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


@pytest.mark.case(
    1, "a foreign step beside a blast radius", "refused, or planned, capped and proved like a fault of ours"
)
def test_a_known_step_outside_the_blast_radius_is_refused_whatever_the_document_says() -> None:
    scale = step(
        "chaosk8s.deployment.actions", "scale_deployment", arguments={"ns": "mail", "name": "x", "replicas": 0}
    )
    assert "outside the blast radius" in refused(**ours(scale, extension={"uncovered": True}))
    for arguments in ({}, {"all": True}):
        everyone = pods(ns="mail", **arguments)
        assert "'mail' is outside the blast radius" in refused(**ours(everyone, extension={"uncovered": True}))
    assert "namespace 'default' is outside" in refused(**ours(step("chaosk8s.pod.actions", "terminate_pods")))


@pytest.mark.case(
    1,
    "a foreign step that says where it acts in words of its own",
    "refused where that is outside the blast radius",
)
@pytest.mark.parametrize(
    ("module", "func", "arguments", "outside"),
    [
        ("namespace", "delete_namespace", {"name": "mail"}, "mail"),
        ("namespace", "delete_namespace", {"name": "shop"}, ""),
        ("crd", "apply_from_yaml", {"resource": "metadata: {name: x, namespace: mail}"}, "mail"),
        ("crd", "apply_from_json", {"resource": '{"metadata": {"name": "x"}}'}, "default"),
        ("crd", "apply_from_json", {"resource": '{"metadata": {"namespace": "shop"}}'}, ""),
        ("crd", "apply_from_json", {"resource": "${what}"}, ""),
        ("crd", "create_custom_object", {"ns": "mail"}, "mail"),
        ("crd", "create_cluster_custom_object", {"group": "g"}, ""),
        ("chaosmesh.network", "add_latency", {"ns": "shop", "namespaces_selectors": "shop,mail"}, "mail"),
        ("chaosmesh.stress", "stress_cpu", {"ns": "mesh", "namespaces_selectors": ["shop"]}, ""),
        ("chaosmesh.network", "set_loss", {"target_namespaces_selectors": ["mail"]}, "mail"),
        ("chaosmesh.network", "set_loss", {"ns": "mail"}, "mail"),
        ("node", "delete_nodes", {"count": 1}, ""),
        ("networking", "deny_all_egress", {}, "default"),
        ("deployment", "scale_deployment", {"ns": "${where}"}, "mail"),
    ],
)
def test_a_step_is_held_to_the_blast_radius_by_whatever_names_a_namespace(
    module: str, func: str, arguments: Any, outside: str
) -> None:
    one = step(f"chaosk8s.{module}.actions", func, arguments=arguments)
    document = ours(one, extension={"uncovered": True}, configuration={"where": "mail"})
    if outside:
        assert f"acts in namespace '{outside}', outside the blast radius" in refused(**document)
    else:
        assert plain(**document).uncovered


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


@pytest.mark.parametrize(
    "selector",
    [
        "app in(cart, shop),tier!=db",
        "app notin ( cart )",
        "app",
        "!app",
        "! app",
        "app = cart",
        "app==cart",
        "app=",
        "partition>3",
        "partition < 7, app.kubernetes.io/name=cart",
    ],
)
def test_every_selector_that_the_api_server_takes_is_taken(selector: str) -> None:
    [fault] = plain([pods(label_selector=selector)]).faults
    assert fault.target.selector == selector


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_selector_or_a_pattern_that_says_nothing_selects_all_as_the_driver_does(nothing: str | None) -> None:
    [fault] = plain([pods(label_selector=nothing, name_pattern=nothing, all=None, rand=None)]).faults
    assert (fault.target.selector, fault.target.rule) == ("", Rule("pod"))


@pytest.mark.case(
    1, "a foreign step beside a blast radius", "refused, or planned, capped and proved like a fault of ours"
)
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
        ({"label_selector": "app=caf\u00e9"}, "is not a label selector"),
        ({"ns": "Shop!"}, "is not the name of a namespace"),
        ({"ns": ""}, "'ns' is empty"),
        ({"ns": "${nowhere}"}, "is not the name of a namespace"),
        # Where the driver itself would stumble over nothing at all.
        ({"ns": None}, "'ns' is there and says nothing; leave it out for 'default'"),
        ({"qty": None}, "'qty' is there and says nothing; leave it out for 1"),
        ({"mode": None}, "'mode' is there and says nothing"),
        ({"grace_period": None}, "'grace_period' is there and says nothing; leave it out for -1"),
        ({"qty": 2.5, "mode": "percentage"}, "must be a whole number"),
        ({"all": "yes"}, "must be true or false"),
        ({"quantity": 2}, "has no argument 'quantity'"),
        ({"label_selector": "app=${late}"}, "is known only when the run has asked for it"),
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


@pytest.mark.case(24, "a public document about pods", "what it kills is planned as a fault")
def test_a_document_without_caps_reaches_what_it_names() -> None:
    found = plain([pods(qty=2), step("chaosk8s.deployment.actions", "scale_deployment", arguments={"ns": "mail"})])
    assert found.blast_radius == BlastRadius(("mail", "shop"), pods=2)
    assert found.clustered
    assert isinstance(found.faults[0], FaultSpec)


@pytest.mark.case(
    14, "a deadline or a tolerance of a step that is performed as a fault", "refused: nobody would ask for it"
)
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"timeout": 5}, "'timeout' means nothing to a fault"),
        ({"tolerance": ["a"]}, "'tolerance' means nothing to a fault"),
    ],
)
def test_what_nobody_would_ask_of_a_fault_is_refused(more: dict[str, Any], words: str) -> None:
    assert words in refused([pods() | more])
    cordon = step("chaosk8s.node.actions", "cordon_node", arguments={"name": "n1"})
    back = step("chaosk8s.node.actions", "uncordon_node", arguments={"name": "n1"})
    assert words in refused([cordon], rollbacks=[back | more])
    own = step("harness.chaostoolkit.actions", "pod_kill", arguments={"target": TARGET})
    assert words in refused(**ours(own | more))


def test_a_deadline_of_a_faults_provider_is_refused() -> None:
    late = pods()
    late["provider"]["timeout"] = 5
    assert "'timeout' means nothing to a fault" in refused([late])


def test_a_number_that_the_environment_holds_as_a_text_is_told_how_to_be_one() -> None:
    assert "env_var_type: int" in refused([pods(qty="${n}")], configuration={"n": "2"})
    assert "env_var_type: bool" in refused([pods(all="${n}")], configuration={"n": "true"})
