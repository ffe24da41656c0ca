"""Istio, for a cluster that has none: built from its Go module, which holds its charts, too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.cluster import command
from harness.cluster.build import gobuild
from harness.cluster.cache import Progress
from harness.cluster.kube import Kube
from harness.stack import overlays

Object = dict[str, Any]
REVISION = "claude-ecosystem"
"""Ours, beside which another Istio may be: what carries this label is its business alone."""
LABEL = "istio.io/rev"
INIT = "init"
"""The image that turns a pod's packets to its sidecar, where a part of the stack has sidecars."""
MANIFESTS = "istio-manifests"
DEPLOYMENTS = "/apis/apps/v1/deployments"
BOOTSTRAP = "tools/packaging/common/envoy_bootstrap.json"


async def foreign(kube: Kube) -> str:
    """Return the revision of an Istio that somebody else installed; nothing when there is none."""
    found = await kube.list(DEPLOYMENTS, labels="app=istiod")
    revisions = {item["metadata"]["labels"].get(LABEL, "default") for item in found}
    return min(revisions - {REVISION}, default="")


def objects(images: Mapping[str, str], progress: Progress) -> list[Object]:
    """Return Istio's resource definitions and its control plane, rendered from its own charts with our settings."""
    argv = [str(gobuild.binary(MANIFESTS, progress)), str(settings()), f"revision={REVISION}"]
    argv += [f"values.pilot.image={images['pilot']}", f"values.global.proxy.image={images['auto']}"]
    if INIT in images:
        argv.append(f"values.global.proxy_init.image={images[INIT]}")
    found: list[Object] = json.loads(command.ask(argv).stdout)
    return found


def hand_over(items: Iterable[Object], revision: str) -> None:
    """Have the pods that Istio completes completed by another one than ours."""
    for item in items:
        whole = item["spec"]["template"] if item["kind"] == "Deployment" else item
        labels = whole["metadata"].get("labels", {})
        if item["kind"] in ("Deployment", "Namespace") and LABEL in labels:
            labels[LABEL] = revision


def settings() -> Path:
    """Return the file with what is asked of Istio's charts."""
    return overlays.manifests() / "istio.yaml"


def bootstrap(progress: Progress) -> Path:
    """Return Istio's template of the configuration that Envoy starts with."""
    return gobuild.module_file(BOOTSTRAP, gobuild.ISTIO, "pilot-agent", progress)
