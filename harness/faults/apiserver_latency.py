"""Hold each packet that reaches the API server over its node's interfaces for `delay`, as a slow line to it does.

Every round trip takes the delay once: a request over an open connection once, one over a new connection three times, a
long answer a few times. Whoever is on the same node reaches it another way and is not met: its scheduler, its
controller manager, and the agent there, who hears at once when to undo it and would undo it by its own clock without.
It ends by itself after `lasts`, whoever lives by then, and when nobody renews the run's Lease; a run that holds it for
longer has not felt all of it. Alone in a run, for it slows down whatever else is done through the API server.

It is a second at the most: three times that is well below the 5 s that one request of a leader has (client-go gives up
the lead after 10 s and asks twice in that time), and that one renewal of the run's Lease has. So it is slow, and nobody
loses a lease by it. Felt when the agent has delayed a packet and requests to the API server take 9/10 of the shortest
delay longer at the median of three than before: about four such requests. A way to it that leads past the `interfaces`
shows nothing, and then the fault is not felt. Healed when a request takes no such time any more, and scheduler and
controller manager renew their Leases.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import anyio

from harness.errors import InjectionFailed
from harness.faults import answers, nodewide, packets, pod_latency
from harness.faults.kind import FaultKind, Unfit
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Target
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.targets import components
from harness.targets.kind import Object
from harness.targets.reach import Facts, Reach

SERVER, PORT_OPTION, PORT = "kube-apiserver", "--secure-port=", 6443
LONGEST, LASTS = 1.0, 60.0
# The shortest answer that only the API server gives, with as many round trips as a connection has.
URL = "/version"
DELAY, *REST = pod_latency.SHAPE


def clash(target: Target, parameters: Mapping[str, Any]) -> tuple[str, Unfit] | None:
    """Find a component that answers nobody, or delays that come to more than the longest."""
    if target.component and target.component != SERVER:
        return "target", Unfit(f"{target.component} is not the API server", "", f"target: {{component: {SERVER}}}")
    if (parameters.get("delay") or 0.0) + (parameters.get("jitter") or 0.0) > LONGEST:
        return "jitter", Unfit(f"'delay' and 'jitter' come to more than {LONGEST:g} s", "a leader would lose its lease")
    return pod_latency.clash(target, parameters)


def meant(parameters: Mapping[str, Any]) -> str:
    """Say which packets are meant."""
    return packets.meant({"direction": "ingress", **parameters})


async def order(fault: PlannedFault, reach: Reach) -> Mapping[str, Any]:
    """Look at the API server and how long it takes, and say what its node's agent is told."""
    pod, given = await components.prepare(fault, reach), fault.parameters
    usual = [await answers.ask(reach, URL, answers.USUAL_SECONDS) for _ in range(answers.ASKED)]
    if None in usual:
        raise InjectionFailed("the API server is slow to begin with", where=str(fault.victim))
    reach.note(fault).update(url=URL, usual=statistics.median(one for one in usual if one is not None))
    match = {"direction": "ingress", "protocol": "tcp", "own_ports": [port(pod)], "interfaces": given["interfaces"]}
    told = packets.ordered(fault, reach, pod_latency.effect(given), match)
    return {**told, "seconds": float(given.get("lasts") or LASTS)}


def port(pod: Object) -> int:
    """Return the port that an API server listens at, as its pod is told."""
    words = [word for one in pod["spec"]["containers"] for key in ("command", "args") for word in one.get(key) or []]
    found = [word.removeprefix(PORT_OPTION) for word in words if word.startswith(PORT_OPTION)]
    return int(found[-1]) if found else PORT


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until a request is as quick as before, and the leaders of the control plane are at work."""
    usual = float(reach.note(fault).get("usual", 0.0))
    while True:
        took = await answers.ask(reach, URL, answers.PATIENT_SECONDS)
        if took is not None and not pod_latency.slower(fault, [took] * answers.ASKED, usual):
            return {"request": "answered"} | await components.whole(reach.kube)
        await anyio.sleep(answers.PAUSE_SECONDS)


FAULT = FaultKind(
    name="apiserver_latency",
    hand=Hand.NODE,
    target="component",
    summary="Delay what reaches the API server, so that everybody waits for its answers; alone in a run.",
    evidence="the agent has delayed packets, and requests to the API server take as much longer",
    healed_when="requests are as quick as before, and scheduler and controller manager renew their Leases",
    disturbs=frozenset({Disturbance.CONTROL_PLANE}),
    parameters=(
        replace(DELAY, maximum=LONGEST),
        *REST,
        packets.INTERFACES,
        Parameter("lasts", Type.DURATION, "When it ends by itself.", default=LASTS, minimum=5.0, maximum=600.0),
    ),
    rights=nodewide.RIGHTS,
    alone=True,
    clash=clash,
    meant=meant,
    order=order,
    inject=packets.inject,
    felt=packets.felt(pod_latency.slower),
    heal=packets.heal,
    healed=healed,
)
