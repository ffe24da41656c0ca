"""Climb from a pod to what keeps it, by owner references and their UIDs; names and labels prove nothing.

A pod's workload is its controller; of a ReplicaSet or a ReplicationController, which stand for one release, it is
the one above, where that one says how many pods it wants.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from harness.cluster import paths
from harness.errors import ApiError
from harness.workloads import daemons, jobs, kinds, ordered
from harness.workloads.discovery import Discovery
from harness.workloads.jobs import Ending
from harness.workloads.once import Reader
from harness.workloads.pod import Pod, controller, is_going
from harness.workloads.workload import Wanted, Workload

Chain = tuple[Workload, ...]


def _unsure(item: Mapping[str, Any]) -> Wanted:
    text = json.dumps(item.get("spec"), sort_keys=True)
    return Wanted(kinds.counted(item), sure=False, spec=hashlib.sha256(text.encode()).hexdigest()[:8] if item else "")


class Owners:
    """Whose pods are whose on one cluster. What owns an object is remembered by its UID, numbers are asked anew."""

    def __init__(self, kube: Reader) -> None:
        self._kube = kube
        self._discovery = Discovery(kube)
        self._chains: dict[str, Chain] = {}
        # The most that a `scale` has asked for, and those that count something else than pods.
        self._scaled: dict[str, int] = {}
        self._doubted: set[str] = set()

    async def of(self, pod: Pod) -> Workload | None:
        """Return the pod's workload; None for a pod that no controller owns, or one that is gone."""
        chain = await self.chain(pod)
        return chain[-1] if chain else None

    async def chain(self, pod: Pod) -> Chain:
        """Return what keeps a pod, its own controller first, its workload last."""
        reference = controller(pod)
        if reference is None:
            return ()
        uid = str(reference["uid"])
        if uid not in self._chains:
            self._chains[uid] = await self._climb(reference, str(pod["metadata"]["namespace"]))
        return self._chains[uid]

    async def own(self, pods: Iterable[Pod], workload: Workload) -> list[Pod]:
        """Keep the pods that belong to a workload."""
        return [pod for pod in pods if any(one.uid == workload.uid for one in await self.chain(pod))]

    async def read(self, workload: Workload) -> Mapping[str, Any] | None:
        """Read a workload: None where it is gone or another has its name, empty where it cannot be looked at.

        That is where nobody may, or where what translates a custom resource between its versions is away (500).
        """
        if not workload.path:
            return {}
        try:
            item = await self._kube.get(workload.path)
        except ApiError as error:
            if error.status == 404:
                return None
            if error.status == 403 or (error.status == 500 and workload.what not in kinds.WANTED):
                return {}
            raise
        return item if item["metadata"]["uid"] == workload.uid else None

    async def wanted(self, workload: Workload, ready: int) -> Wanted | None:
        """Ask how many ready pods a workload wants now that it has so many; None where it is gone."""
        item = await self.read(workload)
        return None if item is None else self.believed(workload, item, await self.want(workload, item), ready)

    def believed(self, workload: Workload, item: Mapping[str, Any], wanted: Wanted, ready: int) -> Wanted:
        """Take a `scale` for the pods that are wanted, unless more are ready than it ever asked for.

        Such a one counts something else: shards, or some of the pods only.
        """
        uid = workload.uid
        if not wanted.sure or workload.what in kinds.WANTED or is_going(item):
            return wanted
        self._scaled[uid] = max(wanted.number or 0, self._scaled.get(uid, 0))
        if ready > self._scaled[uid]:
            self._doubted.add(uid)
        return _unsure(item) if uid in self._doubted else wanted

    async def want(self, workload: Workload, item: Mapping[str, Any]) -> Wanted:
        """Tell from a workload as it was read how many ready pods it wants: none where it is being deleted.

        It may be there until the last of its pods is gone.
        """
        if item and is_going(item):
            return Wanted(0)
        known = kinds.WANTED.get(workload.what)
        if known:
            return Wanted(known(item)) if item else Wanted(None, sure=False)
        scale = await self._scale(workload) if workload.scalable and item else None
        return _unsure(item) if scale is None else Wanted(scale)

    async def unreplaced(self, pod: Pod, ending: Ending) -> str:
        """Say why nobody would make another pod for this one, if it ends so; empty where somebody would."""
        reference, chain = controller(pod), await self.chain(pod)
        if reference is None:
            return "no controller owns it"
        if not chain:
            return f"its controller {reference['kind']}/{reference['name']} is gone"
        for workload in chain:
            item = await self.read(workload)
            if item is None:
                return f"its controller {workload} is gone"
            if item and is_going(item):
                return f"its controller {workload} is being deleted"
            if await self.want(workload, item) == Wanted(0):
                return f"its controller {workload} wants no pod any more"
            if workload.what == kinds.JOB and (why := jobs.given_up(item, pod, ending)):
                return f"its controller {workload} would make no other: {why}"
            if workload.what == kinds.DAEMON_SET and (taint := await self._kept_away(pod)):
                return f"its controller {workload} makes none on a node with the taint {taint}"
        return ""

    async def _kept_away(self, pod: Pod) -> str:
        """Name the taint of a pod's node that keeps new ones away; empty for none, and where nobody may look."""
        try:
            node = await self._kube.get(paths.nodes(str(pod["spec"].get("nodeName", ""))))
        except ApiError as error:
            if error.status not in (403, 404):
                raise
            return ""
        return daemons.kept_away(node, pod)

    async def held_up(self, pod: Pod, pods: Iterable[Pod]) -> str:
        """Say why a pod's controller would make another only once others of `pods` are ready; empty where it would."""
        for workload in await self.chain(pod):
            item = await self.read(workload) if workload.what == kinds.STATEFUL_SET else None
            if item and (why := ordered.held_up(item, pod, await self.own(pods, workload))):
                return f"its controller {workload} makes one pod after the other, and {why}"
        return ""

    async def worn_out(self, pod: Pod, pods: Iterable[Pod] = (), others: int = 0) -> str:
        """Say why a pod's controller would end it when a container is started once more; empty where it would not.

        That of `others` of its `pods` is started again before.
        """
        for workload in await self.chain(pod):
            item = await self.read(workload) if workload.what == kinds.JOB else None
            own = {one["metadata"]["uid"]: one for one in (*await self.own(pods, workload), pod)} if item else {}
            if item and (why := jobs.worn_out(item, own.values(), others)):
                return f"its controller {workload} would end: {why}"
        return ""

    async def failed(self, workload: Workload) -> str:
        """Say why a workload has come to a bad end, so that it wants no pod any more; empty where it has not."""
        item = await self.read(workload) if workload.what == kinds.JOB else None
        return jobs.failed(item) if item else ""

    async def _scale(self, workload: Workload) -> int | None:
        """Ask the `scale` subresource; one that is forbidden, or whose field is empty, is as good as none."""
        try:
            scale = await self._kube.get(f"{workload.path}/scale")
        except ApiError:
            return None
        # A zero is left out.
        return int(scale.get("spec", {}).get("replicas") or 0)

    async def _climb(self, reference: Mapping[str, Any], namespace: str) -> Chain:
        workload = await self._workload(reference, namespace)
        # Of a kind that is served no more there is no object, and nobody who looks after its pods.
        served = workload.path or self._discovery.hidden(workload.api)
        item = await self.read(workload) if served else None
        if item is None:
            return ()
        above = controller(item) if workload.what in kinds.SETS else None
        if above is None:
            return (workload,)
        top = await self._workload(above, namespace)
        says = top.what in kinds.WANTED or top.scalable
        return (workload, top) if says and await self.read(top) else (workload,)

    async def _workload(self, reference: Mapping[str, Any], namespace: str) -> Workload:
        api, kind, name = str(reference["apiVersion"]), str(reference["kind"]), str(reference["name"])
        found = await self._discovery.resource(api, kind)
        path = found.path(namespace, name) if found else ""
        return Workload(api, kind, name, namespace, str(reference["uid"]), path, bool(found and found.scalable))
