"""Stand in for `harness run`: break a file, write a journal, and mend the file when asked to end."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

began = time.monotonic()
folder = Path(sys.argv[sys.argv.index("--runs") + 1]) / "a-run"
document = json.loads(Path(sys.argv[2]).read_text())
broken = Path(document["description"])


def write(kind: str, **data: object) -> None:
    line = {"type": kind, "wall": time.time(), "t": time.monotonic() - began, "data": data}
    with (folder / "journal.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def end(number: int, _: object) -> None:
    write("abort", trigger=signal.Signals(number).name)
    write("fault.heal_requested")
    broken.unlink(missing_ok=True)
    write("undo")
    write("verdict", verdict="ABORTED")
    os._exit(130)


for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(one, end)
folder.mkdir(parents=True)
write("plan", faults=[{"victim": {"kind": "pod", "name": "a", "namespace": "n", "node": "worker"}, "takes": []}])
broken.touch()
write("fault.injecting")
write("fault.injected")
write("fault.felt")
while True:
    signal.pause()
