"""Fetch once, when a run is over, what pods recorded of their calls to other services, where an objective asks for it.

A pod that records says so by an annotation, which names the port; the API server hands the question on to it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import anyio

from harness.checkers import reads_calls
from harness.cluster import paths
from harness.engine import clusterless
from harness.engine.session import Session
from harness.errors import ApiError, ClusterUnreachable
from harness.journal import calls
from harness.workloads.pod import ended_before

ANNOTATION = "chaos-harness/calls"
PATH = "debug/calls"
# What was before the run tells how a breaker stood when it began: longer than the window of any breaker of the stack.
LOOK_BACK_SECONDS = 60.0
PATIENT_SECONDS = 5.0
# An orchestrator tells about 2 kB for each second of an experiment, and all that it remembers in 3 MB at most.
MOST_BYTES = 32 << 20


async def collect(session: Session) -> None:
    """Write what pods recorded beside the journal, a line each, and into the journal who told nothing, and why."""
    if not reads_calls(session.experiment.objectives) or isinstance(session.kube, clusterless.Nowhere):
        return
    origin = time.time() - session.journal.now()
    begun = datetime.fromtimestamp(origin, UTC)
    told, unread = dict[str, str](), dict[str, str]()

    async def ask(name: str, url: str) -> None:
        try:
            with anyio.fail_after(PATIENT_SECONDS):
                answer = await session.kube.get_text(url, since=origin - LOOK_BACK_SECONDS)
            calls.parse(answer, origin)
            line = json.dumps(json.loads(answer), separators=(",", ":"))
        except TimeoutError:
            unread[name] = f"no answer within {PATIENT_SECONDS:g} s"
        except (ApiError, ClusterUnreachable) as error:
            unread[name] = f"the API server had no answer for us: {error.what}"
        except ValueError as error:
            unread[name] = str(error)
        else:
            told[name] = line

    for namespace in session.experiment.blast_radius.namespaces:
        try:
            pods = await session.kube.list(paths.pods(namespace))
        except (ApiError, ClusterUnreachable) as error:
            unread[namespace] = f"its pods could not be listed: {error.what}"
            continue
        async with anyio.create_task_group() as together:
            for pod in pods:
                if ended_before(pod, begun):
                    continue  # it made no call of this run's
                if port := (pod["metadata"].get("annotations") or {}).get(ANNOTATION):
                    name = pod["metadata"]["name"]
                    together.start_soon(ask, name, f"{paths.pods(namespace, name)}:{port}/proxy/{PATH}")
    _write(session, told, unread)


def _write(session: Session, told: Mapping[str, str], unread: dict[str, str]) -> None:
    """Write file and event; what finds no room is left out, and said to be."""
    room, kept = MOST_BYTES, dict[str, str]()
    for name, line in sorted(told.items()):
        room -= len(line)
        if room >= 0:
            kept[name] = line
        else:
            unread[name] = f"its calls are beyond the {MOST_BYTES >> 20} MiB that a run keeps"
    data: dict[str, Any] = {"file": calls.FILE, "pods": list(kept), "unread": unread}
    try:
        (session.directory / calls.FILE).write_text("".join(f"{line}\n" for line in kept.values()))
    except OSError as error:
        why = f"its calls could not be written: {error.strerror or error}"
        data |= {"pods": [], "unread": {**unread, **dict.fromkeys(kept, why)}}
    session.write(calls.EVENT, **data)
