"""Have the live controller analyse a case: an AnalysisRun is made, watched to its end, its answers are looked up."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import anyio

from bench.judge.cases import NAMESPACE, Case, Object
from bench.judge.judging import RUN
from bench.judge.outcome import COUNTERS, Measured, Metric, Outcome
from bench.judge.server import ASKED
from bench.judge.server import PORT as ASKED_AT
from harness.cluster import paths
from harness.cluster.kube import Kube

SERVER = "replies"
GROUP = "argoproj.io/v1alpha1"
RUNS = f"/apis/{GROUP}/namespaces/{NAMESPACE}/analysisruns"
# What the controller says of one that it does not begin.
REFUSALS = ("Analysis spec invalid: ", "Unable to resolve metric arguments: ")
OVER = ("Successful", "Failed", "Inconclusive", "Error")
LOOK_SECONDS, FIRST_LOOK_SECONDS = 1.0, 0.2
# After the time that an analysis takes by itself.
GRACE_SECONDS = 30.0
ENDED_LATE_SECONDS = 0.25

Asked = Sequence[tuple[str, float, str]]


class Late(Exception):
    """The machine was too slow for a case to mean anything; the text says of what."""


def run(case: Case, attempt: int) -> Object:
    """Describe the run of a case, its arguments put together as the controller does it for a Rollout."""
    spec = case.template["spec"]
    name = RUN.format(case.number, attempt)
    given = {**case.given, "run": name}
    args = [{**one, "value": given[one["name"]]} if one["name"] in given else one for one in spec["args"]]
    body: Object = {**spec, "args": args}
    if case.ends == 0:
        body["terminate"] = True
    return {"apiVersion": GROUP, "kind": "AnalysisRun", "metadata": {"name": name}, "spec": body}


async def watched(kube: Kube, case: Case, attempt: int, seconds: float) -> Outcome:
    """Have a case analysed, which takes so many seconds by itself; raises Late, TimeoutError, HarnessError."""
    item = run(case, attempt)
    path = f"{RUNS}/{item['metadata']['name']}"
    await kube.create(RUNS, item, fieldValidation="Strict")
    with anyio.fail_after(seconds + GRACE_SECONDS):
        if case.ends:
            begun = _moment((await _status(kube, path, _begun, FIRST_LOOK_SECONDS))["startedAt"])
            await anyio.sleep(max(0.0, begun + case.ends - time.time()))
            await kube.patch(path, {"spec": {"terminate": True}})
            if (late := time.time() - begun - case.ends) > ENDED_LATE_SECONDS:
                raise Late(f"it was ended {late:.2f} s late")
        status = await _status(kube, path, _over, LOOK_SECONDS)
    asked = await kube.get_text(f"{paths.pods(NAMESPACE, SERVER)}:{ASKED_AT}/proxy{ASKED}{item['metadata']['name']}")
    return outcome(status, json.loads(asked))


async def _status(kube: Kube, path: str, so: Callable[[Mapping[str, Any]], bool], pause: float) -> Mapping[str, Any]:
    """Look at a run again and again until its status is so, and return that."""
    while True:
        status: Mapping[str, Any] = (await kube.get(path)).get("status") or {}
        if so(status):
            return status
        await anyio.sleep(pause)


def _begun(status: Mapping[str, Any]) -> bool:
    return "startedAt" in status


def _over(status: Mapping[str, Any]) -> bool:
    return status.get("phase") in OVER


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def outcome(status: Mapping[str, Any], asked: Asked) -> Outcome:
    """Return what a run's status says, each measurement with the moment in which it was answered."""
    message = str(status.get("message", ""))
    begun = _moment(status["startedAt"]) if _begun(status) else math.nan
    metrics = {}
    for one in status.get("metricResults") or ():
        name = str(one["name"])
        metrics[name] = _metric(one, [at - begun for metric, at, _ in asked if metric == name])
    refused = status["phase"] == "Error" and not metrics and message.startswith(REFUSALS)
    return Outcome(str(status["phase"]), message, metrics, refused)


def _metric(result: Mapping[str, Any], moments: Sequence[float]) -> Metric:
    # One that was answered and is not counted is told, with nothing in it.
    measured = [
        Measured(at, str(one.get("phase", "")), str(one.get("value", "")), str(one.get("message", "")))
        for at, one in (
            (math.nan if at is None else at, one or {})
            for at, one in itertools.zip_longest(moments, result.get("measurements") or ())
        )
    ]
    counters = {key: int(result.get(key, 0)) for key in COUNTERS}
    query = str((result.get("metadata") or {}).get("ResolvedPrometheusQuery", ""))
    return Metric(
        str(result["phase"]), str(result.get("message", "")), **counters, query=query, measured=tuple(measured)
    )
