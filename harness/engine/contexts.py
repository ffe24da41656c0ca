"""Decide which cluster a run may touch: the context is explicit or our own kind cluster, never ambient."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cluster import kubeconfig as kubeconfigs
from harness.cluster import local
from harness.cluster.kube import Kube
from harness.cluster.kubeconfig import Access, service_account
from harness.cluster.local import LocalCluster
from harness.errors import ApiError, HarnessError, PreconditionFailed, UsageError

OPT_IN_LABEL = "chaos-harness/allowed"
ALLOWED = "HARNESS_CONTEXTS"
# What else a later command has to be told, where this one was.
SURROUNDINGS = ("HARNESS_CACHE", ALLOWED, "KUBECONFIG")


@dataclass(frozen=True, slots=True)
class Way:
    """How another command gets to the same cluster: variables before it, options behind it."""

    variables: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def command(self, *words: str) -> str:
        """Write a command so that it works when it is pasted."""
        return " ".join([*self.variables, shlex.join([*words, *self.options])])


def allowed() -> set[str]:
    """List the contexts that runs may use besides the local cluster: those named in HARNESS_CONTEXTS."""
    return {word.strip() for word in os.environ.get(ALLOWED, "").split(",") if word.strip()}


def connect(kubeconfig: Path | None, context: str | None) -> tuple[Kube, LocalCluster | None]:
    """Connect to the context that was named, or to the local cluster when none was.

    Raises UsageError when the context is not on the allow-list, PreconditionFailed when there is no cluster at all.
    """
    if context == "":
        raise UsageError(
            "--context names nothing",
            why="a run names its cluster, and an empty word would mean whichever is the current one",
            hint="is the variable set that it was to come from?",
        )
    cluster = local.current()
    if context is None and kubeconfig is None:
        if cluster is None:
            pod = " in-cluster, this pod's service account" if service_account.found() else ""
            raise PreconditionFailed(
                "no local cluster",
                why="`harness up` has not been run here",
                hint=f"`harness up`, with the same HARNESS_CACHE as before if there was one; or name --context{pod}",
            )
        return Kube.connect(cluster.kubeconfig, f"kind-{cluster.name}"), cluster
    if kubeconfig is None and cluster is not None and context == f"kind-{cluster.name}":
        kubeconfig = cluster.kubeconfig
    access = kubeconfigs.load(kubeconfig, context)
    ours = cluster if cluster and _is(access, cluster) else None
    # Before any credential is asked for: that may run a command.
    if ours is None and access.context not in allowed():
        raise UsageError(
            f"context {access.context!r} is not allowed",
            why=_allowance(),
            hint=f"{ALLOWED}={shlex.quote(access.context)} allows it",
        )
    return Kube(access, kubeconfig), ours


def _allowance() -> str:
    """Say which contexts are allowed, and how more than one is named where that may be what went wrong."""
    given = os.environ.get(ALLOWED, "")
    if not given:
        return "a run names its cluster; only the local kind cluster is allowed by default"
    names = ", ".join(map(repr, sorted(allowed()))) or "none"
    return f"{ALLOWED} is {given!r}, which allows {names}; a comma separates one from the next"


def _is(access: Access | Kube, cluster: LocalCluster) -> bool:
    """Say whether an access is to the local cluster: another machine's has a context of the same name."""
    if access.context != cluster.context:
        return False
    try:
        return access.server == kubeconfigs.load(cluster.kubeconfig, cluster.context).server
    except HarnessError:
        return False


def is_local(kube: Kube) -> bool:
    """Say whether a client talks to the local cluster, by the kubeconfig that it has there."""
    cluster = local.current()
    return cluster is not None and kube.kubeconfig in (None, cluster.kubeconfig) and _is(kube, cluster)


def way(kube: Kube) -> Way:
    """Say how another command gets to this cluster; the local one needs no more than its cache."""
    if not kube.server:
        return Way()
    ours = is_local(kube)
    needed = SURROUNDINGS[:1] if ours else SURROUNDINGS[: 3 if kube.kubeconfig is None else 2]
    variables = tuple(f"{name}={shlex.quote(_absolute(name))}" for name in needed if os.environ.get(name))
    if ours:
        return Way(variables)
    file = ("--kubeconfig", str(kube.kubeconfig.absolute())) if kube.kubeconfig else ()
    return Way(variables, ("--context", kube.context, *file))


def _absolute(name: str) -> str:
    """Return a variable's value as it means the same in any folder."""
    value = os.environ[name]
    if name == ALLOWED:
        return value
    if name != "KUBECONFIG":
        return str(Path(value).absolute())
    return os.pathsep.join(str(Path(word).absolute()) for word in value.split(os.pathsep) if word)


def command(kube: Kube, *words: str) -> str:
    """Write a command for this cluster, of ours or of kubectl, so that it works when it is pasted."""
    return (_kubectls(kube) if words[0] == "kubectl" else way(kube)).command(*words)


def _kubectls(kube: Kube) -> Way:
    """Say how kubectl gets to this cluster: it knows nothing of our cache, nor a pod's own account by our name."""
    cluster = local.current()
    if cluster is not None and is_local(kube):
        return Way(options=("--context", kube.context, "--kubeconfig", str(cluster.kubeconfig)))
    if kube.kubeconfig is None and kube.context == service_account.CONTEXT and service_account.found():
        return Way(("KUBECONFIG=",) if os.environ.get("KUBECONFIG") else ())
    return way(kube)


async def require_opt_in(kube: Kube, namespaces: Sequence[str], *, unseen: bool = False) -> None:
    """Refuse namespaces of a foreign cluster that did not opt in by label.

    With `unseen` a label that may not be read is not asked for: the namespace's own Role stands for it. Raises
    UsageError with the command that sets the label, or when there is no such namespace.
    """
    for namespace in namespaces:
        try:
            labels = (await kube.get(f"/api/v1/namespaces/{namespace}")).get("metadata", {}).get("labels", {})
        except ApiError as error:
            if error.status == 404:
                raise UsageError(f"namespace {namespace!r} does not exist", where=kube.context) from error
            if error.status == 403 and unseen:
                continue
            raise
        if labels.get(OPT_IN_LABEL) != "true":
            raise UsageError(
                f"namespace {namespace} has not opted in",
                why="outside the local cluster a namespace is touched only when it says so",
                hint=command(kube, "kubectl", "label", "namespace", namespace, f"{OPT_IN_LABEL}=true"),
            )
