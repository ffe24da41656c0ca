"""Hold each packet between the pod and its peers for `delay`.

Each direction waits by itself: with `direction: both` a round trip takes twice the delay. Packets that follow each
other closer than the jitter may overtake. Felt when the agent has delayed a packet and, where the API server is
among those who are meant, requests that it hands on to the pod take 9/10 of the shortest delay longer at the median
of three than before: about four such requests. A request over a new connection takes the delay once for each round
trip, so it shows more than one. Where `peers`, `spare` or `ports` say otherwise the agent's count of delayed
packets is the evidence. Healed when the agent's rules are gone, the pod is Ready and a request takes no such time
any more. Up to some 5 000 packets a second the median is within 1 ms of what was asked for; packets that passed
without it make the fault not felt.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import Any

from harness.faults import answers, packets
from harness.faults.kind import Unfit
from harness.model.fault import Target
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.model.units import seconds
from harness.targets.reach import Facts

NOTICEABLE = 0.9
SHAPE = (
    Parameter("delay", Type.DURATION, "How long each packet is held.", required=True, minimum=0.001, maximum=60),
    Parameter("jitter", Type.DURATION, "By how much it varies, up and down, evenly.", default=0.0),
    Parameter("correlation", Type.RATIO, "How alike neighbouring packets vary.", default=0.0, maximum=0.99),
)


def clash(target: Target, parameters: Mapping[str, Any]) -> tuple[str, Unfit] | None:
    """Find a jitter above the delay, or ports without a protocol."""
    if (parameters.get("jitter") or 0.0) > (parameters.get("delay") or 0.0):
        return "jitter", Unfit("'jitter' is above the delay", "no packet leaves before it came")
    return packets.clash(target, parameters)


def effect(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say it as the agent reads it."""
    given = {"delay_ms": parameters["delay"] * 1e3, "jitter_ms": parameters.get("jitter", 0.0) * 1e3}
    return {"kind": "latency", **given, "correlation": parameters.get("correlation", 0.0)}


def slower(fault: PlannedFault, asked: answers.Asked, usual: float) -> Facts | None:
    """Find that requests take longer by most of the shortest delay."""
    least = NOTICEABLE * (fault.parameters["delay"] - fault.parameters.get("jitter", 0.0))
    median = statistics.median([math.inf if one is None else one for one in asked])
    if len(asked) < answers.ASKED or median < usual + least:
        return None
    took = seconds(median) if median < math.inf else f"no answer within {answers.PATIENT_SECONDS:g} s"
    return {"request": took, "before": seconds(usual)}


FAULT = packets.fault(
    "pod_latency",
    summary="Delay the packets of pods.",
    evidence="the agent has delayed packets, and requests to the pod take as much longer",
    healed_when="the agent's rules are gone, the pod is ready and answers as fast as before",
    parameters=(*SHAPE, *packets.MATCH),
    effect=effect,
    clash=clash,
    shows=slower,
)
