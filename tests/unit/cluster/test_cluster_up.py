"""Bringing the cluster up: what is left alone, what is repaired, what is made anew, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.cluster import cache, daemon, docker, kind, local, up
from harness.cluster.build import nodeimage
from harness.errors import PreconditionFailed
from tests.unit.cluster.conftest import HOST, NODES, FakeDocker

PAUSED, STOPPED = "paused", "exited"
ENSURE = daemon.ensure


CLUSTER = local.LocalCluster("c", Path("k"), HOST, kind.NETWORK, {}, "c", Path("s"))


class ApiServer:
    """A cluster's DNS, and pods of kube-system."""

    def __init__(self, pods: Sequence[dict[str, Any]] = (), selector: Mapping[str, str] = up.HOME) -> None:
        self.pods, self.selector = list(pods), dict(selector)

    async def __aenter__(self) -> ApiServer:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def get(self, path: str) -> dict[str, Any]:
        assert path == up.DNS
        return {"spec": {"template": {"spec": {"nodeSelector": self.selector}}}, "status": {"availableReplicas": 1}}

    async def list(self, path: str) -> list[dict[str, Any]]:
        return self.pods if path.endswith("pods") else []

    async def patch(self, path: str, body: dict[str, Any], *, kind: str) -> None:
        assert (path, kind) == (up.DNS, "strategic")
        self.selector |= body["spec"]["template"]["spec"]["nodeSelector"]


def said() -> tuple[list[str], local.LocalCluster]:
    lines: list[str] = []
    return lines, up.up(lines.append)


def creations(machine: FakeDocker) -> int:
    return machine.calls.count("creating the cluster")


def test_a_cluster_is_made_where_there_is_none(machine: FakeDocker) -> None:
    _, cluster = said()
    assert set(cluster.nodes) == set(NODES)
    assert local.current() == cluster
    assert creations(machine) == 1


def test_a_cluster_that_is_well_is_left_alone(made: FakeDocker) -> None:
    lines, _ = said()
    assert lines == []
    assert {call.split()[0] for call in made.calls} == {"ps"}


def test_a_frozen_node_is_woken_and_a_stopped_one_started(made: FakeDocker) -> None:
    made.containers[NODES[1]].state, made.containers[NODES[2]].state = PAUSED, STOPPED
    said()
    assert {node.state for node in made.containers.values()} == {"running"}
    assert creations(made) == 0


def test_a_cluster_that_lost_a_node_is_made_anew(made: FakeDocker) -> None:
    del made.containers[NODES[3]]
    lines, _ = said()
    assert creations(made) == 1
    assert any("3 of 4 nodes are left" in line for line in lines)


