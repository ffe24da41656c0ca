"""What packet faults have in common: what an agent is told, what it says of it, and what the pod answers meanwhile.

Evidence from outside is a request that the API server hands on to the pod: how long it takes, or that it stays
without an answer. It passes where the API server is among the peers; what is narrowed to other peers, ports or
protocols it cannot show, and there the agent's own count of packets is the evidence.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anyio

from harness.errors import ObservationFailed
from harness.faults import answers
from harness.faults.kind import FaultKind, Object, Rule, Unfit
from harness.hands.node import asking
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Target
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault, Victim
from harness.resources import resource
from harness.targets import containers, peers, pods
from harness.targets.reach import Facts, Reach

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

Effect = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Look = Callable[[PlannedFault, Reach], Awaitable[object]]
Clash = Callable[[Target, Mapping[str, Any]], tuple[str, Unfit] | None]

PEERS = Parameter(
    "peers",
    Type.PEERS,
    "Only packets from and to these: networks, pods by {namespace, selector}, a Service by {namespace, service} (its"
    " addresses and its pods'), as they are when the run is planned; left out means everyone.",
)
DIRECTION = Parameter(
    "direction",
    Type.TEXT,
    "Which packets: egress (what the target sends), ingress (what it receives) or both.",
    default="both",
    choices=("egress", "ingress", "both"),
)
SPARE = Parameter("spare", Type.NETWORKS, "Networks that are left alone; the node's, for its kubelet's probes.")
PROTOCOL = Parameter("protocol", Type.TEXT, "Only packets of this protocol.", choices=("tcp", "udp", "icmp"))
PORTS = Parameter("ports", Type.PORTS, "Only packets from and to these ports of the peers.")
OWN_PORTS = Parameter("own_ports", Type.PORTS, "Only packets from and to these ports of the target.")
NARROWED = (SPARE, PROTOCOL, PORTS, OWN_PORTS)
MATCH = (DIRECTION, PEERS, *NARROWED)
SERVERS = Parameter("peers", Type.PEERS, "Only queries to these servers; left out means all.")
# Of a node alone: a pod's packets are all its own, whichever interface they take.
INTERFACES = Parameter(
    "interfaces",
    Type.NAMES,
    "Only packets over these interfaces of the node; a tunnel's, where pods' packets are wrapped on their way.",
    default=["eth0"],
)
SHARE = Parameter("share", Type.RATIO, "The share of packets that is hit.", required=True, minimum=0.0001)
CORRELATION = Parameter("correlation", Type.RATIO, "How much losses come in bursts.", default=0.0, maximum=0.99)
RIGHTS: tuple[Rule, ...] = (
    {"apiGroups": ["chaos.harness.dev"], "resources": ["faults"], "verbs": ["get", "patch"]},
    answers.RIGHT,
)
PEER_PODS: Rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
PEER_SERVICES: Rule = {"apiGroups": [""], "resources": ["services"], "verbs": ["get"]}
WAYS = {"egress": "what it sends", "ingress": "what it receives", "both": "what it sends and receives"}


def clash(target: Target, parameters: Mapping[str, Any]) -> tuple[str, Unfit] | None:
    """Find ports without a protocol that has any."""
    for name in (PORTS.name, OWN_PORTS.name):
        if parameters.get(name) and parameters.get("protocol") not in ("tcp", "udp"):
            return name, Unfit(f"'{name}' needs a protocol that has ports", "", "protocol: tcp, or udp")
    return None


def fault(
    name: str,
    *,
    summary: str,
    evidence: str,
    healed_when: str = "the agent's rules are gone, the pod is ready and answers",
    disturbs: Iterable[Disturbance] = (Disturbance.NETWORK,),
    parameters: Sequence[Parameter],
    effect: Effect,
    shows: answers.Shows | None = None,
    clash: Clash | None = clash,
    **fixed: str,
) -> FaultKind:
    """Make a fault of the packets of pods: `effect` from its parameters, `fixed` what it says of each packet itself."""
    return FaultKind(
        name=name,
        hand=Hand.NODE,
        target="pod",
        summary=summary,
        evidence=evidence,
        healed_when=healed_when,
        disturbs=frozenset(disturbs),
        parameters=tuple(parameters),
        rights=RIGHTS,
        clash=clash,
        resolve=resolve,
        meant=meant,
        elsewhere=elsewhere,
        unfit=unfit,
        fate=pods.probed,
        inside=containers.all_named,
        order=order(effect, **fixed),
        inject=inject,
        felt=felt(shows),
        heal=heal,
        healed=answers.healed(shows),
    )


def unfit(parameters: Mapping[str, Any], item: Object, victim: Victim) -> Unfit | None:
    """Find a pod without a network of its own."""
    if not item["spec"].get("hostNetwork"):
        return None
    why = "it uses its node's network: every pod of the node would be hit"
    return Unfit(f"pod {victim} cannot be a target of this fault", why, "a selector that leaves it out")


def elsewhere(parameters: Mapping[str, Any]) -> Mapping[str, Sequence[Rule]]:
    """List what peers that are named by label or Service need, where they are."""
    found: dict[str, list[Rule]] = {}
    for peer in parameters.get("peers") or []:
        if isinstance(peer, dict):
            rules = [PEER_PODS, *([PEER_SERVICES] if "service" in peer else [])]
            found.setdefault(peer["namespace"], []).extend(rules)
    return found


def meant(parameters: Mapping[str, Any]) -> str:
    """Say which packets are meant."""
    words = {
        "protocol": "{}",
        "ports": "peers' ports {}",
        "own_ports": "own ports {}",
        "names": "names {}",
        "peers": "with {}",
        "spare": "not with {}",
        "interfaces": "over {}",
    }
    said = [WAYS[parameters["direction"]]] if parameters.get("direction") else []
    said += [text.format(_list(parameters[name])) for name, text in words.items() if parameters.get(name)]
    return "; ".join(said)


def _list(found: Any) -> str:
    # The network of one address is that address.
    shown = (str(one).removesuffix("/32").removesuffix("/128") for one in found)
    return found if isinstance(found, str) else ", ".join(shown)


async def resolve(kube: Kube, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put addresses in the place of peers that are named by label or Service."""
    found = parameters.get("peers")
    return {**parameters, "peers": await peers.resolve(kube, found)} if found else parameters


