"""`python -m harness.steps`: run activities, one JSON line in, one JSON line out, until standard input ends."""

from __future__ import annotations

import json
import os
import pkgutil
import queue
import signal
import threading
from collections.abc import Callable, Mapping
from types import FrameType
from typing import IO, Any

from chaoslib import PayloadEncoder

import probes
from harness.steps.document import Document, Interrupted, answer, masked

# How an activity or a control asks Chaos Toolkit's process for the end of the run.
ASKING = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)


class Encoder(PayloadEncoder):  # type: ignore[misc]
    """Write what activities return as Chaos Toolkit writes it, and anything else by its text."""

    def default(self, o: Any) -> Any:
        try:
            return super().default(o)
        except TypeError:
            return str(o)


# What may be cut by it in the middle, or is not begun any more.
INTERRUPTIBLE = ("activity", "hypothesis", "enter")


class Wish:
    """The end of the run, as a step or a control asks for it: at once in the middle of a step, else before the next."""

    def __init__(self) -> None:
        self.armed = False
        self.text = ""

    def receive(self, number: int, _: FrameType | None) -> None:
        """Take the signal."""
        text = f"{signal.Signals(number).name}: a step or a control asked for the end of the run"
        if self.armed:
            raise Interrupted(text)
        self.text = text

    def during(self, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Do something that may be interrupted."""
        self.armed = True
        try:
            if self.text:
                text, self.text = self.text, ""
                raise Interrupted(text)
            return act()
        finally:
            self.armed = False


def main() -> None:
    """Serve activities until the engine is gone, then end with everything that was started here."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    lines = os.dup(0)
    # What an activity prints must not get between the answers, nor may it read the requests.
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _name_the_cluster()
    # Probes beside a person's documents are often called `probes` as well: what ours does not have is found there.
    probes.__path__ = pkgutil.extend_path(probes.__path__, probes.__name__)
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines, requests), daemon=True).start()
    wish = Wish()
    document, lock = Document(lambda: wish.text), threading.Lock()
    for number in ASKING:
        signal.signal(number, wish.receive)
    while True:
        request = json.loads(requests.get())
        if request.pop("background", False):
            threading.Thread(target=_serve, args=(document, request, answers, lock), daemon=True).start()
        else:
            _serve(document, request, answers, lock, wish)


def _serve(
    document: Document, request: dict[str, Any], answers: IO[str], lock: threading.Lock, wish: Wish | None = None
) -> None:
    identity, act = request.pop("id", None), request.pop("do")

    def do() -> dict[str, Any]:
        return getattr(document, act)(**request)  # type: ignore[no-any-return]

    # What is undone is undone, whoever wants an end.
    undoing = "rollback" in (request.get("level"), str(request.get("role")).removesuffix("s"))
    interruptible = wish if act in INTERRUPTIBLE and not undoing else None
    found = {"id": identity, **answer(lambda: interruptible.during(do) if interruptible else do())}
    try:
        line = _line(found, document)
    except (TypeError, ValueError, RecursionError):
        line = _line({**found, "output": str(found["output"])}, document)
    with lock:
        answers.write(line + "\n")
        answers.flush()


def _line(found: dict[str, Any], document: Document) -> str:
    told = masked({key: found[key] for key in ("output", "error")}, document.secrets)
    return json.dumps({**found, **told}, cls=Encoder)


def perform(
    activity: dict[str, Any], configuration: Mapping[str, Any] | None = None, secrets: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Run one activity of no document as Chaos Toolkit does and say what came of it."""
    document = Document()
    document.configuration, document.secrets = dict(configuration or {}), dict(secrets or {})
    return answer(lambda: document.activity(activity, "hypothesis"))


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
    # Imported before the first request, so that the time is paid while the engine is still planning.
    main()
