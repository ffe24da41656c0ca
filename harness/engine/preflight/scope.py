"""How far the rights of a run reach: over the whole cluster, or no further than the one namespace of its plan.

A run that may not touch the harness's own namespace keeps its lease, its lever and its faults where it may.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.documents import target
from harness.engine import contexts
from harness.engine.planning import rights
from harness.errors import ApiError, ClusterUnreachable, PreconditionFailed, UsageError
from harness.model.experiment import Experiment

SYSTEM = "chaos-system"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"
LEASE = "chaos-run"


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a run keeps lease and lever; `alone` says that nothing outside of that namespace may be seen."""

    system: str = SYSTEM
    alone: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """Return the options with which another command keeps to this scope."""
        return ("--namespace", self.system) if self.alone else ()

    @property
    def inside(self) -> tuple[str, ...]:
        """Return the one namespace that may be looked at; nothing where all may be."""
        return (self.system,) if self.alone else ()

    @property
    def unseen(self) -> str:
        """Say what such a run may not look at; nothing where it may see all."""
        if not self.alone:
            return ""
        return (
            f"rights end at namespace {self.system}: nodes and their zones, the namespace's opt-in label, a lever in"
            f" {SYSTEM} and what is broken elsewhere are not seen"
        )


async def find(kube: Kube, experiment: Experiment) -> Scope:
    """Say how far a run of this experiment may reach; raises PreconditionFailed where that is not far enough."""
    refused = await _refused(kube)
    if not refused:
        return Scope()
    namespace = rights.stays_in(experiment)
    if namespace:
        return Scope(namespace, alone=True)
    raise PreconditionFailed(
        "this user may not act in the whole cluster, and the experiment does not stay in one namespace",
        where=f"context {kube.context}",
        why=refused,
        hint=grant(experiment),
    )


async def of(kube: Kube, namespace: str = "") -> Scope:
    """Say how far a command reaches that is of no experiment: `namespace` where one is named, else as far as it may.

    Where that is not the whole cluster it is the namespace of the context. Raises UsageError where there is none of
    that name: nothing is broken in it, whatever is broken in the one that was meant.
    """
    if namespace:
        await _require(kube, namespace)
        return Scope(namespace, alone=True)
    return Scope(kube.namespace, alone=True) if await _refused(kube) else Scope()


async def _require(kube: Kube, namespace: str) -> None:
    try:
        name = target.namespace(namespace)
    except ValueError as error:
        raise UsageError(str(error), where="--namespace") from None
    try:
        await kube.get(paths.namespace(name))
    except ApiError as error:
        if error.status == 404:
            _require_known(kube, error)
            raise UsageError(
                f"namespace {name!r} does not exist",
                where=f"context {kube.context}",
                hint=contexts.command(kube, "kubectl", "get", "namespaces"),
            ) from error
        # Whoever may work in a namespace need not be able to read it itself.
        if error.status != 403:
            raise


def _require_known(kube: Kube, error: ApiError) -> None:
    """Refuse a 404 of anybody else's: an API server says of what it keeps that it was NotFound, as a Status."""
    if error.reason != "NotFound":
        raise ClusterUnreachable(
            f"what answers at {kube.server} is no Kubernetes API server",
            where=f"context {kube.context}",
            why=f"{error.where}: {error.what}",
            hint="check the server's address in the kubeconfig",
        ) from error


async def _refused(kube: Kube) -> str:
    try:
        await kube.get(f"{LEASES.format(SYSTEM)}/{LEASE}")
    except ApiError as error:
        if error.status == 403:
            return error.message
        if error.status == 401:
            raise PreconditionFailed(
                "the API server does not know this user",
                where=f"context {kube.context}",
                why=error.message or str(error),
                hint=f"whatever makes `{contexts.command(kube, 'kubectl', 'auth', 'whoami')}` work",
            ) from error
        if error.status != 404:
            raise
        _require_known(kube, error)
    return ""


@contextmanager
def permitted(kube: Kube, scope: Scope, what: str) -> Iterator[None]:
    """Turn a right that lacks into what mends it, for a command of no experiment; `what` is what it was about to do.

    Raises PreconditionFailed.
    """
    try:
        yield
    except ApiError as error:
        if error.status != 403:
            raise
        narrow = "" if scope.alone else ", or --namespace NAME keeps to one namespace where they suffice"
        raise PreconditionFailed(
            f"this user may not {what}",
            where=place(kube, scope),
            why=error.message or str(error),
            hint=f"`{contexts.command(kube, 'harness', 'doctor', *scope.words)}` names the rights that lack{narrow}",
        ) from error


def place(kube: Kube, scope: Scope) -> str:
    """Name where a command works: a context, and a namespace where it keeps to one."""
    return f"context {kube.context}" + (f", namespace {scope.system}" if scope.alone else "")


def grant(experiment: Experiment) -> str:
    """Say where the rights that an experiment needs come from."""
    return f"an administrator grants what `harness plan --role {shlex.quote(str(experiment.path))}` prints"


def lacking(kube: Kube, experiment: Experiment, error: ApiError) -> PreconditionFailed:
    """Turn a refusal before anything was touched into what mends it."""
    return PreconditionFailed(
        "this user may not do what the experiment needs",
        where=f"context {kube.context}: {error.where}",
        why=error.message or str(error),
        hint=f"{grant(experiment)}; `{contexts.command(kube, 'harness', 'doctor')}` says what is missing",
    )
