"""What a pod answers to requests that the API server hands on to it: before anything is done to it, and meanwhile.

That is evidence from outside wherever such a request gets through; a network policy may keep the API server out.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence

import anyio

from harness.cluster import paths
from harness.errors import ApiError, ClusterUnreachable, ObservationFailed
from harness.faults.kind import Rule
from harness.model.plan import PlannedFault
from harness.targets import pods
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import Pod, is_going, is_ready

SILENT_SECONDS = 1.0
PATIENT_SECONDS = 10.0
USUAL_SECONDS = 2.0  # what a pod that answers at all takes at most, before anything is done to it
PAUSE_SECONDS = 0.25
ASKED = 3  # requests whose median counts
# How the API server says that the pod did not answer it.
UNREACHED = (500, 502, 503, 504)
RIGHT: Rule = {"apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["get"]}
Asked = Sequence[float | None]  # seconds that each request took, the last one last; None where nothing came back
Shows = Callable[[PlannedFault, Asked, float], Facts | None]


async def look(fault: PlannedFault, reach: Reach) -> Pod:
    """Look at the pod before anything is done to it: whose it is, and how long it takes to answer."""
    note, pod = reach.note(fault), await pods.prepare(fault, reach, pods.probed)
    note["ready"] = is_ready(pod)
    port = _port(fault, pod)
    if not port:
        return pod
    url = f"{paths.pods(fault.victim.namespace, fault.victim.name)}:{port}/proxy/"
    usual: list[float] = []
    while len(usual) < ASKED:
        seconds = await ask(reach, url, USUAL_SECONDS)
        if seconds is None:
            return pod  # a policy keeps the API server out, or it serves nothing there
        usual.append(seconds)
    note.update(url=url, usual=statistics.median(usual))
    return pod


def _port(fault: PlannedFault, pod: Pod) -> int:
    """Choose the port that is asked: one that is meant, or the first TCP port that the pod names; 0 without any."""
    listed = [port for item in pod["spec"]["containers"] for port in item.get("ports") or []]
    known = [int(port["containerPort"]) for port in listed if port.get("protocol", "TCP") == "TCP"]
    meant = fault.parameters.get("own_ports") or known
    return int(meant[0]) if meant else 0


async def ask(reach: Reach, url: str, limit: float) -> float | None:
    """Return how long the pod took to answer anything at all; None where nothing came back within the limit.

    An API server that is away says nothing of the pod: it is asked again.
    """
    while True:
        began = time.monotonic()
        try:
            with anyio.move_on_after(limit):
                await reach.kube.get_text(url)
                return time.monotonic() - began
        except ApiError as error:
            unreached = error.status in UNREACHED and "error trying to reach service" in error.message
            return None if unreached else time.monotonic() - began
        except ClusterUnreachable:
            await anyio.sleep(PAUSE_SECONDS)
        else:
            return None


def silent(fault: PlannedFault, asked: Asked, usual: float) -> Facts | None:
    """Find that the last request stayed without an answer."""
    return {"request": f"silent for {SILENT_SECONDS:g} s"} if asked and asked[-1] is None else None


async def is_unready(fault: PlannedFault, reach: Reach) -> bool:
    """Say whether a pod that was Ready is so no more; raises ObservationFailed where it went away."""
    try:
        pod = await reach.kube.get(paths.pods(fault.victim.namespace, fault.victim.name))
    except ClusterUnreachable:
        return False
    except ApiError as error:
        if error.status != 404:
            return False
        raise _gone() from None
    if pod["metadata"]["uid"] != fault.victim.uid or is_going(pod):
        raise _gone()
    return bool(reach.note(fault).get("ready")) and not is_ready(pod)


def _gone() -> ObservationFailed:
    return ObservationFailed("the pod went away before the fault was felt", why="somebody else deleted it")


def healed(shows: Shows | None = None) -> Callable[[PlannedFault, Reach], Awaitable[Facts]]:
    """Make what waits until the pod is Ready and answers as before, or its workload is complete without it."""

    async def look_again(fault: PlannedFault, reach: Reach) -> Facts:
        note = reach.note(fault)

        def again(pod: Pod) -> Facts | None:
            return {"ready": is_ready(pod)} if is_ready(pod) or not note.get("ready") else None

        facts = await pods.whole(fault, reach, again)
        if "pod" in facts or "url" not in note:
            return facts
        while True:
            seconds = await ask(reach, note["url"], PATIENT_SECONDS)
            if seconds is not None and not (shows and shows(fault, [seconds] * ASKED, note["usual"])):
                return facts | {"request": "answered"}
            await anyio.sleep(PAUSE_SECONDS)

    return look_again
