"""What is known right now of each workload's ready pods, for whoever waits until all is back."""

from __future__ import annotations

from collections.abc import Iterable

import anyio


class Readiness:
    """The last reported readiness of every workload under observation; a namespace that was not seen is not ready.

    A workload is back when it has as many ready pods as the most that were seen, or as it wants if that is less: what
    was never there is not waited for.
    """

    def __init__(self, namespaces: Iterable[str]) -> None:
        self._unseen = dict.fromkeys(namespaces, "")
        self._ready: dict[str, tuple[int, int]] = {}
        self._most: dict[str, int] = {}
        self._changed = anyio.Event()

    def seen(self, namespace: str) -> None:
        """Note that a namespace is in sight."""
        self._unseen.pop(namespace, None)
        self._wake()

    def lost(self, namespace: str, why: str) -> None:
        """Note that a namespace is out of sight."""
        self._unseen[namespace] = why

    def report(self, key: str, ready: int, desired: int | None) -> None:
        """Note one workload's ready pods and what it wants (None: it does not say), and wake whoever waits."""
        most = self._most[key] = max(ready, self._most.get(key, 0))
        self._ready[key] = ready, most if desired is None else min(desired, most)
        self._wake()

    def forget(self, key: str) -> None:
        """Drop a workload that was deleted, or that nobody waits for."""
        self._ready.pop(key, None)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    @property
    def short(self) -> list[str]:
        """Name the namespaces that are out of sight, and the workloads that have fewer ready pods than they should."""
        unseen = [f"{namespace}: pods not seen" + (why and f" ({why})") for namespace, why in self._unseen.items()]
        return unseen + [
            f"{key} {ready} of {enough} ready" for key, (ready, enough) in sorted(self._ready.items()) if ready < enough
        ]

    async def complete(self) -> None:
        """Return as soon as every namespace is in sight and every workload is back."""
        while self.short:
            await self._changed.wait()
