"""Talk to a Docker daemon: a ping over its socket, everything else through its client."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.cluster import command
from harness.cluster.cache import Progress
from harness.errors import PreconditionFailed

LABEL = "harness.local/project=kube-chaos-harness"
PING_SECONDS = 3.0
REGISTRY_SECONDS = 5.0


def environment(host: str) -> dict[str, str]:
    """Return what a Docker client needs to know to reach `host`; Buildx is not on every machine."""
    return {"DOCKER_HOST": host, "DOCKER_BUILDKIT": "0", "DOCKER_CLI_HINTS": "false"}


def docker(host: str, *args: str, deadline: float = 60.0, check: bool = True, stdin: bytes | None = None) -> str:
    """Run one short Docker command and return its output."""
    return result(host, *args, deadline=deadline, check=check, stdin=stdin).stdout


def result(
    host: str, *args: str, deadline: float = 60.0, check: bool = False, stdin: bytes | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one short Docker command and return status and output."""
    return command.ask(["docker", *args], deadline=deadline, env=environment(host), check=check, stdin=stdin)


def long(
    host: str, args: list[str], what: str, progress: Progress, *, estimate: float, cwd: Path | None = None
) -> None:
    """Run one long Docker command with progress."""
    command.run(["docker", *args], what, progress, estimate=estimate, env=environment(host), cwd=cwd)


def ping(host: str, deadline: float = PING_SECONDS) -> bool:
    """Say whether a daemon answers at `host`."""
    if not host.startswith("unix://"):
        client = ["docker", "version", "--format", "{{.Server.Version}}"]
        try:
            done = subprocess.run(
                client, capture_output=True, timeout=2 * deadline, env={**os.environ, **environment(host)}, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(deadline)
        try:
            connection.connect(host.removeprefix("unix://"))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(64)
        except OSError:
            return False


def inspect(host: str, *names: str) -> list[dict[str, Any]]:
    """Describe containers, images or networks; what does not exist is left out."""
    if not names:
        return []
    return list(json.loads(result(host, "inspect", *names).stdout or "[]"))


def states(host: str, labels: Mapping[str, str]) -> dict[str, str]:
    """Return name and state of every container that carries the labels."""
    filters = [part for key, value in labels.items() for part in ("--filter", f"label={key}={value}")]
    lines = docker(host, "ps", "--all", *filters, "--format", "{{.Names}}\t{{.State}}").splitlines()
    return dict(line.split("\t", 1) for line in lines if "\t" in line)


def has_image(host: str, tag: str) -> bool:
    """Say whether the daemon has an image."""
    return result(host, "image", "inspect", "--format", "{{.Id}}", tag).returncode == 0


def registry_answers(host: str, image: str) -> bool:
    """Ask once, briefly, whether an image can be had from its registry."""
    with suppress(PreconditionFailed):
        return result(host, "manifest", "inspect", image, deadline=REGISTRY_SECONDS).returncode == 0
    return False
