"""A key is changed and changed back: by whoever may read it, and without its value anywhere that others read."""

from __future__ import annotations

import base64
import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from harness.engine.planning import plan, rights
from harness.errors import ApiError, InjectionFailed, UndoFailed, UsageError
from harness.faults import FAULTS
from harness.faults.kind import as_recorded
from harness.hands.api import kubectl
from harness.journal import redact
from harness.model.experiment import Experiment
from harness.model.plan import PlannedFault, Victim
from harness.resources import resource
from harness.targets import keys, readers
from harness.targets.reach import Reach
from tests.unit.faults.documents import stated
from tests.unit.faults.recorded import elsewhere, injected
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import PODS, planned

pytestmark = pytest.mark.anyio
KIND = FAULTS["config_change"]
CORE = "/api/v1/namespaces/shop"
MAP, SECRET = f"{CORE}/configmaps/settings", f"{CORE}/secrets/db"
SETTINGS = Victim("config", "settings", "uid-s", "shop", owner="ConfigMap/settings", path=MAP)
DB = Victim("config", "db", "uid-d", "shop", owner="Secret/db", path=SECRET)
HIDDEN = "c3dvcmRmaXNo"  # swordfish


def shop(settings: dict[str, Any] | None = None, password: str = HIDDEN) -> Server:
    """Make a ConfigMap, a Secret, and a pod that reads both."""
    pod = {
        "metadata": {"name": "web-0", "uid": "uid-0", "namespace": "shop"},
        "spec": {
            "containers": [{"name": "web", "envFrom": [{"secretRef": {"name": "db"}}]}],
            "volumes": [{"name": "v", "configMap": {"name": "settings"}}],
        },
    }
    about = {"namespace": "shop", "resourceVersion": "7"}
    whole = {"data": {"mode": "fast\n", "size": "3"}} if settings is None else settings
    return Server(
        {
            f"{PODS}/web-0": pod,
            MAP: {"kind": "ConfigMap", "metadata": {**about, "name": "settings", "uid": "uid-s"}, **whole},
            SECRET: {
                "kind": "Secret",
                "metadata": {**about, "name": "db", "uid": "uid-d"},
                "data": {"password": password, "user": "d2Vi"},
            },
        }
    )


def fault(victim: Victim = SETTINGS, key: str = "mode", change: str = "removed", **more: Any) -> PlannedFault:
    reader = Victim("pod", "web-0", "uid-0", "shop")
    return replace(planned("config_change", victim, key=key, change=change, **more), takes=(reader,))


def state(server: Server) -> dict[str, Any]:
    """Return what is there, whatever version it is of."""
    found = copy.deepcopy({path: item for path, item in server.objects.items() if path != f"{PODS}/web-0"})
    for item in found.values():
        item["metadata"].pop("resourceVersion", None)
    return found


@pytest.mark.parametrize(
    ("settings", "one", "there"),
    [
        (None, fault(), {"data": {"size": "3"}}),
        (None, fault(change="emptied"), {"data": {"mode": "", "size": "3"}}),
        (None, fault(change="set", to="slow"), {"data": {"mode": "slow", "size": "3"}}),
        (None, fault(key="new", change="set", to="x"), {"data": {"mode": "fast\n", "size": "3", "new": "x"}}),
        ({"data": {"mode": "fast"}}, fault(), {"data": None}),
        ({}, fault(change="set", to="slow"), {"data": {"mode": "slow"}}),
        ({"binaryData": {"mode": "AAE="}, "data": {"a": "b"}}, fault(change="emptied"), {"binaryData": {"mode": ""}}),
    ],
)
async def test_a_key_of_a_config_map_is_changed_and_back(settings: Any, one: PlannedFault, there: Any) -> None:
    server = shop(settings)
    before = state(server)
    reach = await injected(server, one)
    assert {name: server.objects[MAP].get(name) or None for name in there} == there
    for _ in range(2):
        assert await elsewhere(server, reach, one) == []
    assert state(server) == before


@pytest.mark.parametrize("change", ["removed", "emptied", "garbled"])
async def test_the_value_of_a_secret_is_kept_in_a_secret_and_nowhere_else(change: str) -> None:
    server, one = shop(), fault(DB, "password", change)
    before = state(server)
    reach = await injected(server, one)
    assert server.objects[SECRET]["data"].get("password") != HIDDEN
    (kept,) = (path for path in server.objects if path.startswith(f"{CORE}/secrets/chaos-"))
    assert server.objects[kept]["kind"] == "Secret"
    assert server.objects[kept]["metadata"]["ownerReferences"][0]["uid"] == "uid-d"
    undo = KIND.undo(one, reach)
    told = [
        resource.body(one, "run", undo),
        [kubectl.said(op, "c") for op in undo],
        redact.clean(undo),
        plan.record(one),
    ]
    told += [await KIND.felt(one, reach), server.requests, repr(reach.notes)]
    again = base64.b64encode(json.dumps(HIDDEN).encode()).decode()
    assert [word for word in (HIDDEN, "swordfish", again[:12]) if word in json.dumps(told)] == []
    await elsewhere(server, reach, one)
    assert state(server) == before


