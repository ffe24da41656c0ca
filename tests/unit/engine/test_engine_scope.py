"""A run whose rights end at one namespace keeps to it, and runs that could meet exclude each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.documents import document
from harness.engine import contexts, lease, lever
from harness.engine.lease import Leases
from harness.engine.planning import rights
from harness.engine.preflight import permission, scope
from harness.engine.preflight.scope import SYSTEM, Scope
from harness.engine.session import Session
from harness.engine.undoing import undo
from harness.errors import ApiError, PreconditionFailed, RunInProgress, UsageError
from harness.model.experiment import Experiment
from harness.model.fault import Hand
from harness.model.plan import PlannedFault, Victim

FAULT = """
  - {{type: action, name: break it, provider: {{type: python, module: harness.chaostoolkit.actions, func: {kind},
     arguments: {{target: {target}}}}}}}
"""


def experiment(
    kind: str = "pod_kill", target: str = "", radius: str = "namespaces: [shop], pods: 1", load: str = ""
) -> Experiment:
    method = FAULT.format(kind=kind, target=target or "{namespace: shop, selector: app=cart, pods: 1}")
    text = (
        f"title: x\ndescription: x\nmethod: {method}extensions:\n"
        f"  - {{name: harness, objectives: {{recovery: {{within: 9s}}}}, blast-radius: {{{radius}}}"
        f"{f', load: {load}' if load else ''}}}\n"
    )
    return document.loads(text, Path("x.yaml"))


class Server:
    """Leases and ConfigMaps by path, for users who may work in some namespaces only."""

    context = "staging"
    server = "https://staging"
    kubeconfig = None
    namespace = "shop"

    def __init__(self, kept: dict[str, Any], *may: str) -> None:
        self.kept, self.may = kept, may

    def _check(self, path: str) -> None:
        words = path.split("/")
        # A namespace itself is no part of what lies in it.
        namespace = words[words.index("namespaces") + 1] if "namespaces" in words[:-2] else ""
        if self.may and namespace not in self.may:
            raise ApiError(403, "Forbidden", "not granted")

    async def get(self, path: str) -> dict[str, Any]:
        self._check(path)
        if path not in self.kept:
            raise ApiError(404, "NotFound", "")
        item: dict[str, Any] = self.kept[path]
        return {**item, "metadata": dict(item["metadata"]), "spec": dict(item.get("spec", {}))}

    async def create(self, path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        self._check(path)
        place = f"{path}/{body['metadata']['name']}"
        if place in self.kept:
            raise ApiError(409, "AlreadyExists", "")
        self.kept[place] = {**body, "metadata": {**body["metadata"], "resourceVersion": "1", "namespace": _of(path)}}
        return await self.get(place)

    async def replace(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._check(path)
        if body["metadata"]["resourceVersion"] != self.kept[path]["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "")
        version = str(int(body["metadata"]["resourceVersion"]) + 1)
        self.kept[path] = {**body, "metadata": {**body["metadata"], "resourceVersion": version, "namespace": _of(path)}}
        return await self.get(path)

    async def patch(self, path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        self._check(path)
        self.kept[path] = {**body, "metadata": {**body["metadata"], "namespace": _of(path)}}
        return body

    async def delete(self, path: str, **_: Any) -> dict[str, Any]:
        self._check(path)
        if self.kept.pop(path, None) is None:
            raise ApiError(404, "NotFound", "")
        return {}

    def leases(self) -> list[dict[str, Any]]:
        return [item for place, item in self.kept.items() if place.endswith(f"/{scope.LEASE}")]

    async def list(self, path: str, labels: str = "", **_: Any) -> list[dict[str, Any]]:
        self._check(path)
        if labels:
            return []
        return [item for place, item in self.kept.items() if place.split("/")[-2] == path.rpartition("/")[2]]


def _of(path: str) -> str:
    words = path.split("/")
    return words[words.index("namespaces") + 1] if "namespaces" in words[:-1] else ""


@pytest.fixture
def held() -> Callable[..., Leases]:
    def make(server: Server, run: str, reach: Scope, *namespaces: str, kept: bool = False) -> Leases:
        return Leases(server, run, reach, namespaces, kept=kept)  # type: ignore[arg-type]

    return make


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watch a held lease without waiting: its holder renews it."""

    async def renewed(_: Any, namespace: str = SYSTEM) -> None:
        raise RunInProgress("a run is going on", where=namespace)

    monkeypatch.setattr(lease, "outlive", renewed)


