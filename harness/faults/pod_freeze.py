"""Freeze a pod: its processes stop, its connections stay open and say nothing."""

from __future__ import annotations

from typing import Any

import anyio

from harness.cluster import kube as api
from harness.errors import ApiError, ClusterUnreachable, ObservationFailed
from harness.faults import inside, observe, pods
from harness.faults.observe import Objects
from harness.faults.reach import Facts, Reach, Undo
from harness.model.fault import Hand
from harness.model.plan import PlannedFault
from harness.workloads.pod import Pod, is_done, is_going, is_ready, starts_again

PAUSE_SECONDS = 0.25


def address(pod: Pod) -> str:
    """Return a URL at the pod's first TCP port, or nothing when it names none."""
    host = pod.get("status", {}).get("podIP")
    ports = [port for item in pod["spec"]["containers"] for port in item.get("ports") or []]
    first = next((port["containerPort"] for port in ports if port.get("protocol", "TCP") == "TCP"), None)
    if not host or not first:
        return ""
    return f"http://[{host}]:{first}/" if ":" in host else f"http://{host}:{first}/"


class PodFreeze:
    """Write the pod's freezer cgroup on its node.

    Felt when a request from the pod's node gets no byte back for a second (about 1 s), or the pod is not Ready any
    more (its readiness probe's period times its threshold). Healed when the pod is Ready and answers, or its workload
    has replaced it; a liveness probe may restart it meanwhile, and the restart completes after the thaw.
    """

    kind = "pod_freeze"
    hand = Hand.HOST

    def undo(self, fault: PlannedFault, reach: Reach) -> Undo:
        """Thaw the pod's cgroup; one that is gone is thawed."""
        return [inside.freezer(reach.container(fault.victim.node), fault.victim.uid, "thaw")]

    def loses(self, fault: PlannedFault, pod: Pod) -> bool:
        """Say whether a liveness probe may end a container meanwhile that does not start again."""
        probed = [one["name"] for one in pod["spec"]["containers"] if one.get("livenessProbe")]
        return any(not starts_again(pod, name, failed=True) for name in probed)

    async def inject(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Freeze every process of the pod."""
        keeper, note = reach.need_keeper(), reach.note(fault)
        pod = await pods.prepare(fault, reach)
        url = address(pod)
        if url and await self._probe(fault, reach, url) == "answers":
            note["url"] = url
        note["ready"] = is_ready(pod)
        await reach.guard()
        await keeper.apply(fault.id, [inside.freezer(reach.container(fault.victim.node), fault.victim.uid, "freeze")])
        return {"uid": fault.victim.uid, "node": fault.victim.node, "url": note.get("url", "")}

    async def felt(self, fault: PlannedFault, reach: Reach) -> Facts | None:
        """Wait until the pod leaves a request without an answer, or is not Ready any more."""
        note = reach.note(fault)
        while True:
            if note.get("url") and await self._probe(fault, reach, note["url"]) == "silent":
                return {"request": "silent for 1 s", "url": note["url"]}
            try:
                pod = await reach.kube.get(api.pods(fault.victim.namespace, fault.victim.name))
                if pod["metadata"]["uid"] != fault.victim.uid or is_going(pod):
                    raise self._gone()
                if note.get("ready") and not is_ready(pod):
                    return {"ready": False}
            except (ApiError, ClusterUnreachable) as error:
                if isinstance(error, ApiError) and error.status == 404:
                    raise self._gone() from None
            await anyio.sleep(PAUSE_SECONDS)

    async def heal(self, fault: PlannedFault, reach: Reach) -> None:
        """Have the keeper thaw the pod."""
        await reach.need_keeper().heal(fault.id)

    async def healed(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Wait until the pod answers and is Ready, or its workload is complete without it."""
        url = reach.note(fault).get("url")

        async def judge(found: Objects) -> Facts | None:
            pod = found.get(fault.victim.uid)
            if pod is None or is_going(pod) or is_done(pod):
                return {"pod": "replaced"}
            return {"ready": True} if is_ready(pod) else None

        name = f"metadata.name={fault.victim.name}"
        facts = await observe.until(reach.kube, api.pods(fault.victim.namespace), judge, fields=name)
        if "pod" in facts:
            return facts | await pods.replaced(fault, reach)
        while url and await self._probe(fault, reach, url) == "silent":
            await anyio.sleep(PAUSE_SECONDS)
        return facts | ({"request": "answered"} if url else {})

    @staticmethod
    def _gone() -> ObservationFailed:
        return ObservationFailed("the pod went away before it was felt frozen", why="somebody else deleted it")

    async def _probe(self, fault: PlannedFault, reach: Reach, url: str) -> str:
        results: list[dict[str, Any]] = await reach.need_keeper().look(
            [inside.probe(reach.container(fault.victim.node), url)]
        )
        return str(results[0]["output"]).strip()


FAULT = PodFreeze()