async def test_the_values_are_in_no_request_but_those_that_keep_and_give_back() -> None:
    server, one = shop(), fault(DB, "password")
    reach = await injected(server, one)
    (_, effect) = server.bodies
    assert HIDDEN not in json.dumps(effect)
    assert await KIND.healed(fault(DB, "user", "emptied"), reach_with(server, reach, one)) == {"config": "back"}


def reach_with(server: Server, reach: Reach, one: PlannedFault) -> Reach:
    """Hand on what was noted of a fault whose key is back."""
    server.objects[SECRET]["data"]["password"] = HIDDEN
    return reach


async def test_a_refusal_to_keep_it_changes_nothing_and_quotes_no_value() -> None:
    server, one = shop(), fault(DB, "password")
    server.refuses["POST"] = ApiError(422, "Invalid", f"data: {HIDDEN} is no good")
    with pytest.raises(InjectionFailed) as refused:
        await injected(server, one)
    assert HIDDEN not in str(refused.value)
    assert refused.value.__suppress_context__
    assert server.objects[SECRET]["data"]["password"] == HIDDEN


async def test_what_somebody_else_wrote_meanwhile_stays_and_is_told_of_without_its_value() -> None:
    server, one = shop(), fault(DB, "password")
    reach = await injected(server, one)
    server.objects[SECRET]["data"]["password"] = "bmV3"
    (left,) = await elsewhere(server, reach, one)
    assert server.objects[SECRET]["data"]["password"] == "bmV3"
    assert "/data/password" in left
    assert "bmV3" not in left
    assert not [path for path in server.objects if "chaos-" in path]


@pytest.mark.parametrize(
    ("settings", "meanwhile", "then"),
    [
        ({"data": {"mode": "fast"}}, {"other": "1"}, {"other": "1", "mode": "fast"}),
        ({"data": {"mode": "fast", "size": "3"}}, None, {"mode": "fast"}),
        ({"data": {"mode": "fast"}}, {"mode": "slow"}, {"mode": "slow"}),
    ],
)
async def test_a_key_comes_back_whatever_becomes_of_the_others(settings: Any, meanwhile: Any, then: Any) -> None:
    server, one = shop(settings), fault()
    reach = await injected(server, one)
    server.objects[MAP].pop("data", None)
    server.objects[MAP] |= {"data": meanwhile} if meanwhile else {}
    left = await elsewhere(server, reach, one)
    assert len(left) == ("mode" in (meanwhile or {}))
    assert server.objects[MAP]["data"] == then
    assert not [path for path in server.objects if "chaos-" in path]


async def test_what_was_left_as_somebody_else_has_it_is_not_called_back() -> None:
    server, one = shop(), fault()
    reach = await injected(server, one)
    server.objects[MAP]["metadata"]["uid"] = "another"
    await as_recorded(one, reach)
    assert await KIND.healed(one, reach) == {"config": "left as somebody else has it"}


async def test_a_key_that_a_webhook_fills_in_anew_is_taken_back_and_its_copy_goes() -> None:
    server, one = shop(), fault(DB, "password")
    server.webhook = lambda item: item["data"].setdefault("password", "ZGVmYXVsdA==")
    reach = Reach(server)  # type: ignore[arg-type]
    assert KIND.prepare
    reach.note(one)["undo"] = await KIND.prepare(one, reach)
    with pytest.raises(InjectionFailed, match="rewritten on its way") as refused:
        await KIND.inject(one, reach)
    assert "ZGVm" not in str(refused.value)
    assert server.objects[SECRET]["data"]["password"] == HIDDEN
    assert await elsewhere(server, reach, one) == []
    assert not [path for path in server.objects if "chaos-" in path]


async def test_what_somebody_writes_right_before_the_effect_is_not_overwritten() -> None:
    server, one = shop(), fault(DB, "password")
    reach = Reach(server)  # type: ignore[arg-type]
    assert KIND.prepare
    await KIND.prepare(one, reach)
    server.objects[SECRET]["metadata"]["resourceVersion"] = "8"
    with pytest.raises(InjectionFailed, match="not what it was"):
        await KIND.inject(one, reach)
    assert server.objects[SECRET]["data"]["password"] == HIDDEN


