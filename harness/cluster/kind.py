"""Create, find and delete the kind cluster."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from harness.cluster import command, docker, local
from harness.cluster.build import gobuild, shim
from harness.cluster.cache import Progress, cache_dir, project_root
from harness.errors import PreconditionFailed

NETWORK = "kind-chaos"
# Says on the network which cache folder the cluster belongs to: others may use this daemon too.
OWNER = "chaos.harness.dev/cache"
# Another network of this daemon may have the first ones.
SUBNETS = ("172.30.0.0/16", "172.29.0.0/16", "10.201.0.0/16", "192.168.224.0/20")
ROLE = "io.x-k8s.kind.role"
CLUSTER = "io.x-k8s.kind.cluster"
CALLED = f"label={CLUSTER}={local.NAME}"
# Anybody may give a kind cluster this name; kind gives its containers no label of ours, but we choose their network.
OURS = (CALLED, f"network={NETWORK}")
STOPPED = ("exited", "created")
KIND_MINIMUM = (0, 30)
CREATE_SECONDS = 45
AFRESH = "run `harness down`, then `harness up`"


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
    return own_executable() or str(gobuild.binary("kind", progress))


def own_executable() -> str:
    """Return the machine's own kind where it is new enough."""
    own = shutil.which("kind") or ""
    found = re.search(r"(\d+)\.(\d+)", command.ask([own, "version"], check=False).stdout) if own else None
    return own if found and (int(found[1]), int(found[2])) >= KIND_MINIMUM else ""


def kubeconfig_path() -> Path:
    """Return where the local cluster's kubeconfig is kept."""
    return cache_dir() / "kubeconfig"


def node_states(host: str) -> dict[str, str]:
    """Return the local cluster's node containers and their states."""
    return docker.states(host, *OURS)


def stopped_planes(host: str) -> bool:
    """Say whether a node that publishes ports does not run, so that others may have taken them."""
    planes = docker.states(host, *OURS, f"label={ROLE}=control-plane")
    return any(state in STOPPED for state in planes.values())


def refuse_foreign(host: str) -> None:
    """Leave a cluster alone that has our cluster's name and was made by somebody else; raises PreconditionFailed."""
    foreign = sorted(docker.states(host, CALLED))
    if foreign:
        raise PreconditionFailed(
            f"there is a kind cluster {local.NAME} that the harness did not make",
            where=host,
            why=f"its nodes are not on the network {NETWORK}: {', '.join(foreign)}",
            hint=f"if nobody needs it: kind delete cluster --name {local.NAME}",
        )


def refuse_others(host: str) -> None:
    """Leave a cluster alone that the harness made for another cache folder; raises PreconditionFailed."""
    owner = (_labels(host) or {}).get(OWNER)
    if owner and owner != str(cache_dir()):
        raise PreconditionFailed(
            "the local cluster on this Docker daemon belongs to another cache folder",
            where=owner,
            why=f"this one is {cache_dir()}, and a daemon can have only one cluster of the harness",
            hint=f"`HARNESS_CACHE={shlex.quote(str(Path(owner).parent))} harness down` removes it",
        )


def _labels(host: str) -> dict[str, str] | None:
    """Return the labels of the cluster's network; None when there is no such network."""
    found = docker.result(host, "network", "inspect", "--format", "{{json .Labels}}", NETWORK)
    return None if found.returncode != 0 else dict(json.loads(found.stdout) or {})


def _is_ours(labels: dict[str, str]) -> bool:
    name, _, value = docker.LABEL.partition("=")
    return labels.get(name) == value


def refuse_taken(host: str) -> None:
    """Refuse to make a cluster whose name, network or ports somebody else has; raises PreconditionFailed."""
    refuse_foreign(host)
    labels = _labels(host)
    if labels is not None and not _is_ours(labels):
        raise PreconditionFailed(
            f"there is a Docker network {NETWORK} that the harness did not make",
            where=host,
            hint=f"if nobody needs it: docker network rm {NETWORK}",
        )
    check_ports(read_config())


