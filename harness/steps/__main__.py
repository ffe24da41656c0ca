"""`python -m harness.steps`: run activities, one JSON line in, one JSON line out, until standard input ends."""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
import time
from typing import Any


def main() -> None:
    """Serve activities until the engine is gone, then end with everything that was started here."""
    answers = os.fdopen(os.dup(1), "w")
    lines = os.dup(0)
    # What an activity prints must not get between the answers, nor may it read the requests.
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _name_the_cluster()
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines, requests), daemon=True).start()
    while True:
        request = json.loads(requests.get())
        answers.write(json.dumps(perform(**request), default=str) + "\n")
        answers.flush()


def perform(activity: dict[str, Any], configuration: dict[str, Any], secrets: dict[str, Any]) -> dict[str, Any]:
    """Run one activity as Chaos Toolkit does and say what came of it."""
    from chaoslib.activity import run_activity
    from chaoslib.exceptions import ActivityFailed
    from chaoslib.hypothesis import within_tolerance

    began = time.monotonic()
    result: dict[str, Any] = {"status": "succeeded", "output": None, "error": None, "tolerance_met": None}
    try:
        result["output"] = run_activity(activity, configuration, secrets)
        if "tolerance" in activity:
            result["tolerance_met"] = bool(
                within_tolerance(activity["tolerance"], result["output"], configuration=configuration, secrets=secrets)
            )
    except ActivityFailed as error:
        result |= {"status": "failed", "error": str(error)}
    # SystemExit too: an activity may end itself, but not the worker.
    except (Exception, SystemExit) as error:
        result |= {"status": "failed", "error": f"{type(error).__name__}: {error}"}
    return {**result, "duration": time.monotonic() - began}


def _listen(source: int, requests: queue.SimpleQueue[str]) -> None:
    left = b""
    while chunk := os.read(source, 65_536):
        *whole, left = (left + chunk).split(b"\n")
        for line in whole:
            requests.put(line.decode())
    # The engine is gone: an activity may be in the middle of something, and may have started other processes.
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _name_the_cluster() -> None:
    """Let kubectl and chaosk8s use the run's cluster and identity, never the ambient ones."""
    from harness.cluster.kubeconfig import official

    for ours, theirs in (("HARNESS_KUBECONFIG", "KUBECONFIG"), ("HARNESS_CONTEXT", "KUBERNETES_CONTEXT")):
        if os.environ.get(ours):
            os.environ[theirs] = os.environ[ours]
    official.install()


if __name__ == "__main__":
    # Before the first request, so that the import is paid while the engine is still planning.
    import chaoslib.activity
    import chaoslib.hypothesis  # noqa: F401

    main()