async def test_a_change_that_arrives_after_the_undo_does_nothing_and_loses_nothing() -> None:
    server, one = shop(), fault(DB, "password")
    reach = Reach(server)  # type: ignore[arg-type]
    assert KIND.prepare
    reach.note(one)["undo"] = await KIND.prepare(one, reach)
    change = reach.note(one)["change"]
    await keys.keep(one, reach, change, reach.note(one)["copy"])
    assert await elsewhere(server, reach, one) == []
    with pytest.raises(ApiError, match="422"):
        await server.patch(SECRET, list(change.there), kind="json")
    assert server.objects[SECRET]["data"]["password"] == HIDDEN
    assert "annotations" not in server.objects[SECRET]["metadata"]


async def test_a_change_that_arrives_in_the_midst_of_the_undo_is_undone() -> None:
    server, one = shop(), fault(DB, "password")
    reach = Reach(server)  # type: ignore[arg-type]
    assert KIND.prepare
    reach.note(one)["undo"] = await KIND.prepare(one, reach)
    change = reach.note(one)["change"]
    await keys.keep(one, reach, change, reach.note(one)["copy"])
    looked = server.get

    async def get(path: str, **more: Any) -> dict[str, Any]:
        found = await looked(path, **more)
        if path == SECRET:
            server.get = looked  # type: ignore[method-assign]
            await server.patch(SECRET, list(change.there), kind="json")
        return found

    server.get = get  # type: ignore[method-assign]
    await elsewhere(server, reach, one)
    assert server.objects[SECRET]["data"]["password"] == HIDDEN
    assert not [path for path in server.objects if "chaos-" in path]


async def test_an_undo_whose_copy_somebody_deleted_is_no_success() -> None:
    server, one = shop(), fault(DB, "password")
    reach = await injected(server, one)
    await server.delete(next(path for path in server.objects if "chaos-" in path))
    with pytest.raises(UndoFailed, match="cannot be made what it was"):
        await elsewhere(server, reach, one)


async def test_a_target_that_is_gone_is_healed_and_its_copy_goes() -> None:
    server, one = shop(), fault()
    reach = await injected(server, one)
    await server.delete(MAP)
    assert await elsewhere(server, reach, one) == []
    assert not [path for path in server.objects if "chaos-" in path]


async def test_what_no_pod_reads_is_refused_unless_something_reads_it_by_the_api() -> None:
    server = shop()
    await server.delete(f"{PODS}/web-0")
    with pytest.raises(InjectionFailed, match="no pod reads it"):
        await injected(server, fault())
    await injected(server, fault(readers="api"))


async def test_more_readers_than_the_plan_counted_are_refused_also_where_it_had_none() -> None:
    with pytest.raises(InjectionFailed, match="1 pods read it, the plan counted 0"):
        await injected(shop(), replace(fault(readers="api"), takes=()))


async def test_what_became_unfit_since_the_plan_is_refused_with_what_mends_it() -> None:
    with pytest.raises(InjectionFailed, match="is immutable") as refused:
        await injected(shop({"immutable": True, "data": {"mode": "x"}}), fault())
    assert refused.value.hint == "aim at another one"


@pytest.mark.parametrize(
    ("item", "parameters", "what"),
    [
        ({"immutable": True, "data": {"mode": "x"}}, {"change": "removed"}, "immutable"),
        ({"data": {"other": "x"}}, {"change": "emptied"}, "has no key 'mode'"),
        ({"data": {"mode": ""}}, {"change": "emptied"}, "is so already"),
        ({"data": {"mode": "slow"}}, {"change": "set", "to": "slow"}, "is so already"),
    ],
)
def test_what_would_not_change_is_unfit(item: Any, parameters: Any, what: str) -> None:
    assert KIND.unfit
    found = KIND.unfit({"key": "mode", **parameters}, {"kind": "ConfigMap", **item}, SETTINGS)
    assert found
    assert what in found.what


@pytest.mark.parametrize(
    ("kind", "key", "refused"),
    [
        ("kubernetes.io/dockerconfigjson", ".dockerconfigjson", ["removed", "emptied", "garbled"]),
        ("kubernetes.io/dockercfg", ".dockercfg", ["removed", "emptied", "garbled"]),
        ("kubernetes.io/ssh-auth", "ssh-privatekey", ["removed", "emptied"]),
        ("kubernetes.io/tls", "tls.crt", ["removed"]),
        ("kubernetes.io/tls", "tls.key", ["removed"]),
        ("kubernetes.io/tls", "ca.crt", []),
        ("kubernetes.io/basic-auth", "password", ["removed"]),
        ("Opaque", ".dockerconfigjson", []),
    ],
)
def test_what_the_type_of_a_secret_forbids_is_unfit(kind: str, key: str, refused: list[str]) -> None:
    assert KIND.unfit
    item = {"kind": "Secret", "type": kind, "data": {key: "eA=="}}
    found = {how: KIND.unfit({"key": key, "change": how}, item, DB) for how in ("removed", "emptied", "garbled")}
    assert [how for how, said in found.items() if said and f"{kind} forbids" in said.what] == refused


