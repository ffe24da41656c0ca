"""One residue of each kind is planted, and the fingerprint names it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cluster.local import LocalCluster
from harness.engine.undoing import fingerprint
from tests.e2e.live import asked, docker, harness, kubectl, taken
from tests.e2e.namespaces import emptied

pytestmark = pytest.mark.e2e
NS = "claude-ecosystem-prod"
Plant = Callable[[LocalCluster], object]


def worker(cluster: LocalCluster) -> str:
    """Name one worker; its container has the same name."""
    return next(name for name in sorted(cluster.nodes) if "worker" in name)


def kube(*words: str) -> Plant:
    """Plant or remove through the API."""
    return lambda cluster: kubectl(cluster, *(word.replace("NODE", worker(cluster)) for word in words))


def inside(script: str) -> Plant:
    """Plant or remove inside a node container."""
    return lambda cluster: docker(cluster, "exec", worker(cluster), "sh", "-c", script)


def host(*words: str) -> Plant:
    """Plant or remove through Docker."""
    return lambda cluster: docker(cluster, *words, worker(cluster))


# $d a control group of our own, $file what freezes it: of version 2 where the node has that alone.
GROUP = """
d=/sys/fs/cgroup/chaos-planted file=cgroup.freeze on=1 off=0
[ -e /sys/fs/cgroup/cgroup.controllers ] ||
  { d=/sys/fs/cgroup/freezer/chaos-planted file=freezer.state on=FROZEN off=THAWED; }
"""
FREEZE = (
    GROUP + "mkdir -p $d 2>/dev/null || { mount -o remount,rw ${d%/*} && mkdir -p $d; } && echo $on > $d/$file || exit"
)

# The network namespace with the youngest first process is a pod's, not the node's.
IN_A_POD = "nsenter -n -t $(lsns -t net -n -o PID | sort -n | tail -1)"

# Of each group all are planted at once. The pod of the rules is the youngest there is: they are the last, and the first
# to be removed again.
RESIDUES: dict[str, dict[str, tuple[Plant, Plant, str]]] = {
    "in a node": {
        "frozen cgroup": (
            inside(FREEZE),
            inside(GROUP + "echo $off > $d/$file; rmdir $d"),
            "cgroup frozen",
        ),
        "packet filter chain": (
            inside("iptables -N CHAOS-PLANTED"),
            inside("iptables -X CHAOS-PLANTED"),
            "CHAOS-PLANTED",
        ),
        "qdisc": (
            inside("tc qdisc add dev lo root tbf rate 10gbit burst 1mb latency 1ms"),
            inside("tc qdisc del dev lo root"),
            "qdisc",
        ),
        "process": (
            inside("cp /bin/sleep /usr/local/bin/chaos-stress; chaos-stress 120 >/dev/null 2>&1 &"),
            inside("kill $(pidof chaos-stress); rm /usr/local/bin/chaos-stress"),
            "process chaos-stress",
        ),
        "process of a fault": (
            inside("CHAOS_HARNESS_FAULT=planted/f sleep 120 >/dev/null 2>&1 & echo $! >/run/planted-fault"),
            inside("kill $(cat /run/planted-fault); rm /run/planted-fault"),
            "fault process planted/f",
        ),
        "stopped process": (
            # Not before it has let go of what it was started with, which Docker would wait for.
            inside(
                "sleep 120 >/dev/null 2>&1 & echo $! >/run/planted-stopped;"
                " until grep -q sleep /proc/$!/comm; do :; done; kill -STOP $!"
            ),
            inside("kill -KILL $(cat /run/planted-stopped); rm /run/planted-stopped"),
            "process stopped",
        ),
        "limited process": (
            inside("sh -c 'ulimit -Sn 20; exec sleep 120' >/dev/null 2>&1 & echo $! >/run/planted-limited"),
            inside("kill -KILL $(cat /run/planted-limited); rm /run/planted-limited"),
            "process limited",
        ),
        "file": (inside("touch /run/chaos-planted"), inside("rm /run/chaos-planted"), "/run/chaos-planted"),
        "rules of a fault in a pod": (
            inside(f"{IN_A_POD} iptables -t mangle -N KCH-PLANTED"),
            inside(f"{IN_A_POD} iptables -t mangle -X KCH-PLANTED"),
            "KCH-PLANTED",
        ),
    },
    "in the cluster": {
        "cordon": (kube("cordon", "NODE"), kube("uncordon", "NODE"), "/cordoned"),
        "taint": (
            kube("taint", "node", "NODE", "planted=x:PreferNoSchedule"),
            kube("taint", "node", "NODE", "planted-"),
            "/taints",
        ),
        "node label": (
            kube("label", "node", "NODE", "planted=x"),
            kube("label", "node", "NODE", "planted-"),
            "/labels",
        ),
        "replicas": (
            kube("-n", NS, "scale", "deployment/claude-orchestrator", "--replicas=6"),
            kube("-n", NS, "scale", "deployment/claude-orchestrator", "--replicas=5"),
            "claude-orchestrator/replicas",
        ),
        "service": (
            kube("-n", NS, "create", "service", "clusterip", "planted", "--tcp=80:80"),
            kube("-n", NS, "delete", "service", "planted"),
            "services/",
        ),
        "config map": (
            kube("-n", NS, "create", "configmap", "planted", "--from-literal=a=b"),
            kube("-n", NS, "delete", "configmap", "planted"),
            "configmaps/",
        ),
        "secret": (
            kube("-n", NS, "create", "secret", "generic", "planted", "--from-literal=a=b"),
            kube("-n", NS, "delete", "secret", "planted"),
            "secrets/",
        ),
        "bare pod": (
            kube("-n", "default", "run", "planted", "--image=none.example/none", "--restart=Never"),
            kube("-n", "default", "delete", "pod", "planted", "--now"),
            "pods/default/planted",
        ),
        "budget": (
            kube("-n", NS, "create", "poddisruptionbudget", "planted", "--selector=app=planted", "--min-available=1"),
            kube("-n", NS, "delete", "poddisruptionbudget", "planted"),
            "poddisruptionbudgets/",
        ),
        "lever": (lambda _: harness("lever", "on"), lambda _: harness("lever", "off"), "lever"),
    },
    "a node that stands still": {"paused node": (host("pause"), host("unpause"), "/state")},
}  # fmt: skip


def test_a_healthy_node_has_no_residue(cluster: LocalCluster) -> None:
    found = {key: what for key, what in taken(cluster).items() if key.endswith("/residue")}
    assert found == dict.fromkeys((f"container/{node}/residue" for node in cluster.nodes), "")


@pytest.fixture(scope="module")
def before(cluster: LocalCluster) -> dict[str, str]:
    """The fingerprint to which each residue's removal leads back."""
    return taken(cluster)


