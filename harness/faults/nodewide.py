"""What packet faults of nodes have in common: which packets are met, who is always spared, and what is looked at.

Met is what passes the interfaces that are named: packets of the node itself and of the pods on it, but for what these
send to each other. The API server's addresses and those of its nodes are spared whatever else is said, and the plan
shows them. By that way the kubelet renews its Lease, so that the node stays Ready; the agent hears by it what to do and
when to undo it, and would undo it by its own clock without. Requests that the API server hands on pass as well, so that
nobody outside sees what the fault does: the agent's own count is the evidence.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.agent.resident.packets import match
from harness.agent.resident.refused import Refused
from harness.cluster import paths
from harness.errors import UsageError
from harness.faults import packets
from harness.faults.kind import FaultKind, Rule, Unfit
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Target
from harness.model.parameter import Parameter
from harness.targets import nodes

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

# Where every cluster says itself at which addresses its API server is.
AT_HOME = "default"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{AT_HOME}/endpointslices"
OF_API_SERVER = "kubernetes.io/service-name=kubernetes"

SPARE = replace(packets.SPARE, summary="Networks that are left alone, besides the API server's and its nodes'.")
NARROWED = (SPARE, packets.PROTOCOL, packets.PORTS, packets.OWN_PORTS, packets.INTERFACES)
MATCH = (packets.DIRECTION, packets.PEERS, *NARROWED)
RIGHTS: tuple[Rule, ...] = (
    {"apiGroups": ["chaos.harness.dev"], "resources": ["nodefaults"], "verbs": ["get", "patch"]},
)
ADDRESSES: Rule = {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]}


def fault(
    name: str,
    *,
    summary: str,
    evidence: str,
    disturbs: Iterable[Disturbance] = (Disturbance.NETWORK,),
    parameters: Sequence[Parameter],
    effect: packets.Effect,
    clash: packets.Clash = packets.clash,
) -> FaultKind:
    """Make a fault of the packets of nodes: `effect` from its parameters."""
    return FaultKind(
        name=name,
        hand=Hand.NODE,
        target="node",
        summary=summary,
        evidence=evidence,
        healed_when="the agent's rules are gone, the node is ready and so are its pods",
        disturbs=frozenset(disturbs),
        parameters=tuple(parameters),
        rights=RIGHTS,
        clash=_and_interfaces(clash),
        resolve=resolve,
        meant=packets.meant,
        elsewhere=elsewhere,
        reaches=nodes.reaches,
        order=packets.order(effect, nodes.standing),
        inject=packets.inject,
        felt=packets.felt(),
        heal=packets.heal,
        healed=nodes.whole,
    )


def _and_interfaces(clash: packets.Clash) -> packets.Clash:
    """Make what finds an interface that no agent would take, and what `clash` finds."""

    def found(target: Target, parameters: Mapping[str, Any]) -> tuple[str, Unfit] | None:
        named = packets.INTERFACES.name
        try:
            match.read({named: parameters.get(named) or []})
        except Refused as refused:
            return named, Unfit(refused.what, refused.why)
        return clash(target, parameters)

    return found


def elsewhere(parameters: Mapping[str, Any]) -> Mapping[str, Sequence[Rule]]:
    """List what it takes to find the peers, and the API server's addresses."""
    found = packets.elsewhere(parameters)
    return {**found, AT_HOME: [*found.get(AT_HOME, ()), ADDRESSES]}


async def resolve(kube: Kube, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put addresses in the place of peers that are named, and add the API server's to those that are spared."""
    found = await packets.resolve(kube, parameters)
    spare = [*(parameters.get("spare") or []), *await _api_server(kube)]
    return {**found, "spare": list(dict.fromkeys(spare))}


async def _api_server(kube: Kube) -> list[str]:
    """Return the addresses of the API server and of its nodes as networks; raises UsageError where nobody says them."""
    slices = await kube.list(SLICES, labels=OF_API_SERVER)
    endpoints = [one for item in slices for one in item.get("endpoints") or []]
    found = [str(address) for one in endpoints for address in one.get("addresses") or []]
    if not found:
        raise UsageError(
            "nobody says at which addresses the API server is",
            why="they are spared, so that the node stays Ready and its agent hears when to undo the fault",
            hint=f"kubectl -n {AT_HOME} get endpointslices -l {OF_API_SERVER}",
        )
    for node in await kube.list(paths.nodes(), labels=nodes.CONTROL_PLANE):
        addresses = (node.get("status") or {}).get("addresses") or []
        found += [str(one["address"]) for one in addresses if one["type"] == "InternalIP"]
    return [str(ipaddress.ip_network(address)) for address in found]
