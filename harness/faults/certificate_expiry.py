"""Have the certificate in a Secret expire for a time: the same subject, names, issuer and key, ended a day ago.

The target is a Secret of type kubernetes.io/tls. Only `tls.crt` changes, and of its chain only the first certificate;
nobody reads the key. The certificate is the one that was there with other dates, so its signature fits no more: who
looks at the dates first (Go does) says that it has expired, who looks at the signature first (OpenSSL does) that it is
not signed; either refuses it. What was there is kept beside it and given back as `config_change` does, only where
the key is as this fault left it. Where something renews the certificate meanwhile (cert-manager), its one stays.

Felt when a pod behind `port` of `service` shows an expired certificate to a new connection, which is made by way of the
API server. A Secret that is read back proves nothing, so the two are required. A volume shows the change when its
kubelet looks again, each 60 to 90 s, never by subPath, and the engine looks for two minutes; what a server has read at
its start alone is not felt. The plan names and counts the pods that read it; with `readers: api` something else does.
Healed when the API server serves what was there and no pod shows an expired certificate: that takes two minutes, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import anyio

from harness.cluster import observe
from harness.errors import InjectionFailed
from harness.faults import kept
from harness.faults.kind import FaultKind, Object, Rule, Unfit, as_recorded, recorded
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Target, Undo
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault, Victim
from harness.targets import certificates, handshakes, keys, objects
from harness.targets.reach import Facts, Reach

KEY, TYPE = "tls.crt", "kubernetes.io/tls"
PAUSE_SECONDS = 1.0


def clash(target: Target, parameters: Mapping[str, Any]) -> tuple[str, Unfit] | None:
    """Find a target that is no Secret."""
    if target.config.startswith("Secret/"):
        return None
    return "target", Unfit("a certificate is in a Secret", "nothing else has its key", "config: Secret/<name>")


def unfit(parameters: Mapping[str, Any], item: Object, victim: Victim) -> Unfit | None:
    """Say that the target holds no certificate that could expire, or would not take another."""
    if item.get("type") != TYPE:
        return Unfit(f"{victim.owner} is of type {item.get('type') or 'Opaque'}", f"this fault is for {TYPE}")
    if item.get("immutable"):
        return Unfit(f"{victim.owner} is immutable", "the API server refuses every change of it", "aim at another one")
    try:
        end = certificates.ends(certificates.first(_chain(item)))
    except ValueError as error:
        return Unfit(f"'{KEY}' of {victim.owner} cannot be read", str(error))
    if end <= datetime.now(UTC):
        return Unfit(f"the certificate of {victim.owner} has expired already", f"it ended {end:%Y-%m-%d %H:%M} UTC")
    return None


def _chain(item: Object) -> str:
    return certificates.decoded((item.get("data") or {}).get(KEY))


async def prepare(fault: PlannedFault, reach: Reach) -> Undo:
    """Make the other certificate, see that the Service shows one that is valid, and say where what is there is kept."""
    item, victim = await objects.read(reach.kube, fault), fault.victim
    if found := unfit(fault.parameters, item, victim):
        raise InjectionFailed(found.what, where=str(victim), why=found.why, hint=found.hint)
    shown = await _ends(fault, reach)
    if not shown or min(shown) <= datetime.now(UTC):
        what = "no pod of the Service shows a {}certificate at this port".format("valid " if shown else "")
        raise InjectionFailed(what, where=str(victim), why="that it expires would be seen by nobody")
    chain = certificates.expired(_chain(item), datetime.now(UTC))
    change = keys.change(item, KEY, keys.SET, chain, fault.id)
    return await kept.prepare(fault, reach, item, change)


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Keep what is there, then change it, while it is of the version that was read."""
    await kept.inject(fault, reach)
    return {"uid": fault.victim.uid, "key": KEY}


async def _ends(fault: PlannedFault, reach: Reach) -> list[datetime]:
    told, (namespace, service) = fault.parameters, _service(fault)
    found = await handshakes.shown(reach.kube, namespace, service, int(told["port"]), told.get("host") or "")
    return [certificates.ends(one) for one in found]


def _service(fault: PlannedFault) -> tuple[str, str]:
    first, slash, name = str(fault.parameters["service"]).partition("/")
    return (first, name) if slash else (fault.victim.namespace, first)


async def felt(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until a pod of the Service shows an expired certificate."""
    while True:
        with observe.asked_again():
            if ended := [one for one in await _ends(fault, reach) if one <= datetime.now(UTC)]:
                return {"shown": f"a certificate that ended {min(ended):%Y-%m-%d %H:%M} UTC", "pods": len(ended)}
        await anyio.sleep(PAUSE_SECONDS)


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the API server serves what was there, and no pod of the Service shows an expired certificate."""
    facts = await kept.healed(fault, reach)
    while True:
        with observe.asked_again():
            shown = await _ends(fault, reach)
            if shown and min(shown) > datetime.now(UTC):
                return facts | {"shown": f"valid until {min(shown):%Y-%m-%d}"}
        await anyio.sleep(PAUSE_SECONDS)


def elsewhere(parameters: Mapping[str, Any]) -> Mapping[str, tuple[Rule, ...]]:
    """List what the Service needs, where it is in another namespace."""
    namespace, slash, _ = str(parameters["service"]).partition("/")
    return {namespace: handshakes.RIGHTS} if slash else {}


FAULT = FaultKind(
    name="certificate_expiry",
    hand=Hand.API,
    target="config",
    summary="Have the certificate in a Secret of type kubernetes.io/tls expire, and be valid again.",
    evidence="a pod of the named Service shows an expired certificate to a new connection",
    healed_when="the API server serves what was there, and the Service shows a valid certificate",
    disturbs=frozenset({Disturbance.SERVING}),
    parameters=(
        Parameter("service", Type.TEXT, "Which Service shows it: a name, or namespace/name.", required=True),
        Parameter("port", Type.INTEGER, "At which of the Service's ports.", required=True, minimum=1, maximum=65535),
        Parameter("host", Type.TEXT, "The name that the server is asked for (SNI)."),
        kept.READERS,
    ),
    rights=(*kept.rights("secrets"), *handshakes.RIGHTS),
    clash=clash,
    unfit=unfit,
    elsewhere=elsewhere,
    reaches=objects.every,
    spends=True,
    prepare=prepare,
    undo=recorded,
    inject=inject,
    felt=felt,
    heal=as_recorded,
    healed=healed,
    felt_within=120.0,
)
