"""The local cluster as `harness up` left it: read from one small file, without asking anything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from harness.cluster.cache import cache_dir
from harness.errors import PreconditionFailed

NAME = "chaos-local"


@dataclass(frozen=True, slots=True)
class LocalCluster:
    """Where the local cluster is and what its parts are called."""

    name: str
    kubeconfig: Path
    docker_host: str
    network: str
    nodes: dict[str, str]
    control_plane: str
    keeper_socket: Path
    key: str = ""
    """What the cluster was made from."""
    checkout: str = ""
    """The folder of the harness that brought it up last."""

    @property
    def context(self) -> str:
        """The kubeconfig context."""
        return f"kind-{self.name}"


def record_path() -> Path:
    """Return the file `harness up` writes."""
    return cache_dir() / "cluster.json"


def current() -> LocalCluster | None:
    """Return the local cluster, or None when `harness up` has not been run."""
    try:
        values = json.loads(record_path().read_text())
        return LocalCluster(
            name=values["name"],
            kubeconfig=Path(values["kubeconfig"]),
            docker_host=values["docker_host"],
            network=values["network"],
            nodes=dict(values["nodes"]),
            control_plane=values["control_plane"],
            keeper_socket=Path(values["keeper_socket"]),
            key=values.get("key", ""),
            checkout=values.get("checkout", ""),
        )
    except (OSError, ValueError, KeyError, TypeError, PreconditionFailed):
        return None


def save(cluster: LocalCluster) -> None:
    """Remember the local cluster for later commands."""
    values = {
        "name": cluster.name,
        "kubeconfig": str(cluster.kubeconfig),
        "docker_host": cluster.docker_host,
        "network": cluster.network,
        "nodes": cluster.nodes,
        "control_plane": cluster.control_plane,
        "keeper_socket": str(cluster.keeper_socket),
        "key": cluster.key,
        "checkout": cluster.checkout,
    }
    path = record_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(values, indent=1) + "\n")
    draft.replace(path)


def forget() -> None:
    """Forget the local cluster."""
    record_path().unlink(missing_ok=True)