def test_the_cluster_of_another_cache_is_left_alone(made: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = cache.cache_dir()
    monkeypatch.setenv("HARNESS_CACHE", str(owner.parent / "other"))
    with pytest.raises(PreconditionFailed, match="another cache folder") as refused:
        said()
    assert refused.value.where == str(owner)
    assert refused.value.hint == f"`HARNESS_CACHE={owner.parent} harness down` removes it"
    assert set(made.containers) == set(NODES)
    assert creations(made) == 0


def test_the_network_of_another_cache_is_left_alone_without_nodes_too(machine: FakeDocker) -> None:
    machine.own_network(owner="/elsewhere/kube-chaos-harness")
    with pytest.raises(PreconditionFailed, match="another cache folder"):
        said()
    assert machine.networks[kind.NETWORK][kind.OWNER] == "/elsewhere/kube-chaos-harness"


@pytest.mark.parametrize("owner", ["ours", ""])
def test_a_cluster_of_ours_without_a_record_is_made_anew(made: FakeDocker, owner: str) -> None:
    made.own_network(owner and str(cache.cache_dir()))
    local.forget()
    lines, _ = said()
    assert any("its record is lost: making a new one" in line for line in lines)
    assert not any("another version" in line for line in lines)
    assert creations(made) == 1
    assert made.networks[kind.NETWORK][kind.OWNER] == str(cache.cache_dir())


@pytest.mark.parametrize("change", ["kind-config.yaml", "images/audit/policy.yaml"])
def test_a_cluster_of_another_version_is_made_anew(
    made: FakeDocker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: str
) -> None:
    root = tmp_path / "project"
    for name in ("kind-config.yaml", "images/audit/policy.yaml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((cache.project_root() / name).read_bytes())
    (root / change).write_text((root / change).read_text() + "# changed\n")
    monkeypatch.setattr(up, "project_root", lambda: root)
    lines, cluster = said()
    assert any("another version" in line for line in lines)
    assert creations(made) == 1
    assert up.is_current(cluster)


def test_another_node_recipe_concerns_only_a_cluster_that_was_built_from_it(
    made: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodeimage, "built_tag", lambda: "harness.local/node:other")
    assert up.healthy()


def test_a_cluster_whose_record_has_no_key_is_made_anew(made: FakeDocker) -> None:
    text = local.record_path().read_text()
    local.record_path().write_text(text.replace('"key"', '"other"'))
    said()
    assert creations(made) == 1


def test_a_cluster_with_a_node_that_refuses_to_start_is_made_anew(made: FakeDocker) -> None:
    made.containers[NODES[1]].state = STOPPED
    made.refuse[f"start {NODES[1]}"] = "failed to create task"
    lines, _ = said()
    assert any("failed to create task" in line for line in lines)
    assert creations(made) == 1


def fails(*_: object, **__: object) -> Any:
    raise PreconditionFailed("no answer within 2 min")


@pytest.mark.parametrize("step", ["executable", "export_kubeconfig"])
def test_what_is_not_the_clusters_fault_does_not_cost_the_cluster(
    made: FakeDocker, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    made.containers[NODES[1]].state = PAUSED
    monkeypatch.setattr(kind, step, fails)
    with pytest.raises(PreconditionFailed, match="no answer"):
        said()
    assert set(made.containers) == set(NODES)


def test_a_node_that_starts_slowly_does_not_cost_the_cluster(made: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = made.result

    def slow(host: str, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return fails() if args[0] == "start" else answer(host, *args, **options)

    made.containers[NODES[1]].state = STOPPED
    monkeypatch.setattr(docker, "result", slow)
    with pytest.raises(PreconditionFailed, match="no answer"):
        said()
    assert set(made.containers) == set(NODES)


def test_a_cluster_that_does_not_become_ready_is_kept_and_a_way_out_named(
    made: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "not_ready", lambda cluster, since=None: ["cluster DNS"])
    monkeypatch.setattr(up, "REPAIR_SECONDS", 0.1)
    with pytest.raises(PreconditionFailed, match="is not ready") as refused:
        said()
    assert refused.value.hint == "run `harness down`, then `harness up`"
    assert creations(made) == 0
    assert set(made.containers) == set(NODES)


def test_no_second_cluster_is_made_while_the_daemon_of_the_first_is_down(
    made: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "ensure", ENSURE)
    monkeypatch.setattr(docker, "ping", lambda host, deadline=1.0: host != HOST)
    with pytest.raises(PreconditionFailed, match="Docker daemon does not answer") as refused:
        said()
    assert refused.value.where == HOST
    assert creations(made) == 0
    assert local.current()


def test_a_taken_port_does_not_cost_the_cluster(made: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(config: object) -> None:
        raise PreconditionFailed("port 18080 is taken")

    made.containers[NODES[0]].state = STOPPED
    monkeypatch.setattr(kind, "check_ports", taken)
    with pytest.raises(PreconditionFailed, match="18080"):
        said()
    assert set(made.containers) == set(NODES)


def test_ports_are_not_asked_for_while_the_control_plane_holds_them(made: FakeDocker) -> None:
    made.containers[NODES[1]].state = STOPPED
    said()
    assert "check ports" not in made.calls


def test_a_foreign_cluster_of_the_same_name_is_left_alone(machine: FakeDocker) -> None:
    machine.nodes(network="kind")
    with pytest.raises(PreconditionFailed, match="did not make") as refused:
        said()
    assert "kind delete cluster" in refused.value.hint
    assert set(machine.containers) == set(NODES)


def test_a_foreign_network_of_the_same_name_is_left_alone(machine: FakeDocker) -> None:
    machine.networks[kind.NETWORK] = {}
    with pytest.raises(PreconditionFailed, match="did not make"):
        said()


def test_another_subnet_is_taken_where_the_first_is_in_use(machine: FakeDocker) -> None:
    machine.refuse[kind.SUBNETS[0]] = "Pool overlaps with other one on this address space"
    said()
    assert any(kind.SUBNETS[1] in call for call in machine.calls)


def test_a_network_without_any_free_subnet_says_why(machine: FakeDocker) -> None:
    machine.refuse["network create"] = "Pool overlaps with other one on this address space"
    with pytest.raises(PreconditionFailed, match="cannot be created") as refused:
        said()
    assert refused.value.why.count("Pool overlaps") == len(kind.SUBNETS)


def test_the_daemons_machine_says_which_cgroups_there_are(machine: FakeDocker) -> None:
    machine.info["CgroupVersion"] = "1"
    lines, _ = said()
    assert any("cgroup v1" in line for line in lines)


def test_another_system_than_linux_is_told_plainly(machine: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(PreconditionFailed, match="a local cluster needs Linux"):
        said()
    assert machine.calls == []


@pytest.mark.parametrize(
    ("host", "info"),
    [
        ("tcp://elsewhere:2375", {}),
        ("ssh://elsewhere", {}),
        (HOST, {"OperatingSystem": "Docker Desktop"}),
        (HOST, {"OperatingSystem": "Alpine Linux v3.22", "KernelVersion": "6.12.31-0-virt"}),
    ],
    ids=["tcp", "ssh", "Docker Desktop", "a virtual machine's kernel"],
)
def test_a_daemon_whose_containers_are_in_another_machine_is_refused_before_anything_is_built(
    machine: FakeDocker, monkeypatch: pytest.MonkeyPatch, host: str, info: dict[str, str]
) -> None:
    machine.images.clear()
    machine.info |= info
    monkeypatch.setattr(daemon, "ensure", lambda progress: host)
    with pytest.raises(PreconditionFailed, match="in another machine") as refused:
        said()
    assert refused.value.where == host
    assert "DOCKER_HOST" in refused.value.hint
    assert {call.split()[0] for call in machine.calls} <= {"info", "version"}


@pytest.mark.parametrize(
    ("labels", "phase", "waiting"),
    [
        ({"k8s-app": "kube-proxy"}, "Pending", ["pod some"]),
        ({"k8s-app": "kube-dns"}, "Pending", ["pod some"]),
        ({"tier": "control-plane", "component": "etcd"}, "Pending", ["pod some"]),
        ({"app": "chaos-ptp"}, "Pending", ["pod some"]),
        ({"app": "kindnet"}, "Pending", ["pod some"]),
        ({"k8s-app": "kube-proxy"}, "Succeeded", []),
        ({"k8s-app": "kube-proxy"}, "Failed", []),
        ({"app": "a-users-own"}, "Pending", []),
        (None, "Pending", []),
    ],
)
def test_only_a_system_pod_of_ours_that_has_not_ended_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, labels: dict[str, str] | None, phase: str, waiting: list[str]
) -> None:
    metadata = {"name": "some", **({"labels": labels} if labels else {})}

    kube = ApiServer([{"metadata": metadata, "status": {"phase": phase}}])
    monkeypatch.setattr(up.Kube, "connect", lambda *_: kube)
    assert anyio.run(up._not_ready, CLUSTER, 0.0) == waiting


def test_a_dns_that_may_be_on_a_worker_is_brought_home_before_the_cluster_is_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kube = ApiServer(selector={"kubernetes.io/os": "linux"})
    monkeypatch.setattr(up.Kube, "connect", lambda *_: kube)
    assert anyio.run(up._not_ready, CLUSTER, None) == ["cluster DNS"]
    anyio.run(up._keep_dns, CLUSTER)
    assert anyio.run(up._not_ready, CLUSTER, None) == []
    assert kube.selector == {"kubernetes.io/os": "linux", **up.HOME}


def test_whoever_makes_or_repairs_the_cluster_brings_its_dns_home(made: FakeDocker) -> None:
    made.containers["chaos-local-worker"].state = STOPPED
    said()
    assert made.calls.count("keep DNS") == 1