def ensure_network(host: str) -> None:
    """Create the cluster's network; only one with a subnet of its own gives a node its address back."""
    labels = _labels(host)
    refused = []
    for subnet in SUBNETS if labels is None else ():
        masquerade = "--opt=com.docker.network.bridge.enable_ip_masquerade=true"
        ours = [f"--label={docker.LABEL}", f"--label={OWNER}={cache_dir()}"]
        argv = ["network", "create", f"--subnet={subnet}", *ours, masquerade, NETWORK]
        done = docker.result(host, *argv)
        if done.returncode == 0:
            return
        refused.append(f"{subnet}: {done.stderr.strip()}")
    if refused:
        raise PreconditionFailed(
            f"the Docker network {NETWORK} cannot be created",
            where=host,
            why="\n".join(refused),
            hint="remove networks that nobody uses: docker network prune",
        )


def published(config: dict[str, Any]) -> list[tuple[str, int]]:
    """Return the addresses and ports that a cluster publishes."""
    mappings = [m for node in config.get("nodes") or [] for m in node.get("extraPortMappings") or []]
    return [(m.get("listenAddress") or "0.0.0.0", int(m["hostPort"])) for m in mappings]  # noqa: S104


def check_ports(config: dict[str, Any]) -> None:
    """Refuse to go on while another process holds a port the cluster publishes."""
    for address, port in published(config):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                raise PreconditionFailed(
                    f"port {port} is taken",
                    where=f"{address}:{port}",
                    why=error.strerror or str(error),
                    hint=f"stop what listens there, `ss -ltnp 'sport = :{port}'` names it; a cluster of the harness "
                    "that another user or cache folder has goes with its own `harness down`: a machine has one",
                ) from None


def create(host: str, image: str, progress: Progress) -> None:
    """Create the cluster and its kubeconfig."""
    # What was made meanwhile took its time.
    refuse_taken(host)
    ensure_network(host)
    missing, old_cgroups = shim.needed(), docker.info(host, "CgroupVersion") == "1"
    fitted = patched(read_config(), project_root(), no_resource_capability=missing, cgroup_v1=old_cgroups)
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
        env=_environment(host),
    )
    kubeconfig_path().chmod(0o600)


def export_kubeconfig(host: str, program: str) -> None:
    """Write the cluster's kubeconfig again."""
    argv = [program, "export", "kubeconfig", "--name", local.NAME, "--kubeconfig", str(kubeconfig_path())]
    command.ask(argv, env=_environment(host), deadline=60, hint=AFRESH)


def delete(host: str) -> list[str]:
    """Remove the cluster's node containers with their volumes, and its network; return what is gone."""
    removed = sorted(node_states(host))
    if removed:
        docker.docker(host, "rm", "--force", "--volumes", *removed, deadline=120)
    if _is_ours(_labels(host) or {}) and docker.result(host, "network", "rm", NETWORK).returncode == 0:
        removed.append(f"network {NETWORK}")
    return removed


def describe(host: str, key: str) -> local.LocalCluster:
    """Return the cluster as the daemon shows it."""
    names = sorted(node_states(host))
    planes = docker.states(host, *OURS, f"label={ROLE}=control-plane")
    if not planes:
        raise PreconditionFailed("the local cluster has no control plane", hint=AFRESH)
    return local.LocalCluster(
        name=local.NAME,
        kubeconfig=kubeconfig_path(),
        docker_host=host,
        network=NETWORK,
        nodes={name: name for name in names},
        control_plane=min(planes),
        keeper_socket=cache_dir() / "keeper" / "keeper.sock",
        key=key,
        checkout=str(project_root()),
    )


def _environment(host: str) -> dict[str, str]:
    return {
        **docker.environment(host),
        "KIND_EXPERIMENTAL_DOCKER_NETWORK": NETWORK,
        "KIND_EXPERIMENTAL_PROVIDER": "docker",
    }