def test_a_secret_that_has_another_way_to_sign_in_may_lose_one() -> None:
    assert KIND.unfit
    item = {"kind": "Secret", "type": "kubernetes.io/basic-auth", "data": {"username": "eA==", "password": "eA=="}}
    assert KIND.unfit({"key": "password", "change": "removed"}, item, DB) is None


def test_every_way_by_which_a_pod_reads_is_known() -> None:
    spec = {
        "containers": [{"envFrom": [{"configMapRef": {"name": "a"}}], "env": [{"name": "x"}]}],
        "initContainers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "b", "key": "k"}}}]}],
        "volumes": [{"secret": {"secretName": "c"}}, {"projected": {"sources": [{"configMap": {"name": "d"}}]}}],
        "imagePullSecrets": [{"name": "e"}],
    }
    assert set(readers.read_by({"spec": spec})) == {"ConfigMap/a", "Secret/b", "Secret/c", "ConfigMap/d", "Secret/e"}


def experiment(config: str, more: str, pods: int = 1) -> Experiment:
    target, radius = f"{{namespace: shop, config: {config}}}", f"namespaces: [shop], pods: {pods}"
    return stated("config_change", more, target=target, radius=radius)


async def test_the_plan_names_and_counts_the_pods_that_read_it() -> None:
    kube: Any = shop()
    one = experiment("Secret/db", "key: password")
    found = await plan.resolve(kube, one, run="r", seed=1, alone=True)
    assert "with it shop/web-0  uid-0" in plan.text(one, found)
    with pytest.raises(UsageError, match="touches 1 pods"):
        await plan.resolve(kube, experiment("Secret/db", "key: password", 0), run="r", seed=1, alone=True)
    with pytest.raises(UsageError, match="no config matches"):
        await plan.resolve(kube, experiment("Secret/other", "key: password"), run="r", seed=1, alone=True)


async def test_a_name_that_ends_with_a_hash_is_found_by_who_reads_it() -> None:
    kube: Any = shop()
    found = await plan.resolve(kube, experiment("ConfigMap/set*", "key: mode"), run="r", seed=1, alone=True)
    assert found.faults[0].victim == SETTINGS
    with pytest.raises(UsageError, match="no config matches"):
        await plan.resolve(kube, experiment("Secret/set*", "key: mode"), run="r", seed=1, alone=True)
    kube.objects[f"{PODS}/web-0"]["spec"]["volumes"].append({"name": "w", "configMap": {"name": "settings-old"}})
    with pytest.raises(UsageError, match="several: ConfigMap/settings, ConfigMap/settings-old"):
        await plan.resolve(kube, experiment("ConfigMap/set*", "key: mode"), run="r", seed=1, alone=True)


async def test_an_immutable_one_is_refused_when_it_is_planned_with_its_line() -> None:
    kube: Any = shop({"data": {"mode": "x"}, "immutable": True})
    with pytest.raises(UsageError, match="immutable") as refused:
        await plan.resolve(kube, experiment("ConfigMap/settings", "key: mode"), run="r", seed=1, alone=True)
    assert refused.value.where == "x.yaml:8: shop/settings"


@pytest.mark.parametrize(
    ("config", "more", "line", "said"),
    [
        ("Secret/db", "key: k, change: set, to: x", 9, "a Secret is not set to a text of the document"),
        ("ConfigMap/a", "key: k, change: set", 9, "'change: set' needs 'to'"),
        ("ConfigMap/a", "key: k, to: x", 9, "'to' belongs to 'change: set'"),
        ("ConfigMap/a", "key: a/b", 9, "no key of a ConfigMap"),
        ("ConfigMap/a", "change: removed", 7, "needs 'key'"),
        ("ConfigMap/a", "key: k, change: broken", 9, "none of removed, emptied, garbled, set"),
        ("Deployment/a", "key: k", 8, "is not ConfigMap/name or Secret/name"),
    ],
)
def test_what_cannot_go_together_is_refused_with_its_line(config: str, more: str, line: int, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        experiment(config, more)
    assert refused.value.where == f"x.yaml:{line}"


@pytest.mark.parametrize(("config", "resources"), [("ConfigMap/a", ["configmaps"]), ("Secret/a", ["secrets"])])
def test_no_more_is_asked_for_than_the_targets_own_kind_needs(config: str, resources: list[str]) -> None:
    (role,) = rights.roles_for([experiment(config, "key: k")])
    found = [rule["resources"] for rule in role["rules"] if "patch" in rule["verbs"] and rule["apiGroups"] == [""]]
    assert found == [resources]
