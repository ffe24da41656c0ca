"""Start the keeper's container, and replace one whose program is another than ours."""

from __future__ import annotations

import io
import json
import socket
import tarfile
import time
from pathlib import Path
from typing import Any

from harness.cluster import docker, sockets
from harness.cluster.build import debian
from harness.cluster.cache import Progress, digest, locked
from harness.cluster.local import LocalCluster
from harness.errors import PreconditionFailed

NAME, VOLUME = "chaos-keeper", "chaos-keeper-ledger"
LABEL, VERSION_LABEL = "chaos-harness=keeper", "chaos-harness.version"
ASK_SECONDS = 5.0
START_SECONDS = 20.0
RESIDENT = Path(__file__).parent / "resident"
PACKAGE = "harness/keeper/resident"


def ensure(cluster: LocalCluster, progress: Progress) -> None:
    """Have a living keeper of this very version beside the cluster; a living one is left alone in milliseconds.

    One that cannot see Docker is replaced even if it owes: only a new one can heal. Raises PreconditionFailed when it
    does not start.
    """
    version = _version(cluster)
    if _serves(cluster, version, progress):
        return
    with locked("keeper", progress):
        if _serves(cluster, version, progress):
            return
        progress("starting the keeper")
        _start(cluster, version, progress)
        _await(cluster, version)


def _serves(cluster: LocalCluster, version: str, progress: Progress) -> bool:
    """Say whether the keeper that answers is to stay."""
    found = _status(cluster.keeper_socket)
    # One that was given the socket of a daemon that was restarted since sees nothing; its ledger is on a volume.
    if not found or found.get("docker") is False:
        return False
    if found.get("version") == version:
        return True
    busy = bool(found.get("live") or found.get("owed") or found.get("dead"))
    if busy:
        progress("the keeper is an older one and has work to do: it is replaced another time")
    return busy


def _version(cluster: LocalCluster) -> str:
    return digest([RESIDENT, Path(__file__)], cluster.name, cluster.control_plane, str(cluster.keeper_socket))


def _status(path: Path) -> dict[str, Any] | None:
    """Ask the keeper for its version and its work; None when nobody answers."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ASK_SECONDS)
        try:
            with sockets.named(path) as name:
                connection.connect(name)
            connection.sendall(b'{"id": 1, "do": "status"}\n')
            answer: dict[str, Any] = json.loads(connection.makefile().readline())
        except (OSError, ValueError):
            return None
    return answer


def _start(cluster: LocalCluster, version: str, progress: Progress) -> None:
    host, folder = cluster.docker_host, cluster.keeper_socket.parent
    image = debian.ensure(host, progress)
    folder.mkdir(parents=True, exist_ok=True)
    docker.docker(host, "rm", "--force", NAME, check=False)
    # The ledger outlives the container: a new keeper heals what an old one left on it.
    docker.docker(host, "volume", "create", "--label", LABEL, "--label", docker.LABEL, VOLUME)
    environment = {
        "CLUSTER": cluster.name,
        "CONTROL_PLANE": cluster.control_plane,
        "KEEPER_SOCKET": f"/run/keeper/{cluster.keeper_socket.name}",
        "KEEPER_VERSION": version,
        "PYTHONPATH": "/opt/keeper",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    docker.docker(
        host,
        "create",
        f"--name={NAME}",
        "--restart=always",
        "--network=none",
        f"--label={LABEL}",
        f"--label={docker.LABEL}",
        f"--label={VERSION_LABEL}={version}",
        f"--volume={host.removeprefix('unix://')}:/var/run/docker.sock",
        f"--volume={folder}:/run/keeper",
        f"--volume={VOLUME}:/ledger",
        *(f"--env={key}={value}" for key, value in environment.items()),
        image,
        "python3",
        "-m",
        PACKAGE.replace("/", "."),
    )
    docker.docker(host, "cp", "-", f"{NAME}:/opt", stdin=archive())
    docker.docker(host, "start", NAME)


def archive() -> bytes:
    """Pack the resident program, and nothing else of the harness, as it lies under /opt in the container."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for file in sorted(RESIDENT.glob("*.py")):
            _add(tar, f"keeper/{PACKAGE}/{file.name}", file.read_bytes())
        for package in ("harness", "harness/keeper"):
            _add(tar, f"keeper/{package}/__init__.py", b"")
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    tar.addfile(entry, io.BytesIO(content))


def _await(cluster: LocalCluster, version: str) -> None:
    until, blind = time.monotonic() + START_SECONDS, None
    while time.monotonic() < until:
        found = _status(cluster.keeper_socket)
        if found and found.get("version") == version:
            if found.get("docker") is not False:
                return
            blind = found
        time.sleep(0.05)
    said = docker.result(cluster.docker_host, "logs", "--tail=8", NAME)
    log = (said.stdout + said.stderr).strip()
    if blind is None:
        raise PreconditionFailed(
            "the keeper does not answer", where=str(cluster.keeper_socket), why=log, hint="`harness up` tries again"
        )
    # Without Docker it could heal nothing.
    raise PreconditionFailed(
        "the keeper cannot reach Docker",
        where=cluster.docker_host,
        why="; ".join(f"{name}: {error}" for name, error in (blind.get("errors") or {}).items()) or log,
        hint="let containers use that socket (rootless Docker and SELinux may keep them from it), then `harness up`",
    )
