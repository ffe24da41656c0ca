"""Nothing is created in a namespace while a webhook of the fault's own fails, and whatever undoes a fault passes it."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from harness.engine.planning import plan, rights
from harness.errors import ApiError, ClusterUnreachable, InjectionFailed, UsageError
from harness.faults import FAULTS, admission_failure
from harness.faults.kind import as_recorded
from harness.hands.api import kubectl
from harness.model.experiment import Experiment
from harness.model.plan import Victim
from harness.targets import admission
from tests.unit.faults.documents import stated
from tests.unit.faults.recorded import elsewhere, injected
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import planned

pytestmark = pytest.mark.anyio
KIND = FAULTS["admission_failure"]
SHOP, ROOT = "/api/v1/namespaces/shop", admission_failure.ROOT
VICTIM = Victim("namespace", "shop", "uid-shop", "shop", owner="Namespace/shop", path=SHOP)
FAULT = planned("admission_failure", VICTIM, of="pods")
OURS, THEIRS = f"{ROOT}/chaos-run-1", f"{ROOT}/team"


class Cluster(Server):
    """A namespace whose API server asks webhooks as Kubernetes does; nobody answers one of ours.

    `others` is what somebody else's policy says, `away` how often it cannot be reached before it answers.
    """

    def __init__(self, phase: str = "Active") -> None:
        namespace = {"metadata": {"name": "shop", "uid": "uid-shop"}, "status": {"phase": phase}}
        super().__init__({SHOP: namespace, THEIRS: {"metadata": {"name": "team"}, "webhooks": []}})
        self.others, self.away = "", 0

    async def create(self, path: str, body: Any, **more: Any) -> dict[str, Any]:
        if not more:
            return await super().create(path, body)
        assert more == {"dryRun": "All"}
        if self.hiccups.get(path):
            raise self.hiccups[path].pop(0)
        if self.away:
            self.away -= 1
            raise ClusterUnreachable("away")
        if self.others:
            raise ApiError(403, "Forbidden", self.others)
        namespace, plural = path.split("/")[4:6]
        for key in [key for key in self.objects if key.startswith(ROOT)]:
            for webhook in self.objects[key]["webhooks"]:
                if meets(webhook, namespace, plural, "CREATE"):
                    raise ApiError(500, "InternalError", f'failed calling webhook "{webhook["name"]}": not found')
        return dict(body)


def meets(webhook: dict[str, Any], namespace: str, plural: str, operation: str) -> bool:
    """Say whether a webhook is asked about a request, by the namespace's own label."""
    there = webhook["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": namespace}
    return there and any(plural in one["resources"] and operation in one["operations"] for one in webhook["rules"])


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission_failure, "PAUSE_SECONDS", 0.0)


def admission_webhook() -> dict[str, Any]:
    """Make a webhook that is asked about pods of the namespace."""
    there = {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}
    return {"namespaceSelector": there, "rules": [{"resources": ["pods"], "operations": ["CREATE"]}]}


def configurations(server: Server) -> list[str]:
    return [path for path in server.objects if path.startswith(ROOT)]


async def test_the_faults_own_webhook_comes_and_goes_and_no_other() -> None:
    server = Cluster()
    reach = await injected(server, FAULT)
    assert configurations(server) == [THEIRS, OURS]
    for _ in range(2):
        assert await elsewhere(server, reach, FAULT) == []
        assert configurations(server) == [THEIRS]
    assert await KIND.healed(FAULT, reach) == {"webhook": "gone"}


async def test_it_fails_soon_leads_nowhere_and_asks_about_creations_in_the_namespace_alone() -> None:
    server = Cluster()
    await injected(server, FAULT)
    (webhook,) = server.objects[OURS]["webhooks"]
    assert (webhook["failurePolicy"], webhook["timeoutSeconds"], webhook["sideEffects"]) == ("Fail", 1, "None")
    assert webhook["clientConfig"] == {"service": {"namespace": "chaos-system", "name": "chaos-nobody"}}
    assert meets(webhook, "shop", "pods", "CREATE")
    assert not meets(webhook, "other", "pods", "CREATE")


@pytest.mark.parametrize("of", admission_failure.OF)
async def test_nothing_that_undoes_a_fault_or_stops_a_run_is_asked_about(of: str) -> None:
    server = Cluster()
    await injected(server, planned("admission_failure", VICTIM, of=of))
    (webhook,) = server.objects[OURS]["webhooks"]
    assert not [one for one in ("UPDATE", "DELETE", "CONNECT", "*") if meets(webhook, "shop", of, one)]
    ours = ("configmaps", "secrets", "events", "leases", "faults", "pods/eviction", "deployments/scale", "*")
    assert not [one for one in ours if meets(webhook, "shop", one, "CREATE")]


