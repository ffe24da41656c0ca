"""One run at a time per cluster, and in each namespace that a run may touch, held by Leases.

Only a living engine renews them. Whoever may act in the whole cluster takes the Lease of the harness's own namespace
and one in each namespace that it may touch; a run whose rights end at one namespace takes the one there. So two runs
that could touch the same thing meet at one Lease, which both of them see.

Leases are renewed from the engine's own event loop, not from a helper: an engine that is suspended must let them
lapse. Ages are measured on CLOCK_BOOTTIME, which goes on while a machine sleeps.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio

from harness.cluster.kube import Kube
from harness.engine import contexts
from harness.engine.preflight.scope import LEASE as NAME
from harness.engine.preflight.scope import LEASES, Scope
from harness.engine.preflight.scope import SYSTEM as NAMESPACE
from harness.errors import AbortTriggered, ApiError, HarnessError, RunInProgress, first

SECONDS = 15.0
RENEW_EVERY = 3.0
RELEASE_TRIES = 3
EXPIRED = "chaos.harness.dev/expired"
# Whether a keeper vouches for the holder, and whether the holder sees this namespace alone.
KEPT, ALONE = "chaos.harness.dev/kept", "chaos.harness.dev/alone"


def boottime() -> float:
    """Read the clock that goes on while the machine sleeps, in seconds."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Leases:
    """Every Lease that one run has to hold, as one right."""

    def __init__(self, kube: Kube, run: str, scope: Scope, namespaces: Sequence[str], *, kept: bool) -> None:
        self.scope = scope
        self._lease = partial(Lease, kube, run, kept=kept, alone=scope.alone)
        places = dict.fromkeys([scope.system, *(() if scope.alone else sorted(namespaces))])
        self._wanted = [self._lease(place) for place in places]
        self._held: list[Lease] = []

    async def acquire(self, *, holder_is_dead: bool) -> None:
        """Wait for all together, then take them one after another.

        `holder_is_dead` says that the keeper vouches for it, which it can where the holder had one; without a keeper a
        held lease is watched for its whole duration before it is taken. Raises RunInProgress when another run holds it.
        """
        found: dict[Lease, dict[str, Any] | None] = {}

        async def look(lease: Lease) -> None:
            found[lease] = await lease.vacant(holder_is_dead=holder_is_dead)

        try:
            async with anyio.create_task_group() as together:
                for lease in self._wanted:
                    together.start_soon(look, lease)
        except BaseExceptionGroup as group:
            raise first(group) from group
        for lease in self._wanted:
            try:
                await lease.take(found[lease])
            except ApiError as error:
                # Nothing can be touched in a namespace that does not exist.
                if error.status != 404:
                    raise
            else:
                self._held.append(lease)
        self._wanted = []

    async def extend(self, namespaces: Sequence[str], *, holder_is_dead: bool) -> list[str]:
        """Take those of more namespaces, too, where they are not held already; return where they were not."""
        held = {lease.namespace for lease in self._held}
        more = [place for place in namespaces if place not in held]
        self._wanted = [self._lease(place) for place in more]
        await self.acquire(holder_is_dead=holder_is_dead)
        return more

    async def renew(self) -> None:
        """Renew them all at once, so that a slow API server is waited for once; raises AbortTriggered on a loss."""
        try:
            async with anyio.create_task_group() as together:
                for lease in self._held:
                    together.start_soon(lease.renew)
        except BaseExceptionGroup as group:
            raise first(group) from group

    def check(self) -> None:
        """Refuse an effect when one has lapsed; raises AbortTriggered."""
        for lease in self._held:
            lease.check()

    def left(self) -> float:
        """Return for how many seconds none of them lapses."""
        return max(0.0, min((lease.left() for lease in self._held), default=SECONDS))

    async def release(self) -> None:
        """Give them back, the first one last, each whatever became of the others."""
        failures: list[HarnessError] = []
        for lease in reversed(self._held):
            try:
                await lease.release()
            except HarnessError as error:
                failures.append(error)
        if failures:
            raise failures[0]