def order(
    effect: Effect, look: Look | None = None, /, **fixed: str
) -> Callable[[PlannedFault, Reach], Awaitable[Mapping[str, Any]]]:
    """Make what looks at the target, a pod where nothing else is said, and returns what the agent is told."""

    async def made(fault: PlannedFault, reach: Reach) -> Mapping[str, Any]:
        await (look or answers.look)(fault, reach)
        given = {one.name: fault.parameters.get(one.name) for one in (*MATCH, INTERFACES)}
        match = {name: value for name, value in given.items() if value} | fixed
        return ordered(fault, reach, effect(fault.parameters), match)

    return made


def ordered(
    fault: PlannedFault, reach: Reach, effect: Mapping[str, Any], match: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return what the agent is told of packets; with the run's seed it draws the same again."""
    return {"op": "packets", "effect": effect, "match": match, "seed": f"{reach.seed}-{fault.id.rpartition('-')[2]}"}


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the agent has done it."""
    status = await asking.applied(reach.kube, resource.path(fault))
    return {"uid": fault.victim.uid, "node": fault.victim.node, "applied": status["appliedAt"]}


def felt(shows: answers.Shows | None = None) -> Callable[[PlannedFault, Reach], Awaitable[Facts | None]]:
    """Make what waits for the evidence: that the agent met packets, and that requests show it where they can."""

    async def look(fault: PlannedFault, reach: Reach) -> Facts | None:
        note, asked, met = reach.note(fault), list[float | None](), 0
        sure = shows is not None and _shown(fault, note)
        while True:
            told = await _told(fault, reach)
            if told.get("missed"):
                raise ObservationFailed(missed(told), where=str(fault.victim))
            met += bool(told)
            if "url" in note:
                limit = answers.SILENT_SECONDS if shows is answers.silent else answers.PATIENT_SECONDS
                asked = [*asked, await answers.ask(reach, note["url"], limit)][-answers.ASKED :]
                outside = shows(fault, asked, note["usual"]) if shows else None
                if outside and met:
                    return outside | {"agent": words(told)}
            if met and not sure and (met > answers.ASKED or not shows or "url" not in note):
                return {"agent": words(told)}
            await anyio.sleep(answers.PAUSE_SECONDS)

    return look


def _shown(fault: PlannedFault, note: Facts) -> bool:
    """Say whether requests by way of the API server are sure to meet the fault."""
    given = fault.parameters
    others = any(given.get(name) for name in ("peers", "spare", "ports")) or given.get("protocol") in ("udp", "icmp")
    return "url" in note and not others


async def _told(fault: PlannedFault, reach: Reach) -> Facts:
    """Return what the agent says of the packets that it met; empty as long as it met none."""
    found = await asking.told(reach.kube, resource.path(fault), "packets", str(fault.victim))
    return found if found.get("did") else {}


def words(told: Facts) -> str:
    """Say what the agent did to packets."""
    did = told.get("did", "")
    if isinstance(did, str):
        return f"{did} the first packet"
    held = (told.get("held_ms") or {}).get("p50")
    said = [f"saw {told.get('seen', 0)}", *(f"{what} {count}" for what, count in did.items())]
    return ", ".join([*said, *([f"held {held:g} ms at the median"] if held else [])])


def missed(told: Facts) -> str:
    """Say that packets passed as they were."""
    return f"{told['missed']} packets passed without it: there were more than the agent could serve"


async def heal(fault: PlannedFault, reach: Reach) -> None:
    """Have the agent undo it, and note what it says at the end."""
    ended = await asking.heal(reach.kube, resource.path(fault))
    told: Facts = (ended.status.get("evidence") or {}).get("packets") or {}
    if told:
        reach.emit("fault.told", {"id": fault.id, "evidence": {"agent": words(told)}, "packets": told})
    why = missed(told) if told.get("missed") else f"it ended early: {ended.early}" if ended.early else ""
    if why:
        reach.emit("fault.not_felt", {"id": fault.id, "why": why})
