"""Keep what became of each time that was due: `schedule.jsonl` beside the runs, one line each, only appended to."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from harness.errors import Exit, UsageError

FILE = "schedule.jsonl"
RAN, PLANNED, REFUSED, FAILED, MISSED = "ran", "planned", "refused", "failed", "missed"
REMOVABLE = (Exit.PASS, Exit.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class Tick:
    """One time that was due, or `count` of them that were missed; `due` and `at` are in UTC.

    `state` is ran, planned (a dry run), refused (nothing began: `why`), failed (by a bug, or what the machine refused)
    or missed. `last` says that nothing may follow.
    """

    experiment: str
    due: str
    at: str
    state: str
    why: str = ""
    count: int = 1
    seed: int | None = None
    run: str = ""
    verdict: str = ""
    exit: int = 0
    last: bool = False

    def __str__(self) -> str:
        words = [self.due, self.experiment, self.verdict or self.state]
        words += [f"{self.count} times"] if self.count > 1 else []
        words += [f"run {self.run}"] if self.run else []
        words += [f"seed {self.seed}"] if self.seed is not None else []
        return "  ".join(words) + (f": {self.why}" if self.why else "")


def shown(moment: datetime) -> str:
    """Write a moment as a person and a machine read it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def append(folder: Path, tick: Tick) -> None:
    """Append one line; raises UsageError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / FILE).open("ab+") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            # After a line that was cut off a new one begins.
            start = "" if file.read() in (b"", b"\n") else "\n"
            file.write(f"{start}{json.dumps(dataclasses.asdict(tick))}\n".encode())
    except OSError as error:
        raise UsageError("the schedule's log cannot be written", where=str(folder / FILE), why=str(error)) from error


def last_seen(folder: Path, experiments: Sequence[str]) -> dict[str, datetime]:
    """Return when each of these experiments was last accounted for."""
    return {tick.experiment: datetime.fromisoformat(tick.at) for tick in read(folder) if tick.experiment in experiments}


def read(folder: Path) -> Iterator[Tick]:
    """Read every whole line; one that was cut off when its writer died is passed over."""
    try:
        lines = (folder / FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            tick = Tick(**json.loads(line))
            datetime.fromisoformat(tick.at)
        except (ValueError, TypeError):
            continue
        yield tick


def thin(folder: Path, keep: int) -> None:
    """Remove the folders of runs that ended as declared or prove nothing, but for so many of the newest.

    Any other is evidence. Where nothing has opted in, every run proves nothing.
    """
    ended = [tick.run for tick in read(folder) if tick.state == RAN and tick.run and tick.exit in REMOVABLE]
    for run in ended[: max(0, len(ended) - keep)]:
        # A line that was edited must not have anything else removed.
        if isinstance(run, str) and run != ".." and Path(run).name == run:
            shutil.rmtree(folder / run, ignore_errors=True)
