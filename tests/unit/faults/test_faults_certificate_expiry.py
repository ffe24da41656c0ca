"""A certificate that expires for a time: only tls.crt of its Secret changes, and what the Service shows is evidence."""

from __future__ import annotations

import base64
import copy
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bench.dying import certificate as sample
from harness.engine.planning import plan, rights
from harness.errors import InjectionFailed, UsageError
from harness.faults import FAULTS, certificate_expiry
from harness.faults.kind import as_recorded
from harness.model.plan import PlannedFault, Victim
from harness.targets import certificates, handshakes
from tests.unit.faults.documents import stated
from tests.unit.faults.recorded import elsewhere, injected
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import PODS, planned

pytestmark = pytest.mark.anyio
KIND = FAULTS["certificate_expiry"]
CORE = "/api/v1/namespaces/shop"
SECRET = f"{CORE}/secrets/tls"
TLS = Victim("config", "tls", "uid-t", "shop", owner="Secret/tls", path=SECRET)
VALID = certificates.first(sample.CHAIN)
EXPIRED = certificates.first(certificates.expired(sample.CHAIN, datetime(2026, 1, 1, tzinfo=UTC)))


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def shop(**more: Any) -> Server:
    """Make a Secret with a certificate, and a pod that mounts it."""
    pod = {
        "metadata": {"name": "web-0", "uid": "uid-0", "namespace": "shop"},
        "spec": {"containers": [{"name": "web"}], "volumes": [{"name": "tls", "secret": {"secretName": "tls"}}]},
    }
    about = {"namespace": "shop", "resourceVersion": "7", "name": "tls", "uid": "uid-t"}
    data = {"tls.crt": coded(sample.CHAIN), "tls.key": coded(sample.KEY)}
    secret = {"kind": "Secret", "type": "kubernetes.io/tls", "metadata": about, "data": data}
    return Server({f"{PODS}/web-0": pod, SECRET: {**secret, **more}})


def fault(**more: Any) -> PlannedFault:
    reader = Victim("pod", "web-0", "uid-0", "shop")
    return replace(planned("certificate_expiry", TLS, **{"service": "web", "port": 443, **more}), takes=(reader,))


def state(server: Server) -> dict[str, Any]:
    """Return what is there, whatever version it is of."""
    found = copy.deepcopy({path: item for path, item in server.objects.items() if "/secrets/" in path})
    for item in found.values():
        item["metadata"].pop("resourceVersion", None)
    return found


def served(server: Server) -> bytes:
    return certificates.first(certificates.decoded(server.objects[SECRET]["data"]["tls.crt"]))


@pytest.fixture(autouse=True)
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the Service's pods show, a look at a time, and the last for ever; whom was asked is at the end."""
    looks: list[Any] = [[VALID]]

    async def ask(_kube: Any, *whom: Any) -> list[bytes]:
        asked.append(whom)
        return list(looks.pop(0) if len(looks) > 1 else looks[0])

    monkeypatch.setattr(handshakes, "shown", ask)
    monkeypatch.setattr(certificate_expiry, "PAUSE_SECONDS", 0.0)
    asked.clear()
    return looks


asked: list[Any] = []


async def test_the_certificate_has_expired_and_is_given_back_by_anybody_once_and_twice() -> None:
    server, one = shop(), fault()
    before = state(server)
    reach = await injected(server, one)
    assert certificates.ends(served(server)) < datetime.now(UTC)
    assert server.objects[SECRET]["data"]["tls.key"] == coded(sample.KEY)
    for _ in range(2):
        assert await elsewhere(server, reach, one) == []
    assert state(server) == before


async def test_an_undo_before_the_effect_changes_nothing() -> None:
    server, one = shop(), fault()
    before = state(server)
    reach = await injected(shop(), one)
    await elsewhere(server, reach, one)
    assert state(server) == before


async def test_with_the_secret_gone_there_is_nothing_to_undo() -> None:
    server, one = shop(), fault()
    reach = await injected(server, one)
    del server.objects[SECRET]
    assert await elsewhere(server, reach, one) == []