ALONE = Scope("shop", alone=True)


@pytest.mark.anyio
@pytest.mark.case(22, "rights in one namespace only", "a run inside that namespace works")
async def test_a_run_that_stays_in_its_namespace_needs_no_right_outside() -> None:
    server = Server({}, "shop")
    found = await scope.find(server, experiment())  # type: ignore[arg-type]
    assert found == ALONE
    leases = Leases(server, "run-1", found, ["shop"], kept=False)  # type: ignore[arg-type]
    await leases.acquire(holder_is_dead=False)
    await leases.renew()
    leases.check()
    await permission.admit(server, None, found, ["shop"])  # type: ignore[arg-type]
    await leases.release()
    assert server.kept == {}, "nothing stays in a namespace that is not the harness's"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "wide",
    [
        experiment(radius="namespaces: [shop, mail], pods: 1"),
        experiment("node_cordon", "{nodes: 1, selector: pool=a}", "namespaces: [shop], nodes: 1"),
    ],
)
async def test_one_that_does_not_stay_is_refused_with_the_way_to_more_rights(wide: Experiment) -> None:
    with pytest.raises(PreconditionFailed) as caught:
        await scope.find(Server({}, "shop"), wide)  # type: ignore[arg-type]
    assert "harness plan --role x.yaml" in caught.value.hint


@pytest.mark.anyio
async def test_whoever_may_act_in_the_whole_cluster_does() -> None:
    assert await scope.find(Server({}), experiment()) == Scope()  # type: ignore[arg-type]
    assert await scope.of(Server({})) == Scope()  # type: ignore[arg-type]
    mail = Server({"/api/v1/namespaces/mail": {"metadata": {}}})
    assert await scope.of(mail, "mail") == Scope("mail", alone=True)  # type: ignore[arg-type]
    assert await scope.of(Server({}, "mail"), "mail") == Scope("mail", alone=True)  # type: ignore[arg-type]
    assert await scope.of(Server({}, "shop")) == ALONE  # type: ignore[arg-type]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("first", "second", "meet"),
    [
        ((ALONE, "shop"), (ALONE, "shop"), True),
        ((ALONE, "shop"), (Scope(), "shop", "mail"), True),
        ((Scope(), "shop", "mail"), (ALONE, "shop"), True),
        ((Scope(), "mail"), (Scope(), "shop"), True),
        ((ALONE, "shop"), (Scope(), "mail"), False),
        ((Scope(), "mail"), (ALONE, "shop"), False),
        ((ALONE, "shop"), (Scope("mail", alone=True), "mail"), False),
    ],
)
async def test_runs_that_could_touch_the_same_exclude_each_other(
    held: Callable[..., Leases], alive: None, first: tuple[Any, ...], second: tuple[Any, ...], meet: bool
) -> None:
    server = Server({})
    one = held(server, "run-1", *first)
    await one.acquire(holder_is_dead=False)
    two = held(server, "run-2", *second)
    if meet:
        with pytest.raises(RunInProgress):
            await two.acquire(holder_is_dead=False)
    else:
        await two.acquire(holder_is_dead=False)
    await two.release()
    await one.renew()
    await one.release()
    await held(server, "run-3", *second).acquire(holder_is_dead=False)


@pytest.mark.anyio
async def test_a_keeper_vouches_for_no_run_that_had_none(held: Callable[..., Leases], alive: None) -> None:
    server = Server({})
    await held(server, "run-1", ALONE).acquire(holder_is_dead=False)
    with pytest.raises(RunInProgress):
        await held(server, "run-2", Scope(), "shop", kept=True).acquire(holder_is_dead=True)
    dead = Server({})
    await held(dead, "run-1", Scope(), "shop", kept=True).acquire(holder_is_dead=True)
    await held(dead, "run-2", Scope(), "shop", kept=True).acquire(holder_is_dead=True)