class Lease:
    """The right to touch what one Lease stands for, for one run."""

    def __init__(self, kube: Kube, run: str, namespace: str, *, kept: bool, alone: bool) -> None:
        self._kube, self._run, self.namespace = kube, run, namespace
        self._path = LEASES.format(namespace)
        self._where = f"{namespace}/{NAME}"
        self._marks = {KEPT: str(kept).lower(), ALONE: str(alone).lower()}
        self._body: dict[str, Any] = {}
        self._renewed = 0.0

    async def vacant(self, *, holder_is_dead: bool) -> dict[str, Any] | None:
        """Return the lease once nobody holds it, None where there is none; raises RunInProgress."""
        lease = await current(self._kube, self.namespace)
        if lease is None:
            return None
        holder = lease.get("spec", {}).get("holderIdentity")
        marks = lease["metadata"].get("annotations") or {}
        dead = marks.get(EXPIRED) == holder or (holder_is_dead and marks.get(KEPT) != "false")
        if holder and not dead:
            return await outlive(self._kube, self.namespace)
        return lease

    async def take(self, lease: dict[str, Any] | None) -> None:
        """Take a lease that is vacant as it was seen; raises RunInProgress when another run was quicker."""
        if lease is None:
            await self._create()
            return
        try:
            self._body = await self._kube.replace(f"{self._path}/{NAME}", self._held(lease))
        except ApiError as error:
            if error.status == 409:
                raise RunInProgress("another run took the lease", where=self._where) from error
            raise
        self._renewed = boottime()

    async def _create(self) -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME}}
        wanted = [("/api/v1/namespaces", namespace)] if self.namespace == NAMESPACE else []
        for path, item in (*wanted, (self._path, self._held(body))):
            try:
                self._body = await self._kube.create(path, item)
            except ApiError as error:
                if error.status != 409:
                    raise
                if path == self._path:
                    raise RunInProgress("another run took the lease", where=self._where) from error
        self._renewed = boottime()

    def _held(self, lease: dict[str, Any]) -> dict[str, Any]:
        metadata = {key: value for key, value in lease["metadata"].items() if key in ("name", "resourceVersion")}
        metadata["annotations"] = self._marks
        spec = {
            "holderIdentity": self._run,
            "leaseDurationSeconds": int(SECONDS),
            "acquireTime": _now(),
            "renewTime": _now(),
        }
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    async def renew(self) -> None:
        """Renew once; raises AbortTriggered when the lease is another's or was marked expired."""
        self.check()
        asked = boottime()
        try:
            await self._replace()
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            await self._adopt(error)
        self._renewed = asked

    async def _replace(self) -> None:
        body = dict(self._body, spec=dict(self._body["spec"], renewTime=_now()))
        self._body = await self._kube.replace(f"{self._path}/{NAME}", body)

    async def _adopt(self, error: ApiError) -> None:
        """Renew a lease that is still ours: a renewal whose answer was lost on its way has changed its version."""
        lease = await current(self._kube, self.namespace)
        marked = lease and lease["metadata"].get("annotations", {}).get(EXPIRED) == self._run
        if lease is None or marked or lease["spec"].get("holderIdentity") != self._run:
            raise AbortTriggered("the lease was lost", why="a healer or another run took it") from error
        self._body = lease
        await self._replace()

    def left(self) -> float:
        """Return in how many seconds it lapses, less than none when it has."""
        return self._renewed + SECONDS - boottime()

    def check(self) -> None:
        """Refuse an effect when the lease has lapsed; raises AbortTriggered."""
        lapsed = boottime() - self._renewed
        if lapsed > SECONDS:
            raise AbortTriggered("the lease lapsed", why=f"it was not renewed for {lapsed:.0f} s (suspended?)")

    async def release(self) -> None:
        """Give the lease back; in a namespace that is not ours nothing stays. One that another holds is left alone."""
        for _ in range(RELEASE_TRIES):
            lease = await current(self._kube, self.namespace)
            if lease is None or lease["spec"].get("holderIdentity") != self._run:
                return
            lease["spec"] |= {"holderIdentity": "", "renewTime": _now()}
            try:
                if self.namespace == NAMESPACE:
                    await self._kube.replace(f"{self._path}/{NAME}", lease)
                else:
                    version = lease["metadata"]["resourceVersion"]
                    await self._kube.delete(f"{self._path}/{NAME}", version=version)
            except ApiError as error:
                # A renewal that was cut off on this side may still have been answered on the other.
                if error.status not in (404, 409):
                    raise
            else:
                return


async def current(kube: Kube, namespace: str = NAMESPACE) -> dict[str, Any] | None:
    """Return the Lease of a namespace as it stands, or None."""
    try:
        return await kube.get(f"{LEASES.format(namespace)}/{NAME}")
    except ApiError as error:
        if error.status == 404:
            return None
        raise


async def outlive(kube: Kube, namespace: str = NAMESPACE) -> dict[str, Any] | None:
    """Watch a held lease for its whole duration, where no keeper can vouch for its holder, and return it as it is then.

    Raises RunInProgress when it is renewed meanwhile.
    """
    lease = await current(kube, namespace)
    version, since = lease and lease["metadata"]["resourceVersion"], boottime()
    while lease and lease.get("spec", {}).get("holderIdentity") and boottime() - since < SECONDS:
        if lease["metadata"]["resourceVersion"] != version:
            raise RunInProgress(
                f"run {lease['spec']['holderIdentity']} is going on",
                where=f"{namespace}/{NAME}",
                hint=f"wait for it, or `{contexts.command(kube, 'harness', 'lever', 'on', *_only(namespace))}`",
            )
        await anyio.sleep(1)
        lease = await current(kube, namespace)
    return lease


def _only(namespace: str) -> tuple[str, ...]:
    return () if namespace == NAMESPACE else ("--namespace", namespace)


async def everywhere(kube: Kube) -> list[dict[str, Any]]:
    """List the Leases of every namespace; none where they may not be listed."""
    try:
        return await kube.list("/apis/coordination.k8s.io/v1/leases", fields=f"metadata.name={NAME}")
    except ApiError as error:
        if error.status != 403:
            raise
        return []


def alone(item: dict[str, Any]) -> bool:
    """Say whether a Lease is of a run that sees its own namespace alone."""
    return bool((item["metadata"].get("annotations") or {}).get(ALONE) == "true")


def unkept(item: dict[str, Any]) -> bool:
    """Say whether no keeper vouches for the holder of a Lease."""
    return bool((item["metadata"].get("annotations") or {}).get(KEPT) == "false")


async def clear(kube: Kube, namespace: str, holder: str) -> None:
    """Delete the Lease of a dead holder, or of none, as `harness undo` does; one that a run took since stays."""
    lease = await current(kube, namespace)
    if lease is None or (lease.get("spec", {}).get("holderIdentity") or "") not in ("", holder):
        return
    try:
        await kube.delete(f"{LEASES.format(namespace)}/{NAME}", version=lease["metadata"]["resourceVersion"])
    except ApiError as error:
        # Whoever took it at this moment has it.
        if error.status not in (404, 409):
            raise