async def test_a_certificate_that_was_renewed_meanwhile_stays() -> None:
    server, one = shop(), fault()
    reach = await injected(server, one)
    server.objects[SECRET]["data"]["tls.crt"] = coded("renewed")
    (left,) = await elsewhere(server, reach, one)
    assert "left as it is" in left
    assert server.objects[SECRET]["data"]["tls.crt"] == coded("renewed")


async def test_the_key_is_in_no_request_and_in_nothing_that_is_written_down() -> None:
    server, one = shop(), fault()
    reach = await injected(server, one)
    told = json.dumps([server.bodies, KIND.undo(one, reach), plan.record(one)]) + repr(reach.notes)
    assert coded(sample.KEY)[:40] not in told
    assert sample.KEY.splitlines()[1] not in told


async def test_it_is_felt_when_a_pod_of_the_service_shows_that_it_expired(shown: list[Any]) -> None:
    server, one = shop(), fault(host="shop.example")
    reach = await injected(server, one)
    shown[:] = [[VALID], [], [VALID, EXPIRED]]
    assert await KIND.felt(one, reach) == {"shown": "a certificate that ended 2025-12-31 00:00 UTC", "pods": 1}
    assert {*asked} == {("shop", "web", 443, "shop.example")}


async def test_a_service_of_another_namespace_may_show_it() -> None:
    await injected(shop(), fault(service="edge/front"))
    assert {*asked} == {("edge", "front", 443, "")}


async def test_it_is_healed_when_no_pod_shows_it_any_more(shown: list[Any]) -> None:
    server, one = shop(), fault()
    reach = await injected(server, one)
    await as_recorded(one, reach)
    shown[:] = [[EXPIRED, VALID], [], [VALID, VALID]]
    assert await KIND.healed(one, reach) == {"config": "back", "shown": "valid until 2126-11-05"}
    assert len(shown) == 1


@pytest.mark.parametrize(
    ("looks", "why"), [([], "no pod of the Service shows a certificate"), ([VALID, EXPIRED], "shows a valid")]
)
async def test_what_nobody_would_see_expire_is_not_touched(shown: list[Any], looks: list[bytes], why: str) -> None:
    shown[:] = [looks]
    server = shop()
    with pytest.raises(InjectionFailed, match=why):
        await injected(server, fault())
    assert server.bodies == []


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"type": "Opaque"}, "is of type Opaque"),
        ({"immutable": True}, "is immutable"),
        ({"data": {"tls.crt": "", "tls.key": ""}}, "cannot be read"),
        ({"data": {"tls.crt": coded(certificates.expired(sample.CHAIN, datetime.now(UTC)))}}, "has expired already"),
    ],
)
async def test_a_secret_that_cannot_have_it_is_refused(more: dict[str, Any], why: str) -> None:
    server = shop(**more)
    with pytest.raises(InjectionFailed, match=why):
        await injected(server, fault())
    assert server.bodies == []


async def test_what_no_pod_reads_is_refused_unless_something_else_does() -> None:
    server = shop()
    del server.objects[f"{PODS}/web-0"]
    with pytest.raises(InjectionFailed, match="no pod reads it"):
        await injected(server, fault())
    await injected(server, fault(readers="api"))
    assert certificates.ends(served(server)) < datetime.now(UTC)


@pytest.mark.parametrize(
    ("arguments", "config", "line", "why"),
    [
        ("port: 443", "Secret/tls", 7, "service"),
        ("service: web", "Secret/tls", 7, "port"),
        ("service: web, port: 0", "Secret/tls", 9, "below 1"),
        ("service: web, port: 443", "ConfigMap/tls", 8, "a certificate is in a Secret"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(arguments: str, config: str, line: int, why: str) -> None:
    with pytest.raises(UsageError, match=why) as refused:
        stated("certificate_expiry", arguments, target=f"{{namespace: shop, config: {config}}}")
    assert refused.value.where == f"x.yaml:{line}"


def test_a_role_lets_it_connect_where_the_service_is() -> None:
    target = "{namespace: shop, config: Secret/tls}"
    ways = rights.roles_for([stated("certificate_expiry", "service: edge/front, port: 443", target=target)])
    inside = {role["metadata"].get("namespace"): json.dumps(role["rules"]) for role in ways}
    assert "pods/portforward" in inside["edge"]
    assert '"secrets"' not in inside["edge"]
    assert '"secrets"' in inside["shop"]
