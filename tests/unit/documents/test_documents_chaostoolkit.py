"""Documents that were not written for us: taken as Chaos Toolkit takes them, or refused before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.documents import document
from harness.documents.document import Given
from harness.errors import UsageError
from harness.model.experiment import BlastRadius
from tests.unit.documents.plain import PROBE, http, plain, pods, process, refused, step

LIMIT = {"timeout": 3}


def control(name: str, module: str = "m") -> dict[str, Any]:
    return {"name": name, "provider": {"type": "python", "module": module}}


USED = {"method": [step(arguments={"x": "${a}"})]}


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
            "the default is no int",
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
        # What would be handed on word by word.
        ({"configuration": {"a": {"b": {"type": "env", "key": "N"}}}}, "inside another value"),
        ({"configuration": {"a": [{"type": "env", "key": "N"}]}}, "inside another value"),
        ({"configuration": {"a": {"type": "environ", "key": "N"}}}, "did you mean 'env'?"),
        (USED | {"configuration": {"a": {"type": "dynamic", "provider": PROBE}}}, "of type probe, not 'dynamic'"),
        (USED | {"configuration": {"a": {"name": "x", "provider": PROBE}}}, "of type probe, not nothing"),
        ({"configuration": {"a": "http://x", "b": "${a}/y"}}, "no variable is replaced in 'b'"),
        (
            {"configuration": {"b": 1, "a": {"c": ["${b}"]}}, "method": [step(arguments={"x": "${a}"})]},
            "no variable is replaced in 'a'",
        ),
        (
            {"configuration": {"a": 1, "b": {"type": "env", "key": "N", "default": "${a}"}}},
            "no variable is replaced in",
        ),
        ({"configuration": {"a": 1}, "secrets": {"g": {"b": "${a}"}}}, "no variable is replaced in 'b'"),
        ({"configuration": {"b-c": 1}, "method": [step(arguments={"x": "at ${b-c}"})]}, "no variable is called 'b-c'"),
        ({"secrets": {"g": {"1b": "x"}}, "method": [step(arguments={"x": "${1b}"})]}, "no variable is called '1b'"),
        ({"secrets": {"g": {"b": {"type": "environ", "key": "N"}}}}, "did you mean 'env'?"),
        ({"secrets": {"g": {"b": [{"type": "env", "key": "N"}]}}}, "inside another value"),
        ({"secrets": {"g": {"b": {"type": "probe", "name": "x", "provider": PROBE}}}}, "do not come from a probe"),
        ({"secrets": {"g": {"b": {"type": "env", "key": "N", "default": "x"}}}}, "unknown key 'default'"),
        # Nobody compares, waits or calls a control before there is a run.
        *(
            ({"configuration": {"a": {"type": "probe", "name": "x", "provider": PROBE} | one}}, f"unknown key '{key}'")
            for key, one in {
                "tolerance": {"tolerance": 200},
                "pauses": {"pauses": {"before": 1}},
                "controls": {"controls": []},
                "background": {"background": True},
                "timeout": {"timeout": 3},
            }.items()
        ),
        (
            {"configuration": {"a": {"type": "probe", "name": "x", "provider": step()["provider"] | LIMIT}}},
            "no deadline",
        ),
        ({"runtime": {"hypothesis": {"strategy": "sometimes"}}}, "'sometimes' is no strategy"),
        ({"runtime": {"rollbacks": {"strategy": "allways"}}}, "did you mean 'always'?"),
        ({"runtime": {"python": {"version": "3.12"}}}, "unknown key 'python' in 'runtime'"),
        ({"rollback": []}, "did you mean 'rollbacks'?"),
        ({"controls": [{"name": "a", "provider": {"type": "process", "path": "x"}}]}, "is of type python"),
        ({"controls": [{"name": "a", "scope": "both", "provider": {"type": "python", "module": "m"}}]}, "is no scope"),
        ({"controls": [{"name": "a", "ref": "b"}]}, "a control needs 'provider'"),
        ({"extensions": {"other": {}}}, "'extensions' must be a list"),
        ({"extensions": [{"a": 1}]}, "an extension needs 'name'"),
        ({"extensions": [{"name": " "}]}, "an extension needs 'name'"),
        ({"extensions": ["other"]}, "an extension is a mapping"),
        ({"tags": ["shop", ""]}, "'' is not a text"),
        # Words that mean something elsewhere, and nothing where they stand.
        ({"pauses": {"before": 1}}, "'pauses' means nothing in the experiment"),
        ({"strategy": "continuously"}, "'strategy' means nothing in the experiment"),
        ({"probes": []}, "'probes' means nothing in the experiment"),
        ({"dry_run": True}, "'dry_run' means nothing in the experiment"),
        ({"controls": [control("c"), control("c", module="n")]}, "two controls are named 'c'"),
        ({"steady-state-hypothesis": {"title": "x", "pauses": {}}}, "'pauses' means nothing in the hypothesis"),
        ({"steady-state-hypothesis": {"title": "x", "tolerance": 1}}, "'tolerance' means nothing in the hypothesis"),
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
        ({"type": "probe", "name": "a", "provider": PROBE | {"timeout": "10"}}, "'10' is not a number of seconds"),
        ({"type": "probe", "name": "a", "provider": PROBE | {"timeout": [3]}}, "[3] is not a number of seconds"),
        ({"type": "probe", "name": "a", "provider": PROBE | {"timeout": [3, "x"]}}, "is not a number of seconds"),
        (step(timeout=-1), "-1 is not a number of seconds"),
        (step(secrets=["k8s"]), "'secrets' means nothing in an activity"),
        (step(arguments={}) | {"arguments": {}}, "'arguments' means nothing in an activity"),
        (step(method="POST"), "'method' means nothing in an activity"),
        (step(configuration={}), "'configuration' means nothing in an activity"),
        # What other engines know: a step that was switched off would be done.
        (step(enabled=False), "'enabled' means nothing in an activity"),
        (step(skip=True), "'skip' means nothing in an activity"),
        (step(**{"if": "${where}"}), "'if' means nothing in an activity"),
        (step(retries=3), "'retries' means nothing in an activity"),
        # Where Chaos Toolkit replaces no variable.
        (step("${where}"), "no variable is replaced in 'module'"),
        (step(func="${where}"), "no variable is replaced in 'func'"),
        (process(path="${where}"), "no variable is replaced in 'path'"),
        (http(method="${where}"), "no variable is replaced in 'method'"),
        (http(verify_tls="${where}"), "no variable is replaced in 'verify_tls'"),
        # What its client refuses in the middle of a run.
        (http(url="shop.example/cart"), "'shop.example/cart' is not the URL of a server"),
        (http(url="ftp://shop.example"), "is not the URL of a server"),
        (http(url="http:///cart"), "is not the URL of a server"),
        (http(url="${where}/cart"), "'${where}/cart' is not the URL of a server"),
        (http(url="http://${nowhere}/"), "nothing is called 'nowhere'"),
        (http(headers={"X-Count": 5}), "the header 'X-Count' must be a text"),
        (http(headers={"X-Trace": True}), "the header 'X-Trace' must be a text"),
        (http(headers={"X-Count": "${count}"}), "the header 'X-Count' must be a text"),
        # A name that is nearly one that there is.
        (step(arguments={"ns": "${wher}"}), "did you mean 'where'?"),
        (process(arguments=["-n", "in ${cuont}"]), "did you mean 'count'?"),
    ],
)
def test_a_step_that_could_not_be_run_as_written_is_refused(activity: Any, words: str) -> None:
    assert words in refused([activity], configuration={"where": "here", "count": 3})


@pytest.mark.parametrize(
    "activity",
    [
        http(url="http://${where}:80/${where}?q=$1"),
        http(url="${url}"),
        http(url="http://${late}/"),
        http(url="HTTPS://[::1]/"),
        http(headers={"X-Count": "5", "X-Where": "${where}", "X-None": None, "X-Late": "${late}"}),
        http(verify_tls="/etc/ssl/ca.pem"),
        process(arguments=["-c", "echo ${HOME} ${i} $wher"]),
        step(arguments={"text": "${somewhere_else_entirely}"}),
    ],
)
def test_a_step_is_taken_whose_words_are_its_own(activity: Any) -> None:
    late = {"type": "probe", "name": "b", "provider": {"type": "process", "path": "true"}}
    assert plain([activity], configuration={"where": "here", "url": "http://x/", "late": late}).method


def test_a_key_that_says_nothing_is_as_one_that_is_left_out() -> None:
    control = {"name": "c", "scope": None, "provider": {"type": "python", "module": "m", "arguments": None}}
    empty = step(pauses=None, controls=None, timeout=None) | {"name": "a"}
    empty["provider"] |= {"arguments": None, "secrets": None}
    process = {"type": "action", "name": "b", "provider": {"type": "process", "path": "true", "arguments": None}}
    inside = step(name="c", arguments={"value": None}, controls=[control])
    found = plain([empty, process, inside])
    bare = {"type": "python", "module": "shop.steps", "func": "act"}
    assert found.method[0].stated == found.stated["method"][0] == {"type": "action", "name": "a", "provider": bare}
    assert "arguments" not in found.stated["method"][1]["provider"]
    assert found.method[2].provider["arguments"] == {"value": None}
    assert found.stated["method"][2]["controls"] == [
        {"name": "c", "provider": {"type": "python", "module": "m"}},
    ]


@pytest.mark.parametrize("vault", [False, True])
def test_a_group_of_secrets_that_is_not_there_is_refused(vault: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    asked = step()
    asked["provider"]["secrets"] = ["k8s"]
    groups: dict[str, Any] = {"other": {"a": "b"}} | ({"k8s": {"type": "vault", "path": "p"}} if vault else {})
    if vault:
        assert plain([asked], secrets=groups).method
    else:
        assert "no group of secrets 'k8s'" in refused([asked], secrets=groups)
    # Without any secrets the function looks for its own.
    assert plain([asked]).method


@pytest.mark.parametrize("groups", [{}, {"k8s": {"token": "x"}}])
@pytest.mark.parametrize("asked", [1.5, "k8s", True, {"k8s": "token"}])
def test_groups_of_secrets_are_a_list_of_names(asked: Any, groups: dict[str, Any]) -> None:
    wrong = step()
    wrong["provider"]["secrets"] = asked
    assert "must list names of groups" in refused([wrong], secrets=groups)


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


def test_names_and_values_that_ask_for_nothing_are_taken() -> None:
    asked = {"type": "probe", "name": "q", "provider": {"type": "process", "path": "echo", "arguments": ["${a}"]}}
    found = plain(
        [step(arguments={"x": "${a}"})],
        configuration={
            "a": 1,
            "b-c": "not asked for",
            "taken-over": step(arguments={"x": "${a}"}),
            "d": "${HOME} and $a",
            "e": asked,
        },
    )
    assert found.method


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


def test_a_method_that_says_nothing_is_none() -> None:
    with pytest.raises(UsageError, match="needs 'method'"):
        document.loads("title: x\ndescription: x\nmethod:\nrollbacks: []\n", Path("x.yaml"))


@pytest.mark.case(24, "a public document whose variables come from the environment", "taken with what stands there")
def test_what_a_document_takes_from_the_environment_is_there() -> None:
    variable = {"type": "env", "key": "WHERE"}
    data = {"title": "x", "description": "x", "configuration": {"where": variable}, "secrets": {"k8s": {"x": variable}}}
    text = json.dumps(data | {"method": [pods(ns="${where}")]})
    found = document.loads(text, Path("x.json"), given=Given(environ={"WHERE": "mail"}))
    assert (found.faults[0].target.namespace, found.blast_radius.namespaces) == ("mail", ("mail",))


def test_variables_of_the_command_line_replace_the_stated_ones() -> None:
    data = {"title": "x", "description": "x", "method": [pods(qty="${n}")], "configuration": {"n": 1}}
    found = document.loads(json.dumps(data), Path("x.json"), given=Given(configuration={"n": 2, "m": 3}))
    assert found.faults[0].target.pods == 2
    assert found.stated["configuration"] == {"n": 2}


@pytest.mark.parametrize("extension", ["harnes", "Harness"], ids=["misspelt", "in capitals"])
def test_an_extension_that_is_meant_to_be_ours_is_not_passed_over(extension: str) -> None:
    assert "no extension named harness" in refused(extensions=[{"name": extension}])


@pytest.mark.parametrize("extensions", [{"name": "harness"}, {"harness": {"blast-radius": {}}}])
def test_an_extension_written_as_a_mapping_is_not_passed_over(tmp_path: Path, extensions: Any) -> None:
    assert "'extensions' must be a list" in refused(extensions=extensions)
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"title": "x", "method": [], "extensions": extensions}))
    assert document.is_experiment(path)
    path.write_text(json.dumps({"extensions": extensions}))
    assert not document.is_experiment(path)


@pytest.mark.parametrize("name", ["x.yaml", "x.json"])
@pytest.mark.parametrize("text", ["", "\n \n", "\ufeff"])
def test_an_empty_file_is_told_to_be_one(name: str, text: str) -> None:
    with pytest.raises(UsageError, match="the file is empty"):
        document.loads(text, Path(name))


def test_documents_are_told_by_what_they_say(tmp_path: Path) -> None:
    def told(content: str) -> bool:
        path = tmp_path / "x.yaml"
        path.write_text(content)
        return document.is_document(path)

    assert told("title: x\nmethod: []\n")
    assert told("title: [\nmethod:\n")
    # One that lacks its title is told so, not passed over.
    assert told("description: x\nmethod: []\n")
    assert told("steady-state-hypothesis: {title: x}\n")
    assert not told("method: GET\npath: /\n")
    assert not told("kind: Deployment\ntitle: x\n")
    assert not told("- title\n- method\n")
    assert not document.is_document(tmp_path / "missing.yaml")


@pytest.mark.case(24, "an address that happens to speak of Kubernetes", "no cluster is needed to ask a server")
@pytest.mark.parametrize(
    ("activity", "needed"),
    [
        (http(url="http://kube-shop.example/"), False),
        (http(headers={"X-Source": "kubernetes"}), False),
        (process(path="curl", arguments=["-fsS", "https://kubernetes.io/healthz"]), False),
        (process(path="curl", arguments="-fsS https://kubernetes.io/healthz"), False),
        (step(arguments={"url": "http://kube-shop.example/"}), False),
        (process(path="bash", arguments=["-c", "curl http://x/ && kubectl get pods"]), True),
        (process(path="/usr/local/bin/helm"), True),
        (process(path="oc", arguments=["delete", "pod", "x"]), True),
        (process(path="bash", arguments="-c 'echo doc; oc get pods'"), True),
        (process(path="doc"), False),
        (step("chaosk8s.pod.probes", "count_pods", kind="probe"), True),
        (step("shop.kubernetes"), True),
    ],
)
def test_an_address_is_not_a_cluster(activity: Any, needed: bool) -> None:
    assert plain([activity]).clustered is needed


def test_secrets_that_name_a_cluster_need_one() -> None:
    assert plain([step()], secrets={"group": {"KUBERNETES_CONTEXT": "here"}}).clustered


def test_what_only_vault_knows_is_known_too_late_for_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    one = {"group": {"app": {"type": "vault", "path": "p", "key": "k"}}}
    assert "is known only when the run has asked for it" in refused([pods(label_selector="app=${app}")], secrets=one)
    path = {"group": {"type": "vault", "path": "p"}}
    asked = [http(url="http://${host}/", headers={"X-Token": "${token}"}), step(arguments={"a": "${wher}"})]
    assert plain(asked, secrets=path, configuration={"where": "here"}).method


def test_a_document_that_states_no_caps_may_touch_each_namespace_that_its_faults_name() -> None:
    several = {"target": {"namespaces": ["shop", "mail"], "selector": "a=b", "pods": 1}, "times": 2}
    hosting = {"target": {"nodes": 1, "hosting": "front/a=b"}}
    faults = (("pod_kill", several), ("node_cordon", hosting))
    found = plain([step("harness.chaostoolkit.actions", kind, arguments=given) for kind, given in faults])
    assert found.blast_radius.namespaces == ("front", "mail", "shop")