@pytest.mark.anyio
async def test_the_lever_of_the_cluster_lies_where_nearsighted_runs_see_it(held: Callable[..., Leases]) -> None:
    server = Server({})
    await held(server, "run-1", ALONE).acquire(holder_is_dead=False)
    places = await lever.pull(server, who="me", reason="enough")  # type: ignore[arg-type]
    assert places == [SYSTEM, "shop"]
    pulled = await lever.read(Server(server.kept, "shop"), "shop")  # type: ignore[arg-type]
    assert pulled == {"state": "on", "who": "me", "reason": "enough"}
    await lever.release(server)  # type: ignore[arg-type]
    assert [await lever.read(server, place) for place in places] == [None, None]  # type: ignore[arg-type]


def test_the_least_role_is_of_the_namespace_and_names_what_it_can() -> None:
    (role,) = rights.roles_for([experiment(), experiment("pod_evict")])
    assert (role["kind"], role["metadata"]) == ("Role", {"name": "chaos-harness", "namespace": "shop"})
    asked = {name for rule in role["rules"] for name in rule["resources"]}
    assert not {"nodes", "namespaces", "nodefaults"} & asked
    assert {"pods/eviction", "pods", "faults", "leases"} <= asked
    names = [rule.get("resourceNames") for rule in role["rules"] if rule["resources"] in (["leases"], ["configmaps"])]
    assert names == [["chaos-lever"], None, ["chaos-run"]]


def test_experiments_of_several_namespaces_get_a_role_in_each_and_one_of_a_node_a_cluster_role() -> None:
    mail = experiment(target="{namespace: mail, selector: app=mail, pods: 1}", radius="namespaces: [mail], pods: 1")
    roles = rights.roles_for([experiment(), mail])
    assert [role["metadata"]["namespace"] for role in roles] == ["mail", "shop"]
    node = experiment("node_cordon", "{nodes: 1, selector: pool=a}", "namespaces: [shop], nodes: 1")
    (role,) = rights.roles_for([experiment(), node])
    assert role["kind"] == "ClusterRole"
    assert {"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"]} in role["rules"]


@pytest.mark.anyio
async def test_a_lever_and_a_label_that_may_be_seen_count_in_a_run_of_one_namespace_too() -> None:
    lever_of = f"/api/v1/namespaces/{SYSTEM}/configmaps/{lever.NAME}"
    metadata: dict[str, Any] = {"name": "shop", "labels": {}}
    server = Server({"/api/v1/namespaces/shop": {"metadata": metadata}})
    with pytest.raises(UsageError, match="has not opted in"):
        await permission.admit(server, None, ALONE, ["shop"])  # type: ignore[arg-type]
    metadata["labels"] = {contexts.OPT_IN_LABEL: "true"}
    await permission.admit(server, None, ALONE, ["shop"])  # type: ignore[arg-type]
    server.kept[lever_of] = {"metadata": {}, "data": {"state": "on", "who": "me", "reason": "tired"}}
    with pytest.raises(PreconditionFailed, match="the lever is on"):
        await permission.admit(server, None, ALONE, ["shop"])  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_whoever_lives_where_no_cap_names_is_asked_each_time_and_its_lease_is_held_once(
    session: Session, held: Callable[..., Leases], alive: None
) -> None:
    labels: dict[str, str] = {}
    server = Server({"/api/v1/namespaces/mail": {"metadata": {"name": "mail", "labels": labels}}})
    watched: list[object] = []
    session.kube, session.lease = server, held(server, "run-1", Scope())  # type: ignore[assignment]
    session.beside = lambda *words: watched.append(words[-1])
    session.experiment = replace(session.experiment, promising=False)
    reached = [PlannedFault("1", "pod_kill", "a", Hand.API, Victim("pod", "post-1", "uid", "mail"))]
    with pytest.raises(UsageError, match="mail has not opted in"):
        await permission.admit_reached(session, reached)
    labels[contexts.OPT_IN_LABEL] = "true"
    for _ in range(2):
        await permission.admit_reached(session, reached)
    assert [item["metadata"]["namespace"] for item in server.leases()] == ["mail"]
    assert watched == ["mail"]


