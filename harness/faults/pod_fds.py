"""Let a container's main process open no more files: connections, files and pipes fail with EMFILE.

Without `container` that is the one that the pod's annotation `kubectl.kubernetes.io/default-container` names, else the
first ordinary one. The agent on its node lowers the process's own soft limit (RLIMIT_NOFILE) to what it has open and
`spare` more; what is open stays open, and what is closed makes room for as much. With `children` every process of the
container gets a limit of its own in the same way; those that are started meanwhile inherit one in any case. A server
whose workers take the connections needs `children`.

A limit outlives whoever set it, so what each process had is in the agent's ledger before it is lowered. It is given
back where it is still the one that was set, also to processes that have inherited it, by the agent that comes next, too
(one to two seconds after one that was killed). A process that has ended needs nothing. To set it the agent becomes the
process's own user; a process that has several users or groups at once is refused, and so is any where the agent may not
do that. A container that ends meanwhile ends the fault: the next one has the limit that its runtime gives it.

Felt, with no `spare`, when one of several requests that the API server hands on to the pod at once gets no byte back
within a second (they need new connections), or the pod is not Ready any more. Where no such request gets through to
begin with, or something is to spare, the kernel's own limit of the process, as the agent reads it, is the evidence.
Healed when the limits are given back, and the pod is Ready and answers, or its workload has replaced it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from harness.agent.resident.processes.descriptors import MOST_SPARE
from harness.faults import answers, packets, resources
from harness.faults.kind import FaultKind
from harness.hands.node import asking
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.resources import resource
from harness.targets import containers, pods
from harness.targets.reach import Facts, Reach

OP = "descriptors"
# An API server keeps a connection or two from before: as many requests at once need more.
AT_ONCE = 8


async def order(fault: PlannedFault, reach: Reach) -> Mapping[str, Any]:
    """Look at the pod and return what the agent is told."""
    pod = await answers.look(fault, reach)
    status, told = containers.running(pod, fault.victim.container), fault.parameters
    wanted = {"spare": told.get("spare", 0), "children": told.get("children", False)}
    return {"op": OP, "container": containers.identity(status), **wanted}


async def felt(fault: PlannedFault, reach: Reach) -> Facts | None:
    """Wait until the pod leaves a new connection without an answer, is not Ready any more, or the kernel says it."""
    url = None if fault.parameters.get("spare") else reach.note(fault).get("url")
    while True:
        told = await asking.told(reach.kube, resource.path(fault), OP, str(fault.victim))
        limited = bool(told.get("did"))
        asked = await _at_once(reach, url) if url and limited else []
        if any(seconds is None for seconds in asked):
            return {"request": f"one of {AT_ONCE} at once got no answer"}
        if await answers.is_unready(fault, reach):
            return {"ready": False}
        if limited and not url:
            return {"files": f"{told['open']} open, the limit is {told['limit']}"}
        await anyio.sleep(answers.PAUSE_SECONDS)


async def _at_once(reach: Reach, url: str) -> list[float | None]:
    found: list[float | None] = []

    async def ask() -> None:
        found.append(await answers.ask(reach, url, answers.SILENT_SECONDS))

    async with anyio.create_task_group() as together:
        for _ in range(AT_ONCE):
            together.start_soon(ask)
    return found


FAULT = FaultKind(
    name="pod_fds",
    hand=Hand.NODE,
    target="pod",
    summary="Let a container's main process open no more files, and so no more connections.",
    evidence="a new connection stays without an answer, or the pod is not ready; where no request reaches it, the"
    " kernel's own limit of the process",
    healed_when="the process has its own limit again, and the pod is ready and answers",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.ABRUPT, Disturbance.CAPACITY}),
    parameters=(
        Parameter(
            "spare", Type.INTEGER, "So many more may be opened.", default=0, minimum=0, maximum=float(MOST_SPARE)
        ),
        Parameter("children", Type.BOOLEAN, "Limit every process of the container, not only the main one.", False),
    ),
    container=True,
    rights=(*resources.RIGHTS, answers.RIGHT),
    unfit=resources.beyond,
    fate=pods.probed,
    inside=containers.one_named,
    order=order,
    inject=packets.inject,
    felt=felt,
    heal=resources.let_go,
    healed=answers.healed(),
)
