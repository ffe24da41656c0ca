"""What faults on resources tell the agents, what the plan refuses, what is felt, and what is asked at the end."""

from __future__ import annotations

from typing import Any

import pytest

from harness.agent import manifest
from harness.engine.planning import plan
from harness.errors import ObservationFailed, UsageError
from harness.faults import FAULTS, packets, pod_memory_oom, resources
from harness.model.fault import Hand
from harness.targets import containers
from harness.targets.pods import Fate
from harness.workloads.pod import MIRROR
from tests.unit.faults import documents
from tests.unit.faults.documents import stated
from tests.unit.faults.scripted import Ended
from tests.unit.targets.fakes import POD, PODS, FakeKube, planned, reach, web
from tests.unit.targets.fakes import pod as plain

pytestmark = pytest.mark.anyio
FAULT = "/apis/chaos.harness.dev/v1alpha1/namespaces/shop/faults/run-1"
SCRATCH = {"medium": "Memory", "sizeLimit": "16Mi"}
MOUNTS = [{"name": "tmp", "mountPath": "/tmp"}, {"name": "scratch", "mountPath": "/scratch"}]
VOLUMES = [{"name": "tmp", "emptyDir": SCRATCH}, {"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}}]
LIMITS = {"cpu": "1", "memory": "64Mi"}


def pod(**more: Any) -> dict[str, Any]:
    found = plain()
    web = {"name": "web", "resources": {"limits": LIMITS}, "volumeMounts": MOUNTS}
    found["spec"] = {"nodeName": "worker", "containers": [web], "volumes": VOLUMES}
    found["spec"] |= more
    status = {"name": "web", "containerID": "containerd://abc123", "state": {"running": {}}, "restartCount": 2}
    found["status"]["containerStatuses"] = [status]
    found["metadata"]["creationTimestamp"] = "0"
    return found


class Cluster(FakeKube):
    """One pod, and a fault whose agent says the next word each time it is asked."""

    context = "here"

    def __init__(self, *said: dict[str, Any], pod: dict[str, Any] | None = None) -> None:
        found = pod or globals()["pod"]()
        named = f"{PODS}/{found['metadata']['name']}"
        super().__init__({PODS: [found], f"{PODS}/web-1": found, named: found, **web()})
        self.said = list(said)

    async def get(self, path: str, **more: Any) -> dict[str, Any]:
        if path != FAULT:
            return await super().get(path, **more)
        return {"status": self.said.pop(0)}


def counted(**facts: Any) -> dict[str, Any]:
    return {"evidence": {"resource": facts}}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "PAUSE_SECONDS", 0.0)


ORDERS: dict[str, Any] = {
    "pod_cpu_stress": [
        ({}, {"kind": "cpu", "load": 1.0}),
        ({"workers": 3, "load": 0.5}, {"kind": "cpu", "workers": 3, "load": 0.5}),
    ],
    "pod_memory_oom": [({}, {"kind": "oom"})],
    "pod_disk_fill": [
        ({}, {"kind": "disk", "path": "/tmp", "share": 0.95}),
        ({"volume": "tmp", "share": 1.0}, {"kind": "disk", "path": "/tmp", "share": 1.0}),
    ],
    "pod_io_stress": [
        ({"volume": "scratch"}, {"kind": "io", "path": "/scratch", "rate": 20}),
        ({"rate": 100}, {"kind": "io", "path": "/scratch", "rate": 100}),
    ],
    "pod_pids": [({}, {"kind": "pids", "share": 1.0})],
    "pod_memory_stress": [({}, {"kind": "memory", "share": 0.9}), ({"share": 0.5}, {"kind": "memory", "share": 0.5})],
}
LASTS = {"pod_memory_oom": pod_memory_oom.FILLING_SECONDS}
CASES = [(name, *case) for name, cases in ORDERS.items() for case in cases]
OF_PROCESSES = ("pod_signal", "pod_freeze", "pod_fds", "pod_crash_loop", "container_kill")


def test_every_fault_on_a_resource_is_tried_here():
    inside = {name: kind for name, kind in FAULTS.items() if kind.hand is Hand.NODE and kind.target == "pod"}
    others = {name for name, kind in inside.items() if kind.rights is not packets.RIGHTS}
    assert others == {*ORDERS, *OF_PROCESSES}


@pytest.mark.parametrize(("kind", "parameters", "effect"), CASES)
async def test_the_agent_is_told_what_the_document_says(kind, parameters, effect):
    order = FAULTS[kind].order
    assert order
    told = await order(planned(kind, **parameters), reach(Cluster()))
    seconds = LASTS.get(kind, resources.LONGEST_SECONDS)
    assert told == {"op": "resource", "container": "abc123", "effect": effect, "seconds": seconds}


async def resolved(kind: str, found: dict[str, Any], arguments: str = "", target: str = documents.POD) -> Any:
    cluster: Any = Cluster(pod=found)
    return await plan.resolve(cluster, stated(kind, arguments, target=target), run="r", seed=1, alone=True)


SIDECAR = {"name": "side", "resources": {"limits": {"cpu": "1"}}}
NO_LIMITS: list[tuple[str, str, dict[str, Any], str]] = [
    ("pod_cpu_stress", "", {"containers": [{"name": "web"}]}, "web has no cpu limit"),
    ("pod_cpu_stress", "", {"containers": [{"name": "web", "resources": {"limits": {"memory": "1Gi"}}}]}, "no cpu"),
    ("pod_memory_oom", "", {"containers": [{"name": "web"}]}, "web has no memory limit"),
    ("pod_memory_stress", "share: 50%", {"containers": [{"name": "web"}]}, "web has no memory limit"),
]


def having(*volumes: dict[str, Any], **mount: Any) -> dict[str, Any]:
    """Give the container some volumes."""
    mounts = [{"name": one["name"], "mountPath": f"/{one['name']}", **mount} for one in volumes]
    return {"containers": [{"name": "web", "volumeMounts": mounts}], "volumes": list(volumes)}


SMALL = {"name": "small", "emptyDir": SCRATCH}
CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
NO_LIMITS += [
    ("pod_disk_fill", "", having(), "no volume that is limited in size"),
    ("pod_disk_fill", "", having({"name": "a", "emptyDir": {}}), "on its node's disk"),
    ("pod_disk_fill", "", having({"name": "a", "emptyDir": {"sizeLimit": "1Gi"}}), "on its node's disk"),
    ("pod_disk_fill", "", having({"name": "a", "emptyDir": {"medium": "Memory"}}), "no sizeLimit"),
    ("pod_disk_fill", "", having({"name": "a", "hostPath": {"path": "/"}}), "no place to write to"),
    ("pod_disk_fill", "", having({"name": "a", "emptyDir": {"medium": "Memory", "sizeLimit": "0"}}), "no sizeLimit"),
    ("pod_disk_fill", "", having({"name": "a", "csi": {"driver": "x", "readOnly": True}}), "read-only"),
    ("pod_io_stress", "", having({"name": "a", "emptyDir": {"medium": "HugePages", "sizeLimit": "1Gi"}}), "in memory"),
    ("pod_io_stress", "", having({"name": "a", "emptyDir": {"sizeLimit": 0}}), "a has no sizeLimit"),
    ("pod_disk_fill", "", having(SMALL, readOnly=True), "read-only"),
    ("pod_disk_fill", "", having(SMALL, CLAIM), "one of data, small"),
    ("pod_io_stress", "", having(SMALL), "in memory: nothing there waits"),
    ("pod_io_stress", "", having({"name": "a", "emptyDir": {}}), "a has no sizeLimit"),
    ("pod_io_stress", "volume: b", having({"name": "a", "emptyDir": {"sizeLimit": "1Gi"}}), "no volume 'b'"),
    ("pod_disk_fill", "volume: other", having(SMALL), "no volume 'other': it has small"),
    ("pod_disk_fill", "volume: a", having(SMALL, {"name": "a", "emptyDir": {}}), "volume a lies on its node's disk"),
]


@pytest.mark.parametrize(("kind", "arguments", "spec", "why"), NO_LIMITS)
async def test_what_would_take_the_node_is_refused_by_the_plan_with_its_line(kind, arguments, spec, why):
    with pytest.raises(UsageError, match=why) as refused:
        await resolved(kind, pod(**spec), arguments)
    assert refused.value.where == "x.yaml:8: shop/web-uid-1"


async def test_the_limit_that_counts_is_that_of_the_container_which_is_meant():
    two = {"containers": [{"name": "web"}, SIDECAR]}
    named = "{namespace: shop, selector: app=web, pods: 1, container: side}"
    assert (await resolved("pod_cpu_stress", pod(**two), target=named)).faults[0].victim.container == "side"
    meant = pod(**two)
    meant["metadata"]["annotations"] = {containers.DEFAULT: "side"}
    assert (await resolved("pod_cpu_stress", meant)).faults[0].victim.container == "side"


@pytest.mark.parametrize(("spec", "arguments"), [(having(SMALL), ""), (having(SMALL, CLAIM), "volume: data")])
async def test_a_volume_that_is_limited_in_size_is_taken_and_shown(spec, arguments):
    planned = await resolved("pod_disk_fill", pod(**spec), arguments)
    assert ("volume data" in plan.text(stated("pod_disk_fill", arguments), planned)) is bool(arguments)


async def test_a_volume_that_is_mounted_twice_is_taken_where_it_may_be_written():
    mounts = [{"name": "small", "mountPath": "/a"}, {"name": "small", "mountPath": "/b", "readOnly": True}]
    for some in (mounts, mounts[::-1]):
        found = pod(containers=[{"name": "web", "volumeMounts": some}], volumes=[SMALL])
        (fault,) = (await resolved("pod_disk_fill", found)).faults
        order = FAULTS["pod_disk_fill"].order
        assert order
        told = await order(fault, reach(Cluster(pod=found)))
        assert told["effect"]["path"] == "/a"


BY_UID = [*ORDERS, "pod_signal", "pod_freeze"]


@pytest.mark.parametrize("kind", BY_UID)
async def test_the_mirror_of_a_static_pod_is_refused_by_the_plan(kind):
    """Its processes have another UID than the API server knows, so the agent would look for them in vain."""
    found = pod()
    found["metadata"]["annotations"] = {MIRROR: "x"}
    with pytest.raises(UsageError, match="another UID"):
        await resolved(kind, found, "signal: KILL" if kind == "pod_signal" else "")


@pytest.mark.parametrize("kind", [*ORDERS, *OF_PROCESSES])
def test_an_agent_is_no_target_of_what_agents_do_to_processes(kind):
    """It would have to undo it while it is frozen, or without memory."""
    unfit, found = FAULTS[kind].unfit, pod()
    assert unfit
    found["metadata"] |= {"namespace": manifest.NAMESPACE, "labels": dict(manifest.LABELS)}
    refused = unfit({}, found, POD)
    assert refused
    assert refused.why == resources.AN_AGENT
    found["metadata"]["namespace"] = "shop"
    other = unfit({}, found, POD)
    assert other is None or other.why != resources.AN_AGENT


@pytest.mark.parametrize(("policy", "fate"), [("Always", Fate.HELD), ("OnFailure", Fate.HELD), ("Never", Fate.GONE)])
def test_a_container_with_little_memory_left_may_be_ended(policy, fate):
    assert FAULTS["pod_memory_stress"].fate(planned("pod_memory_stress"), pod(restartPolicy=policy)) is fate


async def test_cpu_stress_is_felt_when_the_kernel_has_throttled_and_not_before():
    kube = Cluster({}, counted(periods=2, did={}), counted(first="now", did={"throttled": 3}))
    assert await FAULTS["pod_cpu_stress"].felt(planned("pod_cpu_stress"), reach(kube)) == {
        "counted": "throttled in 3 periods"
    }
    assert kube.said == []


async def test_what_ended_before_it_was_felt_is_not_waited_for():
    kube = Cluster({"healedAt": "now", "message": "its lease was not renewed"})
    with pytest.raises(ObservationFailed, match="its lease was not renewed"):
        await FAULTS["pod_cpu_stress"].felt(planned("pod_cpu_stress"), reach(kube))


async def healing(kind: str, status: dict[str, Any], before: dict[str, Any] | None = None) -> list[Any]:
    events: list[Any] = []
    await FAULTS[kind].heal(planned(kind), reach(Ended(status, before), emit=lambda *one: events.append(one)))
    return events


async def test_what_the_kernel_counted_up_to_the_end_is_kept():
    told = {"periods": 60, "throttled": 57, "throttled_ms": 5100, "used_ms": 6000, "limit_cores": 1.0}
    ((event, kept),) = await healing("pod_cpu_stress", {"healedAt": "now", **counted(**told)})
    said = "throttled in 57 of 60 periods, for 5.1 s; used 6.0 s of CPU at a limit of 1"
    assert (event, kept) == ("fault.told", {"id": "run-1", "evidence": {"counted": said}, "resource": told})


async def test_how_full_memory_was_is_said_with_whom_the_kernel_ended():
    told = {"used_bytes": 60 << 20, "limit_bytes": 64 << 20, "oom_kills": 1, "did": {"filled": 0.938}}
    ((_, kept),) = await healing("pod_memory_stress", {"healedAt": "now", **counted(**told)})
    said = "94 % of the limit in use: 60 of 64 MiB; processes that the kernel ended for lack of memory: 1"
    assert kept["evidence"] == {"counted": said}


async def test_how_long_a_write_took_is_said_with_how_many_went_to_the_disk():
    told = {"writes": 200, "written_bytes": 200 << 16, "sync_ms": 4.5, "did": {"writes": 200}}
    ((_, kept),) = await healing("pod_io_stress", {"healedAt": "now", **counted(**told)})
    said = "200 writes, 12800 KiB, went to the disk, 4.5 ms each with its sync"
    assert kept["evidence"] == {"counted": said}


async def test_how_many_processes_were_there_is_said():
    ((_, kept),) = await healing("pod_pids", {"healedAt": "now", **counted(there=40, limit=40)})
    assert kept["evidence"] == {"counted": "40 processes of 40 are there"}


async def test_how_full_a_volume_was_is_said():
    told = {"used_bytes": 3 << 20, "most_bytes": 4 << 20, "did": {"filled": 0.75}}
    ((_, kept),) = await healing("pod_disk_fill", {"healedAt": "now", **counted(**told)})
    assert kept["evidence"] == {"counted": "75 % of the volume in use: 3072 of 4096 KiB"}


@pytest.mark.parametrize(("why", "felt"), [("its worker died", False), ("its target is gone", True)])
async def test_an_end_before_the_engine_asked_for_it_takes_the_evidence_back_unless_the_target_went(why, felt):
    over = {"appliedAt": "then", "healedAt": "then", "message": why}
    events = await healing("pod_cpu_stress", over, over)
    assert [event for event, _ in events] == ([] if felt else ["fault.not_felt"])


def ended(reason: str) -> dict[str, Any]:
    found = pod()
    dead = {"containerID": "containerd://abc123", "exitCode": 137, "reason": reason}
    status = {"name": "web", "containerID": "containerd://def456", "restartCount": 3, "lastState": {"terminated": dead}}
    found["status"]["containerStatuses"] = [{**status, "state": {"running": {}}}]
    return found


async def out_of_memory(reason: str) -> Any:
    fault, at = planned("pod_memory_oom"), reach(Cluster(pod=ended(reason)))
    at.note(fault).update(container="web", id="abc123")
    return await FAULTS["pod_memory_oom"].felt(fault, at)


async def test_memory_is_exhausted_when_the_kubelet_says_so_of_the_targets_own_container():
    facts = {"id": "def456", "restarts": 3, "exit_code": 137, "reason": "OOMKilled"}
    assert await out_of_memory("OOMKilled") == facts


async def test_another_end_than_for_lack_of_memory_is_not_felt():
    with pytest.raises(ObservationFailed, match="not for lack of memory"):
        await out_of_memory("Error")


@pytest.mark.parametrize(
    ("policy", "fate"), [("Always", Fate.RESTARTED), ("OnFailure", Fate.RESTARTED), ("Never", Fate.GONE)]
)
def test_a_container_without_memory_starts_again_where_its_pod_says_so(policy, fate):
    assert FAULTS["pod_memory_oom"].fate(planned("pod_memory_oom"), pod(restartPolicy=policy)) is fate


class Struck(Cluster):
    """A pod whose agent has sent a signal, which was taken in some way."""

    def __init__(self, taken: str, found: dict[str, Any] | None = None) -> None:
        told = {"evidence": {"signal": {"pid": 7, "signal": "USR1", "taken": taken}}}
        super().__init__({}, told, pod=found)


async def test_the_agent_is_told_the_signal_and_the_container():
    order = FAULTS["pod_signal"].order
    assert order
    told = await order(planned("pod_signal", signal="STOP"), reach(Cluster()))
    assert told == {"op": "signal", "container": "abc123", "signal": "STOP"}


@pytest.mark.parametrize(("taken", "process"), [("stops", "stopped"), ("continues", "goes on"), ("caught", "handled")])
async def test_a_signal_is_felt_by_how_the_kernel_says_it_was_taken(taken, process):
    fault = planned("pod_signal", signal="USR1")
    assert await FAULTS["pod_signal"].felt(fault, reach(Struck(taken))) == {"process": process, "pid": 7}


@pytest.mark.parametrize("taken", ["ignored", "waits"])
async def test_a_signal_that_was_not_taken_is_not_felt(taken):
    with pytest.raises(ObservationFailed, match="no effect"):
        await FAULTS["pod_signal"].felt(planned("pod_signal", signal="TERM"), reach(Struck(taken)))


async def test_a_signal_that_ends_the_process_is_felt_by_the_kubelets_report():
    fault, at = planned("pod_signal", signal="USR1"), reach(Struck("as usual", ended("Error")))
    at.note(fault).update(container="web", id="abc123")
    facts = await FAULTS["pod_signal"].felt(fault, at)
    assert facts
    assert facts["restarts"] == 3
    assert at.note(fault)["ended"]


@pytest.mark.parametrize(("name", "told"), [("STOP", ["fault.not_felt"]), ("TERM", [])])
async def test_a_process_that_went_on_before_it_was_to_was_not_stopped_as_asked_for(name, told):
    over, events = {"appliedAt": "then", "healedAt": "then", "message": "the agent started anew"}, list[str]()
    at = reach(Ended(over, over), emit=lambda event, _: events.append(event))
    await FAULTS["pod_signal"].heal(planned("pod_signal", signal=name), at)
    assert events == told


def test_a_signal_that_the_agents_do_not_send_is_refused_with_its_line():
    with pytest.raises(UsageError, match="SEGV") as refused:
        stated("pod_signal", "signal: SEGV")
    assert refused.value.where == "x.yaml:9"


@pytest.mark.parametrize(("name", "fate"), [("STOP", Fate.HELD), ("TERM", Fate.RESTARTED), ("KILL", Fate.RESTARTED)])
def test_a_signal_may_end_a_container_or_leave_it(name, fate):
    assert FAULTS["pod_signal"].fate(planned("pod_signal", signal=name), pod()) is fate
