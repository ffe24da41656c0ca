"""Bring engine, load and objectives to a plain `chaos run` of our documents.

The engine's run begins before the hypothesis and is judged when the method is over; Chaos Toolkit's journal then holds
the verdict. Whatever ends the experiment otherwise cuts the run short, which undoes at once.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.checkers import foreign as steps
from harness.documents import foreign
from harness.errors import AbortTriggered, HarnessError
from harness.source import SUFFIXES

if TYPE_CHECKING:
    from harness.chaostoolkit.live import Live
    from harness.documents.document import Given
    from harness.model.experiment import Experiment

_live: Live | None = None


def before_experiment_control(context: dict[str, Any], configuration: Mapping[str, Any] | None = None) -> None:
    """Begin the run: lease, plan, load, baseline; what prevents it interrupts the experiment."""
    global _live
    from chaoslib.exceptions import InterruptExecution

    from harness.chaostoolkit.live import Live
    from harness.cluster.kubeconfig import official
    from harness.documents import document
    from harness.engine.options import Options

    try:
        experiment = _experiment(context, _given(context, configuration or {}))
        if remark := document.unpromised(experiment):
            _say(remark)
        begun = Live(experiment, Options(say=_say))
        begun.start()
    except HarnessError as error:
        # Nothing was done, so nothing is to be put back, whatever Chaos Toolkit's strategy says.
        context["rollbacks"] = []
        raise InterruptExecution(str(error)) from error
    _live = begun
    os.environ.update(begun.environment)
    official.install()
    # The run rolls back by itself, once, whatever ends it; what Chaos Toolkit still finds here it would do again.
    context["rollbacks"] = []


def before_method_control(context: Mapping[str, Any]) -> None:  # noqa: ARG001
    """Tell the run that there is something to roll back from now on; a run that is over begins no method."""
    from chaoslib.exceptions import InterruptExecution

    try:
        if _live:
            _live.begin_method()
    except AbortTriggered as error:
        raise InterruptExecution(str(error)) from error


def before_activity_control(context: dict[str, Any]) -> None:
    """Tell the run which activity its next fault belongs to; a step that was read as a fault is called as one."""
    if _live:
        # As the document's reader takes it: what is folded over lines ends with one.
        _live.here.activity = str(context.get("name", "")).strip()
        if provider := _live.provider(context):
            context["provider"] = provider


def after_method_control(context: Mapping[str, Any], state: list[Mapping[str, Any]]) -> None:
    """Hold, heal, recover and judge; a method that did not get to its end cuts the run short instead."""
    if _live:
        ended = [run for run in state if run.get("status") in ("succeeded", "failed")]
        bad = [run for run in ended if run["status"] == "failed" or run.get("tolerance_met") is False or _useless(run)]
        whole = len(ended) == len(context["method"])
        failed = [run["activity"]["name"] for run in bad]
        _live.finish(abort="" if whole else "chaos run was interrupted", failed=failed)


def after_experiment_control(context: Mapping[str, Any], state: dict[str, Any]) -> None:  # noqa: ARG001
    """Put the verdict into Chaos Toolkit's journal; an experiment that never got through its method is cut short."""
    if _live is None:
        return
    outcome = _live.outcome or _live.finish(abort=f"chaos run ended: {state.get('status')}")
    _say(outcome.text)
    state["harness"] = {
        "verdict": str(outcome.verdict),
        "right": outcome.right,
        "run": outcome.run,
        "dir": str(outcome.dir),
        "reason": outcome.reason,
        "cause": outcome.cause,
    }
    if outcome.right:
        # A deviation that was declared is what was wanted, whatever Chaos Toolkit's own look at the hypothesis found.
        state["deviated"] = state.get("deviated", False) and outcome.verdict != "DEVIATED"
    elif outcome.verdict in ("DEVIATED", "PASS"):
        state["deviated"] = True
    else:
        state["status"] = "aborted" if outcome.verdict == "ABORTED" else "failed"


def cleanup_control() -> None:
    """Leave nothing behind, whatever happened before."""
    global _live
    if _live and _live.outcome is None:
        _live.finish(abort="chaos run ended")
    _live = None


def _given(context: Mapping[str, Any], configuration: Mapping[str, Any]) -> Given:
    """Tell what Chaos Toolkit was given (`--var`) from what the document says of itself: that alone replaces it."""
    from chaoslib.configuration import load_configuration

    from harness.documents.document import Given

    own = load_configuration(dict(context.get("configuration") or {}))
    return Given(os.environ, {name: value for name, value in configuration.items() if own.get(name) != value})


def _experiment(context: Mapping[str, Any], given: Given | None = None) -> Experiment:
    """Load the document that is being run; Chaos Toolkit tells a control its content, not its file."""
    from harness.documents import document

    for path in (Path(word).resolve() for word in sys.argv[1:]):
        if path.suffix in SUFFIXES and path.is_file() and document.is_experiment(path):
            return document.load(path, document.defaults_for(path), given)
    known, path = {key: value for key, value in context.items() if key in document.TOP}, Path("experiment.yaml")
    return document.loads(json.dumps(known), path, document.defaults_for(path), given, promised=True)


def _useless(run: Mapping[str, Any]) -> str:
    """Say why a step that Chaos Toolkit ran is no evidence; empty when it may be one."""
    activity = run["activity"]
    provider = activity.get("provider") or {}
    acts = foreign.acts(activity.get("type", ""), provider)
    step = {"status": run["status"], "output": run.get("output"), "by": foreign.function(provider), "acts": acts}
    return steps.no_evidence(step)


def _say(line: str) -> None:
    print(line, file=sys.stderr)
