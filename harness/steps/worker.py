"""The engine's side: hand activities to a child, cut them at their deadline or when the engine is cancelled."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from subprocess import DEVNULL, PIPE
from types import TracebackType
from typing import IO, Any, Self

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from harness.cluster import command

KILL_SECONDS = 2.0
_ANSWER_BYTES = 32 * 1024 * 1024
ENDED = (
    anyio.EndOfStream,
    anyio.IncompleteRead,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.DelimiterNotFound,
)


class Worker:
    """A warm child that runs one activity after another; killed with all it started, it is replaced when next needed.

    It is spawned, never forked, and leads a process group of its own. What runs in the background runs in it too, as
    under Chaos Toolkit, and ends with it.
    """

    def __init__(self, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        self._env, self._cwd = dict(env or {}), cwd
        self._process: Process | None = None
        self._answers: BufferedByteReceiveStream | None = None
        self._log: IO[bytes] | None = None
        self._document: Mapping[str, Any] | None = None
        self._given: dict[int, dict[str, Any]] = {}
        self._asked = 0
        self._one_at_a_time, self._starting = anyio.Lock(), anyio.Lock()
        self._reading, self._sending = anyio.Lock(), anyio.Lock()

    async def __aenter__(self) -> Self:
        await self._spawn()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._kill()

    @property
    def pid(self) -> int | None:
        """The child's process id, while there is one."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def begin(self, document: Mapping[str, Any], *, deadline: float) -> dict[str, Any]:
        """Hand the child the document that its activities belong to; the answer says why it was refused, if it was."""
        self._document = None
        found = await self.ask("begin", deadline=deadline, document=document, validated=False)
        self._document = document if found["status"] == "succeeded" else None
        return found

    async def call(
        self, activity: Mapping[str, Any], *, deadline: float, role: str = "method", sent: anyio.Event | None = None
    ) -> dict[str, Any]:
        """Run one activity and return its status, output, error, duration and whether its tolerance was met.

        The status is "succeeded", "failed", "interrupted", or "timed out" when `deadline` seconds were not enough. With
        `sent`, set when the child has been told or never will be, the activity runs in the background, beside the next
        ones.
        """
        return await self.ask("activity", deadline=deadline, sent=sent, activity=activity, role=role)

    async def ask(self, do: str, *, deadline: float, sent: anyio.Event | None = None, **request: Any) -> dict[str, Any]:
        """Have the child do something and return its answer; what exceeds its `deadline` ends the child."""
        if sent:
            return await self._within(deadline, {"do": do, "background": True, **request}, sent)
        async with self._one_at_a_time:
            return await self._within(deadline, {"do": do, **request}, anyio.Event())

    async def _within(self, deadline: float, request: dict[str, Any], sent: anyio.Event) -> dict[str, Any]:
        began = time.monotonic()
        try:
            with anyio.move_on_after(deadline):
                return await self._exchange(request, began, sent)
        except BaseException:
            # Cancelled, most likely by an abort: what the activity is doing must end now.
            await self._kill()
            raise
        await self._kill()
        sent.set()  # whoever waits for that would wait for ever
        return _failure("timed out", f"no end within {deadline:g} s", began)

    async def _exchange(self, request: dict[str, Any], began: float, sent: anyio.Event) -> dict[str, Any]:
        process = self._process
        try:
            async with self._starting:
                if self._process is None or self._process.returncode is not None:
                    await self._spawn()
                    if self._document is not None:
                        # Another child was cut: this one has to know what it knew.
                        await self._send({"do": "begin", "document": self._document, "validated": True})
            process = self._process
            identity = await self._send(request)
            sent.set()
            while identity not in self._given:
                await self._receive(identity)
            return self._given.pop(identity)
        except ENDED as error:
            sent.set()
            why = self._last_words() or type(error).__name__
            # Somebody else may have found out before, and a new child is at work already.
            if self._process is process:
                await self._kill()
            return _failure("failed", f"the step's process ended: {why}", began)

    async def _send(self, request: Mapping[str, Any]) -> int:
        assert self._process is not None
        assert self._process.stdin is not None
        async with self._sending:
            self._asked += 1
            identity = self._asked
            await self._process.stdin.send((json.dumps({**request, "id": identity}, default=str) + "\n").encode())
        return identity

    async def _receive(self, identity: int) -> None:
        """Take one answer in, whoever's it is; each who waits for one looks for its own."""
        answers = self._answers
        async with self._reading:
            if identity in self._given:
                return
            if answers is None or answers is not self._answers:
                raise anyio.EndOfStream
            found: dict[str, Any] = json.loads(await answers.receive_until(b"\n", _ANSWER_BYTES))
            self._given[found.pop("id")] = found

    async def _spawn(self) -> None:
        await self._kill()
        with contextlib.suppress(OSError):  # without a folder for it the child's last words are lost, not the step
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the child
        self._process = await anyio.open_process(
            command.module("harness.steps"),
            stdin=PIPE,
            stdout=PIPE,
            stderr=self._log or DEVNULL,
            cwd=self._cwd,
            env={**os.environ, **self._env},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._answers = BufferedByteReceiveStream(self._process.stdout)

    async def _kill(self) -> None:
        # All at once: while this one is waited for, another may be started.
        process, self._process = self._process, None
        log, self._log = self._log, None
        self._answers, self._given = None, {}
        try:
            if process is not None:
                await self._end(process)
        finally:
            if log is not None:
                log.close()

    async def _end(self, process: Process) -> None:
        # The group outlives its leader, so it is killed even when the leader has ended by itself.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        # A child that not even SIGKILL ends (it waits for a disk) must not keep the undo waiting.
        with anyio.move_on_after(KILL_SECONDS, shield=True):
            await process.aclose()

    def _last_words(self) -> str:
        if self._log is None:
            return ""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


async def run(
    activity: Mapping[str, Any],
    *,
    deadline: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> dict[str, Any]:
    """Run one activity in a child of its own; see `Worker.call`."""
    async with Worker(env, cwd) as worker:
        return await worker.call(activity, deadline=deadline)


def _failure(status: str, error: str, began: float) -> dict[str, Any]:
    duration = time.monotonic() - began
    return {"status": status, "output": None, "error": error, "duration": duration, "tolerance_met": None}
