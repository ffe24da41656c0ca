"""Kill one container of a pod: the pod stays, the kubelet starts the container again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.cluster import backoff
from harness.cluster import kube as api
from harness.errors import InjectionFailed, ObservationFailed
from harness.faults import inside, observe, pods
from harness.faults.observe import Objects
from harness.faults.reach import Facts, Reach, Undo
from harness.model.fault import Hand
from harness.model.plan import PlannedFault
from harness.workloads.pod import Pod, is_done, is_going, is_ready, starts_again

# As many characters of a container's id as its tools show.
SHOWN = 12


def container_id(status: Mapping[str, Any]) -> str:
    """Return a container's id without the name of its runtime."""
    return str(status.get("containerID") or "").rpartition("/")[2]


def choose(pod: Pod, name: str) -> Mapping[str, Any]:
    """Return the status of the named container, of the first one when none is named."""
    first = name or pod["spec"]["containers"][0]["name"]
    status = next((item for item in backoff.statuses(pod) if item["name"] == first), None)
    if status is None or "running" not in status.get("state", {}):
        known = ", ".join(item["name"] for item in backoff.statuses(pod))
        raise InjectionFailed(
            f"container {first} does not run", where=pod["metadata"]["name"], why=f"the pod's containers: {known}"
        )
    found: Mapping[str, Any] = status
    return found


class ContainerKill:
    """Send a signal (KILL by default) to the container's main process, from the node.

    Felt when the kubelet reports this container's end or another one in its place (one to two seconds). Healed when the
    container runs anew and the pod is Ready; after several kills the kubelet's back-off adds 10 s, 20 s and so on, so
    a plan takes the pods that are back soonest, and none that would be back later than the run waits.
    """

    kind = "container_kill"
    hand = Hand.HOST

    def undo(self, fault: PlannedFault, reach: Reach) -> Undo:
        """Nothing to do: the kubelet starts the container again."""
        return [
            {
                "op": "nothing",
                "container": reach.container(fault.victim.node),
                "why": "the kubelet starts the container again",
            }
        ]

    def loses(self, fault: PlannedFault, pod: Pod) -> bool:
        """Say whether the container would stay down: only SIGKILL cannot be answered with an exit code of 0."""
        name = str(fault.parameters.get("container") or fault.victim.container or pod["spec"]["containers"][0]["name"])
        return not starts_again(pod, name, failed=self._signal(fault) == "KILL")

    async def inject(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Signal the container's main process."""
        keeper = reach.need_keeper()
        pod = await pods.prepare(fault, reach)
        status = choose(pod, str(fault.parameters.get("container") or fault.victim.container or ""))
        name, old = str(status["name"]), container_id(status)
        restarts = int(status.get("restartCount", 0))
        reach.note(fault).update(container=name, id=old, restarts=restarts)
        await reach.guard()
        signal = self._signal(fault)
        results = await keeper.apply(fault.id, [inside.kill(reach.container(fault.victim.node), old, signal)])
        pid = str(results["results"][0]["output"]).strip()
        return {"container": name, "id": old, "restarts": restarts, "signal": signal, "pid": pid}

    async def felt(self, fault: PlannedFault, reach: Reach) -> Facts | None:
        """Wait until the kubelet reports the container dead or started again."""
        note = reach.note(fault)

        async def judge(found: Objects) -> Facts | None:
            pod = found.get(fault.victim.uid)
            if pod is None or is_going(pod):
                raise ObservationFailed(
                    "the pod went away before its container was seen dead", why="somebody else deleted it"
                )
            now = self._status(pod, note)
            if now is None:
                return None
            dead = now.get("state", {}).get("terminated") or now.get("lastState", {}).get("terminated") or {}
            if container_id(dead) != note["id"] and container_id(now) == note["id"]:
                return None
            restarts = int(now.get("restartCount", 0))
            return {"id": container_id(now)[:SHOWN], "restarts": restarts, "exit_code": dead.get("exitCode")}

        return await self._watch(fault, reach, judge)

    async def heal(self, fault: PlannedFault, reach: Reach) -> None:
        """Strike the fault off the keeper's ledger; the kubelet is at it already."""
        await reach.need_keeper().heal(fault.id)

    async def healed(self, fault: PlannedFault, reach: Reach) -> Facts:
        """Wait until the container runs anew and the pod is Ready, or the workload is complete without it."""
        note = reach.note(fault)

        async def judge(found: Objects) -> Facts | None:
            pod = found.get(fault.victim.uid)
            if pod is None or is_going(pod) or is_done(pod):
                return {"pod": "replaced"}
            now = self._status(pod, note)
            anew = now is not None and now.get("ready") and container_id(now) != note.get("id")
            return {"id": container_id(now)[:SHOWN], "ready": True} if now and anew and is_ready(pod) else None

        facts = await self._watch(fault, reach, judge)
        return facts | await pods.replaced(fault, reach) if "pod" in facts else facts

    @staticmethod
    def _signal(fault: PlannedFault) -> str:
        return str(fault.parameters.get("signal") or "KILL").removeprefix("SIG")

    @staticmethod
    def _status(pod: Pod, note: Facts) -> Mapping[str, Any] | None:
        return next((item for item in backoff.statuses(pod) if item["name"] == note.get("container")), None)

    @staticmethod
    async def _watch(fault: PlannedFault, reach: Reach, judge: Any) -> Facts:
        name = f"metadata.name={fault.victim.name}"
        found: Facts = await observe.until(reach.kube, api.pods(fault.victim.namespace), judge, fields=name)
        return found


FAULT = ContainerKill()
