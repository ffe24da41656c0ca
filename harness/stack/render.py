"""Turn an overlay into objects: kustomize inside the control-plane node, then the built images' names."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.cluster import docker
from harness.cluster.build import gobuild
from harness.cluster.cache import Progress, cache_dir
from harness.cluster.local import LocalCluster
from harness.errors import UsageError
from harness.stack import overlays, parts

Object = dict[str, Any]


def objects(
    cluster: LocalCluster, overlay: str, wanted: Sequence[str], images: Mapping[str, str], progress: Progress
) -> list[Object]:
    """Return the objects of an overlay and of these parts with the images that were built."""
    text = _kustomize(cluster, overlay, wanted, progress)
    found = [item for item in yaml.load_all(text, yaml.CSafeLoader) if item]
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


def _kustomize(cluster: LocalCluster, overlay: str, wanted: Sequence[str], progress: Progress) -> str:
    # Every node image has kubectl; the machine itself need not.
    script = (
        "set -e; folder=$(mktemp -d); trap 'rm -rf $folder' EXIT; tar -x -C $folder; kubectl kustomize $folder/whole"
    )
    done = docker.result(
        cluster.docker_host,
        *("exec", "-i", cluster.control_plane, "sh", "-c", script),
        stdin=_archive(overlay, wanted, progress),
        deadline=60,
    )
    if done.returncode:
        raise UsageError(
            f"the overlay {overlay} cannot be put together", where="stack/manifests", why=done.stderr.strip()
        )
    return done.stdout


def _archive(overlay: str, wanted: Sequence[str], progress: Progress) -> bytes:
    """Pack the manifests, the parts with what is fetched for them, and what puts it all together."""
    brought = overlays.part_names(overlay)
    pieces = [part for name in wanted if (part := parts.read(name)).component]
    whole = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"../manifests/overlays/{overlay}"],
        "components": [f"../parts/{part.name}" for part in pieces if part.name not in brought],
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(overlays.manifests(), "manifests")
        archive.add(parts.folder(), "parts")
        for part in pieces:
            if told := part.fetched:
                found = gobuild.module_file(told["from"], told["module"], told["program"], progress)
                archive.add(found, f"parts/{part.name}/{told['to']}")
        text = json.dumps(whole).encode()
        entry = tarfile.TarInfo("whole/kustomization.yaml")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    return buffer.getvalue()


def _containers(found: list[Object]) -> Iterator[Object]:
    for item in found:
        pod = item["spec"]["template"]["spec"] if item["kind"] in ("Deployment", "Rollout") else {}
        yield from pod.get("initContainers", [])
        yield from pod.get("containers", [])
