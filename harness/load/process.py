"""Start the load as a process of its own, and end it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from harness.cluster import command
from harness.errors import UsageError
from harness.journal import operations
from harness.load import spec as specs

# Beyond the last operation's own timeout, for the process to end.
SPARE_SECONDS = 2.0
LOG = "load.log"
_LINE = 65_536


class LoadProcess:
    """One load going on; it ends with this process, because it reads the end of its standard input."""

    def __init__(self, process: Process, directory: Path, timeout: float) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._directory, self._timeout = process, directory, timeout
        self._stdin, self._lines = process.stdin, BufferedByteReceiveStream(process.stdout)

    @property
    def pid(self) -> int:
        """The load's process id."""
        return self._process.pid

    @property
    def died(self) -> bool:
        """Say whether the load's process has ended."""
        return self._process.returncode is not None

    async def ready(self) -> None:
        """Return when the load sends; raises UsageError when it was refused, OSError when it died."""
        answer = await self._line()
        if answer is None:
            raise OSError(f"the load process ended with status {await self._process.wait()}: {self._log()}")
        if error := answer.get("error"):
            raise UsageError(error["what"], where=error["where"], why=error["why"], hint=error["hint"])

    async def begin(self) -> None:
        """Begin the load's stages; one that has died says so when it is stopped."""
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._stdin.send(b"begin\n")

    async def stop(self) -> dict[str, Any]:
        """End the load and return what it did; `lost` says why a load that died cannot tell."""
        with anyio.CancelScope(shield=True):
            summary, refused = None, ""
            with anyio.move_on_after(self._timeout + SPARE_SECONDS):
                await self._stdin.aclose()
                while (answer := await self._line()) is not None:
                    if answer.get("done"):
                        summary = answer
                    elif answer.get("error"):
                        refused = str(answer["error"]["what"])
                await self._process.wait()
            if not self.died:
                self._process.kill()
            status = await self._process.wait()
            await self._process.aclose()
        if summary is not None:
            return {key: value for key, value in summary.items() if key != "done"}
        return {
            "operations": operations.count(self._directory),
            "lost": f"the load process ended with status {status}: {refused or self._log()}",
        }

    async def _line(self) -> dict[str, Any] | None:
        try:
            line = await self._lines.receive_until(b"\n", _LINE)
            answer = json.loads(line)
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.ClosedResourceError, ValueError):
            return None
        return answer if isinstance(answer, dict) else None

    def _log(self) -> str:
        lines = (self._directory / LOG).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


async def start(spec: Mapping[str, Any], directory: Path) -> LoadProcess:
    """Start a load that records into `directory`; raises UsageError when the spec is wrong."""
    values = {**spec, "out": str((directory / operations.FILE).absolute())}
    timeout = specs.from_mapping(values).load.timeout
    # In a session of its own, a Ctrl-C at the terminal reaches the engine only, which still needs the load.
    with (directory / LOG).open("wb") as log:
        process = await anyio.open_process(
            command.module("harness.load"),
            stdin=PIPE,
            stdout=PIPE,
            stderr=log,
            start_new_session=True,
        )
    assert process.stdin is not None
    # One that dies before it has read everything says so when it is asked whether it is ready.
    with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        await process.stdin.send(json.dumps(values).encode() + b"\n")
    return LoadProcess(process, directory, timeout)