def test_the_keeper_takes_it_away_by_its_name_in_no_namespace() -> None:
    said = kubectl.said({"op": "delete", "path": OURS}, "control-plane")
    assert said["argv"][4:] == ["", "validatingwebhookconfigurations.v1.admissionregistration.k8s.io", "chaos-run-1"]


@pytest.mark.parametrize("of", admission_failure.OF)
async def test_it_is_felt_when_a_creation_is_refused_for_it(of: str) -> None:
    server, fault = Cluster(), planned("admission_failure", VICTIM, of=of)
    reach = await injected(server, fault)
    server.away = 2
    assert await KIND.felt(fault, reach) == {"refused": of, "by": admission_failure.WEBHOOK}
    assert not [path for path in server.objects if path.startswith(f"{SHOP}/")]


@pytest.mark.parametrize(("others", "there"), [("", False), ("no such image", True)])
async def test_it_is_not_felt_while_creations_pass_or_somebody_else_refuses_them(others: str, there: bool) -> None:
    server = Cluster()
    reach = await injected(server, FAULT)
    server.others = others
    if not there:
        server.objects[OURS]["webhooks"] = []
    with anyio.move_on_after(0.05) as waiting:
        await KIND.felt(FAULT, reach)
    assert waiting.cancelled_caught


@pytest.mark.parametrize("hiccup", [ApiError(503, "ServiceUnavailable", "try later"), ApiError(429, "TooMany", "")])
async def test_an_api_server_that_has_no_answer_once_says_nothing_of_the_webhook(hiccup: Exception) -> None:
    server = Cluster()
    reach = await injected(server, FAULT)
    server.objects[THEIRS]["webhooks"] = server.objects[OURS]["webhooks"]
    await as_recorded(FAULT, reach)
    server.hiccups = {f"{SHOP}/pods": [hiccup]}
    with anyio.move_on_after(0.05) as waiting:
        await KIND.healed(FAULT, reach)
    assert waiting.cancelled_caught
    assert server.hiccups == {f"{SHOP}/pods": []}


async def test_a_webhook_of_somebody_else_that_fails_does_not_keep_it_from_being_healed() -> None:
    server = Cluster()
    reach = await injected(server, FAULT)
    await as_recorded(FAULT, reach)
    server.objects[THEIRS]["webhooks"] = [{**admission_webhook(), "name": "theirs"}]
    assert await KIND.healed(FAULT, reach) == {"webhook": "gone"}


async def test_it_is_not_healed_while_an_api_server_still_refuses_for_it() -> None:
    server = Cluster()
    reach = await injected(server, FAULT)
    server.objects[THEIRS]["webhooks"] = server.objects[OURS]["webhooks"]
    await as_recorded(FAULT, reach)
    with anyio.move_on_after(0.05) as waiting:
        await KIND.healed(FAULT, reach)
    assert waiting.cancelled_caught


async def test_a_webhook_of_that_name_is_not_taken_for_the_faults_own() -> None:
    server = Cluster()
    server.objects[OURS] = {"metadata": {"name": "chaos-run-1"}, "webhooks": []}
    with pytest.raises(InjectionFailed, match="there already"):
        await injected(server, FAULT)


def experiment(namespace: str = "shop", more: str = "") -> Experiment:
    target, radius = f"{{namespace: {namespace}}}", f"namespaces: [{namespace}]"
    return stated("admission_failure", more, target=target, radius=radius)


async def test_the_plan_names_the_namespace_and_no_pod_counts() -> None:
    kube: Any = Cluster()
    found = await plan.resolve(kube, experiment(), run="r", seed=1, alone=True)
    assert "admission_failure shop  uid-shop" in plan.text(experiment(), found)
    with pytest.raises(UsageError, match="Namespace/shop is being deleted") as refused:
        await plan.resolve(Cluster("Terminating"), experiment(), run="r", seed=1, alone=True)  # type: ignore[arg-type]
    assert refused.value.where == "x.yaml:8: shop"


@pytest.mark.parametrize(
    ("namespace", "more", "said"),
    [
        ("chaos-system", "", "the admission of chaos-system must not fail"),
        ("shop", "of: configmaps", "'of': 'configmaps' is none of pods, "),
    ],
)
def test_what_healing_needs_is_refused(namespace: str, more: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        experiment(namespace, more)


def test_it_takes_a_right_that_no_role_of_one_namespace_gives() -> None:
    (role,) = rights.roles_for([experiment()])
    assert role["kind"] == "ClusterRole"
    needed = rights.needed(experiment())
    assert [rule["resources"] for rule in needed[""]] == [["validatingwebhookconfigurations"]]
    assert {"apiGroups": [""], "resources": [*admission.ASKED], "verbs": ["create"]} in needed["shop"]
