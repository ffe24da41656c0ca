"""Talk to a Docker daemon: a ping over its socket, everything else through its client."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from typing import Any, BinaryIO

from harness.cluster import command
from harness.cluster.cache import Progress, cache_dir
from harness.errors import PreconditionFailed

LABEL = "harness.local/project=kube-chaos-harness"
PING_SECONDS = 3.0
# In these words for whatever it looked for, since Docker 28 without a capital.
ABSENT = "no such object"
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def environment(host: str) -> dict[str, str]:
    """Return what a Docker client needs to know to reach `host`, and to build there and for there.

    Which builder it takes is its own affair: BuildKit where it has Buildx, as most have, and else the older one.
    """
    return {
        "DOCKER_HOST": host,
        "DOCKER_CLI_HINTS": "false",
        "DOCKER_DEFAULT_PLATFORM": "",
        # What any other builder makes is not among the daemon's images.
        "BUILDX_BUILDER": "default",
        "BUILDX_NO_DEFAULT_LOAD": "0",
        # It writes down what it builds: in a home, as root, that keeps the owner from building anything.
        "BUILDX_CONFIG": str(cache_dir() / "buildx"),
        # An image with attestations is an index of several, which a node may not import.
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    }


def docker(host: str, *args: str, deadline: float = 60.0, check: bool = True, stdin: bytes | None = None) -> str:
    """Run one short Docker command and return its output."""
    return result(host, *args, deadline=deadline, check=check, stdin=stdin).stdout


def result(
    host: str,
    *args: str,
    deadline: float = 60.0,
    check: bool = False,
    stdin: bytes | BinaryIO | None = None,
    hint: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run one short Docker command and return status and output."""
    return command.ask(["docker", *args], deadline=deadline, env=environment(host), check=check, stdin=stdin, hint=hint)


def long(host: str, args: list[str], what: str, progress: Progress, *, estimate: float) -> None:
    """Run one long Docker command with progress."""
    command.run(["docker", *args], what, progress, estimate=estimate, env=environment(host))


def build(host: str, args: list[str], what: str, progress: Progress, *, estimate: float) -> None:
    """Build one image of this project, with the host's network and proxies for its package managers."""
    # By name alone: the values are the client's to read, and may hold a password.
    proxies = [word for name in PROXY_VARIABLES if os.environ.get(name) for word in ("--build-arg", name)]
    argv = ["build", "--network=host", "--force-rm", "--label", LABEL, *proxies, *args]
    long(host, argv, what, progress, estimate=estimate)


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


def info(host: str, field: str) -> str:
    """Return one field of what the daemon says about itself and its machine."""
    return docker(host, "info", "--format", "{{." + field + "}}").strip()


def inspect(host: str, *names: str) -> list[dict[str, Any]]:
    """Describe containers, images or networks; what does not exist is left out.

    Raises PreconditionFailed where the daemon does not say: it is nothing that a client prints then, too.
    """
    if not names:
        return []
    done = result(host, "inspect", *names)
    # A client that cannot read its own configuration warns of it each time.
    said = [line for line in done.stderr.splitlines() if line.strip() and not line.lower().startswith("warning")]
    other = [line for line in said if ABSENT not in line.lower()]
    if done.returncode != 0 and other:
        raise PreconditionFailed("Docker does not say what it has", where=host, why=other[-1])
    return list(json.loads(done.stdout or "[]"))


def states(host: str, *filters: str) -> dict[str, str]:
    """Return name and state of every container that passes the filters, each written as `label=key=value`."""
    words = [word for chosen in filters for word in ("--filter", chosen)]
    lines = docker(host, "ps", "--all", *words, "--format", "{{.Names}}\t{{.State}}").splitlines()
    return dict(line.split("\t", 1) for line in lines if "\t" in line)


def image_id(host: str, tag: str) -> str:
    """Return the identity of an image the daemon has, or nothing."""
    return result(host, "image", "inspect", "--format", "{{.Id}}", tag).stdout.strip()


def has_image(host: str, tag: str) -> bool:
    """Say whether the daemon has an image."""
    return bool(image_id(host, tag))


def drop_older(host: str, tag: str) -> None:
    """Remove the other images of a tag's repository; one that a container still uses refuses to go."""
    repository = tag.rpartition(":")[0]
    listed = docker(host, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository).split()
    older = [name for name in listed if name != tag]
    if older:
        result(host, "image", "rm", *older)


def pull(host: str, image: str, *, deadline: float) -> str:
    """Pull an image and return why it cannot be had; nothing when the daemon has it now."""
    try:
        done = result(host, "pull", "--quiet", image, deadline=deadline)
    except PreconditionFailed as error:
        return error.what
    said = done.stderr.strip().splitlines()
    return "" if done.returncode == 0 else (said[-1] if said else f"exit status {done.returncode}")
