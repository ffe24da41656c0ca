"""One run at a time per cluster, held by a Lease that only a living engine renews.

The lease is renewed from the engine's own event loop, not from a helper: an engine that is suspended must let it
lapse. Ages are measured on CLOCK_BOOTTIME, which goes on while a machine sleeps.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import anyio

from harness.cluster.kube import Kube
from harness.engine import contexts
from harness.errors import AbortTriggered, ApiError, RunInProgress

NAMESPACE = "chaos-system"
NAME = "chaos-run"
SECONDS = 15.0
RENEW_EVERY = 3.0
RELEASE_TRIES = 3
EXPIRED = "chaos.harness.dev/expired"
_LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"


def boottime() -> float:
    """Read the clock that goes on while the machine sleeps, in seconds."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Lease:
    """The right to touch the cluster, for one run."""

    def __init__(self, kube: Kube, run: str) -> None:
        self._kube, self._run = kube, run
        self._body: dict[str, Any] = {}
        self._renewed = 0.0

    async def acquire(self, *, holder_is_dead: bool) -> None:
        """Take the lease.

        `holder_is_dead` says that the keeper vouches for it; without a keeper a held lease is watched for its whole
        duration before it is taken. Raises RunInProgress when another run holds it.
        """
        try:
            lease = await self._kube.get(f"{_LEASES}/{NAME}")
        except ApiError as error:
            if error.status != 404:
                raise
            await self._create()
            return
        holder = lease.get("spec", {}).get("holderIdentity")
        expired = lease["metadata"].get("annotations", {}).get(EXPIRED) == holder
        if holder and not expired and not holder_is_dead:
            lease = await outlive(self._kube) or lease
        try:
            self._body = await self._kube.replace(f"{_LEASES}/{NAME}", self._held(lease))
        except ApiError as error:
            if error.status == 409:
                raise RunInProgress("another run took the lease", where=f"{NAMESPACE}/{NAME}") from error
            raise
        self._renewed = boottime()

    async def _create(self) -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME}}
        for path, item in (("/api/v1/namespaces", namespace), (_LEASES, self._held(body))):
            try:
                self._body = await self._kube.create(path, item)
            except ApiError as error:
                if error.status != 409:
                    raise
                if path == _LEASES:
                    raise RunInProgress("another run took the lease", where=f"{NAMESPACE}/{NAME}") from error
        self._renewed = boottime()

    def _held(self, lease: dict[str, Any]) -> dict[str, Any]:
        metadata = {key: value for key, value in lease["metadata"].items() if key in ("name", "resourceVersion")}
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
        self._body = await self._kube.replace(f"{_LEASES}/{NAME}", body)

    async def _adopt(self, error: ApiError) -> None:
        """Renew a lease that is still ours: a renewal whose answer was lost on its way has changed its version."""
        lease = await current(self._kube)
        marked = lease and lease["metadata"].get("annotations", {}).get(EXPIRED) == self._run
        if lease is None or marked or lease["spec"].get("holderIdentity") != self._run:
            raise AbortTriggered("the lease was lost", why="a healer or another run took it") from error
        self._body = lease
        await self._replace()

    def check(self) -> None:
        """Refuse an effect when the lease has lapsed; raises AbortTriggered."""
        lapsed = boottime() - self._renewed
        if lapsed > SECONDS:
            raise AbortTriggered("the lease lapsed", why=f"it was not renewed for {lapsed:.0f} s (suspended?)")

    async def release(self) -> None:
        """Give the lease back; a lease that is no longer ours is left alone."""
        for _ in range(RELEASE_TRIES):
            lease = await current(self._kube)
            if lease is None or lease["spec"].get("holderIdentity") != self._run:
                return
            lease["spec"] |= {"holderIdentity": "", "renewTime": _now()}
            try:
                await self._kube.replace(f"{_LEASES}/{NAME}", lease)
            except ApiError as error:
                # A renewal that was cut off on this side may still have been answered on the other.
                if error.status != 409:
                    raise
            else:
                return


async def current(kube: Kube) -> dict[str, Any] | None:
    """Return the Lease as it stands, or None."""
    try:
        return await kube.get(f"{_LEASES}/{NAME}")
    except ApiError as error:
        if error.status == 404:
            return None
        raise


async def outlive(kube: Kube) -> dict[str, Any] | None:
    """Watch a held lease for its whole duration, where no keeper can vouch for its holder, and return it as it is then.

    Raises RunInProgress when it is renewed meanwhile.
    """
    lease = await current(kube)
    version, since = lease and lease["metadata"]["resourceVersion"], boottime()
    while lease and lease.get("spec", {}).get("holderIdentity") and boottime() - since < SECONDS:
        if lease["metadata"]["resourceVersion"] != version:
            raise RunInProgress(
                f"run {lease['spec']['holderIdentity']} is going on",
                where=f"{NAMESPACE}/{NAME}",
                hint=f"wait for it, or `harness lever on{contexts.named(kube)}`",
            )
        await anyio.sleep(1)
        lease = await current(kube)
    return lease


async def clear(kube: Kube) -> None:
    """Delete the Lease, as `harness undo` does after everything was healed."""
    try:
        await kube.delete(f"{_LEASES}/{NAME}")
    except ApiError as error:
        if error.status != 404:
            raise
