"""Keep count of every workload's own pods in one namespace, as the API server tells of pods and of what owns them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from harness.workloads import jobs, kinds
from harness.workloads.owners import Owners
from harness.workloads.pod import Pod, controller, ended_well, is_done, is_ready
from harness.workloads.workload import Wanted, Workload

Object = Mapping[str, Any]
Tell = Callable[[Workload, int, Wanted], None]
UNKNOWN, NOTHING = Wanted(None, sure=False), Wanted(0)
ALONE = "Pod"


def _alone(pod: Pod) -> Workload:
    """Take a pod that no controller owns as a workload of its own."""
    metadata = pod["metadata"]
    return Workload("v1", ALONE, metadata["name"], metadata["namespace"], metadata["uid"])


class Census:
    """Every workload that was seen to own a pod: its ready pods, and what it wants as far as that is told.

    A pod that no controller owns counts as its own, as long as it is there and not done. What has ended well is no
    loss: a Job wants fewer from that moment on, and of an owner that does not say what it wants it still counts.

    `tell` hears of each change, and of everything after a look at all pods; `follow` is asked once for each workload
    that was not known before to have it watched, where there is something to watch.
    """

    def __init__(self, owners: Owners, tell: Tell, follow: Callable[[Workload], None]) -> None:
        self._owners, self._tell, self._follow = owners, tell, follow
        self._workloads: dict[str, Workload] = {}
        self._wanted: dict[str, Wanted] = {}
        # The objects of every collection that is watched: some have no pod yet.
        self._items: dict[str, Object] = {}
        self._pods: dict[str, tuple[str, bool]] = {}
        self._ended: dict[str, set[str]] = {}
        self._told: dict[str, tuple[int, Wanted]] = {}
        # A workload that was deleted may still have pods on their way out.
        self._over: set[str] = set()
        self._in_sight = False

    async def listed(self, pods: Iterable[Pod]) -> int:
        """Take a look at all pods of the namespace, tell of every workload, and return how many there are."""
        found = {pod["metadata"]["uid"]: (await self._learn(pod), is_ready(pod)) for pod in pods}
        self._pods, self._in_sight = found, True
        for uid, workload in list(self._workloads.items()):
            if workload.kind == ALONE and uid not in found:
                self._gone(uid)
            self._say(uid)
        return len(self._workloads)

    def lost(self) -> list[str]:
        """Note that the pods are out of sight, and name the workloads of which nothing is known for now."""
        self._in_sight = False
        self._told.clear()
        return [workload.key for workload in self._workloads.values()]

    async def pod(self, change: str, pod: Pod) -> None:
        """Take one change of a pod."""
        if change == "DELETED":
            uid, _ = self._pods.pop(pod["metadata"]["uid"], ("", False))
            if uid == pod["metadata"]["uid"]:
                self._gone(uid)
        else:
            uid = await self._learn(pod)
            self._pods[pod["metadata"]["uid"]] = uid, is_ready(pod)
        self._say(uid)

    async def owner(self, change: str, item: Object) -> None:
        """Take one change of an object of a watched collection."""
        uid = item["metadata"]["uid"]
        if change == "DELETED":
            self._items.pop(uid, None)
            self._gone(uid)
            return
        self._items[uid] = item
        if uid in self._workloads:
            self._wanted[uid] = await self._owners.want(self._workloads[uid], item)
            self._say(uid)

    def owners_listed(self, collection: str, items: Iterable[Object]) -> None:
        """Drop the workloads of a collection that a look at it did not find."""
        there = {item["metadata"]["uid"] for item in items}
        for uid, workload in list(self._workloads.items()):
            if workload.collection == collection and uid not in there:
                self._gone(uid)

    async def _learn(self, pod: Pod) -> str:
        """Return the UID of the workload that a pod belongs to; empty where nobody counts it."""
        workload = _alone(pod) if controller(pod) is None else await self._owners.of(pod)
        if workload is None or workload.uid in self._over:
            return ""
        # A pod may own others, as the driver of a Spark job does: when one of these is done it is not.
        if workload.uid == pod["metadata"]["uid"]:
            self._wanted[workload.uid] = NOTHING if is_done(pod) else UNKNOWN
        if workload.uid not in self._workloads:
            self._workloads[workload.uid] = workload
            if item := self._items.get(workload.uid):
                self._wanted[workload.uid] = await self._owners.want(workload, item)
            self._follow(workload)
        if ended_well(pod):
            self._ended.setdefault(workload.uid, set()).add(pod["metadata"]["uid"])
        return workload.uid

    def _gone(self, uid: str) -> None:
        self._over.add(uid)
        workload = self._workloads.pop(uid, None)
        self._wanted.pop(uid, None)
        self._told.pop(uid, None)
        if workload:
            self._tell(workload, 0, NOTHING)

    def _say(self, uid: str) -> None:
        workload = self._workloads.get(uid)
        if workload is None or not self._in_sight:
            return
        ready = sum(owner == uid and ready for owner, ready in self._pods.values())
        wanted, ended = self._wanted.get(uid, UNKNOWN), len(self._ended.get(uid, ()))
        if item := self._items.get(uid):
            wanted = self._owners.believed(workload, item, wanted, ready)
        if wanted.sure and wanted.number and workload.what == kinds.JOB:
            wanted = Wanted(jobs.wanted(self._items[uid], ended))
        elif not wanted.sure and kinds.ends(workload.what):
            ready += ended
        now = ready, wanted
        if self._told.get(uid) != now:
            self._told[uid] = now
            self._tell(workload, *now)
