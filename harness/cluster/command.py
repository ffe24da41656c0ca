"""Run an outside command: deadline, log, and a line now and then while it takes its time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from harness.cluster import stopping
from harness.cluster.cache import Progress, cache_dir, held, project_root
from harness.errors import PreconditionFailed

# Enough for a download over a slow line; a build that takes longer says so itself.
DEADLINE_SECONDS = 900.0
HEARTBEAT_SECONDS = 20.0
TAIL_LINES = 8
FULL = "free some disk space: `df -h` shows where none is left, `docker system df` what images use"
# The working directory is whose it is: neither a `json.py` in it nor a `harness.py` must become ours, not even where we
# are installed so that it is searched before us. What it alone has is found all the same.
_LAST = (
    "import sys; '' in sys.path and (sys.path.remove(''), sys.path.append('')); "
    "sys.path.insert(0, sys.argv.pop(1)); import harness, probes; sys.path.pop(0); "
    "import runpy; runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def module(name: str) -> list[str]:
    """Return the command that runs a module of ours in a process of its own, wherever that is started."""
    return [sys.executable, "-c", _LAST, str(project_root()), name]


def run(
    argv: Sequence[str],
    what: str,
    progress: Progress,
    *,
    estimate: float,
    deadline: float = DEADLINE_SECONDS,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    hint: str = "",
) -> None:
    """Run a long command into a log file, announcing `what` with its estimate in seconds."""
    log = cache_dir() / "logs" / f"{what.replace(' ', '-').replace('/', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    progress(f"{what}: about {duration(estimate)}")
    began = time.monotonic()
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                argv,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=_env(env),
                cwd=cwd,
                pass_fds=held(),
            )
        except OSError as error:
            raise PreconditionFailed(f"{what} failed", where=argv[0], why=error.strerror or str(error)) from None
        try:
            with stopping.tied(process):
                status = _wait(process, what, progress, began, estimate, deadline)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if status != 0:
        why = f"no end after {duration(deadline)}" if status is None else f"exit status {status}"
        why = f"{why}\n{tail(log)}"
        raise PreconditionFailed(f"{what} failed", where=str(log), why=why, hint=advice(why, hint))


def _wait(
    process: subprocess.Popen[bytes], what: str, progress: Progress, began: float, estimate: float, limit: float
) -> int | None:
    while True:
        spent = time.monotonic() - began
        if spent >= limit:
            return None
        try:
            return process.wait(min(HEARTBEAT_SECONDS, limit - spent))
        except subprocess.TimeoutExpired:
            progress(f"{what}: {duration(time.monotonic() - began)} of about {duration(estimate)}")


def ask(
    argv: Sequence[str],
    *,
    deadline: float = 30.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | BinaryIO | None = None,
    check: bool = True,
    hint: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a short command and return what it said."""
    pipe = subprocess.PIPE
    told, source = (stdin, pipe) if isinstance(stdin, bytes) else (None, stdin or subprocess.DEVNULL)
    try:
        with (
            subprocess.Popen(argv, stdin=source, stdout=pipe, stderr=pipe, env=_env(env), cwd=cwd) as process,
            stopping.tied(process),
        ):
            said, complained = process.communicate(told, timeout=deadline)
    except subprocess.TimeoutExpired:
        raise PreconditionFailed(
            f"no answer within {duration(deadline)}", where=" ".join(argv[:4]), hint=hint
        ) from None
    except OSError as error:
        raise PreconditionFailed("cannot be run", where=argv[0], why=error.strerror or str(error), hint=hint) from None
    out, err, status = said.decode(errors="replace"), complained.decode(errors="replace"), process.returncode
    if check and status != 0:
        why = "\n".join((err or out).strip().splitlines()[-TAIL_LINES:])
        where = " ".join(argv[:6])
        raise PreconditionFailed(f"exit status {status}", where=where, why=why, hint=advice(why, hint))
    return subprocess.CompletedProcess(list(argv), status, out, err)


def advice(why: str, hint: str) -> str:
    """Return what to do about a command's last words: on a full disk no other hint helps."""
    return FULL if "no space left" in why.lower() else hint


def duration(seconds: float) -> str:
    """Write a number of seconds as a person would."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def tail(log: Path) -> str:
    """Return a log's last lines."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])


def _env(extra: Mapping[str, str] | None) -> dict[str, str] | None:
    return {**os.environ, **extra} if extra is not None else None