@pytest.mark.anyio
async def test_a_namespace_that_does_not_exist_is_a_mistake_of_the_document() -> None:
    with pytest.raises(UsageError, match="'shop' does not exist"):
        await permission.admit(Server({}), None, Scope(), ["shop"])  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_leases_of_dead_holders_are_waited_for_together(
    held: Callable[..., Leases], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, waiting = Server({}), 0
    both = anyio.Event()
    await held(server, "run-1", Scope(), "shop").acquire(holder_is_dead=False)

    async def outlived(_: Any, namespace: str = SYSTEM) -> dict[str, Any]:
        nonlocal waiting
        waiting += 1
        if waiting == 2:
            both.set()
        with anyio.fail_after(30):
            await both.wait()
        return await server.get(f"{scope.LEASES.format(namespace)}/{scope.LEASE}")

    monkeypatch.setattr(lease, "outlive", outlived)
    second = held(server, "run-2", Scope(), "shop")
    await second.acquire(holder_is_dead=False)
    assert waiting == 2
    await second.renew()


@pytest.mark.anyio
async def test_undo_waits_for_a_run_that_no_keeper_knows(held: Callable[..., Leases], alive: None) -> None:
    server = Server({})
    await held(server, "run-1", Scope(), "shop").acquire(holder_is_dead=False)
    with pytest.raises(RunInProgress):
        await undo.undo(server, None, lambda _: None)  # type: ignore[arg-type]


@pytest.mark.anyio
@pytest.mark.parametrize("later", [(), ("run-2",)])
async def test_undo_takes_no_lease_from_a_run_that_began_meanwhile(
    held: Callable[..., Leases], monkeypatch: pytest.MonkeyPatch, later: tuple[str, ...]
) -> None:
    server = Server({})
    await held(server, "run-1", Scope(), "shop").acquire(holder_is_dead=False)

    async def lapsed(_: Any, namespace: str = SYSTEM) -> dict[str, Any]:
        return await server.get(f"{scope.LEASES.format(namespace)}/{scope.LEASE}")

    async def healing(*_: Any) -> list[dict[str, Any]]:
        for run in later:
            await held(server, run, Scope(), "shop").acquire(holder_is_dead=False)
        return []

    monkeypatch.setattr(lease, "outlive", lapsed)
    monkeypatch.setattr(undo.resource, "list_all", healing)
    await undo.undo(server, None, lambda _: None)  # type: ignore[arg-type]
    assert [item["spec"]["holderIdentity"] for item in server.leases()] == [*later, *later]


PROXY = "http://127.0.0.1:8001/api/v1/namespaces/{}/services/{}/proxy/carts"


@pytest.mark.parametrize(
    ("url", "method", "service", "verb"),
    [
        (PROXY.format("shop", "web:80"), "GET", "web:80", "get"),
        (PROXY.format("shop", "https:web:").removesuffix("/carts"), "HEAD", "https:web:", "get"),
        ("https://rancher/k8s/clusters/c-1" + PROXY.format("shop", "web")[21:] + "?x=1", "POST", "web", "create"),
    ],
)
def test_a_load_through_the_api_server_needs_the_right_to_its_service(
    url: str, method: str, service: str, verb: str
) -> None:
    loaded = experiment(load=f"{{url: '{url}', method: {method}, rate: 9/s}}")
    rule = {"apiGroups": [""], "resources": ["services/proxy"], "resourceNames": [service], "verbs": [verb]}
    (role,) = rights.roles_for([loaded])
    assert rule in role["rules"]
    assert rule in rights.rules_for(loaded)


def test_a_load_to_anywhere_else_needs_no_right_and_one_to_another_namespace_a_role_there() -> None:
    (role,) = rights.roles_for([experiment(load="{url: 'https://shop.example/api/v1/services/web', rate: 9/s}")])
    assert not [rule for rule in role["rules"] if "services/proxy" in rule["resources"]]
    front = experiment(load=f"{{url: '{PROXY.format('front', 'web:80')}', rate: 9/s}}")
    roles = {role["metadata"]["namespace"]: role["rules"] for role in rights.roles_for([front])}
    assert [rule["resources"] for rule in roles["front"]] == [["services/proxy"]]
    assert not [rule for rule in roles["shop"] if "services/proxy" in rule["resources"]]
