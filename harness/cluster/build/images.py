"""Build the project's images and put them on every node, once per content."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.cluster import command, docker
from harness.cluster.build import debian
from harness.cluster.cache import Progress, cache_dir, digest, locked
from harness.cluster.local import LocalCluster
from harness.errors import PreconditionFailed

LOAD_SECONDS = 300.0
BYTES_PER_SECOND = 50e6


def tag(name: str, context: Path) -> str:
    """Return the tag of an image that is built from this context: a hash of all that goes into it."""
    return f"harness.local/{name}:{digest([context], debian.key())}"


def build(progress: Progress, cluster: LocalCluster, name: str, context: Path, *, estimate: float) -> str:
    """Return the content-hashed tag of an image on the Debian base, built but not loaded; older ones are removed."""
    host, wanted = cluster.docker_host, tag(name, context)
    if docker.has_image(host, wanted):
        return wanted
    with locked(f"image-{name}", progress):
        if not docker.has_image(host, wanted):
            argv = ["--build-arg", f"BASE={debian.ensure(host, progress)}", "--tag", wanted, str(context)]
            docker.build(host, argv, f"building the image {name}", progress, estimate=estimate)
            docker.drop_older(host, wanted)
    return wanted


def load(progress: Progress, cluster: LocalCluster, tags: Sequence[str]) -> None:
    """Put images on every node that does not have them yet."""
    if not tags:
        return
    identities = _identities(cluster)
    missing = {node: [tag for tag in tags if tag not in _loaded(identity)] for node, identity in identities.items()}
    wanted = sorted({tag for absent in missing.values() for tag in absent})
    if not wanted:
        return
    with locked("image-load", progress), tempfile.TemporaryDirectory(dir=_folder()) as folder:
        archive = Path(folder) / "images.tar"
        docker.docker(cluster.docker_host, "save", "--output", str(archive), *wanted, deadline=LOAD_SECONDS)
        targets = sorted(node for node, absent in missing.items() if absent)
        short = ", ".join(tag.removeprefix("harness.local/").partition(":")[0] for tag in wanted)
        seconds = 2 + archive.stat().st_size * len(targets) / BYTES_PER_SECOND
        progress(f"loading {short} into {len(targets)} nodes: about {command.duration(seconds)}")
        with ThreadPoolExecutor(max_workers=2) as pool:
            list(pool.map(lambda node: _import(cluster.docker_host, node, archive), targets))
    for node in targets:
        _remember(identities[node], wanted)


def _import(host: str, node: str, archive: Path) -> None:
    argv = ["exec", "-i", node, "ctr", "--namespace=k8s.io", "images", "import", "--all-platforms", "-"]
    hint = "run `harness up`: it repairs the local cluster"
    with archive.open("rb") as source:
        done = docker.result(host, *argv, stdin=source, deadline=LOAD_SECONDS, hint=hint)
    if done.returncode != 0:
        why = "".join(done.stderr.strip().splitlines()[-1:])
        hint = command.advice(why, hint)
        raise PreconditionFailed("an image could not be loaded", where=node, why=why, hint=hint)


def _identities(cluster: LocalCluster) -> dict[str, str]:
    # A node that was made anew has another container id, and none of the images.
    containers = list(cluster.nodes.values())
    return {
        str(found["Name"]).lstrip("/"): str(found["Id"]) for found in docker.inspect(cluster.docker_host, *containers)
    }


def _folder() -> Path:
    path = cache_dir() / "loaded"
    path.mkdir(parents=True, exist_ok=True)
    return path


def _loaded(identity: str) -> set[str]:
    try:
        return set((_folder() / identity[:12]).read_text().split())
    except FileNotFoundError:
        return set()


def _remember(identity: str, tags: Sequence[str]) -> None:
    with (_folder() / identity[:12]).open("a") as file:
        file.write("".join(f"{tag}\n" for tag in tags))
