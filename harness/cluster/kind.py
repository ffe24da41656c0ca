"""Create, find and delete the kind cluster."""

from __future__ import annotations

import re
import shutil
import socket
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from harness.cluster import command, docker, gobuild, local, shim
from harness.cluster.cache import Progress, cache_dir, project_root
from harness.errors import PreconditionFailed

NETWORK = "kind-chaos"
SUBNET = "172.30.0.0/16"
LABEL = "io.x-k8s.kind.cluster"
ROLE = "io.x-k8s.kind.role"
KIND_MINIMUM = (0, 30)
CREATE_SECONDS = 45
CGROUP_V2 = Path("/sys/fs/cgroup/cgroup.controllers")


def read_config() -> dict[str, Any]:
    """Read the repository's kind-config.yaml."""
    config: dict[str, Any] = yaml.safe_load((project_root() / "kind-config.yaml").read_text())
    return config


def patched(config: dict[str, Any], root: Path, *, no_resource_capability: bool, cgroup_v1: bool) -> dict[str, Any]:
    """Return a copy of a kind config that this host can run."""
    copy = deepcopy(config)
    for node in copy.get("nodes") or []:
        for mount in node.get("extraMounts") or []:
            mount["hostPath"] = str((root / mount["hostPath"]).resolve())
    kubelet: dict[str, Any] = {}
    if cgroup_v1:
        kubelet["failCgroupV1"] = False
    if no_resource_capability:
        kubelet["featureGates"] = {"KubeletInUserNamespace": True}
    patches = copy.setdefault("kubeadmConfigPatches", [])
    if kubelet:
        patches.append(yaml.safe_dump({"kind": "KubeletConfiguration", **kubelet}))
    if no_resource_capability:
        patches.append(yaml.safe_dump({"kind": "KubeProxyConfiguration", "conntrack": {"maxPerCore": 0, "min": 0}}))
    return copy


def executable(progress: Progress) -> str:
    """Return a kind that is new enough: the machine's own, or one built here."""
    own = shutil.which("kind")
    if own:
        found = re.search(r"(\d+)\.(\d+)", command.ask([own, "version"], check=False).stdout)
        if found and (int(found[1]), int(found[2])) >= KIND_MINIMUM:
            return own
    return str(gobuild.binary("kind", progress))


def kubeconfig_path() -> Path:
    """Return where the local cluster's kubeconfig is kept."""
    return cache_dir() / "kubeconfig"


def kubectl_path(progress: Progress = lambda _: None) -> Path:
    """Return a kubectl for this machine."""
    own = shutil.which("kubectl")
    return Path(own) if own else gobuild.tool("kubectl", "kubernetes", progress)


def node_states(host: str) -> dict[str, str]:
    """Return the local cluster's node containers and their states."""
    return docker.states(host, {LABEL: local.NAME})


def ensure_network(host: str) -> None:
    """Create the cluster's network; only one with a subnet of its own gives a node its address back."""
    if docker.result(host, "network", "inspect", NETWORK).returncode != 0:
        docker.docker(
            host, "network", "create", f"--subnet={SUBNET}", f"--label={docker.LABEL}",
            "--opt=com.docker.network.bridge.enable_ip_masquerade=true", NETWORK,
        )  # fmt: skip


def check_ports(config: dict[str, Any]) -> None:
    """Refuse to go on while another process holds a port the cluster publishes."""
    mappings = [m for node in config.get("nodes") or [] for m in node.get("extraPortMappings") or []]
    for mapping in mappings:
        address, port = mapping.get("listenAddress") or "0.0.0.0", int(mapping["hostPort"])  # noqa: S104
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                raise PreconditionFailed(
                    f"port {port} is taken",
                    where=f"{address}:{port}",
                    why=error.strerror or str(error),
                    hint="stop what listens there, or change hostPort in kind-config.yaml",
                ) from None


def create(host: str, image: str, progress: Progress) -> None:
    """Create the cluster and its kubeconfig."""
    config = read_config()
    check_ports(config)
    ensure_network(host)
    missing, old_cgroups = shim.needed(), not CGROUP_V2.exists()
    fitted = patched(config, project_root(), no_resource_capability=missing, cgroup_v1=old_cgroups)
    if missing or old_cgroups:
        reasons = [
            *(["no CAP_SYS_RESOURCE"] if missing else []),
            *(["cgroup v1"] if old_cgroups else []),
        ]
        progress(f"kind-config.yaml is patched for this host: {', '.join(reasons)}")
    path = cache_dir() / "kind-config.yaml"
    path.write_text(yaml.safe_dump(fitted, sort_keys=False))
    kubeconfig_path().unlink(missing_ok=True)
    argv = ["create", "cluster", "--name", local.NAME, "--image", image, "--config", str(path)]
    argv += ["--kubeconfig", str(kubeconfig_path())]
    command.run(
        [executable(progress), *argv],
        "creating the cluster",
        progress,
        estimate=CREATE_SECONDS,
        deadline=600,
        env=_environment(host),
    )
    kubeconfig_path().chmod(0o600)


def export_kubeconfig(host: str, progress: Progress) -> None:
    """Write the cluster's kubeconfig again."""
    argv = [executable(progress), "export", "kubeconfig", "--name", local.NAME, "--kubeconfig", str(kubeconfig_path())]
    command.ask(argv, env=_environment(host), deadline=60)


def delete(host: str) -> list[str]:
    """Remove the cluster's node containers with their volumes; return their names."""
    names = sorted(node_states(host))
    if names:
        docker.docker(host, "rm", "--force", "--volumes", *names, deadline=120)
    return names


def describe(host: str) -> local.LocalCluster:
    """Return the cluster as the daemon shows it."""
    names = sorted(node_states(host))
    planes = docker.states(host, {LABEL: local.NAME, ROLE: "control-plane"})
    if not planes:
        raise PreconditionFailed("the local cluster has no control plane", hint="run `harness down`, then `harness up`")
    return local.LocalCluster(
        name=local.NAME,
        kubeconfig=kubeconfig_path(),
        docker_host=host,
        network=NETWORK,
        nodes={name: name for name in names},
        control_plane=min(planes),
        keeper_socket=cache_dir() / "keeper" / "keeper.sock",
    )


def _environment(host: str) -> dict[str, str]:
    return {
        **docker.environment(host),
        "KIND_EXPERIMENTAL_DOCKER_NETWORK": NETWORK,
        "KIND_EXPERIMENTAL_PROVIDER": "docker",
    }
