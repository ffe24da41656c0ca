"""What faults change through the API server: workloads, ConfigMaps and Secrets, namespaces, pods themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anyio

from harness.cluster import observe, paths
from harness.errors import ApiError, InjectionFailed, UsageError
from harness.hands.api import undoing
from harness.model.plan import PlannedFault, Victim
from harness.targets import containers, readers
from harness.targets.kind import Object, Search
from harness.targets.pods import Loss
from harness.targets.reach import Facts, Reach
from harness.workloads import Owners, Workload
from harness.workloads.pod import is_done, is_going, is_ready

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

PAUSE_SECONDS = 0.25
PLURALS: Mapping[str, str] = {"ConfigMap": "configmaps", "Secret": "secrets"}


async def workloads(search: Search) -> list[tuple[Victim, Object]]:
    """Find what keeps the pods that match, whatever kind it is; raises UsageError where none has a named container."""
    target = search.target
    pods = await search.kube.list(paths.pods(target.namespace), labels=target.selector or None)
    found: dict[str, tuple[Victim, Object]] = {}
    without: set[str] = set()
    for pod in pods:
        workload = None if is_going(pod) or is_done(pod) else await search.owners.of(pod)
        if workload is None:
            continue
        if target.container and target.container not in containers.lasting(pod):
            without |= set(containers.lasting(pod))
            continue
        victim = Victim(
            kind="workload",
            name=workload.name,
            uid=workload.uid,
            namespace=workload.namespace,
            owner=str(workload),
            container=search.inside(pod, target.container) if search.inside else "",
            path=workload.path,
        )
        found.setdefault(workload.uid, (victim, pod))
    if without and not found:
        raise UsageError(
            f"no pod has a container {target.container!r}",
            where=f"{target.namespace}/{target.selector}",
            why=f"it has these: {', '.join(sorted(without))}",
        )
    return [found[uid] for uid in sorted(found, key=lambda uid: found[uid][0].owner)]


async def configs(search: Search) -> list[tuple[Victim, Object]]:
    """Find the one ConfigMap or Secret that is named; one whose name has an ending of its own is found by its readers.

    Raises UsageError where pods read several that begin so.
    """
    named = search.target.config
    if named.endswith("*"):
        pods = await search.kube.list(paths.pods(search.target.namespace))
        read = (one for pod in pods if not is_going(pod) and not is_done(pod) for one in readers.read_by(pod))
        found = sorted({one for one in read if one.startswith(named[:-1])})
        if len(found) > 1:
            where, hint = f"{search.target.namespace}/{named}", f"config: {found[0]}"
            raise UsageError(f"pods read several: {', '.join(found)}", where=where, hint=hint)
        named = found[0] if found else named
    kind, _, name = named.partition("/")
    if name.endswith("*"):
        return []
    return await _one(search, "config", f"{kind}/{name}", paths.core(search.target.namespace, PLURALS[kind], name))


async def namespaces(search: Search) -> list[tuple[Victim, Object]]:
    """Find the namespace itself."""
    name = search.target.namespace
    return await _one(search, "namespace", f"Namespace/{name}", paths.namespace(name))


async def _one(search: Search, kind: str, owner: str, path: str) -> list[tuple[Victim, Object]]:
    try:
        item = await search.kube.get(path)
    except ApiError as error:
        if error.status != 404:
            raise
        return []
    metadata = item["metadata"]
    victim = Victim(kind, metadata["name"], metadata["uid"], search.target.namespace, owner=owner, path=path)
    return [(victim, item)]


async def pods_of(kube: Kube, owners: Owners, victim: Victim) -> Sequence[Object]:
    """List the pods of a workload that are there to stay."""
    there = await kube.list(paths.pods(victim.namespace))
    own = await owners.own(there, workload(victim))
    return [pod for pod in own if not is_going(pod) and not is_done(pod)]


def workload(victim: Victim) -> Workload:
    """Return the workload that a fault is aimed at."""
    kind = victim.owner.partition("/")[0]
    return Workload(victim.api, kind, victim.name, victim.namespace, victim.uid, victim.path)


def place(victim: Victim) -> str:
    """Return the API path of a target that lies in a namespace."""
    return victim.path or paths.pods(victim.namespace, victim.name)


async def read(kube: Kube, fault: PlannedFault, part: str = "") -> dict[str, Any]:
    """Read the fault's target, or a part of it; raises InjectionFailed when it is not the one that was planned."""
    try:
        item = await kube.get(place(fault.victim) + part)
    except ApiError as error:
        if error.status != 404:
            raise
        raise InjectionFailed("the target is gone", where=str(fault.victim)) from error
    if item["metadata"]["uid"] != fault.victim.uid:
        raise InjectionFailed("the target was replaced between plan and inject", where=str(fault.victim))
    return item


