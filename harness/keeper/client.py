"""One run's connection to the keeper: while it is open and beats, the run lives."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from pathlib import Path
from typing import Any, Self

import anyio

from harness.cluster import sockets
from harness.errors import AbortTriggered, HarnessError, InjectionFailed, PreconditionFailed, RunInProgress, UndoFailed

Op = dict[str, Any]
ANSWER_SECONDS = 60.0
HELLO_SECONDS = 15.0
BEAT_SECONDS = 10.0
_LINE_BYTES = 1 << 20


class Keeper:
    """The keeper as one run sees it; `lost` is set when the connection ends for any reason but `end`."""

    heals = True

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, run: str) -> None:
        self.run, self.own = run, True
        self.lost = anyio.Event()
        self._reader, self._writer = reader, writer
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._closing = False
        self._listener = asyncio.create_task(self._listen(), name="keeper")

    @classmethod
    async def connect(cls, socket: Path, run: str, lease_seconds: float) -> Self:
        """Begin a run.

        Raises RunInProgress while another lives, PreconditionFailed when the keeper is away or cannot heal what an
        earlier run left.
        """
        keeper = await cls._open(socket, run)
        try:
            await keeper._ask("hello", HELLO_SECONDS, run=run, lease=lease_seconds)
        except BaseException:
            await keeper._close()
            raise
        return keeper

    @classmethod
    async def _open(cls, socket: Path, run: str) -> Self:
        try:
            with sockets.named(socket) as name:
                reader, writer = await asyncio.open_unix_connection(name, limit=_LINE_BYTES)
        except OSError as error:
            raise PreconditionFailed(
                "the keeper is away",
                where=str(socket),
                why=error.strerror or str(error),
                hint="`harness up` starts it, that of another cluster is `harness keeper`",
            ) from None
        return cls(reader, writer, run)

    async def register(self, fault_id: str, undo_ops: list[Op]) -> None:
        """Put a fault's undo on the ledger; it is on the disk when this returns."""
        await self._ask("register", fault=fault_id, undo=undo_ops)

    async def apply(self, fault_id: str, ops: list[Op]) -> dict[str, Any]:
        """Do a fault's effect: {"results": [...]}, one for each operation.

        Raises InjectionFailed when an operation is refused or fails, AbortTriggered when the run has expired.
        """
        return await self._ask("apply", fault=fault_id, ops=ops)

    async def inspect(self, container: str) -> dict[str, Any]:
        """Return a node container's {"running", "paused", "addresses"}."""
        return await self._ask("inspect", container=container)

    async def heal(self, fault_id: str) -> dict[str, Any]:
        """Undo a fault and see it undone: {"seconds": ..}. One that is not on the ledger is healed.

        Raises UndoFailed when it is not undone yet; it stays on the ledger.
        """
        return await self._ask("heal", fault=fault_id)

    async def forget(self, fault_id: str) -> None:
        """Strike a fault off the ledger: there is nothing to undo any more."""
        await self._ask("forget", fault=fault_id)

    async def beat(self) -> None:
        """Say that the run is alive; raises AbortTriggered when the keeper does not answer."""
        await self._ask("beat", BEAT_SECONDS)

    async def end(self) -> None:
        """End the run in good order; what is still on the ledger is healed, a keeper that is gone already is fine."""
        with contextlib.suppress(HarnessError):
            await self._ask("end")
        await self._close()

    async def _ask(self, do: str, seconds: float = ANSWER_SECONDS, **fields: Any) -> dict[str, Any]:
        identity = next(self._ids)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[identity] = answer
        try:
            if self.lost.is_set():
                raise _lost(do)
            try:
                self._writer.write(json.dumps({"id": identity, "do": do, **fields}).encode() + b"\n")
                await self._writer.drain()
            except (OSError, RuntimeError):
                raise _lost(do) from None
            with anyio.fail_after(seconds):
                found = await answer
        except TimeoutError:
            raise _error(do, {"error": "failed", "what": f"the keeper did not answer {do} in {seconds:g} s"}) from None
        finally:
            self._waiting.pop(identity, None)
        if not found.get("ok"):
            raise _error(do, found)
        return {key: value for key, value in found.items() if key not in ("id", "ok")}

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                answer = json.loads(line)
                waiting = self._waiting.get(answer.get("id"))
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except (OSError, ValueError):
            pass
        finally:
            if not self._closing:
                self.lost.set()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_result({"ok": False, "error": "lost"})

    async def _close(self) -> None:
        self._closing = True
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        self._listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listener


async def status(socket: Path) -> dict[str, Any]:
    """Ask who is connected and what is owed: {"version", "live", "owed", "dead", "errors"}; works beside a live run."""
    keeper = await Keeper._open(socket, "")
    try:
        return await keeper._ask("status", HELLO_SECONDS)
    finally:
        await keeper._close()


async def owed(socket: Path) -> list[str]:
    """List the faults that are on the keeper's ledger; works beside a live run."""
    return list((await status(socket))["owed"])


def _lost(do: str) -> HarnessError:
    hint = "the keeper heals what is on its ledger; `harness up` starts one that is gone, or `harness keeper` elsewhere"
    kind = UndoFailed if do in ("heal", "forget") else AbortTriggered
    return kind("the keeper is gone", why="its connection ended", hint=hint)


def _error(do: str, answer: dict[str, Any]) -> HarnessError:
    code, what, why = str(answer.get("error")), str(answer.get("what", "")), str(answer.get("why", ""))
    if code == "lost":
        return _lost(do)
    if code == "busy":
        return RunInProgress(what, where="keeper", hint="wait for it, or `harness lever on` ends it")
    if code == "unhealed" and do == "hello":
        return PreconditionFailed(what, where="keeper", why=why, hint="`harness up` repairs the local cluster")
    if do in ("heal", "forget", "unhealed"):
        return UndoFailed(what, where="keeper", why=why, hint="`harness undo` tries again")
    if code == "expired" or do == "beat":
        return AbortTriggered(what, where="keeper", why=why or "its lease lapsed or its connection ended")
    if do == "hello":
        return PreconditionFailed(what, where="keeper", why=why)
    return InjectionFailed(what, where="keeper", why=why)
