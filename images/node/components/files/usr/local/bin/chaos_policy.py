"""Turn the cluster's NetworkPolicies into one node's packet rules, without asking either."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

# The fingerprint takes a rule with "chaos" in it for what a fault left behind, and these change with every pod.
CHAIN = "NETPOL"
# For each direction: its chains' name, the option for this pod's address, the one for its peer's, the field of peers.
DIRECTIONS = {"Egress": ("EG", "-s", "-d", "to"), "Ingress": ("IN", "-d", "-s", "from")}

Object = Mapping[str, Any]
Labels = Mapping[str, str]
EVERY_ADDRESS: Object = {"ipBlock": {"cidr": "0.0.0.0/0"}}
EVERY_POD: Object = {"namespaceSelector": {}}


@dataclass(frozen=True, slots=True)
class Pod:
    """What policies ask of a pod; of its ports the named ones: name, protocol, number."""

    namespace: str
    labels: Labels
    address: str
    node: str
    ports: tuple[tuple[str, str, int], ...] = ()


def pod(item: Object) -> Pod | None:
    """Return what policies ask of a pod, or None for one that they are not about."""
    metadata, spec, status = item["metadata"], item["spec"], item.get("status", {})
    address = status.get("podIP", "")
    # A finished pod's address may be another's by now; one on its node's network has none of its own.
    if not address or ":" in address or spec.get("hostNetwork") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    containers = [*spec["containers"], *spec.get("initContainers", [])]
    ports = [port for container in containers for port in container.get("ports", []) if "name" in port]
    named = tuple((port["name"], port.get("protocol", "TCP"), port["containerPort"]) for port in ports)
    return Pod(metadata["namespace"], metadata.get("labels", {}), address, spec["nodeName"], named)


def rules(policies: Sequence[Object], pods: Sequence[Pod], namespaces: Mapping[str, Labels], node: str) -> list[str]:
    """Return the chains that judge the traffic of a node's pods, in iptables-restore's words.

    What is allowed returns and is not accepted, so that the policies at its other end are asked, too.
    """
    chains, bodies = [f":{CHAIN} - [0:0]"], []
    jumps = [f"-A {CHAIN} -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"]
    for one in sorted((one for one in pods if one.node == node), key=lambda one: one.address):
        for direction, (name, own, other, field) in DIRECTIONS.items():
            isolating = [policy for policy in policies if _isolates(policy, one, direction)]
            if not isolating:
                continue
            # No policy keeps a pod from itself.
            allowed = [one.address]
            for policy in isolating:
                for rule in policy["spec"].get(direction.lower()) or []:
                    for address, peer in _ends(rule, field, policy["metadata"]["namespace"], pods, namespaces):
                        # A port's name is what the pod that listens calls it.
                        allowed += [address + port for port in _ports(rule, one if direction == "Ingress" else peer)]
            chain = f"{CHAIN}-{name}-{one.address}"
            chains.append(f":{chain} - [0:0]")
            jumps.append(f"-A {CHAIN} {own} {one.address} -j {chain}")
            bodies += [f"-A {chain} {other} {match} -j RETURN" for match in dict.fromkeys(allowed)]
            bodies.append(f"-A {chain} -j DROP")
    return [*chains, *jumps, *bodies]


def table(wanted: Sequence[str], present: Sequence[str]) -> str:
    """Return one transaction for `iptables-restore --noflush`, from the rules and what `iptables -S` shows."""
    names = [line.split()[1] for line in present if line.startswith(f"-N {CHAIN}-")]
    stale = [name for name in names if f":{name} - [0:0]" not in wanted]
    forward = [line for line in present if line.startswith("-A FORWARD ")]
    jump = f"FORWARD -j {CHAIN}"
    moves = []
    # kube-proxy puts its own chain first when it starts, and that one accepts.
    if forward[:1] != [f"-A {jump}"]:
        moves = [f"-D {jump}"] * forward.count(f"-A {jump}") + [f"-I FORWARD 1 -j {CHAIN}"]
    emptied, removed = [f":{name} - [0:0]" for name in stale], [f"-X {name}" for name in stale]
    return "\n".join(["*filter", *emptied, *wanted, *moves, *removed, "COMMIT", ""])


def _isolates(policy: Object, one: Pod, direction: str) -> bool:
    spec = policy["spec"]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    near = policy["metadata"]["namespace"] == one.namespace
    return near and direction in types and _fits(spec.get("podSelector"), one.labels)


def _ends(
    rule: Object, field: str, namespace: str, pods: Sequence[Pod], namespaces: Mapping[str, Labels]
) -> Iterator[tuple[str, Pod | None]]:
    named = any(isinstance(port.get("port"), str) for port in rule.get("ports") or [])
    for peer in rule.get(field) or ([EVERY_ADDRESS, EVERY_POD] if named else [EVERY_ADDRESS]):
        if block := peer.get("ipBlock"):
            if ":" not in block["cidr"]:
                yield from ((network, None) for network in _without(block["cidr"], block.get("except") or []))
            continue
        for one in pods:
            near = one.namespace == namespace
            if (around := peer.get("namespaceSelector")) is not None:
                near = _fits(around, namespaces.get(one.namespace, {}))
            if near and _fits(peer.get("podSelector"), one.labels):
                yield one.address, one


def _ports(rule: Object, listener: Pod | None) -> Iterator[str]:
    if not rule.get("ports"):
        yield ""
    for port in rule.get("ports") or []:
        protocol, number = port.get("protocol", "TCP"), port.get("port")
        if number is None:
            yield f" -p {protocol.lower()}"
        elif isinstance(number, int):
            yield f" -p {protocol.lower()} --dport {number}:{port.get('endPort', number)}"
        else:
            for name, spoken, numbered in listener.ports if listener else ():
                if (name, spoken) == (number, protocol):
                    yield f" -p {protocol.lower()} --dport {numbered}"


def _without(cidr: str, holes: Sequence[str]) -> list[str]:
    left = [IPv4Network(cidr, strict=False)]
    for hole in [IPv4Network(hole, strict=False) for hole in holes]:
        apart = [network for network in left if not network.overlaps(hole)]
        around = [network for network in left if hole.subnet_of(network)]
        left = apart + [part for network in around for part in network.address_exclude(hole)]
    return [str(network) for network in left]


def _fits(selector: Object | None, labels: Labels) -> bool:
    pairs = (selector or {}).get("matchLabels") or {}
    wanted = (selector or {}).get("matchExpressions") or []
    return all(labels.get(key) == value for key, value in pairs.items()) and all(_holds(one, labels) for one in wanted)


def _holds(expression: Object, labels: Labels) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or []
    operators = {"In": value in values, "NotIn": value not in values, "Exists": value is not None}
    return operators.get(expression["operator"], value is None)