async def count(fault: PlannedFault, reach: Reach, going: Callable[[int], int]) -> None:
    """Note how many ready pods the fault's workload has, before anything is done to it.

    `going` says how many go of so many. Raises InjectionFailed where these are more than the plan counted.
    """
    own = await pods_of(reach.kube, reach.owners, fault.victim)
    if fault.most is not None and going(len(own)) > fault.most:
        raise InjectionFailed(
            f"{going(len(own))} pods would go, the plan counted {fault.most}",
            where=str(fault.victim),
            why="it has more of them since",
            hint="run it again; what scales meanwhile is no steady state",
        )
    ready, owner = sum(is_ready(pod) for pod in own), workload(fault.victim)
    for pod in own[:1]:
        owner = await reach.owners.of(pod) or owner
        # What a scale counts shows only while all of its pods are there.
        await reach.owners.wanted(owner, ready)
    reach.note(fault)["loss"] = Loss((owner,), (ready,))


async def change(fault: PlannedFault, reach: Reach, patch: Sequence[Object], part: str = "") -> None:
    """Change the target as a JSON patch says, after the guard; raises InjectionFailed where its tests do not hold."""
    tests = [one for one in patch if one["op"] == "test"]
    rest = [one for one in patch if one["op"] != "test"]
    why = ""
    for _ in range(undoing.TRIES):
        item = await read(reach.kube, fault, part)
        if other := undoing.differing(item, tests):
            raise InjectionFailed(
                "the target is not what it was when its undo was written down",
                where=str(fault.victim),
                why=f"somebody else changed {other['path']}",
                hint="run it again; what changes meanwhile is no steady state",
            )
        await reach.guard()
        try:
            made = await reach.kube.patch(
                place(fault.victim) + part, [*undoing.guards(item, tests), *rest], kind="json"
            )
            break
        except ApiError as error:
            if error.status not in undoing.CHANGED:
                raise
            why = f"{error.status} {error.reason}"
    else:
        raise InjectionFailed("the target does not take the change", where=str(fault.victim), why=why)
    await _as_it_was_set(fault, reach, place(fault.victim) + part, made)


async def _as_it_was_set(fault: PlannedFault, reach: Reach, path: str, made: Object) -> None:
    """See that the undo will know what was set again; what was rewritten on its way is taken back at once."""
    undo = [op for op in reach.note(fault).get("undo", []) if op["op"] == "restore" and op["path"] == path]
    told = [one for op in undo for one in op["patch"] if one["op"] == "test"]
    if (other := undoing.differing(made, told)) is None:
        return
    try:
        for op in undo:
            made = await undoing.take_back(reach.kube, op, made)
        then = "it was taken back"
    except ApiError as error:
        then = f"it could not be taken back: {error.status} {error.reason}"
    raise InjectionFailed(
        "the change was rewritten on its way",
        where=str(fault.victim),
        why=f"{other['path']} is not what was set, as if an admission webhook had a say in it; {then}",
        hint="aim at what nobody rewrites",
    )


async def until(reach: Reach, path: str, judge: Callable[[Object | None], Facts | None]) -> Facts:
    """Look at the object of a path until `judge` answers; None is one that is gone. It needs no right but `get`."""
    while True:
        with observe.asked_again():
            if facts := judge(await undoing.look(reach.kube, path)):
                return facts
        await anyio.sleep(PAUSE_SECONDS)


def every(parameters: Mapping[str, Any], pod: Object) -> bool:
    """Say that any pod of the target may go: which do, its controller chooses."""
    return True


def expect(pointer: str, value: Any = None) -> Facts:
    """Say in a JSON patch what must be there; without a value, that nothing is."""
    return {"op": "test", "path": pointer} if value is None else {"op": "test", "path": pointer, "value": value}
