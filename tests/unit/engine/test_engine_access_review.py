"""What a run would be refused in its midst is refused before anything is touched, and named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.engine.planning import rights
from harness.engine.preflight import permission
from harness.errors import ApiError, PreconditionFailed
from harness.model.experiment import Activity
from tests.unit.engine.test_engine_scope import Server, experiment

DEFINITIONS = "/apis/chaos.harness.dev/v1alpha1"


class Reviewing(Server):
    """A cluster whose user may work in `shop`, but for some verbs on some resources."""

    def __init__(self, *denied: str, silent: bool = False) -> None:
        served = {"metadata": {}, "resources": [{"name": "faults"}, {"name": "nodefaults"}]}
        super().__init__({DEFINITIONS: served}, "shop")
        self.denied, self.silent, self.asked = denied, silent, set[str]()

    async def get(self, path: str) -> dict[str, Any]:
        return self.kept[path] if path == DEFINITIONS else await super().get(path)

    async def create(self, path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        if body["kind"] != "SelfSubjectAccessReview":
            return await super().create(path, body)
        if self.silent:
            raise ApiError(403, "Forbidden", "nobody may ask")
        about = body["spec"]["resourceAttributes"]
        sub = f"/{about['subresource']}" if about["subresource"] else ""
        what = f"{about['verb']} {about['resource']}{sub}"
        self.asked.add(f"{what} in {about['namespace']}")
        return {**body, "status": {"allowed": what not in self.denied}}


PROXY = "'http://127.0.0.1:8001/api/v1/namespaces/shop/services/web:80/proxy/'"


async def begin(server: Server, kind: str = "pod_kill") -> None:
    one = experiment(kind, load=f"{{url: {PROXY}, rate: 9/s}}")
    async with permission.hold(server, None, one, "run-1"):  # type: ignore[arg-type]
        pass


@pytest.mark.anyio
@pytest.mark.case(7, "a user who may not do what the run needs", "Forbidden, before anything is touched")
@pytest.mark.parametrize(
    ("kind", "denied"),
    [
        ("pod_kill", "delete pods"),
        ("pod_evict", "create pods/eviction"),
        ("pod_kill", "list pods"),
        ("pod_kill", "list statefulsets"),
        ("pod_kill", "create faults"),
        ("pod_kill", "get services/proxy"),
    ],
)
async def test_a_right_that_lacks_ends_a_run_before_it_begins(kind: str, denied: str) -> None:
    server = Reviewing(denied)
    with pytest.raises(PreconditionFailed) as caught:
        await begin(server, kind)
    assert str(caught.value).splitlines()[0] == f"context staging: this user may not {denied} in namespace shop"
    assert caught.value.hint == "an administrator grants what `harness plan --role x.yaml` prints"
    assert caught.value.exit == 4
    assert list(server.kept) == [DEFINITIONS], "nothing was written, the lease included"


@pytest.mark.anyio
@pytest.mark.parametrize("server", [Reviewing("create pods/eviction"), Reviewing(silent=True)])
async def test_a_run_begins_without_what_it_does_not_need_and_where_nobody_may_ask(server: Reviewing) -> None:
    await begin(server)
    assert not [what for what in server.asked if not what.endswith(" in shop")]


def test_what_is_about_nodes_is_asked_for_in_no_namespace() -> None:
    drain = experiment("node_drain", "{hosting: shop/app=cart, nodes: 1}", "namespaces: [shop], nodes: 1, pods: 9")
    found = {name: [rule["resources"] for rule in rules] for name, rules in rights.needed(drain).items()}
    assert found[""] == [["nodes"]]
    assert ["pods/eviction"] in found["shop"]


WORKLOAD = "{namespace: shop, selector: app=web, workloads: 1}"


@pytest.mark.parametrize(
    ("kind", "target", "right"),
    [
        ("namespace_quota_exhaustion", "{namespace: shop}", ("namespaces", "get")),
        ("workload_scale", WORKLOAD, ("rollouts/scale", "patch")),
        ("workload_scale", WORKLOAD, ("replicasets/scale", "patch")),
        ("workload_scale", WORKLOAD, ("replicationcontrollers/scale", "get")),
    ],
)
def test_a_role_grants_whatever_a_fault_may_be_aimed_at(kind: str, target: str, right: tuple[str, str]) -> None:
    (role,) = rights.roles_for([experiment(kind, target)])
    assert right in {(name, verb) for rule in role["rules"] for name in rule["resources"] for verb in rule["verbs"]}


@pytest.mark.anyio
async def test_a_run_asks_for_no_right_to_scale_what_is_not_its_target() -> None:
    server = Reviewing("patch rollouts/scale", "patch replicasets/scale")
    async with permission.hold(server, None, experiment("workload_scale", WORKLOAD), "run-1"):  # type: ignore[arg-type]
        pass
    assert "patch deployments/scale in shop" in server.asked


STACK = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["harness-stack"], "verbs": ["get"]}


@pytest.mark.parametrize(("parts", "rules"), [(("delivery",), {"monitoring": [STACK]}), ((), {})])
def test_to_read_which_parts_the_stack_has_is_granted_and_asked_for_where_a_document_needs_some(
    parts: tuple[str, ...], rules: dict[str, list[Any]]
) -> None:
    one = replace(experiment(), parts=parts)
    roles = {role["metadata"]["namespace"]: role["rules"] for role in rights.roles_for([one])}
    assert {name: found for name, found in roles.items() if name != "shop"} == rules
    assert {name: [*found] for name, found in rights.needed(one).items() if name != "shop"} == rules


@pytest.mark.parametrize("where", ["probes", "method"])
def test_what_a_probe_asks_of_pods_is_granted_and_asked_for_where_it_looks(where: str) -> None:
    provider = {"type": "python", "module": "probes.mesh", "func": "let_in", "arguments": {"namespace": "edge"}}
    one = experiment()
    steps: dict[str, Any] = {where: (*getattr(one, where), Activity("probe", "who was let in", provider))}
    one = replace(one, **steps)
    roles = {role["metadata"]["namespace"]: role["rules"] for role in rights.roles_for([one])}
    granted = {(name, verb) for rule in roles["edge"] for name in rule["resources"] for verb in rule["verbs"]}
    assert granted == {("pods", "list"), ("pods/proxy", "get")}
    assert [*rights.needed(one)["edge"]] == roles["edge"]


def test_who_asks_over_tls_sees_the_pods_behind_a_service_and_one_secret() -> None:
    given = {"namespace": "edge", "service": "way-in", "port": 443, "certificate": "shown"}
    provider = {"type": "python", "module": "probes.mesh", "func": "over_tls", "arguments": given}
    one = replace(experiment(), probes=(Activity("probe", "what callers get", provider),))
    (rules,) = [role["rules"] for role in rights.roles_for([one]) if role["metadata"]["namespace"] == "edge"]
    assert {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["shown"], "verbs": ["get"]} in rules
    assert {(name, verb) for rule in rules for name in rule["resources"] for verb in rule["verbs"]} == {
        ("secrets", "get"),
        ("services", "get"),
        ("endpointslices", "list"),
        ("pods/portforward", "get"),
        ("pods/portforward", "create"),
    }
    assert [*rights.needed(one)["edge"]] == rules


@pytest.mark.parametrize("arguments", [None, {}, "${who}", {"namespace": "${where}"}])
def test_a_probe_that_does_not_say_where_it_looks_is_granted_nothing_there(arguments: object) -> None:
    provider = {"type": "python", "module": "probes.mesh", "func": "let_in", "arguments": arguments}
    one = replace(experiment(), probes=(Activity("probe", "who was let in", provider),))
    assert [role["metadata"]["namespace"] for role in rights.roles_for([one])] == ["shop"]
    assert rights.unknown_to([one]) == ["who was let in"]


@pytest.mark.parametrize("kind", ["pod_kill", "pod_evict"])
def test_a_run_is_asked_for_no_more_than_its_role_grants(kind: str) -> None:
    one = experiment(kind, load=f"{{url: {PROXY}, rate: 9/s}}")
    (role,) = rights.roles_for([one])
    granted = {(name, verb) for rule in role["rules"] for name in rule["resources"] for verb in rule["verbs"]}
    wanted = {
        (name, verb) for rule in rights.needed(one)["shop"] for name in rule["resources"] for verb in rule["verbs"]
    }
    assert wanted <= granted