@pytest.mark.parametrize("group", RESIDUES)
def test_each_residue_is_caught(group: str, cluster: LocalCluster, before: dict[str, str]) -> None:
    with contextlib.ExitStack() as planted:
        for plant, remove, _ in RESIDUES[group].values():
            plant(cluster)
            planted.callback(remove, cluster)
        caught = fingerprint.difference(before, taken(cluster))
    missed = [residue for residue, (*_, named) in RESIDUES[group].items() if not any(named in line for line in caught)]
    assert missed == [], caught
    left = fingerprint.difference(before, taken(cluster))
    assert not left or (len(left) == 1 and "/ready" in left[0])


def test_what_kube_proxy_does_for_a_service_is_no_residue_whatever_its_namespace_is_called(
    cluster: LocalCluster,
) -> None:
    before = taken(cluster)
    kubectl(cluster, "create", "namespace", "chaos-planted")
    try:
        kubectl(cluster, "-n", "chaos-planted", "create", "service", "clusterip", "planted", "--tcp=80:80")
        ends = time.monotonic() + 60
        while "chaos-planted" not in docker(cluster, "exec", worker(cluster), "iptables-save"):
            assert time.monotonic() < ends, "kube-proxy made no rule"
        caught = fingerprint.difference(before, taken(cluster))
    finally:
        asked(cluster, lambda kube: emptied(kube, "chaos-planted"))
    assert not [line for line in caught if "/residue" in line]


def test_a_fault_resource_left_behind_is_caught_and_undone(cluster: LocalCluster, tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    harness("fingerprint", "--save", str(before))
    node = worker(cluster)
    uid = kubectl(cluster, "get", "node", node, "-o", "jsonpath={.metadata.uid}")
    from harness.cluster.kube import Kube
    from harness.faults import FAULTS
    from harness.model.fault import Hand
    from harness.model.plan import PlannedFault, Victim
    from harness.resources import resource
    from harness.targets.reach import Reach

    async def leave() -> None:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            victim = Victim(kind="node", name=node, uid=uid, node=node)
            fault = PlannedFault("planted-1", "node_cordon", "cordon", Hand.API, victim)
            kind, reach = FAULTS["node_cordon"], Reach(kube=kube, cluster=cluster)
            await resource.create(kube, fault, "planted", kind.undo(fault, reach))
            await kind.inject(fault, reach)

    import anyio

    anyio.run(leave)
    assert harness("fingerprint", "--compare", str(before), check=False).returncode == 6
    assert "node_cordon" in harness("faults").stdout
    assert "1 healed" in harness("undo").stdout
    assert json.loads(before.read_text())
    after = harness("fingerprint", "--compare", str(before), check=False)
    assert after.returncode == 0, after.stdout
