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


class Worker:
    """A warm child that runs one activity after another; killed with all it started, it is replaced when next needed.

    It is spawned, never forked, and leads a process group of its own.
    """

    def __init__(self, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        self._env, self._cwd = dict(env or {}), cwd
        self._process: Process | None = None
        self._answers: BufferedByteReceiveStream | None = None
        self._log: IO[bytes] | None = None
        self._one_at_a_time = anyio.Lock()

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

    async def call(
        self,
        activity: Mapping[str, Any],
        *,
        deadline: float,
        configuration: Mapping[str, Any] | None = None,
        secrets: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Run one activity and return its status, output, error, duration and whether its tolerance was met.

        The status is "succeeded", "failed", or "timed out" when `deadline` seconds were not enough.
        """
        request = {"activity": activity, "configuration": configuration or {}, "secrets": secrets or {}}
        async with self._one_at_a_time:
            began = time.monotonic()
            try:
                with anyio.move_on_after(deadline):
                    return await self._exchange(request, began)
            except BaseException:
                # Cancelled, most likely by an abort: what the activity is doing must end now.
                await self._kill()
                raise
            await self._kill()
            return _failure("timed out", f"no end within {deadline:g} s", began)

    async def _exchange(self, request: Mapping[str, Any], began: float) -> dict[str, Any]:
        if self._process is None or self._process.returncode is not None:
            await self._spawn()
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._answers is not None
        try:
            await self._process.stdin.send((json.dumps(request, default=str) + "\n").encode())
            answer: dict[str, Any] = json.loads(await self._answers.receive_until(b"\n", _ANSWER_BYTES))
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.DelimiterNotFound) as error:
            why = self._last_words() or type(error).__name__
            await self._kill()
            return _failure("failed", f"the step's process ended: {why}", began)
        return answer

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
        process, self._process = self._process, None
        if process is None:
            return
        # The group outlives its leader, so it is killed even when the leader has ended by itself.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        # A child that not even SIGKILL ends (it waits for a disk) must not keep the undo waiting.
        with anyio.move_on_after(KILL_SECONDS, shield=True):
            await process.aclose()
        if self._log is not None:
            self._log.close()
            self._log = None

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
