"""Turn an overlay into objects: kustomize inside the control-plane node, then the built images' names."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from harness.cluster import docker
from harness.cluster.cache import cache_dir
from harness.cluster.local import LocalCluster
from harness.errors import UsageError
from harness.stack import overlays

Object = dict[str, Any]


def objects(cluster: LocalCluster, overlay: str, images: Mapping[str, str]) -> list[Object]:
    """Return the objects of an overlay with the images that were built."""
    found = [item for item in yaml.load_all(_kustomize(cluster, overlay), yaml.CSafeLoader) if item]
    for container in _containers(found):
        name = container["image"].partition(":")[0]
        container["image"] = images.get(name, container["image"])
    return found


def kept(key: str) -> list[Object]:
    """Return the objects that were deployed under a key, without putting them together again; nothing when unknown."""
    try:
        loaded: list[Object] = json.loads(_kept(key).read_text())
    except (OSError, ValueError):
        return []
    return loaded


def keep(key: str, found: list[Object]) -> None:
    """Keep the objects that were deployed under a key."""
    path = _kept(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(found))
    draft.replace(path)


def _kept(key: str) -> Path:
    return cache_dir() / "stack" / f"{key}.json"


def _kustomize(cluster: LocalCluster, overlay: str) -> str:
    # Every node image has kubectl; the machine itself need not.
    script = (
        "set -e; folder=$(mktemp -d); trap 'rm -rf $folder' EXIT; tar -x -C $folder; "
        f"kubectl kustomize $folder/manifests/overlays/{overlay}"
    )
    done = docker.result(
        cluster.docker_host, "exec", "-i", cluster.control_plane, "sh", "-c", script, stdin=_archive(), deadline=60
    )
    if done.returncode:
        raise UsageError(
            f"the overlay {overlay} cannot be put together", where="stack/manifests", why=done.stderr.strip()
        )
    return done.stdout


def _archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(overlays.manifests(), "manifests")
    return buffer.getvalue()


def _containers(found: list[Object]) -> Iterator[Object]:
    for item in found:
        pod = item.get("spec", {}).get("template", {}).get("spec", {}) if item["kind"] == "Deployment" else {}
        yield from pod.get("initContainers", [])
        yield from pod.get("containers", [])
