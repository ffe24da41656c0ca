"""Decide which cluster a run may touch: the context is explicit or our own kind cluster, never ambient."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from harness.cluster import local
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.errors import PreconditionFailed, UsageError

OPT_IN_LABEL = "chaos-harness/allowed"
# Where another cluster's traffic and metrics are.
TRAFFIC = ("HARNESS_GATEWAY", "HARNESS_HOST", "HARNESS_PROMETHEUS")


def allowed() -> set[str]:
    """List the contexts that runs may use besides the local cluster: those named in HARNESS_CONTEXTS."""
    return {word.strip() for word in os.environ.get("HARNESS_CONTEXTS", "").split(",") if word.strip()}


def connect(kubeconfig: Path | None, context: str | None) -> tuple[Kube, LocalCluster | None]:
    """Connect to the context that was named, or to the local cluster when none was.

    Raises UsageError when the context is not on the allow-list, PreconditionFailed when there is no cluster at all.
    """
    cluster = local.current()
    if context is None and kubeconfig is None:
        if cluster is None:
            raise PreconditionFailed(
                "no local cluster",
                why="`harness up` has not been run here",
                hint="`harness up`, with the same HARNESS_CACHE as before if there was one; or name --context",
            )
        return Kube.connect(cluster.kubeconfig, f"kind-{cluster.name}"), cluster
    if kubeconfig is None and cluster is not None and context == f"kind-{cluster.name}":
        kubeconfig = cluster.kubeconfig
    kube = Kube.connect(kubeconfig, context)
    ours = cluster if cluster and _is(kube, cluster) else None
    if ours is None and kube.context not in allowed():
        raise UsageError(
            f"context {kube.context!r} is not allowed",
            why="a run names its cluster; only the local kind cluster is allowed by default",
            hint=f"HARNESS_CONTEXTS={kube.context} allows it",
        )
    return kube, ours


def _is(kube: Kube, cluster: LocalCluster) -> bool:
    """Say whether a connection is to the local cluster: another machine's has a context of the same name."""
    return kube.context == cluster.context and kube.server == Kube.connect(cluster.kubeconfig, cluster.context).server


def named(kube: Kube) -> str:
    """Give the option, after a blank, with which another command means this cluster; the local one needs none."""
    cluster = local.current()
    return "" if cluster and _is(kube, cluster) else f" --context {shlex.quote(kube.context)}"


def again(kube: Kube, kubeconfig: Path | None) -> dict[str, list[str]]:
    """Give what a command of another shell needs to mean this cluster: variables to set before it, options behind it.

    An option of ours counts for its own command only, and what was exported here need not be elsewhere.
    """
    cluster = local.current()
    ours = cluster is not None and _is(kube, cluster)
    elsewhere = ["HARNESS_CONTEXTS", *([] if kubeconfig else ["KUBECONFIG"]), *TRAFFIC]
    names = ["HARNESS_CACHE"] if ours else elsewhere
    options = [] if ours else ["--context", kube.context]
    if kubeconfig and not ours:
        options += ["--kubeconfig", str(kubeconfig)]
    return {"env": [f"{name}={os.environ[name]}" for name in names if os.environ.get(name)], "options": options}


async def require_opt_in(kube: Kube, namespaces: tuple[str, ...]) -> None:
    """Refuse namespaces of a foreign cluster that did not opt in by label.

    Raises UsageError with the command that sets the label.
    """
    for namespace in namespaces:
        labels = (await kube.get(f"/api/v1/namespaces/{namespace}")).get("metadata", {}).get("labels", {})
        if labels.get(OPT_IN_LABEL) != "true":
            raise UsageError(
                f"namespace {namespace} has not opted in",
                why="outside the local cluster a namespace is touched only when it says so",
                hint=f"kubectl label namespace {namespace} {OPT_IN_LABEL}=true",
            )
